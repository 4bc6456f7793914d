//! The pieces that messages of both wires are made of.

use std::time::Duration;

use portcullis::adapter::{Flags, SocketDescription, Target};
use portcullis::socketio::ids::{Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use super::WireError;

/// The number of an event among the packets of Socket.IO.
const EVENT: i64 = 2;

/// The most rooms that one message may name.
const MAX_ROOMS: usize = 100_000;

/// A map with its keys in this order.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn rooms(rooms: &[Room]) -> Value {
    Value::Array(rooms.iter().map(room).collect())
}

fn room(room: &Room) -> Value {
    match room {
        Room::Text(name) => text(name),
        Room::Number(number) => Value::Integer(*number),
    }
}

/// `{rooms, except}`, as requests have it.
pub(crate) fn target(target: &Target) -> Value {
    map([
        ("rooms", rooms(target.rooms())),
        ("except", rooms(target.except())),
    ])
}

/// `{rooms, except, flags}`, as broadcasts have it.
pub(crate) fn options(target: &Target, flags: Value) -> Value {
    map([
        ("rooms", rooms(target.rooms())),
        ("except", rooms(target.except())),
        ("flags", flags),
    ])
}

/// Flags as Node sets them: only those that differ from what goes without saying.
pub(crate) fn flags(flags: Flags, timeout: Option<Duration>) -> Value {
    let mut entries = Vec::new();
    if flags.volatile {
        entries.push(("volatile".to_owned(), Value::Bool(true)));
    }
    if !flags.compress {
        entries.push(("compress".to_owned(), Value::Bool(false)));
    }
    if let Some(timeout) = timeout {
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        entries.push(("timeout".to_owned(), Value::Integer(millis)));
    }
    Value::Map(entries)
}

/// `{type, data, nsp}`; the sharded wire leaves `nsp` out.
pub(crate) fn packet(payload: &Payload, namespace: Option<&str>) -> Value {
    let mut entries = vec![
        ("type".to_owned(), Value::Integer(EVENT)),
        ("data".to_owned(), Value::Array(payload.values())),
    ];
    if let Some(namespace) = namespace {
        entries.push(("nsp".to_owned(), text(namespace)));
    }
    Value::Map(entries)
}

pub(crate) fn sockets(sockets: &[SocketDescription]) -> Value {
    let describe = |socket: &SocketDescription| {
        map([
            ("id", text(socket.id.as_str())),
            ("handshake", socket.handshake.clone()),
            ("rooms", rooms(&socket.rooms)),
            ("data", socket.data.clone()),
        ])
    };
    Value::Array(sockets.iter().map(describe).collect())
}

/// What `key` maps to; `undefined` is as good as missing.
pub(crate) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| **value != Value::Null)
}

pub(crate) fn read_text(value: &Value, key: &'static str) -> Result<String, WireError> {
    let found = get(value, key).and_then(Value::as_str);
    found.map(str::to_owned).ok_or(WireError::Field(key))
}

/// The rooms of a list, without those that nobody here can be in: Node takes anything for a room,
/// `undefined` too.
pub(crate) fn read_rooms(value: &Value, key: &'static str) -> Result<Vec<Room>, WireError> {
    let Some(list) = get(value, key) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or(WireError::Field(key))?;
    if list.len() > MAX_ROOMS {
        return Err(WireError::Field(key));
    }
    Ok(list.iter().filter_map(read_room).collect())
}

/// The rooms that a target is made of, or nothing if nobody here can be in any of them: an empty
/// list would mean everyone.
pub(crate) fn read_target_rooms(value: &Value) -> Result<Option<Vec<Room>>, WireError> {
    let rooms = read_rooms(value, "rooms")?;
    let list = get(value, "rooms").and_then(Value::as_array);
    let is_nobody = rooms.is_empty() && list.is_some_and(|list| !list.is_empty());
    Ok((!is_nobody).then_some(rooms))
}

pub(crate) fn read_room(value: &Value) -> Option<Room> {
    match value {
        Value::String(name) => Some(Room::from(name)),
        Value::Integer(number) => Some(Room::Number(*number)),
        // 2^53 is where JavaScript's whole numbers end.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
            Some(Room::Number(*number as i64))
        }
        _ => None,
    }
}

/// The target within a message; it must be there, because none would mean everyone.
pub(crate) fn read_target(value: &Value) -> Result<Target, WireError> {
    read_target_of(get(value, "opts").ok_or(WireError::Field("opts"))?)
}

/// The target that options name.
pub(crate) fn read_target_of(options: &Value) -> Result<Target, WireError> {
    read_asked_of(options)?.ok_or(WireError::Field("rooms"))
}

