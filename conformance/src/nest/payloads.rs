//! What reaches a handler of what was emitted.
//!
//! NestJS makes one value of all arguments: none, the one, or a list of them. Here they stay what
//! they are; `as_one` is what it takes to do the same.

use bytes::Bytes;
use portcullis::Socket;
use portcullis::gateway::{Data, Emit, EventError, RawArgs, Registrar, Reply};
use portcullis::socketio::value::Value;

pub(super) fn register(r: &mut Registrar) {
    r.public();
    r.on("body", async |args: RawArgs| {
        Ok::<_, EventError>(Reply(shown(as_one(&args)?)))
    });
    r.on("body-as-event", async |args: RawArgs| {
        Ok::<_, EventError>(Emit("seen", shown(as_one(&args)?)))
    });
    r.on("field", async |Data(data): Data<Value>| {
        Reply(shown(data.get("name").cloned()))
    });
    r.on("undecorated", async |socket: Socket, args: RawArgs| {
        let data = shown(as_one(&args)?);
        let namespace = (
            "namespace".to_owned(),
            Value::from(socket.namespace().as_str()),
        );
        let rest = data.as_map().unwrap_or_default().iter().cloned();
        let entries = std::iter::once(namespace).chain(rest).collect();
        Ok::<_, EventError>(Reply(Value::Map(entries)))
    });
    r.on("echo", async |args: RawArgs| {
        Ok::<_, EventError>(as_one(&args)?.map(Reply))
    });
    binary(r);
}

fn binary(r: &mut Registrar) {
    r.on("bytes-in", async |Data(data): Data<Value>| {
        let bytes = data.as_bytes().cloned().unwrap_or_default();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let sum: i64 = bytes.iter().map(|&byte| i64::from(byte)).sum();
        Reply(Value::from_iter([("length", length), ("sum", sum)]))
    });
    r.on("bytes-out", async || Reply(Bytes::from_static(&[1, 2, 3])));
    r.on("bytes-in-an-object", async |Data(data): Data<Value>| {
        let parts = data
            .get("parts")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let reversed = parts.iter().filter_map(Value::as_bytes).map(|part| {
            let reversed: Vec<u8> = part.iter().rev().copied().collect();
            Value::from(Bytes::from(reversed))
        });
        let name = data.get("name").cloned().unwrap_or_default();
        let parts = Value::Array(reversed.collect());
        Reply(Value::from_iter([("name", name), ("parts", parts)]))
    });
    r.on("bytes-as-event", async |Data(data): Data<Value>| {
        Emit("bytes", data)
    });
    r.on("emit-by-hand", async |socket: Socket| {
        socket.emit("one", &1).map_err(EventError::unexpected)?;
        let two = (1, Bytes::from_static(&[2]));
        socket.emit("two", &two).map_err(EventError::unexpected)?;
        Ok::<_, EventError>(Reply("three"))
    });
}

/// The arguments as one value.
fn as_one(args: &RawArgs) -> Result<Option<Value>, EventError> {
    let mut values = args.values().map_err(EventError::unexpected)?;
    Ok(match values.len() {
        0 | 1 => values.pop(),
        _ => Some(Value::Array(values)),
    })
}

/// Absent and null look alike in JSON; here they do not.
fn shown(data: Option<Value>) -> Value {
    match data {
        None => Value::from_iter([("absent", true)]),
        Some(data) => Value::from_iter([("data", data)]),
    }
}
