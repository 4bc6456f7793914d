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

pub(crate) fn read_rooms(value: &Value, key: &'static str) -> Result<Vec<Room>, WireError> {
    let Some(list) = get(value, key) else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or(WireError::Field(key))?;
    if list.len() > MAX_ROOMS {
        return Err(WireError::Field(key));
    }
    // One that is left out would widen the target, so one that is not understood fails them all.
    list.iter()
        .map(|item| read_room(item).ok_or(WireError::Field(key)))
        .collect()
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
    options.as_map().ok_or(WireError::Field("opts"))?;
    Ok(Target::new(
        read_rooms(options, "rooms")?,
        read_rooms(options, "except")?,
    ))
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

pub(crate) fn read_sockets(value: &Value) -> Result<Vec<SocketDescription>, WireError> {
    let list = value.as_array().ok_or(WireError::Field("sockets"))?;
    list.iter().map(read_socket).collect()
}

fn read_socket(value: &Value) -> Result<SocketDescription, WireError> {
    let id = value.get("id").and_then(Value::as_str);
    let id = id.and_then(|id| SocketId::parse(id).ok());
    Ok(SocketDescription::new(
        id.ok_or(WireError::Field("id"))?,
        value.get("handshake").cloned().unwrap_or_default(),
        read_rooms(value, "rooms")?,
        value.get("data").cloned().unwrap_or_default(),
    ))
}
