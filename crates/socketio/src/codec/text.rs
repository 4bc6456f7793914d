//! The text of a packet: `<type>[<n>-][<namespace>,][<ack id>][<JSON>]`.
//!
//! Stricter than JavaScript where its leniency was an advisory or is a trap: numbers of
//! attachments and ack ids are digits, JSON follows at once, a binary packet has a payload. As
//! lenient where clients may rely on it: an event without a payload is ignored.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::decoder::Pending;
use super::{DecodeError, Limits};
use crate::args::{Args, Spans};
use crate::ids::{AckId, NamespacePath};
use crate::packet::{Auth, EventName, Packet, is_reserved};
use crate::value::Value;
use crate::{MAX_DEPTH, attachments, json};

/// How much of an impossible namespace is kept for the answer.
const MAX_RAW_NAMESPACE_BYTES: usize = 1024;

/// What one text message is.
pub(super) enum Decoded {
    /// All of a packet, or of one that is ignored.
    Packet(Option<Packet>),
    /// The first part of a packet.
    Pending(Box<Pending>),
}

/// A packet that carries arguments, without them.
pub(super) enum Header {
    Event {
        namespace: NamespacePath,
        ack: Option<AckId>,
        event: EventName,
    },
    /// Without an id it answers nothing, and is ignored.
    Ack {
        namespace: NamespacePath,
        id: Option<AckId>,
    },
}

impl Header {
    pub(super) fn into_packet(self, args: Args) -> Option<Packet> {
        match self {
            Self::Event {
                namespace,
                ack,
                event,
            } => Some(Packet::Event {
                namespace,
                ack,
                event,
                args,
            }),
            Self::Ack { namespace, id } => Some(Packet::Ack {
                namespace,
                id: id?,
                args,
            }),
        }
    }
}

pub(super) fn decode(text: &str, limits: &Limits) -> Result<Decoded, DecodeError> {
    let mut characters = text.chars();
    let kind = characters.next().ok_or(DecodeError::Empty)?;
    let rest = characters.as_str();
    match kind {
        '5' | '6' => {
            let (count, rest) = attachment_count(rest, limits)?;
            binary(kind == '5', count, rest, limits)
        }
        '0'..='4' => plain(kind, rest, limits).map(Decoded::Packet),
        _ => Err(DecodeError::UnknownType),
    }
}

/// The number before the hyphen: digits, at least 1, no leading zero.
fn attachment_count<'a>(text: &'a str, limits: &Limits) -> Result<(usize, &'a str), DecodeError> {
    let (digits, rest) = text.split_once('-').ok_or(DecodeError::Attachments)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits.starts_with('0') || !is_number {
        return Err(DecodeError::Attachments);
    }
    // A number that does not even fit is too many, too.
    let count = digits.parse().unwrap_or(usize::MAX);
    if count > limits.max_attachments {
        return Err(DecodeError::TooManyAttachments {
            max: limits.max_attachments,
        });
    }
    Ok((count, rest))
}

fn plain(kind: char, text: &str, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
    let (name, rest) = namespace(text);
    let (id, payload) = ack_id(rest)?;
    if kind == '0' {
        return connect(name, payload, limits).map(Some);
    }
    let namespace = name.map_or(Ok(NamespacePath::root()), |name| {
        NamespacePath::from_wire(name).ok_or(DecodeError::Namespace)
    })?;
    match kind {
        '1' if payload.is_empty() => Ok(Some(Packet::Disconnect { namespace })),
        '1' => Err(DecodeError::Payload),
        '2' if payload.is_empty() => Ok(None),
        '2' => {
            let (event, spans) = event(payload)?;
            let header = Header::Event {
                namespace,
                ack: id,
                event,
            };
            Ok(header.into_packet(Args::from_json(payload, spans, Vec::new())))
        }
        '3' => {
            let spans = if payload.is_empty() {
                Spans::new()
            } else {
                array_spans(payload)?
            };
            let header = Header::Ack { namespace, id };
            Ok(header.into_packet(Args::from_json(payload, spans, Vec::new())))
        }
        _ => Ok(Some(Packet::ConnectError { namespace })),
    }
}

fn binary(
    is_event: bool,
    count: usize,
    text: &str,
    limits: &Limits,
) -> Result<Decoded, DecodeError> {
    let (name, rest) = namespace(text);
    let (id, payload) = ack_id(rest)?;
    let namespace = name.map_or(Ok(NamespacePath::root()), |name| {
        NamespacePath::from_wire(name).ok_or(DecodeError::Namespace)
    })?;
    if payload.len() > limits.max_attachment_bytes {
        return Err(DecodeError::TooLarge {
            max_bytes: limits.max_attachment_bytes,
        });
    }
    let (header, spans) = if is_event {
        let (event, spans) = event(payload)?;
        let header = Header::Event {
            namespace,
            ack: id,
            event,
        };
        (header, spans)
    } else {
        (Header::Ack { namespace, id }, array_spans(payload)?)
    };
    attachments::check(payload, count).map_err(|_| DecodeError::Placeholder)?;
    let pending = Pending::new(header, payload, spans, count);
    Ok(Decoded::Pending(Box::new(pending)))
}