/// Whom a question within a message is about, which is answered even if that is nobody.
pub(crate) fn read_asked(value: &Value) -> Result<Option<Target>, WireError> {
    read_asked_of(get(value, "opts").ok_or(WireError::Field("opts"))?)
}

fn read_asked_of(options: &Value) -> Result<Option<Target>, WireError> {
    options.as_map().ok_or(WireError::Field("opts"))?;
    let rooms = read_target_rooms(options)?;
    let except = read_rooms(options, "except")?;
    Ok(rooms.map(|rooms| Target::new(rooms, except)))
}

/// The flags within a message, and how long acks are waited for.
pub(crate) fn read_flags(value: &Value) -> (Flags, Option<Duration>) {
    get(value, "opts").map_or((Flags::new(), None), read_flags_of)
}

/// The flags within options, and how long acks are waited for.
pub(crate) fn read_flags_of(options: &Value) -> (Flags, Option<Duration>) {
    let found = get(options, "flags");
    let is = |key: &str| found.and_then(|flags| flags.get(key)?.as_bool());
    let mut flags = Flags::new();
    flags.volatile = is("volatile") == Some(true);
    flags.compress = is("compress") != Some(false);
    let timeout = found.and_then(|flags| read_count(flags.get("timeout")?));
    (flags, timeout.map(Duration::from_millis))
}

/// A whole number that is not negative, however it was written.
pub(crate) fn read_count(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Unsigned(number) => Some(*number),
        Value::Float(number) if (0.0..9_007_199_254_740_992.0).contains(number) => {
            Some(*number as u64)
        }
        _ => None,
    }
}

/// The event within a packet, and the namespace that the packet names.
pub(crate) fn read_packet(packet: &Value) -> Result<(Payload, Option<&str>), WireError> {
    let kind = packet.get("type").and_then(read_count);
    if kind != Some(EVENT.unsigned_abs()) {
        return Err(WireError::Field("type"));
    }
    let data = packet.get("data").and_then(Value::as_array);
    let payload = read_event(data.ok_or(WireError::Field("data"))?)?;
    Ok((payload, get(packet, "nsp").and_then(Value::as_str)))
}

/// An event: its name and arguments.
pub(crate) fn read_event(data: &[Value]) -> Result<Payload, WireError> {
    let (name, args) = data.split_first().ok_or(WireError::Field("data"))?;
    let name = name.as_str().ok_or(WireError::Field("data"))?;
    Payload::from_values(Some(name), args).map_err(|_| WireError::Field("data"))
}

/// An event among servers, which may have names that clients must not see.
pub(crate) fn read_server_side(data: &[Value]) -> Result<Payload, WireError> {
    let name = data.first().and_then(Value::as_str);
    match name.ok_or(WireError::Field("data"))? {
        "connect" | "connection" | "new_namespace" => Err(WireError::Field("data")),
        _ => Payload::from_values(None, data).map_err(|_| WireError::Field("data")),
    }
}

/// Sockets, without those whose ids are none here: Node gives clients of Engine.IO 3 others.
pub(crate) fn read_sockets(value: &Value) -> Result<Vec<SocketDescription>, WireError> {
    let list = value.as_array().ok_or(WireError::Field("sockets"))?;
    let mut sockets = Vec::with_capacity(list.len());
    for item in list {
        let id = item.get("id").and_then(Value::as_str);
        match id.and_then(|id| SocketId::parse(id).ok()) {
            Some(id) => sockets.push(read_socket(id, item)?),
            None => {
                metrics::counter!("portcullis_bus_poison_total", "kind" => "socket").increment(1);
            }
        }
    }
    Ok(sockets)
}

