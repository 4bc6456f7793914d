//! From what a handler came to, to what its client is told.
//!
//! ```text
//!  Outcome ─┬─ done, answer ─────────────────────────────▶ ack
//!           ├─ event ────────────────────────────────────▶ event, then an empty ack
//!           ├─ stream ─▶ each item as above ─────────────▶ …
//!           └─ failed ─▶ map_error ─▶ log, if internal ──▶ ack, or `exception`
//! ```
//!
//! # Invariants
//!
//! - An event that asked for an ack gets one, unless its handler answers by hand or NestJS would
//!   not. Only a handler, or a stream that is treated as one, that has answered and then runs out
//!   of time gets it a second one, which clients ignore.
//! - What an error says to its client is decided here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::payload::{EncodeError, Payload};
use portcullis_socketio::value::Value;

use super::error::EventError;
use super::extract::{ByHand, EventContext, send_ack};
use super::handler::{contain, panicked};
use super::policy::{ErrorReply, ExceptionCause, Policy};
use super::reply::{Kind, Outcome, Responder, StartStream};
use crate::namespace::{EmitError, Incoming, Socket};

/// One event that is to be answered, and by which rules.
#[derive(Debug, Clone)]
pub(super) struct Conclusion {
    pub(super) socket: Socket,
    pub(super) incoming: Incoming,
    pub(super) policy: Arc<Policy>,
}

impl Conclusion {
    /// Tells the client; what comes back is a stream that goes on telling it.
    pub(super) fn conclude(
        mut self,
        outcome: Outcome,
        by_hand: &ByHand,
    ) -> Option<BoxFuture<'static, ()>> {
        let failed = outcome.error().is_some();
        if by_hand.is_begun() && !failed || by_hand.is_answered() {
            self.incoming.ack = None;
        }
        match outcome.0 {
            Kind::Stream(start) => return Some(self.stream(start)),
            Kind::Emit(payload) => {
                self.emit(&payload);
                if !self.policy.nest_compat {
                    self.acknowledge();
                }
            }
            Kind::Done if self.policy.nest_compat => {}
            Kind::Done => self.acknowledge(),
            Kind::Answer(payload) => {
                self.answer(&payload, &mut false);
            }
            Kind::Failed(error) => self.fail(error),
        }
        None
    }

    /// Nobody handles the event: that is told if an answer is waited for.
    pub(super) fn unhandled(&self) {
        if self.incoming.ack.is_some() {
            self.fail(EventError::new(
                "UNKNOWN_EVENT",
                "Nobody handles this event",
            ));
        }
    }

    /// Goes on answering. A stream is the application's code: its panic costs its own event.
    fn stream(mut self, start: StartStream) -> BoxFuture<'static, ()> {
        let answered = Arc::new(AtomicBool::new(false));
        let responder = Responder::new(self.clone(), Arc::clone(&answered));
        async move {
            // The call may panic as well as the future that it returns.
            let ended = contain("stream", async { start(responder).await }).await;
            if ended.is_none() {
                if answered.load(Ordering::Relaxed) {
                    self.incoming.ack = None;
                }
                self.fail(panicked());
            }
        }
        .boxed()
    }

    /// Tells the client one item of a stream.
    pub(super) fn item(&self, outcome: Outcome, is_answered: &mut bool) {
        match outcome.0 {
            Kind::Done => {}
            Kind::Emit(payload) => self.emit(&payload),
            Kind::Answer(payload) => self.answer(&payload, is_answered),
            Kind::Failed(error) => self.item_failed(error, is_answered),
            Kind::Stream(_) => {
                self.item_failed(EventError::unexpected("a stream of streams"), is_answered);
            }
        }
    }

    /// Into the ack, unless an item before it was the answer.
    fn item_failed(&self, error: EventError, is_answered: &mut bool) {
        if !std::mem::replace(is_answered, true) {
            return self.fail(error);
        }
        let mut told = self.clone();
        told.incoming.ack = None;
        told.fail(error);
    }

    /// The stream came to its end.
    pub(super) fn stream_ended(&self, is_answered: bool) {
        if !is_answered && !self.policy.nest_compat {
            self.acknowledge();
        }
    }

    /// Whether anybody is left to hear more.
    pub(super) fn can_be_heard(&self) -> bool {
        self.socket.is_connected()
    }

    fn acknowledge(&self) {
        if let Some(id) = self.incoming.ack {
            match Payload::args(&()) {
                Ok(payload) => self.send(id, &payload),
                Err(error) => self.cannot_be_told(&error.into()),
            }
        }
    }

    fn answer(&self, payload: &Payload, is_answered: &mut bool) {
        if self.policy.nest_compat {
            match NestReply::of(payload) {
                Ok(NestReply::Silence) => return,
                Ok(NestReply::Event(payload)) => return self.emit(&payload),
                Ok(NestReply::Answer) => {}
                Err(error) => return self.fail(error.into()),
            }
        }
        if let Some(id) = self.incoming.ack
            && !std::mem::replace(is_answered, true)
        {
            self.send(id, payload);
        }
    }

    /// Tells the client, or the log, what went wrong.
    pub(super) fn fail(&self, error: EventError) {
        let by_hand = ByHand::default();
        let context = EventContext::new(&self.socket, &self.incoming, &by_hand);
        let error = self.policy.map(error, &context);
        error.log(&self.incoming.event);
        let (nest, delivery) = (self.policy.nest_compat, self.policy.error_reply);
        if !nest
            && delivery != ErrorReply::Exception
            && let Some(id) = self.incoming.ack
        {
            match Payload::args(&told(&error, None)) {
                Ok(payload) => self.send(id, &payload),
                Err(error) => self.cannot_be_told(&error.into()),
            }
            if delivery == ErrorReply::AckOrException {
                return;
            }
        }
        let payload = if nest {
            nest_exception(&error, self.cause())
        } else {
            told(&error, self.cause())
        };
        match Payload::event(&self.policy.exception_event, &payload) {
            Ok(payload) => self.emit(&payload),
            Err(error) => self.cannot_be_told(&error.into()),
        }
    }

    /// What the exception event says about the event that failed.
    fn cause(&self) -> Option<Value> {
        let pattern = (
            "pattern".to_owned(),
            Value::from(self.incoming.event.as_str()),
        );
        match self.policy.cause() {
            ExceptionCause::None => None,
            ExceptionCause::Pattern => Some(Value::Map(vec![pattern])),
            ExceptionCause::PatternAndData => {
                let mut cause = vec![pattern];
                let mut args = self.incoming.args.values().unwrap_or_default();
                // As NestJS hands them to a handler: nothing, the one, or the list of them.
                match args.len() {
                    0 => {}
                    1 => cause.extend(args.pop().map(|data| ("data".to_owned(), data))),
                    _ => cause.push(("data".to_owned(), Value::Array(args))),
                }
                Some(Value::Map(cause))
            }
        }
    }

    fn emit(&self, payload: &Payload) {
        let padded = if self.policy.nest_compat {
            with_null(payload)
        } else {
            None
        };
        // A client that has left meanwhile is told nothing.
        if let Err(error @ EmitError::Encode(_)) =
            self.socket.send_event(padded.as_ref().unwrap_or(payload))
        {
            self.cannot_be_told(&error);
        }
    }

    fn send(&self, id: AckId, payload: &Payload) {
        if let Err(error @ EmitError::Encode(_)) = send_ack(&self.socket, id, payload) {
            self.cannot_be_told(&error);
        }
    }

    fn cannot_be_told(&self, error: &EmitError) {
        tracing::error!(event = ?self.incoming.event, %error, "a reply could not be encoded");
    }
}

