//! The messages of `@socket.io/redis-adapter` over Pub/Sub.
//!
//! | type | request            | form    | answer                                    |
//! |------|--------------------|---------|-------------------------------------------|
//! | –    | broadcast          | parser  | –                                         |
//! | 0    | ids of sockets     | JSON    | `{requestId,sockets:[id]}`                |
//! | 1    | rooms              | JSON    | `{requestId,rooms}`                       |
//! | 2    | join               | JSON    | none; to the old form `{requestId}`       |
//! | 3    | leave              | JSON    | the same                                  |
//! | 4    | disconnect         | JSON    | the same                                  |
//! | 5    | sockets            | JSON    | `{requestId,sockets}`                     |
//! | 6    | event of servers   | JSON    | `{type:6,requestId,data}`                 |
//! | 7    | broadcast with ack | parser  | 8 `{clientCount}`, and 9 for each, parser |
//!
//! The old forms of 2, 3 and 4 name one socket (`sid`); they are understood and not written.
//!
//! # Not here
//!
//! What is done about a request (`protocol`).

use std::time::Duration;

use bytes::Bytes;
use portcullis::adapter::{Envelope, Flags, Target};
use portcullis::socketio::ids::{Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use super::fields::{self, get, map, text};
use super::parser::{Parser, decode_either};
use super::{Answer, MAX_LEN_BYTES, Response, WireError, json};

/// A broadcast as another node sent it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broadcast {
    pub(crate) sender: String,
    pub(crate) namespace: String,
    pub(crate) payload: Payload,
    pub(crate) target: Target,
    pub(crate) flags: Flags,
}

/// What another node, or an emitter, asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// Who asks; emitters and old peers leave it out for some kinds.
    pub(crate) sender: Option<String>,
    /// Under which name it wants an answer, if it wants one.
    pub(crate) request_id: Option<String>,
    pub(crate) body: RequestBody,
}

/// The content of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RequestBody {
    /// Of the sockets in these rooms, or of nobody.
    SocketIds(Option<Vec<Room>>),
    AllRooms,
    Join(Target, Vec<Room>),
    Leave(Target, Vec<Room>),
    Disconnect(Target, bool),
    /// Nothing is nobody.
    Fetch(Option<Target>),
    ServerSide(Payload),
    BroadcastWithAck {
        payload: Payload,
        /// Nothing is nobody.
        target: Option<Target>,
        timeout: Option<Duration>,
    },
}

/// Whether a broadcast in msgpack is the node's own, found without decoding it.
pub(crate) fn is_own_broadcast(bytes: &[u8], uid: &str) -> bool {
    // An array of three that begins with a short text.
    let Some((&[0x93, marker], rest)) = bytes.split_first_chunk::<2>() else {
        return false;
    };
    let is_text = marker & 0xe0 == 0xa0 && usize::from(marker & 0x1f) == uid.len();
    is_text && rest.starts_with(uid.as_bytes())
}

pub(crate) fn encode_broadcast(
    parser: &dyn Parser,
    uid: &str,
    namespace: &str,
    payload: &Payload,
    target: &Target,
    flags: Flags,
) -> Vec<u8> {
    parser.encode(&Value::Array(vec![
        text(uid),
        fields::packet(payload, Some(namespace)),
        fields::options(target, fields::flags(flags, None)),
    ]))
}

/// As the emitter of Node writes it: the same, with the options in another order.
pub(crate) fn encode_emitter_broadcast(
    parser: &dyn Parser,
    uid: &str,
    namespace: &str,
    payload: &Payload,
    target: &Target,
    flags: Flags,
) -> Vec<u8> {
    parser.encode(&Value::Array(vec![
        text(uid),
        fields::packet(payload, Some(namespace)),
        map([
            ("rooms", fields::rooms(target.rooms())),
            ("flags", fields::flags(flags, None)),
            ("except", fields::rooms(target.except())),
        ]),
    ]))
}

pub(crate) fn decode_broadcast(bytes: &Bytes, parser: &dyn Parser) -> Result<Broadcast, WireError> {
    if bytes.len() > MAX_LEN_BYTES {
        return Err(WireError::TooLarge);
    }
    let message = parser.decode(bytes).map_err(|_| WireError::Undecodable)?;
    let Some([sender, packet, options, ..]) = message.as_array() else {
        return Err(WireError::Field("array"));
    };
    let (payload, namespace) = fields::read_packet(packet)?;
    Ok(Broadcast {
        sender: sender.as_str().unwrap_or_default().to_owned(),
        namespace: namespace.unwrap_or("/").to_owned(),
        payload,
        target: fields::read_target_of(options)?,
        flags: fields::read_flags_of(options).0,
    })
}

