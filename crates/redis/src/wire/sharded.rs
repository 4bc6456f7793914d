//! The messages of the sharded adapter: Node's cluster messages, `{type,data,uid,nsp}`.
//!
//! | type    | message               | data                                              |
//! |---------|-----------------------|---------------------------------------------------|
//! | 1, 2    | presence, its answer  | –                                                 |
//! | 3       | broadcast             | `{packet,opts}`; with acks `{packet,requestId,opts}` |
//! | 4, 5    | join, leave           | `{opts,rooms}`                                    |
//! | 6       | disconnect            | `{opts,close}`                                    |
//! | 7       | sockets               | `{opts,requestId}`, answered by 8                 |
//! | 8       | sockets               | `{requestId,sockets}`                             |
//! | 9       | event of servers      | `{packet}`; with an answer `{requestId,packet}`   |
//! | 10      | answer to 9           | `{requestId,packet}`                              |
//! | 11, 12  | answers to 3          | `{requestId,clientCount}`, `{requestId,packet}`   |
//! | 13      | goodbye               | –                                                 |
//!
//! The form is JSON, or msgpack where a message that may hold binary data does. Node's sharded
//! adapter ignores 1, 2 and 13; here they tell nodes each other's names.

use std::time::Duration;

use bytes::Bytes;
use portcullis::adapter::{Envelope, Flags, Target};
use portcullis::socketio::ids::Room;
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use super::fields::{self, get, map, text};
use super::parser::{Msgpack, Parser as _, decode_either};
use super::{Answer, Response, WireError, json};

/// What another node, or an emitter, says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) sender: String,
    pub(crate) namespace: String,
    pub(crate) body: Body,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// A node is here, and asks who else is.
    Hello,
    /// A node is here.
    Here,
    /// A node leaves.
    Goodbye,
    Broadcast(Payload, Target, Flags),
    BroadcastWithAck {
        payload: Payload,
        /// Nothing is nobody.
        target: Option<Target>,
        request_id: String,
        timeout: Option<Duration>,
    },
    Join(Target, Vec<Room>),
    Leave(Target, Vec<Room>),
    Disconnect(Target, bool),
    /// About whom, which may be nobody.
    Fetch(Option<Target>, String),
    ServerSide(Payload, Option<String>),
    Response(Response),
}

/// A node's name for itself, and the namespace that it speaks in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker<'a> {
    pub(crate) uid: &'a str,
    pub(crate) namespace: &'a str,
}

impl Speaker<'_> {
    /// What every message of this node ends with: in JSON, and in msgpack.
    pub(crate) fn endings(self) -> [Vec<u8>; 2] {
        let end = map([("uid", text(self.uid)), ("nsp", text(self.namespace))]);
        let json = json::to_text(&end).into_bytes();
        let msgpack = Msgpack.encode(&end);
        // Without the bracket of the one, and the marker of the other.
        [json, msgpack].map(|bytes| bytes.get(1..).unwrap_or_default().to_vec())
    }

    fn say(self, kind: i64, data: Option<Value>) -> Vec<u8> {
        let mut entries = vec![("type".to_owned(), Value::Integer(kind))];
        let has_binary = data.as_ref().is_some_and(has_binary);
        entries.extend(data.map(|data| ("data".to_owned(), data)));
        entries.push(("uid".to_owned(), text(self.uid)));
        entries.push(("nsp".to_owned(), text(self.namespace)));
        let message = Value::Map(entries);
        if has_binary && matches!(kind, 3 | 8 | 9 | 10 | 12) {
            Msgpack.encode(&message)
        } else {
            json::to_text(&message).into_bytes()
        }
    }

    pub(crate) fn hello(self) -> Vec<u8> {
        self.say(1, None)
    }

    pub(crate) fn here(self) -> Vec<u8> {
        self.say(2, None)
    }

    pub(crate) fn goodbye(self) -> Vec<u8> {
        self.say(13, None)
    }

    pub(crate) fn envelope(self, envelope: &Envelope) -> Option<Vec<u8>> {
        let options = |target: &Target| ("opts", fields::options(target, Value::Map(Vec::new())));
        Some(match envelope {
            Envelope::Broadcast {
                payload,
                target,
                flags,
            } => {
                let options = fields::options(target, fields::flags(*flags, None));
                let packet = fields::packet(payload, None);
                self.say(3, Some(map([("packet", packet), ("opts", options)])))
            }
            Envelope::Join { target, rooms } => {
                let rooms = ("rooms", fields::rooms(rooms));
                self.say(4, Some(map([options(target), rooms])))
            }
            Envelope::Leave { target, rooms } => {
                let rooms = ("rooms", fields::rooms(rooms));
                self.say(5, Some(map([options(target), rooms])))
            }
            Envelope::Disconnect { target, close } => {
                let close = ("close", Value::Bool(*close));
                self.say(6, Some(map([options(target), close])))
            }
            Envelope::ServerSideEmit { payload } => {
                let packet = ("packet", Value::Array(payload.values()));
                self.say(9, Some(map([packet])))
            }
            _ => return None,
        })
    }

    pub(crate) fn broadcast_with_ack(
        self,
        request_id: &str,
        payload: &Payload,
        target: &Target,
        timeout: Duration,
    ) -> Vec<u8> {
        let flags = fields::flags(Flags::new(), Some(timeout));
        let data = map([
            ("packet", fields::packet(payload, None)),
            ("requestId", text(request_id)),
            ("opts", fields::options(target, flags)),
        ]);
        self.say(3, Some(data))
    }

    pub(crate) fn fetch(self, request_id: &str, target: &Target) -> Vec<u8> {
        let options = fields::options(target, Value::Map(Vec::new()));
        let data = map([("opts", options), ("requestId", text(request_id))]);
        self.say(7, Some(data))
    }

    pub(crate) fn server_side(self, request_id: &str, payload: &Payload) -> Vec<u8> {
        let packet = Value::Array(payload.values());
        let data = map([("requestId", text(request_id)), ("packet", packet)]);
        self.say(9, Some(data))
    }

    /// Nothing for answers that this wire has no form for.
    pub(crate) fn response(self, request_id: &str, answer: &Answer) -> Option<Vec<u8>> {
        let (kind, key, value) = match answer {
            Answer::Sockets(sockets) => (8, "sockets", Some(fields::sockets(sockets))),
            Answer::ServerSide(value) => (10, "packet", value.clone()),
            Answer::ClientCount(count) => (11, "clientCount", Some(Value::from(*count))),
            Answer::Ack(value) => (12, "packet", value.clone()),
            Answer::SocketIds(_) | Answer::Rooms(_) | Answer::Done => return None,
        };
        let mut data = vec![("requestId".to_owned(), text(request_id))];
        data.extend(value.map(|value| (key.to_owned(), value)));
        Some(self.say(kind, Some(Value::Map(data))))
    }
}

