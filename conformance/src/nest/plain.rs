//! The gateways of NestJS's own end-to-end tests.

use portcullis::gateway;
use portcullis::gateway::{Ack, Data, Emit, EventError};
use portcullis::socketio::value::Value;

pub(super) struct Root;

#[gateway(public)]
impl Root {
    #[subscribe("push")]
    fn push(&self, Data(data): Data<Value>) -> Emit<Value> {
        Emit("pop", data)
    }

    #[subscribe("ping-pong")]
    fn ping_pong(&self) -> &'static str {
        "pong"
    }

    #[subscribe("manual")]
    async fn manual(&self, Data(data): Data<Value>, ack: Ack) -> Result<(), EventError> {
        if !ack.is_requested() {
            // In JavaScript the handler would call what is not there.
            return Err(EventError::unexpected("there is no ack to call"));
        }
        let answer = if data.get("shouldSucceed").and_then(Value::as_bool) == Some(true) {
            Value::from_iter([("status", Value::from("success")), ("data", data)])
        } else {
            Value::from_iter([("status", "error"), ("message", "Operation failed")])
        };
        tokio::task::yield_now().await;
        ack.send(&answer).map_err(EventError::unexpected)
    }

    #[subscribe("fail")]
    fn fail(&self) -> Result<(), EventError> {
        Err(EventError::new("TEST", "test"))
    }
}

pub(super) struct Test;

#[gateway(namespace = "/test", public)]
impl Test {
    #[subscribe("push")]
    fn push(&self, Data(data): Data<Value>) -> Emit<Value> {
        let mut data = data.as_map().map(<[_]>::to_vec).unwrap_or_default();
        data.push(("namespace".to_owned(), Value::from("/test")));
        Emit("pop", Value::Map(data))
    }
}

/// The gateway of the second port.
pub(super) struct OwnPort;

#[gateway(public)]
impl OwnPort {
    #[subscribe("push")]
    fn push(&self, Data(data): Data<Value>) -> Emit<Value> {
        Emit("pop", data)
    }
}

/// Nothing happens here: to be let in proves that everything before has been handled.
pub(super) struct Fence;

#[gateway(namespace = "/fence", public)]
impl Fence {}