/// An envelope that is no broadcast, as a request without an answer.
pub(crate) fn encode_envelope(uid: Option<&str>, envelope: &Envelope) -> Option<String> {
    let (kind, rest) = match envelope {
        Envelope::Join { target, rooms } => (
            2,
            vec![
                ("opts", fields::target(target)),
                ("rooms", fields::rooms(rooms)),
            ],
        ),
        Envelope::Leave { target, rooms } => (
            3,
            vec![
                ("opts", fields::target(target)),
                ("rooms", fields::rooms(rooms)),
            ],
        ),
        Envelope::Disconnect { target, close } => (
            4,
            vec![
                ("opts", fields::target(target)),
                ("close", Value::Bool(*close)),
            ],
        ),
        Envelope::ServerSideEmit { payload } => (6, vec![("data", Value::Array(payload.values()))]),
        _ => return None,
    };
    Some(request(uid, None, kind, rest))
}

pub(crate) fn encode_all_rooms(uid: &str, request_id: &str) -> String {
    request(Some(uid), Some(request_id), 1, Vec::new())
}

pub(crate) fn encode_fetch(uid: &str, request_id: &str, target: &Target) -> String {
    let rest = vec![("opts", fields::target(target))];
    request(Some(uid), Some(request_id), 5, rest)
}

pub(crate) fn encode_server_side(uid: &str, request_id: &str, payload: &Payload) -> String {
    let rest = vec![("data", Value::Array(payload.values()))];
    request(Some(uid), Some(request_id), 6, rest)
}

/// The keys in the order in which Node writes them.
fn request(
    uid: Option<&str>,
    request_id: Option<&str>,
    kind: i64,
    rest: Vec<(&str, Value)>,
) -> String {
    let head = [
        ("uid", uid.map(text)),
        ("requestId", request_id.map(text)),
        ("type", Some(Value::Integer(kind))),
    ];
    let head = head
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let entries = head.chain(rest);
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    json::to_text(&Value::Map(entries.collect()))
}

pub(crate) fn encode_broadcast_with_ack(
    parser: &dyn Parser,
    (uid, request_id): (&str, &str),
    namespace: &str,
    payload: &Payload,
    target: &Target,
    timeout: Duration,
) -> Vec<u8> {
    parser.encode(&map([
        ("uid", text(uid)),
        ("requestId", text(request_id)),
        ("type", Value::Integer(7)),
        ("packet", fields::packet(payload, Some(namespace))),
        (
            "opts",
            fields::options(target, fields::flags(Flags::new(), Some(timeout))),
        ),
    ]))
}