fn has_binary(value: &Value) -> bool {
    match value {
        Value::Bytes(_) => true,
        Value::Array(items) => items.iter().any(has_binary),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_binary(value)),
        _ => false,
    }
}

pub(crate) fn decode(bytes: &Bytes) -> Result<Message, WireError> {
    let message = decode_either(bytes, &Msgpack)?;
    let sender = fields::read_text(&message, "uid")?;
    let namespace = fields::read_text(&message, "nsp")?;
    let kind = message.get("type").and_then(fields::read_count);
    let kind = kind.ok_or(WireError::Field("type"))?;
    let body = match kind {
        1 => Body::Hello,
        2 => Body::Here,
        13 => Body::Goodbye,
        _ => {
            let data = get(&message, "data").ok_or(WireError::Field("data"))?;
            read_body(kind, data, &sender)?
        }
    };
    Ok(Message {
        sender,
        namespace,
        body,
    })
}

fn read_body(kind: u64, data: &Value, sender: &str) -> Result<Body, WireError> {
    let request_id = || fields::read_text(data, "requestId");
    let optional_id = get(data, "requestId").and_then(Value::as_str);
    Ok(match kind {
        3 => {
            let packet = data.get("packet").ok_or(WireError::Field("packet"))?;
            let (payload, _) = fields::read_packet(packet)?;
            let target = fields::read_asked(data)?;
            let (flags, timeout) = fields::read_flags(data);
            match optional_id {
                None => {
                    let target = target.ok_or(WireError::Field("rooms"))?;
                    Body::Broadcast(payload, target, flags)
                }
                Some(id) => Body::BroadcastWithAck {
                    payload,
                    target,
                    request_id: id.to_owned(),
                    timeout,
                },
            }
        }
        4 => Body::Join(
            fields::read_target(data)?,
            fields::read_rooms(data, "rooms")?,
        ),
        5 => Body::Leave(
            fields::read_target(data)?,
            fields::read_rooms(data, "rooms")?,
        ),
        6 => {
            let close = data.get("close").and_then(Value::as_bool);
            Body::Disconnect(fields::read_target(data)?, close.unwrap_or(false))
        }
        7 => Body::Fetch(fields::read_asked(data)?, request_id()?),
        9 => {
            let packet = data.get("packet").and_then(Value::as_array);
            let packet = packet.ok_or(WireError::Field("packet"))?;
            let payload = fields::read_server_side(packet)?;
            Body::ServerSide(payload, optional_id.map(str::to_owned))
        }
        8 | 10 | 11 | 12 => Body::Response(Response {
            request_id: request_id()?,
            sender: Some(sender.to_owned()),
            answer: read_answer(kind, data)?,
        }),
        _ => return Err(WireError::UnknownType),
    })
}

fn read_answer(kind: u64, data: &Value) -> Result<Answer, WireError> {
    let packet = || data.get("packet").cloned();
    Ok(match kind {
        8 => {
            let sockets = data.get("sockets").ok_or(WireError::Field("sockets"))?;
            Answer::Sockets(fields::read_sockets(sockets)?)
        }
        10 => Answer::ServerSide(packet()),
        11 => {
            let count = data.get("clientCount").and_then(fields::read_count);
            Answer::ClientCount(count.ok_or(WireError::Field("clientCount"))?)
        }
        _ => Answer::Ack(packet()),
    })
}