fn connect(name: Option<&str>, payload: &str, limits: &Limits) -> Result<Packet, DecodeError> {
    let auth = if payload.is_empty() {
        Auth::Absent
    } else {
        object(payload, limits)?
    };
    Ok(connect_packet(name.unwrap_or("/"), auth))
}

/// A CONNECT to whatever the client calls a namespace.
pub(super) fn connect_packet(name: &str, auth: Auth) -> Packet {
    match NamespacePath::from_wire(name) {
        Some(namespace) => Packet::Connect { namespace, auth },
        None => Packet::InvalidConnect {
            raw: raw_namespace(name),
        },
    }
}

/// What the answer to an impossible namespace repeats: enough for the client to know its own.
fn raw_namespace(name: &str) -> Box<str> {
    let mut raw = String::new();
    for character in name.chars().filter(|character| !character.is_control()) {
        if raw.len().saturating_add(character.len_utf8()) > MAX_RAW_NAMESPACE_BYTES {
            break;
        }
        raw.push(character);
    }
    raw.into()
}

/// The namespace if there is one, and what follows its comma.
fn namespace(text: &str) -> (Option<&str>, &str) {
    if !text.starts_with('/') {
        return (None, text);
    }
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    (Some(name), rest)
}

fn ack_id(text: &str) -> Result<(Option<AckId>, &str), DecodeError> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(len).ok_or(DecodeError::AckId)?;
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let number: u64 = digits.parse().map_err(|_| DecodeError::AckId)?;
    if number > AckId::MAX {
        return Err(DecodeError::AckId);
    }
    Ok((Some(AckId::from(number)), rest))
}

/// The payload of a CONNECT, which is an object whatever else is wrong with it.
fn object(text: &str, limits: &Limits) -> Result<Auth, DecodeError> {
    if !text.starts_with('{') {
        return Err(DecodeError::Payload);
    }
    // Skipping does not recurse, so this may come before the depth is known.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| DecodeError::Json)?;
    Ok(classify_auth(text, limits))
}

/// Whether somebody may look at the payload of a CONNECT.
pub(super) fn classify_auth(text: &str, limits: &Limits) -> Auth {
    if text.len() > limits.max_auth_bytes {
        Auth::TooLarge
    } else if json::max_depth(text) > limits.max_auth_depth {
        Auth::TooDeep
    } else {
        Auth::Object(text.into())
    }
}

/// The name of an event, and where its arguments are.
fn event(text: &str) -> Result<(EventName, Spans), DecodeError> {
    let mut spans = array_spans(text)?;
    if spans.is_empty() {
        return Err(DecodeError::EventName);
    }
    let span = spans.remove(0);
    let first = text.get(span).ok_or(DecodeError::EventName)?;
    let event = event_name(first).ok_or(DecodeError::EventName)?;
    if is_reserved(&event) {
        return Err(DecodeError::ReservedEventName);
    }
    Ok((event, spans))
}

/// Reads the first item of an event, which is valid JSON.
fn event_name(first: &str) -> Option<EventName> {
    let quoted = first
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(name) = quoted
        && !name.contains('\\')
    {
        return Some(EventName::from(name));
    }
    match json::parse(first).ok()? {
        Value::String(name) => Some(EventName::from(name)),
        Value::Integer(_) | Value::Unsigned(_) => Some(EventName::from(first)),
        Value::Float(number) if number.is_finite() => Some(EventName::from(first)),
        _ => None,
    }
}

/// Where the items of a valid JSON array are.
fn array_spans(text: &str) -> Result<Spans, DecodeError> {
    if !text.starts_with('[') {
        return Err(DecodeError::Payload);
    }
    // A container takes two bytes, so what is short cannot be deep.
    if text.len() / 2 > MAX_DEPTH && json::max_depth(text) > MAX_DEPTH {
        return Err(DecodeError::TooDeep { max: MAX_DEPTH });
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let spans = reader
        .deserialize_seq(SpanVisitor {
            start: text.as_ptr().addr(),
        })
        .map_err(|_| DecodeError::Json)?;
    reader.end().map_err(|_| DecodeError::Json)?;
    Ok(spans)
}

/// Notes where each item of a list is in the text that it borrows from.
struct SpanVisitor {
    start: usize,
}

impl<'de> Visitor<'de> for SpanVisitor {
    type Value = Spans;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Spans, A::Error> {
        let mut spans = Spans::new();
        while let Some(item) = list.next_element::<&'de RawValue>()? {
            let item = item.get();
            let start = item.as_ptr().addr().saturating_sub(self.start);
            spans.push(start..start.saturating_add(item.len()));
        }
        Ok(spans)
    }
}