pub(crate) fn decode_request(bytes: &Bytes, parser: &dyn Parser) -> Result<Request, WireError> {
    let message = decode_either(bytes, parser)?;
    let kind = message.get("type").and_then(fields::read_count);
    let body = match kind.ok_or(WireError::Field("type"))? {
        0 => RequestBody::SocketIds(fields::read_target_rooms(&message)?),
        1 => RequestBody::AllRooms,
        2 => {
            let (target, rooms) = read_move(&message)?;
            RequestBody::Join(target, rooms)
        }
        3 => {
            let (target, rooms) = read_move(&message)?;
            RequestBody::Leave(target, rooms)
        }
        4 => {
            let close = message.get("close").and_then(Value::as_bool);
            let target = match read_old_target(&message)? {
                Some(target) => target,
                None => fields::read_target(&message)?,
            };
            RequestBody::Disconnect(target, close.unwrap_or(false))
        }
        5 => RequestBody::Fetch(fields::read_asked(&message)?),
        6 => {
            let data = message.get("data").and_then(Value::as_array);
            RequestBody::ServerSide(fields::read_server_side(
                data.ok_or(WireError::Field("data"))?,
            )?)
        }
        7 => {
            let packet = message.get("packet").ok_or(WireError::Field("packet"))?;
            RequestBody::BroadcastWithAck {
                payload: fields::read_packet(packet)?.0,
                target: fields::read_asked(&message)?,
                timeout: fields::read_flags(&message).1,
            }
        }
        _ => return Err(WireError::UnknownType),
    };
    let optional = |key| {
        get(&message, key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Ok(Request {
        sender: optional("uid"),
        request_id: optional("requestId"),
        body,
    })
}

/// Which sockets go in or out of which rooms.
fn read_move(message: &Value) -> Result<(Target, Vec<Room>), WireError> {
    if let Some(target) = read_old_target(message)? {
        let room = message.get("room").and_then(fields::read_room);
        return Ok((target, vec![room.ok_or(WireError::Field("room"))?]));
    }
    Ok((
        fields::read_target(message)?,
        fields::read_rooms(message, "rooms")?,
    ))
}

/// The one socket of the old form.
fn read_old_target(message: &Value) -> Result<Option<Target>, WireError> {
    if get(message, "opts").is_some() {
        return Ok(None);
    }
    let Some(id) = get(message, "sid") else {
        return Ok(None);
    };
    let id = id.as_str().and_then(|id| SocketId::parse(id).ok());
    let id = id.ok_or(WireError::Field("sid"))?;
    Ok(Some(Target::new([Room::from(id)], [])))
}

/// The bytes of an answer.
pub(crate) fn encode_response(parser: &dyn Parser, request_id: &str, answer: &Answer) -> Vec<u8> {
    let id = ("requestId", text(request_id));
    let response = match answer {
        Answer::Sockets(sockets) => map([id, ("sockets", fields::sockets(sockets))]),
        Answer::SocketIds(ids) => {
            let ids = ids.iter().map(|id| text(id)).collect();
            map([id, ("sockets", Value::Array(ids))])
        }
        Answer::Rooms(rooms) => map([id, ("rooms", fields::rooms(rooms))]),
        Answer::ServerSide(data) => with_optional(6, id, "data", data.as_ref()),
        Answer::ClientCount(count) => map([
            ("type", Value::Integer(8)),
            id,
            ("clientCount", Value::from(*count)),
        ]),
        Answer::Ack(packet) => {
            return parser.encode(&with_optional(9, id, "packet", packet.as_ref()));
        }
        Answer::Done => map([id]),
    };
    json::to_text(&response).into_bytes()
}

/// As JavaScript writes an object whose last value may be `undefined`.
fn with_optional(kind: i64, id: (&str, Value), key: &str, value: Option<&Value>) -> Value {
    let mut entries = vec![
        ("type".to_owned(), Value::Integer(kind)),
        (id.0.to_owned(), id.1),
    ];
    if let Some(value) = value {
        entries.push((key.to_owned(), value.clone()));
    }
    Value::Map(entries)
}

pub(crate) fn decode_response(bytes: &Bytes, parser: &dyn Parser) -> Result<Response, WireError> {
    let message = decode_either(bytes, parser)?;
    let request_id = fields::read_text(&message, "requestId")?;
    let answer = match message.get("type").and_then(fields::read_count) {
        Some(6) => Answer::ServerSide(message.get("data").cloned()),
        Some(8) => {
            let count = message.get("clientCount").and_then(fields::read_count);
            Answer::ClientCount(count.ok_or(WireError::Field("clientCount"))?)
        }
        Some(9) => Answer::Ack(message.get("packet").cloned()),
        Some(_) => return Err(WireError::UnknownType),
        None => match (get(&message, "sockets"), get(&message, "rooms")) {
            (Some(sockets), _) => match read_ids(sockets) {
                Some(ids) => Answer::SocketIds(ids),
                None => Answer::Sockets(fields::read_sockets(sockets)?),
            },
            (None, Some(rooms)) => {
                rooms.as_array().ok_or(WireError::Field("rooms"))?;
                Answer::Rooms(fields::read_rooms(&message, "rooms")?)
            }
            (None, None) => Answer::Done,
        },
    };
    Ok(Response {
        request_id,
        sender: None,
        answer,
    })
}

/// A list of ids that is not empty, which is the answer to the oldest question.
fn read_ids(sockets: &Value) -> Option<Vec<String>> {
    let list = sockets.as_array().filter(|list| !list.is_empty())?;
    list.iter()
        .map(|id| id.as_str().map(str::to_owned))
        .collect()
}