fn read_socket(id: SocketId, value: &Value) -> Result<SocketDescription, WireError> {
    Ok(SocketDescription::new(
        id,
        value.get("handshake").cloned().unwrap_or_default(),
        read_rooms(value, "rooms")?,
        value.get("data").cloned().unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::parser::Msgpack;
    use crate::wire::{Answer, Response, classic, sharded};

    /// The target that options in JSON name.
    fn read(options: &str) -> Result<Target, WireError> {
        read_target_of(&Value::from_json(options, 8).unwrap())
    }

    #[test]
    fn a_room_that_nobody_here_can_be_in_is_left_out_and_the_others_stay() {
        let target = read(r#"{"rooms":["a",null,7],"except":[null,1.5,"b"]}"#);
        let expected = Target::new([Room::from("a"), Room::from(7)], [Room::from("b")]);
        assert_eq!(target, Ok(expected));
        let target = read(r#"{"rooms":[],"except":[null]}"#);
        assert_eq!(target, Ok(Target::default()));
    }

    #[test]
    fn a_target_of_such_rooms_alone_is_not_everyone() {
        for options in [r#"{"rooms":[null]}"#, r#"{"rooms":[1.5,{}]}"#] {
            let target = read(options);
            assert_eq!(target, Err(WireError::Field("rooms")), "{options}");
        }
    }

    #[test]
    fn a_question_about_such_rooms_alone_is_about_nobody_and_can_be_answered() {
        let text = Bytes::from_static(br#"{"type":0,"requestId":"r","rooms":[null]}"#);
        let request = classic::decode_request(&text, &Msgpack).unwrap();
        assert_eq!(request.body, classic::RequestBody::SocketIds(None));
        let text = br#"{"type":5,"requestId":"r","opts":{"rooms":[null],"except":[]}}"#;
        let request = classic::decode_request(&Bytes::from_static(text), &Msgpack).unwrap();
        assert_eq!(request.body, classic::RequestBody::Fetch(None));

        let data = r#"{"requestId":"r","opts":{"rooms":[null],"except":[]}}"#;
        let text = format!(r#"{{"type":7,"data":{data},"uid":"u","nsp":"/"}}"#);
        let message = sharded::decode(&Bytes::from(text)).unwrap();
        assert_eq!(message.body, sharded::Body::Fetch(None, "r".to_owned()));
    }

    #[test]
    fn an_event_for_such_rooms_alone_is_for_nobody_if_it_wants_acks_and_nonsense_if_not() {
        let packet = r#""packet":{"type":2,"data":["ev"],"nsp":"/"},"opts":{"rooms":[null]}"#;
        let text = format!(r#"{{"type":7,"requestId":"r",{packet}}}"#);
        let request = classic::decode_request(&Bytes::from(text), &Msgpack).unwrap();
        let target = match request.body {
            classic::RequestBody::BroadcastWithAck { target, .. } => target,
            body => panic!("{body:?}"),
        };
        assert_eq!(target, None);

        let decode = |id: &str| {
            let text = format!(r#"{{"type":3,"data":{{{id}{packet}}},"uid":"u","nsp":"/"}}"#);
            sharded::decode(&Bytes::from(text))
        };
        let message = decode(r#""requestId":"r","#).unwrap();
        let target = match message.body {
            sharded::Body::BroadcastWithAck { target, .. } => target,
            body => panic!("{body:?}"),
        };
        assert_eq!(target, None);
        assert_eq!(decode(""), Err(WireError::Field("rooms")));
    }

    #[test]
    fn a_broadcast_to_all_but_an_undefined_room_is_one_to_all() {
        let head: &[u8] = b"\x93\xa6abcdef\x83\xa4type\x02\xa4data\x91\xa2ev\xa3nsp\xa1/\x83\
            \xa5rooms\x90\xa6except\x91";
        // What Node's codec makes of `undefined`, and of `null`.
        let rooms: [&[u8]; 2] = [b"\xd4\x00\x00", b"\xc0"];
        for room in rooms {
            let message = [head, room, b"\xa5flags\x80"].concat();
            let broadcast = classic::decode_broadcast(&Bytes::from(message), &Msgpack);
            assert_eq!(broadcast.unwrap().target, Target::default());
        }
    }

    #[test]
    fn a_socket_in_an_undefined_room_is_told_and_one_with_another_kind_of_id_is_not() {
        let id = SocketId::parse("AAAAAAAAAAAAAAAAAAAA").unwrap();
        let list = format!(
            r#"[{{"id":"/chat#abc","rooms":["/chat#abc"]}},{{"id":"{id}","rooms":["{id}",null]}}]"#
        );
        let rooms = vec![Room::from(id)];
        let socket = SocketDescription::new(id, Value::Null, rooms, Value::Null);
        let answer = Answer::Sockets(vec![socket]);

        let text = format!(r#"{{"requestId":"r","sockets":{list}}}"#);
        let response = classic::decode_response(&Bytes::from(text), &Msgpack);
        assert_eq!(response.unwrap().answer, answer);

        let data = format!(r#"{{"requestId":"r","sockets":{list}}}"#);
        let text = format!(r#"{{"type":8,"data":{data},"uid":"u","nsp":"/"}}"#);
        let message = sharded::decode(&Bytes::from(text)).unwrap();
        let response = Response {
            request_id: "r".to_owned(),
            sender: Some("u".to_owned()),
            answer,
        };
        assert_eq!(message.body, sharded::Body::Response(response));
    }

    #[test]
    fn the_rooms_of_a_node_are_told_without_an_undefined_one() {
        let text = Bytes::from_static(br#"{"requestId":"r","rooms":["a",null]}"#);
        let response = classic::decode_response(&text, &Msgpack).unwrap();
        assert_eq!(response.answer, Answer::Rooms(vec![Room::from("a")]));
    }
}
