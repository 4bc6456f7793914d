//! Socket.IO packets, seen from the client.
//!
//! Events and acks are the same in both directions, so the codec of the framework reads and writes
//! them. CONNECT and CONNECT_ERROR are not: what the server says in them is read here.

use bytes::Bytes;
use portcullis::socketio::args::Args;
use portcullis::socketio::codec::{Codec, Decoder, Limits};
use portcullis::socketio::ids::{AckId, NamespacePath, SocketId};
use portcullis::socketio::packet::{EventName, Packet};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;
use portcullis::socketio::{MAX_DEPTH, msgpack};

use crate::Refused;

/// What an Engine.IO message carries.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Text(String),
    Binary(Bytes),
}

/// What the server says to one socket.
#[derive(Debug)]
pub(crate) enum Said {
    Connected(SocketId),
    Refused(Refused),
    Disconnect,
    Event {
        event: EventName,
        ack: Option<AckId>,
        args: Args,
    },
    Ack(AckId, Args),
}

/// Something that is not a packet that a server sends.
#[derive(Debug)]
pub(crate) struct Nonsense;

/// Makes packets out of messages.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    limits: Limits,
}

impl Reader {
    pub(crate) const fn new(codec: Codec) -> Self {
        Self {
            decoder: Decoder::new(codec),
            limits: Limits::new()
                .max_attachments(usize::MAX)
                .max_attachment_bytes(usize::MAX),
        }
    }

    /// Takes one message; nothing comes out while attachments are missing.
    pub(crate) fn read(
        &mut self,
        message: &Message,
    ) -> Result<Option<(NamespacePath, Said)>, Nonsense> {
        let at_the_gate = match message {
            Message::Text(text) => gate_text(text),
            Message::Binary(bytes) => gate_msgpack(bytes),
        };
        if let Some(said) = at_the_gate {
            return Ok(Some(said));
        }
        let packet = match message {
            Message::Text(text) => self.decoder.handle_text(text, &self.limits),
            Message::Binary(bytes) => self.decoder.handle_binary(bytes.clone(), &self.limits),
        };
        match packet.map_err(|_| Nonsense)? {
            None => Ok(None),
            Some(Packet::Event {
                namespace,
                ack,
                event,
                args,
            }) => Ok(Some((namespace, Said::Event { event, ack, args }))),
            Some(Packet::Ack {
                namespace,
                id,
                args,
            }) => Ok(Some((namespace, Said::Ack(id, args)))),
            Some(Packet::Disconnect { namespace }) => Ok(Some((namespace, Said::Disconnect))),
            Some(
                Packet::Connect { .. }
                | Packet::InvalidConnect { .. }
                | Packet::ConnectError { .. },
            ) => Err(Nonsense),
        }
    }
}

/// `0/chat,{"sid":…}` and `4/chat,{"message":…,"data":…}`.
fn gate_text(text: &str) -> Option<(NamespacePath, Said)> {
    let kind = text
        .chars()
        .next()
        .filter(|kind| matches!(kind, '0' | '4'))?;
    let rest = &text[1..];
    let (namespace, data) = match rest.strip_prefix('/') {
        Some(_) => rest.split_once(',')?,
        None => ("/", rest),
    };
    let data: Value = serde_json::from_str(data).ok()?;
    gate(kind == '0', namespace, &data)
}

/// `{type: 0, nsp, data: {sid}}` and `{type: 4, nsp, data: {message, data}}`.
fn gate_msgpack(bytes: &Bytes) -> Option<(NamespacePath, Said)> {
    let packet = msgpack::decode(bytes, MAX_DEPTH).ok()?;
    let kind = packet.get("type")?.as_i64()?;
    if !matches!(kind, 0 | 4) {
        return None;
    }
    gate(kind == 0, packet.get("nsp")?.as_str()?, packet.get("data")?)
}

fn gate(is_open: bool, namespace: &str, data: &Value) -> Option<(NamespacePath, Said)> {
    let namespace = NamespacePath::parse(namespace).ok()?;
    let said = if is_open {
        let id = data.get("sid")?.as_str()?;
        Said::Connected(SocketId::parse(id).ok()?)
    } else {
        let message = data.get("message")?.as_str()?.to_owned();
        let data = data.get("data").cloned().unwrap_or_default();
        Said::Refused(Refused::new(message, data))
    };
    Some((namespace, said))
}

/// A CONNECT with its `auth` payload.
pub(crate) fn connect(codec: Codec, namespace: &NamespacePath, auth: Option<&Value>) -> Message {
    match codec {
        Codec::Json => {
            let auth = auth.map(|auth| serde_json::to_string(auth).unwrap());
            let auth = auth.unwrap_or_default();
            Message::Text(format!("0{}{auth}", prefix(namespace)))
        }
        Codec::Msgpack => {
            let mut fields = vec![
                ("type".to_owned(), Value::from(0)),
                ("nsp".to_owned(), Value::from(namespace.as_str())),
            ];
            fields.extend(auth.map(|auth| ("data".to_owned(), auth.clone())));
            let mut bytes = Vec::new();
            msgpack::encode(&Value::Map(fields), &mut bytes);
            Message::Binary(bytes.into())
        }
    }
}

fn prefix(namespace: &NamespacePath) -> String {
    if namespace.is_root() {
        return String::new();
    }
    format!("{namespace},")
}

/// A DISCONNECT.
pub(crate) fn disconnect(codec: Codec, namespace: &NamespacePath) -> Message {
    let mut out = Vec::new();
    codec.encode_disconnect(&mut out, namespace);
    message(codec, out)
}

/// An event, with its attachments.
pub(crate) fn event(
    codec: Codec,
    namespace: &NamespacePath,
    ack: Option<AckId>,
    payload: &Payload,
) -> Vec<Message> {
    let mut out = Vec::new();
    codec.encode_event(&mut out, namespace, ack, payload);
    with_attachments(codec, out, payload)
}

/// An answer, with its attachments.
pub(crate) fn ack(
    codec: Codec,
    namespace: &NamespacePath,
    id: AckId,
    payload: &Payload,
) -> Vec<Message> {
    let mut out = Vec::new();
    codec.encode_ack(&mut out, namespace, id, payload);
    with_attachments(codec, out, payload)
}

fn with_attachments(codec: Codec, packet: Vec<u8>, payload: &Payload) -> Vec<Message> {
    let mut messages = vec![message(codec, packet)];
    if !codec.is_binary() {
        messages.extend(payload.attachments().iter().cloned().map(Message::Binary));
    }
    messages
}

fn message(codec: Codec, packet: Vec<u8>) -> Message {
    if codec.is_binary() {
        return Message::Binary(packet.into());
    }
    Message::Text(String::from_utf8(packet).expect("a packet in JSON is text"))
}
