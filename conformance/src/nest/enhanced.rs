//! Guards, interceptors and extractors, of the server, a gateway and a handler.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis::Socket;
use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{
    Data, Emit, EventContext, EventError, EventHandler as _, FromEvent, Guard, Outcome, Registrar,
    Reply,
};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

/// In which each step of the event `order` leaves its name.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn of(socket: &Socket) -> Arc<Self> {
        socket.get().unwrap_or_else(|| {
            socket.insert(Self::default());
            socket.get().unwrap_or_default()
        })
    }

    fn leave(&self, name: impl Into<String>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.push(name.into());
    }

    fn names(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) fn register(r: &mut Registrar) {
    r.public();
    r.guard(logging("class guard", "denied-by-the-class"));
    r.intercept(around("class interceptor"));
    let order = async |Piped(log): Piped| {
        log.leave("handler");
        Reply(log.names())
    };
    r.on(
        "order",
        order
            .guard(logging("method guard", "denied-by-the-method"))
            .intercept(around("method interceptor")),
    );
    let never = async || Reply("never");
    r.on("denied-globally", never);
    r.on("denied-by-the-class", never);
    let guard = logging("method guard", "denied-by-the-method");
    r.on("denied-by-the-method", never.guard(guard));
    let answer = async || Reply("answer");
    r.on("wrapped", answer.intercept(wrapping()));
    let get_client = async |Data(data): Data<Value>| Emit("popClient", data);
    r.on("getClient", get_client.intercept(showing_the_pattern()));
    r.on("short-cut", never.intercept(short_cut()));
    let fails = async || Err::<(), _>(EventError::new("INSIDE", "inside"));
    r.on("fails-inside", fails.intercept(wrapping()));
}

/// A guard that leaves its name, and lets nothing through for one event.
pub(super) fn logging(name: &'static str, forbidden: &'static str) -> impl Guard {
    move |context: &EventContext<'_>| {
        Log::of(context.socket()).leave(name);
        if context.event().as_str() == forbidden {
            return Err(EventError::forbidden());
        }
        Ok(())
    }
}

/// An interceptor that leaves its name before the handler, and adds it to the list that the
/// handler answers with.
pub(super) fn around(name: &'static str) -> impl Interceptor {
    interceptor::from_fn(move |request: EventRequest, next: Next| async move {
        Log::of(request.socket()).leave(format!("{name} before"));
        let outcome = next.run(request).await;
        match outcome.payload().map(Payload::values).as_deref() {
            Some([Value::Array(log)]) if log.contains(&Value::from("handler")) => {
                let after = Value::from(format!("{name} after"));
                Outcome::answer(&Value::Array(log.iter().cloned().chain([after]).collect()))
            }
            _ => outcome,
        }
    })
}

/// The log, with the name of the extractor in it.
struct Piped(Arc<Log>);

impl FromEvent for Piped {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        let log = Log::of(context.socket());
        log.leave("pipe");
        Ok(Self(log))
    }
}

/// Puts an answer into an object of its own.
fn wrapping() -> impl Interceptor {
    interceptor::from_fn(async |request: EventRequest, next: Next| {
        let outcome = next.run(request).await;
        match outcome.payload().map(Payload::values) {
            Some(mut values) => {
                let answer = values.pop().unwrap_or_default();
                Outcome::answer(&Value::from_iter([("wrapped", answer)]))
            }
            None => outcome,
        }
    })
}

/// Adds the event's name to the data of an answer that is an event.
fn showing_the_pattern() -> impl Interceptor {
    interceptor::from_fn(async |request: EventRequest, next: Next| {
        let path = Value::from(request.event().as_str());
        let outcome = next.run(request).await;
        match outcome.event().map(Payload::values).as_deref() {
            Some([Value::String(event), Value::Map(data)]) => {
                let path = ("path".to_owned(), path);
                let data = data.iter().cloned().chain([path]).collect();
                Outcome::emit(event, &Value::Map(data))
            }
            _ => outcome,
        }
    })
}

/// Answers in the handler's place.
fn short_cut() -> impl Interceptor {
    interceptor::from_fn(async |_: EventRequest, _: Next| Reply("from the interceptor"))
}
