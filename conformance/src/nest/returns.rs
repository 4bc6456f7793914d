//! What a handler may return: an event for each row.

use futures_util::stream::{self, Stream};
use portcullis::gateway;
use portcullis::gateway::{Ack, Emit, EventContext, EventError, Outcome};
use portcullis::socketio::value::Value;

pub(super) struct Values;

/// Values, which are acks.
#[gateway(namespace = "/returns", public)]
impl Values {
    #[subscribe("object")]
    fn object(&self) -> Value {
        let list = Value::Array(vec![Value::from(true), Value::Null]);
        Value::from_iter([("a", Value::from(1)), ("b", list)])
    }

    #[subscribe("array")]
    fn array(&self) -> Vec<Value> {
        vec![Value::from(1), Value::from("two")]
    }

    #[subscribe("string")]
    fn string(&self) -> &'static str {
        "pong"
    }

    #[subscribe("number")]
    fn number(&self) -> u32 {
        42
    }

    #[subscribe("zero")]
    fn zero(&self) -> u32 {
        0
    }

    #[subscribe("empty-string")]
    fn empty_string(&self) -> String {
        String::new()
    }

    #[subscribe("false")]
    fn no(&self) -> bool {
        false
    }

    #[subscribe("null")]
    fn nothing(&self) -> Option<u32> {
        None
    }

    #[subscribe("undefined")]
    fn not_even_that(&self) {}

    #[subscribe("event-is-empty")]
    fn event_is_empty(&self) -> Value {
        Value::from_iter([("event", Value::from("")), ("data", Value::from(1))])
    }

    #[subscribe("promise")]
    async fn promise(&self) -> &'static str {
        tokio::task::yield_now().await;
        "later"
    }

    #[subscribe("promise-of-null")]
    async fn promise_of_null(&self) -> Option<u32> {
        tokio::task::yield_now().await;
        None
    }
}

pub(super) struct Events;

/// Events, one and many.
#[gateway(namespace = "/returns", public)]
impl Events {
    #[subscribe("event-and-data")]
    fn event_and_data(&self) -> Emit<Value> {
        Emit("reply", Value::from_iter([("a", 1)]))
    }

    #[subscribe("event-without-data")]
    fn event_without_data(&self) -> Emit<()> {
        Emit("reply", ())
    }

    #[subscribe("promise-of-event")]
    async fn promise_of_event(&self) -> Emit<&'static str> {
        tokio::task::yield_now().await;
        Emit("reply", "later")
    }

    #[subscribe("stream")]
    fn stream(&self) -> impl Stream<Item = Outcome> {
        stream::iter([
            Outcome::emit("tick", &1),
            Outcome::answer("first"),
            Outcome::done(),
            Outcome::emit("tick", &2),
            Outcome::answer("second"),
        ])
    }

    #[subscribe("stream-of-events")]
    fn stream_of_events(&self) -> impl Stream<Item = Emit<u32>> {
        stream::iter([Emit("tick", 1), Emit("tick", 2)])
    }

    #[subscribe("stream-of-nothing")]
    fn stream_of_nothing(&self) -> impl Stream<Item = Emit<u32>> {
        stream::empty()
    }

    #[subscribe("stream-that-fails")]
    fn stream_that_fails(&self) -> impl Stream<Item = Result<Emit<u32>, EventError>> {
        let broken = EventError::new("BROKEN", "the stream broke");
        stream::iter([Ok(Emit("tick", 1)), Err(broken)])
    }
}

pub(super) struct ByHand;

/// Acks by hand.
#[gateway(namespace = "/returns", public)]
impl ByHand {
    #[subscribe("manual-success")]
    fn success(&self, ack: Ack) -> &'static str {
        let answer = [("status", Value::from("success")), ("data", Value::from(7))];
        let _ = ack.send(&Value::from_iter(answer));
        "ignored"
    }

    #[subscribe("manual-error")]
    fn error(&self, ack: Ack) {
        let answer = [("status", "error"), ("message", "Operation failed")];
        let _ = ack.send(&Value::from_iter(answer));
    }

    #[subscribe("manual-silence")]
    fn silence(&self, _: Ack) -> &'static str {
        "ignored"
    }

    #[subscribe("manual-event")]
    fn event(&self, _: Ack) -> Emit<&'static str> {
        Emit("reply", "not ignored")
    }

    #[subscribe("manual-twice")]
    fn twice(&self, ack: Ack) {
        let _ = ack.send("first");
        let _ = ack.send("second");
    }

    #[subscribe("manual-failure")]
    fn failure(&self, _: Ack) -> Result<(), EventError> {
        Err(EventError::new("EARLY", "before the ack"))
    }
}

pub(super) struct Failures;

/// Errors, and a denial.
#[gateway(namespace = "/returns", public)]
impl Failures {
    #[subscribe("throws")]
    fn throws(&self) -> Result<u32, EventError> {
        Err(EventError::new("THROWN", "thrown"))
    }

    #[subscribe("rejects")]
    async fn rejects(&self) -> Result<u32, EventError> {
        tokio::task::yield_now().await;
        Err(EventError::new("REJECTED", "rejected"))
    }

    #[subscribe("denied")]
    #[guard(denying)]
    fn denied(&self) -> &'static str {
        "never"
    }
}

/// A guard that lets nothing through.
pub(super) fn denying(_: &EventContext<'_>) -> Result<(), EventError> {
    Err(EventError::forbidden())
}
