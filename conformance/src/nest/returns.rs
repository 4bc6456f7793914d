//! What a handler may return: an event for each row.

use futures_util::stream;
use portcullis::gateway::{
    Ack, Emit, EventContext, EventError, EventHandler as _, Outcome, Registrar, Replies, Reply,
};
use portcullis::socketio::value::Value;

pub(super) fn register(r: &mut Registrar) {
    r.public();
    values(r);
    events(r);
    streams(r);
    by_hand(r);
    failures(r);
}

fn values(r: &mut Registrar) {
    r.on("object", async || {
        let list = Value::Array(vec![Value::from(true), Value::Null]);
        Reply(Value::from_iter([("a", Value::from(1)), ("b", list)]))
    });
    r.on("array", async || {
        Reply(Value::Array(vec![Value::from(1), Value::from("two")]))
    });
    r.on("string", async || Reply("pong"));
    r.on("number", async || Reply(42));
    r.on("zero", async || Reply(0));
    r.on("empty-string", async || Reply(""));
    r.on("false", async || Reply(false));
    r.on("null", async || None::<Reply<Value>>);
    r.on("undefined", async || {});
    r.on("promise", async || {
        tokio::task::yield_now().await;
        Reply("later")
    });
    r.on("promise-of-null", async || {
        tokio::task::yield_now().await;
        None::<Reply<Value>>
    });
}

fn events(r: &mut Registrar) {
    r.on("event-and-data", async || {
        Emit("reply", Value::from_iter([("a", 1)]))
    });
    r.on("event-without-data", async || Emit("reply", ()));
    r.on("event-is-empty", async || {
        Reply(Value::from_iter([
            ("event", Value::from("")),
            ("data", Value::from(1)),
        ]))
    });
    r.on("promise-of-event", async || {
        tokio::task::yield_now().await;
        Emit("reply", "later")
    });
}

fn streams(r: &mut Registrar) {
    r.on("stream", async || {
        Replies(stream::iter([
            Outcome::emit("tick", &1),
            Outcome::answer("first"),
            Outcome::done(),
            Outcome::emit("tick", &2),
            Outcome::answer("second"),
        ]))
    });
    r.on("stream-of-events", async || {
        Replies(stream::iter([Emit("tick", 1), Emit("tick", 2)]))
    });
    r.on("stream-of-nothing", async || {
        Replies(stream::empty::<Emit<u32>>())
    });
    r.on("stream-that-fails", async || {
        let broken = EventError::new("BROKEN", "the stream broke");
        Replies(stream::iter([Ok(Emit("tick", 1)), Err(broken)]))
    });
}

fn by_hand(r: &mut Registrar) {
    r.on("manual-success", async |ack: Ack| {
        let answer = [("status", Value::from("success")), ("data", Value::from(7))];
        let _ = ack.send(&Value::from_iter(answer));
        Reply("ignored")
    });
    r.on("manual-error", async |ack: Ack| {
        let answer = [("status", "error"), ("message", "Operation failed")];
        let _ = ack.send(&Value::from_iter(answer));
    });
    r.on("manual-silence", async |_: Ack| Reply("ignored"));
    r.on("manual-event", async |_: Ack| Emit("reply", "not ignored"));
    r.on("manual-twice", async |ack: Ack| {
        let _ = ack.send("first");
        let _ = ack.send("second");
    });
    r.on("manual-failure", async |_: Ack| {
        Err::<(), _>(EventError::new("EARLY", "before the ack"))
    });
}

fn failures(r: &mut Registrar) {
    r.on("throws", async || {
        Err::<(), _>(EventError::new("THROWN", "thrown"))
    });
    r.on("rejects", async || {
        tokio::task::yield_now().await;
        Err::<(), _>(EventError::new("REJECTED", "rejected"))
    });
    let denied = async || Reply("never");
    r.on("denied", denied.guard(denying));
}

/// A guard that lets nothing through.
pub(super) fn denying(_: &EventContext<'_>) -> Result<(), EventError> {
    Err(EventError::forbidden())
}
