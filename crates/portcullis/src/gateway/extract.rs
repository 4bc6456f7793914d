//! What a handler asks for by the types of its parameters.
//!
//! | parameter      | where                   | what                                          |
//! |----------------|-------------------------|-----------------------------------------------|
//! | [`Socket`]     | everywhere              | the socket                                    |
//! | [`User<C>`]    | everywhere              | the verified claims                           |
//! | [`Handshake`]  | everywhere              | the first request, and `auth`                 |
//! | [`Params`]     | everywhere              | the parameters of the namespace's pattern     |
//! | [`Data<T>`]    | events                  | the first argument                            |
//! | [`Args`]       | events                  | all arguments, raw until asked                |
//! | [`EventName`]  | events                  | the event's name                              |
//! | [`Ack`]        | events                  | the way to answer by hand                     |
//! | [`DisconnectReason`](crate::DisconnectReason) | `on_disconnect` | why the socket left    |

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_socketio::args::Args;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reply::EventError;
use crate::auth::Identity;
use crate::handshake::Handshake;
use crate::namespace::{EmitError, Params, Socket, frames};

/// Something that any handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to a handler",
    note = "a payload is taken with `Data<…>`, the claims with `User<…>`"
)]
pub trait FromSocket: Sized {
    /// Takes it from the socket.
    ///
    /// # Errors
    ///
    /// If the socket does not have it; the handler is not run then.
    fn from_socket(socket: &Socket) -> Result<Self, EventError>;
}

/// Something that an event's handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to an event's handler",
    note = "a payload is taken with `Data<…>`, the claims with `User<…>`"
)]
pub trait FromEvent: Sized {
    /// Takes it from the event.
    ///
    /// # Errors
    ///
    /// If the event does not have it; the handler is not run then, and the client is told.
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError>;
}

impl<T: FromSocket> FromEvent for T {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Self::from_socket(context.socket)
    }
}

/// One event on its way to its handler.
#[derive(Debug)]
pub struct EventContext<'a> {
    pub(super) socket: &'a Socket,
    pub(super) event: &'a EventName,
    pub(super) args: &'a Args,
    pub(super) ack: Option<AckId>,
    /// Present once the handler has asked to answer by hand.
    pub(super) by_hand: &'a std::cell::Cell<bool>,
}

impl EventContext<'_> {
    /// The socket that sent it.
    #[must_use]
    pub const fn socket(&self) -> &Socket {
        self.socket
    }

    /// Its name.
    #[must_use]
    pub const fn event(&self) -> &EventName {
        self.event
    }

    /// Its arguments.
    #[must_use]
    pub const fn args(&self) -> &Args {
        self.args
    }
}

impl FromSocket for Socket {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(socket.clone())
    }
}

impl FromSocket for Handshake {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(socket.handshake().clone())
    }
}

impl FromSocket for Params {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(socket.params().clone())
    }
}

impl<T: FromSocket> FromSocket for Option<T> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(T::from_socket(socket).ok())
    }
}

/// The verified claims of the socket's identity.
pub struct User<C> {
    identity: Identity,
    claims: PhantomData<C>,
}

impl<C: Send + Sync + 'static> FromSocket for User<C> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        let identity = socket
            .identity()
            .filter(|identity| identity.claims::<C>().is_some());
        match identity {
            Some(identity) => Ok(Self {
                identity: identity.clone(),
                claims: PhantomData,
            }),
            None => Err(EventError::new("FORBIDDEN", "Forbidden resource")),
        }
    }
}

impl<C: Send + Sync + 'static> Deref for User<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.identity
            .claims()
            .expect("the type of the claims was checked when they were taken")
    }
}

impl<C> fmt::Debug for User<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(redacted)")
    }
}

/// The first argument of an event, as a type. An absent argument is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "taken apart in the handler's parameters"
)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Data<T> {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        context
            .args
            .get(0)
            .map(Self)
            .map_err(|error| EventError::validation(&error))
    }
}

impl FromEvent for Args {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(context.args.clone())
    }
}

impl FromEvent for EventName {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(context.event.clone())
    }
}

/// The way to answer an event by hand. What the handler returns is not the answer then.
#[derive(Debug, Clone)]
pub struct Ack {
    socket: Socket,
    id: Option<AckId>,
    answered: Arc<AtomicBool>,
}

impl FromEvent for Ack {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        context.by_hand.set(true);
        Ok(Self {
            socket: context.socket.clone(),
            id: context.ack,
            answered: Arc::default(),
        })
    }
}

impl Ack {
    /// Whether the client wants an answer.
    #[must_use]
    pub const fn is_requested(&self) -> bool {
        self.id.is_some()
    }

    /// Answers: a tuple is several arguments, `()` none, anything else one. Only the first answer
    /// counts, and none does if the client asked for none.
    ///
    /// # Errors
    ///
    /// If the answer cannot be encoded, or the socket has left.
    pub fn send<T: Serialize + ?Sized>(&self, args: &T) -> Result<(), EmitError> {
        let Some(id) = self.id else {
            return Ok(());
        };
        let payload = Payload::args(args)?;
        if self.answered.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        send_ack(&self.socket, id, &payload)
    }
}

/// Sends the answer to an event.
pub(super) fn send_ack(socket: &Socket, id: AckId, payload: &Payload) -> Result<(), EmitError> {
    let inner = socket.inner();
    let frame = frames::ack(inner.namespace(), id, payload);
    inner.send(&frame.finish(), false)
}
