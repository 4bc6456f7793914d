//! Guards, interceptors and extractors, of the server, a gateway and a handler.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis::Socket;
use portcullis::gateway;
use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{Data, Emit, EventContext, EventError, FromEvent, Guard, Outcome, Reply};
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

pub(super) struct Enhanced;

#[gateway(namespace = "/enhanced", public)]
#[guard(logging("class guard", "denied-by-the-class"))]
#[intercept(around("class interceptor"))]
impl Enhanced {
    #[subscribe("order")]
    #[guard(logging("method guard", "denied-by-the-method"))]
    #[intercept(around("method interceptor"))]
    fn order(&self, Piped(log): Piped) -> Vec<String> {
        log.leave("handler");
        log.names()
    }

    #[subscribe("denied-globally")]
    #[subscribe("denied-by-the-class")]
    fn denied(&self) -> &'static str {
        "never"
    }

    #[subscribe("denied-by-the-method")]
    #[guard(logging("method guard", "denied-by-the-method"))]
    fn denied_by_the_method(&self) -> &'static str {
        "never"
    }

    #[subscribe("wrapped")]
    #[intercept(wrapping())]
    fn wrapped(&self) -> &'static str {
        "answer"
    }

    #[subscribe("getClient")]
    #[intercept(showing_the_pattern())]
    fn get_client(&self, Data(data): Data<Value>) -> Emit<Value> {
        Emit("popClient", data)
    }

    #[subscribe("short-cut")]
    #[intercept(short_cut())]
    fn short_cut(&self) -> &'static str {
        "never"
    }

    #[subscribe("fails-inside")]
    #[intercept(wrapping())]
    fn fails_inside(&self) -> Result<u32, EventError> {
        Err(EventError::new("INSIDE", "inside"))
    }
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
