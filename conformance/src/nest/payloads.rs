//! What reaches a handler of what was emitted.
//!
//! NestJS makes one value of all arguments: none, the one, or a list of them. Here they stay what
//! they are; `as_one` is what it takes to do the same.

use bytes::Bytes;
use portcullis::gateway;
use portcullis::gateway::{Data, Emit, RawArgs};
use portcullis::socketio::args::ArgsError;
use portcullis::socketio::value::Value;
use portcullis::{EmitError, Socket};

pub(super) struct Payloads;

#[gateway(namespace = "/payloads", public)]
impl Payloads {
    #[subscribe("body")]
    fn body(&self, args: RawArgs) -> Result<Value, ArgsError> {
        as_one(&args).map(shown)
    }

    #[subscribe("body-as-event")]
    fn body_as_event(&self, args: RawArgs) -> Result<Emit<Value>, ArgsError> {
        as_one(&args).map(|data| Emit("seen", shown(data)))
    }

    #[subscribe("field")]
    fn field(&self, Data(data): Data<Value>) -> Value {
        shown(data.get("name").cloned())
    }

    #[subscribe("undecorated")]
    fn undecorated(&self, socket: Socket, args: RawArgs) -> Result<Value, ArgsError> {
        let data = shown(as_one(&args)?);
        let namespace = Value::from(socket.namespace().as_str());
        let rest = data.as_map().unwrap_or_default().iter().cloned();
        let entries = std::iter::once(("namespace".to_owned(), namespace)).chain(rest);
        Ok(Value::Map(entries.collect()))
    }

    #[subscribe("echo")]
    fn echo(&self, args: RawArgs) -> Result<Option<Value>, ArgsError> {
        as_one(&args)
    }

    #[subscribe("bytes-in")]
    fn bytes_in(&self, Data(data): Data<Value>) -> Value {
        let bytes = data.as_bytes().cloned().unwrap_or_default();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let sum: i64 = bytes.iter().map(|&byte| i64::from(byte)).sum();
        Value::from_iter([("length", length), ("sum", sum)])
    }

    #[subscribe("bytes-out")]
    fn bytes_out(&self) -> Bytes {
        Bytes::from_static(&[1, 2, 3])
    }

    #[subscribe("bytes-in-an-object")]
    fn bytes_in_an_object(&self, Data(data): Data<Value>) -> Value {
        let parts = data.get("parts").and_then(Value::as_array);
        let parts = parts.unwrap_or_default().iter().filter_map(Value::as_bytes);
        let reversed = parts.map(|part| {
            let reversed: Vec<u8> = part.iter().rev().copied().collect();
            Value::from(Bytes::from(reversed))
        });
        let name = data.get("name").cloned().unwrap_or_default();
        Value::from_iter([("name", name), ("parts", Value::Array(reversed.collect()))])
    }

    #[subscribe("bytes-as-event")]
    fn bytes_as_event(&self, Data(data): Data<Value>) -> Emit<Value> {
        Emit("bytes", data)
    }

    #[subscribe("emit-by-hand")]
    fn emit_by_hand(&self, socket: Socket) -> Result<&'static str, EmitError> {
        socket.emit("one", &1)?;
        socket.emit("two", &(1, Bytes::from_static(&[2])))?;
        Ok("three")
    }
}

/// The arguments as one value.
fn as_one(args: &RawArgs) -> Result<Option<Value>, ArgsError> {
    let mut values = args.values()?;
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
