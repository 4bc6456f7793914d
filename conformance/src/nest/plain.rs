//! The gateways of NestJS's own end-to-end tests.

use portcullis::gateway::{Ack, Data, Emit, EventError, Registrar, Reply};
use portcullis::socketio::value::Value;

pub(super) fn root(r: &mut Registrar) {
    r.public();
    r.on("push", async |Data(data): Data<Value>| Emit("pop", data));
    r.on("ping-pong", async || Reply("pong"));
    r.on("manual", async |Data(data): Data<Value>, ack: Ack| {
        if !ack.is_requested() {
            // In JavaScript the handler would call what is not there.
            return Err(EventError::unexpected("there is no ack to call"));
        }
        let answer = if data.get("shouldSucceed").and_then(Value::as_bool) == Some(true) {
            Value::from_iter([("status", Value::from("success")), ("data", data)])
        } else {
            Value::from_iter([("status", "error"), ("message", "Operation failed")])
        };
        ack.send(&answer).map_err(EventError::unexpected)
    });
    r.on("fail", async || {
        Err::<(), _>(EventError::new("TEST", "test"))
    });
}

pub(super) fn test(r: &mut Registrar) {
    r.public();
    r.on("push", async |Data(data): Data<Value>| {
        let mut data = data.as_map().map(<[_]>::to_vec).unwrap_or_default();
        data.push(("namespace".to_owned(), Value::from("/test")));
        Emit("pop", Value::Map(data))
    });
}

pub(super) fn own_port(r: &mut Registrar) {
    r.public();
    r.on("push", async |Data(data): Data<Value>| Emit("pop", data));
}

/// Nothing happens here: to be let in proves that everything before has been handled.
pub(super) fn fence(r: &mut Registrar) {
    r.public();
}
