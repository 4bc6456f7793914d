//! What a handler may fail with, and what the client hears of it.

use futures_util::stream;
use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{
    Emit, EventContext, EventError, EventHandler as _, Outcome, Registrar, Replies,
};
use portcullis::socketio::value::Value;

use super::returns::denying;

/// What must never reach a client.
const SECRET: &str = "password=hunter2";

pub(super) fn register(r: &mut Registrar) {
    r.public();
    r.on("text", fails_with(|| EventError::new("BAD", "bad")));
    r.on("object", fails_with(|| EventError::object(&quota())));
    r.on("error", fails_with(|| EventError::unexpected(SECRET)));
    r.on("error-later", async || {
        tokio::task::yield_now().await;
        Err::<(), _>(EventError::unexpected(SECRET))
    });
    r.on("error-in-a-stream", async || {
        let failure = Err::<Emit<u32>, _>(EventError::unexpected(SECRET));
        Replies(stream::iter([failure]))
    });
    r.on(
        "http",
        fails_with(|| EventError::unexpected("no such room")),
    );
    r.on(
        "thrown-text",
        fails_with(|| EventError::unexpected("just a text")),
    );
    let never = async || {};
    r.on("denied", never.guard(denying));
    r.on("guard-throws", never.guard(no_entry));
    let bad = fails_with(|| EventError::new("BAD", "bad"));
    r.on(
        "without-cause",
        bad.clone().intercept(telling(without_cause)),
    );
    let unknown = fails_with(|| EventError::unexpected(SECRET));
    r.on(
        "unknown-without-cause",
        unknown.intercept(telling(without_cause)),
    );
    r.on("own-cause", bad.intercept(telling(own_cause)));
    r.on(
        "special",
        fails_with(|| EventError::new("SPECIAL", "special")),
    );
}

/// A handler that fails.
fn fails_with(
    error: fn() -> EventError,
) -> impl Fn() -> std::future::Ready<Result<(), EventError>> + Clone + Send + Sync + 'static {
    move || std::future::ready(Err(error()))
}

fn quota() -> Value {
    let nested = Value::from_iter([("a", Value::Array(vec![Value::from(1)]))]);
    let entries = [
        ("reason", Value::from("quota")),
        ("left", Value::from(0)),
        ("nested", nested),
    ];
    Value::from_iter(entries)
}

fn no_entry(_: &EventContext<'_>) -> Result<(), EventError> {
    Err(EventError::new("NO_ENTRY", "no entry"))
}

/// A filter: what the client is told of an error is made of the error and the event's name.
fn telling(tell: fn(&EventError, &str) -> Value) -> impl Interceptor {
    interceptor::from_fn(move |request: EventRequest, next: Next| async move {
        let event = request.event().clone();
        let outcome = next.run(request).await;
        match outcome.error() {
            Some(error) => Outcome::failed(EventError::object(&tell(error, event.as_str()))),
            None => outcome,
        }
    })
}

fn without_cause(error: &EventError, _: &str) -> Value {
    Value::from_iter([("status", "error"), ("message", error.message())])
}

fn own_cause(error: &EventError, event: &str) -> Value {
    let cause = Value::from_iter([("event", event)]);
    let entries = [
        ("status", Value::from("error")),
        ("message", Value::from(error.message())),
        ("cause", cause),
    ];
    Value::from_iter(entries)
}
