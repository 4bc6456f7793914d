//! What takes the place of exception filters of a class and of a method: interceptors.

use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{EventError, EventHandler as _, Outcome, Registrar};
use portcullis::socketio::value::Value;

const SPECIAL: &str = "SPECIAL";
const PLAIN: &str = "PLAIN";

pub(super) fn register(r: &mut Registrar) {
    r.public();
    r.intercept(catching("class filter", &[PLAIN, SPECIAL]));
    let special = async || Err::<(), _>(EventError::new(SPECIAL, "special"));
    let plain = async || Err::<(), _>(EventError::new(PLAIN, "plain"));
    r.on(
        "both",
        special.intercept(catching("method filter", &[SPECIAL])),
    );
    r.on(
        "only-the-class",
        plain.intercept(catching("method filter", &[SPECIAL])),
    );
    r.on("of-the-class", special);
    r.on("neither", async || {
        Err::<(), _>(EventError::unexpected("password=hunter2"))
    });
    let error = async || Err::<(), _>(EventError::new("CLIENT", "This is an error"));
    r.on("getClientWithError", error.intercept(with_pattern()));
}

/// Tells the client which filter caught what, with an event of its own.
fn catching(name: &'static str, codes: &'static [&'static str]) -> impl Interceptor {
    interceptor::from_fn(move |request: EventRequest, next: Next| async move {
        let (socket, event) = (request.socket().clone(), request.event().clone());
        let outcome = next.run(request).await;
        let Some(error) = outcome
            .error()
            .filter(|error| codes.contains(&error.code()))
        else {
            return outcome;
        };
        let told = [
            ("by", name),
            ("message", error.message()),
            ("pattern", event.as_str()),
        ];
        let _ = socket.emit("caught", &Value::from_iter(told));
        Outcome::done()
    })
}

/// The payload of the exception event, with the pattern beside the message.
fn with_pattern() -> impl Interceptor {
    interceptor::from_fn(async |request: EventRequest, next: Next| {
        let event = request.event().clone();
        let outcome = next.run(request).await;
        let Some(error) = outcome.error() else {
            return outcome;
        };
        let told = [
            ("status", "error"),
            ("message", error.message()),
            ("pattern", event.as_str()),
        ];
        Outcome::failed(EventError::object(&Value::from_iter(told)))
    })
}