/// An error as it stands in an ack, or with its cause in the exception event.
fn told(error: &EventError, cause: Option<Value>) -> Value {
    if let Some(object) = error.as_object() {
        return object.clone();
    }
    let mut told = vec![
        ("status".to_owned(), Value::from("error")),
        ("code".to_owned(), Value::from(error.code())),
        ("message".to_owned(), Value::from(error.message())),
    ];
    told.extend(
        error
            .details()
            .map(|details| ("details".to_owned(), details.clone())),
    );
    told.extend(
        error
            .correlation_id()
            .map(|id| ("correlationId".to_owned(), Value::from(id))),
    );
    told.extend(cause.map(|cause| ("cause".to_owned(), cause)));
    Value::Map(told)
}

/// An error as NestJS's own exception filter tells it.
fn nest_exception(error: &EventError, cause: Option<Value>) -> Value {
    if let Some(object) = error.as_object() {
        return object.clone();
    }
    let mut told = vec![
        ("status".to_owned(), Value::from("error")),
        ("message".to_owned(), Value::from(error.message())),
    ];
    told.extend(cause.map(|cause| ("cause".to_owned(), cause)));
    Value::Map(told)
}

/// What NestJS makes of a value that a handler returned.
enum NestReply {
    /// Null: neither an ack nor an event.
    Silence,
    /// The value has an `event` that can be one: that is emitted, with its `data`.
    Event(Payload),
    /// Anything else is the ack.
    Answer,
}

impl NestReply {
    fn of(payload: &Payload) -> Result<Self, EncodeError> {
        let values = payload.values();
        let Some(value) = values.first().filter(|value| **value != Value::Null) else {
            return Ok(Self::Silence);
        };
        let data = value.get("data").unwrap_or(&Value::Null);
        // NestJS emits whatever is true in JavaScript. Where that is neither text nor a number, its
        // packet is none: clients end the connection over it, and are answered here instead.
        let event = match value.get("event") {
            Some(Value::String(name)) if !name.is_empty() => Payload::event(name, &(data,)),
            Some(number) if is_number_but_zero(number) => Payload::args(&(number, data)),
            _ => return Ok(Self::Answer),
        };
        event.map(Self::Event)
    }
}

fn is_number_but_zero(value: &Value) -> bool {
    match value {
        Value::Integer(number) => *number != 0,
        Value::Unsigned(_) => true,
        Value::Float(number) => *number != 0.0 && !number.is_nan(),
        _ => false,
    }
}

/// NestJS always sends a second item, null if there is no data.
fn with_null(payload: &Payload) -> Option<Payload> {
    let values = payload.values();
    match values.as_slice() {
        [Value::String(event)] => Payload::event(event, &((),)).ok(),
        _ => None,
    }
}
