//! A packet as one msgpack map: `{type, data, nsp, id}`, as `socket.io-msgpack-parser` writes it.
//!
//! The data is skipped first and read when the type is known, so that an event's arguments stay
//! raw and a CONNECT cannot make the server build a large value before anybody is authenticated.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::ops::Range;

use bytes::Bytes;

use super::text::{Header, classify_auth, connect_packet};
use super::{DecodeError, Limits};
use crate::MAX_DEPTH;
use crate::args::{Args, Spans};
use crate::ids::{AckId, NamespacePath};
use crate::msgpack::{MsgpackError, Reader};
use crate::packet::{Auth, EventName, Packet, is_reserved};
use crate::value::Value;

/// What the map of a packet has, before it is known to be one.
#[derive(Default)]
struct Fields {
    kind: Option<i64>,
    namespace: Option<String>,
    id: Option<AckId>,
    data: Option<Range<usize>>,
}

pub(super) fn decode(bytes: &Bytes, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    let fields = fields(bytes)?;
    let kind = fields.kind.ok_or(DecodeError::UnknownType)?;
    let name = fields.namespace.ok_or(DecodeError::Namespace)?;
    let data = fields.data.map(|span| part(bytes, span));
    if kind == 0 {
        let auth = match data {
            Some(data) => connect_auth(&data, limits)?,
            None => Auth::Absent,
        };
        return Ok(Some(connect_packet(&name, auth)));
    }
    let namespace = NamespacePath::from_wire(&name).ok_or(DecodeError::Namespace)?;
    match (kind, data) {
        (1, None) => Ok(Some(Packet::Disconnect { namespace })),
        (1, Some(data)) if is_nil(&data)? => Ok(Some(Packet::Disconnect { namespace })),
        (2, Some(data)) => {
            let mut spans = array_spans(&data)?;
            if spans.is_empty() {
                return Err(DecodeError::EventName);
            }
            let name = spans.remove(0);
            let header = Header::Event {
                namespace,
                ack: fields.id,
                event: event_name(&data, name)?,
            };
            Ok(header.into_packet(Args::from_msgpack(data, spans)))
        }
        (3, Some(data)) => {
            let spans = array_spans(&data)?;
            let header = Header::Ack {
                namespace,
                id: fields.id,
            };
            Ok(header.into_packet(Args::from_msgpack(data, spans)))
        }
        (4, _) => Ok(Some(Packet::ConnectError { namespace })),
        (1..=3, _) => Err(DecodeError::Payload),
        _ => Err(DecodeError::UnknownType),
    }
}

/// A part of a message, which keeps all of it alive only if it is most of it: otherwise a peer
/// could have much more kept than counts.
fn part(bytes: &Bytes, span: Range<usize>) -> Bytes {
    let part = bytes.slice(span);
    if part.len() < bytes.len() / 2 {
        return Bytes::copy_from_slice(&part);
    }
    part
}

/// Checks the whole input, and notes what a packet needs. Of equal keys the last counts.
fn fields(bytes: &Bytes) -> Result<Fields, DecodeError> {
    let mut reader = Reader::shared(bytes);
    let len = reader.map_len()?.ok_or(DecodeError::Payload)?;
    let mut fields = Fields::default();
    for _ in 0..len {
        let key = reader.key()?;
        let start = position(bytes, &reader);
        match key.as_str() {
            "type" => fields.kind = scalar(&mut reader)?.as_i64(),
            "nsp" => {
                fields.namespace = match scalar(&mut reader)? {
                    Value::String(name) => Some(name),
                    _ => None,
                }
            }
            "id" => fields.id = ack_id(&scalar(&mut reader)?)?,
            "data" => {
                reader.skip(MAX_DEPTH).map_err(too_deep)?;
                fields.data = Some(start..position(bytes, &reader));
            }
            _ => reader.skip(MAX_DEPTH).map_err(too_deep)?,
        }
    }
    reader.finish()?;
    Ok(fields)
}

fn position(bytes: &Bytes, reader: &Reader<'_>) -> usize {
    bytes.len().saturating_sub(reader.rest().len())
}

/// Reads a value that is no container.
fn scalar(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    reader.value(0).map_err(|error| match error {
        MsgpackError::TooDeep => DecodeError::Payload,
        other => other.into(),
    })
}

fn too_deep(error: MsgpackError) -> DecodeError {
    match error {
        MsgpackError::TooDeep => DecodeError::TooDeep { max: MAX_DEPTH },
        other => other.into(),
    }
}

/// Older JavaScript peers write `undefined`, and Python writes nil, where there is no id.
fn ack_id(value: &Value) -> Result<Option<AckId>, DecodeError> {
    if *value == Value::Null {
        return Ok(None);
    }
    let number = value
        .as_i64()
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number <= AckId::MAX)
        .ok_or(DecodeError::AckId)?;
    Ok(Some(AckId::from(number)))
}

/// The payload of a CONNECT, as the text of a JSON object.
fn connect_auth(data: &Bytes, limits: &Limits) -> Result<Auth, DecodeError> {
    // Text has at least the length of msgpack but for floats, escapes and binary: this only keeps
    // large values from being built, and the exact limit follows.
    if data.len() > limits.max_auth_bytes {
        return match Reader::shared(data).map_len()? {
            Some(_) => Ok(Auth::TooLarge),
            None => Err(DecodeError::Payload),
        };
    }
    match Reader::shared(data).value(MAX_DEPTH).map_err(too_deep)? {
        Value::Null => Ok(Auth::Absent),
        value @ Value::Map(_) => {
            let text = serde_json::to_string(&value).map_err(|_| DecodeError::Payload)?;
            Ok(classify_auth(&text, limits))
        }
        _ => Err(DecodeError::Payload),
    }
}

fn is_nil(data: &Bytes) -> Result<bool, DecodeError> {
    match Reader::shared(data).value(0) {
        Ok(value) => Ok(value == Value::Null),
        Err(MsgpackError::TooDeep) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Where the items of a list are.
fn array_spans(data: &Bytes) -> Result<Spans, DecodeError> {
    let mut reader = Reader::shared(data);
    let len = reader.array_len()?.ok_or(DecodeError::Payload)?;
    let mut spans = Spans::new();
    for _ in 0..len {
        let start = position(data, &reader);
        reader.skip(MAX_DEPTH).map_err(too_deep)?;
        spans.push(start..position(data, &reader));
    }
    Ok(spans)
}

fn event_name(data: &Bytes, span: Range<usize>) -> Result<EventName, DecodeError> {
    let first = data.get(span).ok_or(DecodeError::EventName)?;
    let event = match Reader::new(first).value(0) {
        Ok(Value::String(name)) => EventName::from(name),
        Ok(Value::Integer(number)) => EventName::from(number.to_string()),
        Ok(Value::Unsigned(number)) => EventName::from(number.to_string()),
        Ok(Value::Float(number)) if number.is_finite() => EventName::from(number.to_string()),
        _ => return Err(DecodeError::EventName),
    };
    if is_reserved(&event) {
        return Err(DecodeError::ReservedEventName);
    }
    Ok(event)
}
