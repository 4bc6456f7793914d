//! What a handler asks for by the types of its parameters.
//!
//! | parameter | where | what |
//! |---|---|---|
//! | [`Socket`] | everywhere | the socket |
//! | [`User<C>`] | everywhere | the verified claims |
//! | [`Handshake`] | everywhere | the first request, and `auth` |
//! | [`Params<T>`] | everywhere | the parameters of the namespace's pattern |
//! | [`Extension<T>`] | everywhere | state of this connection, put there by a handler |
//! | [`State<T>`] | everywhere | state of the server, given to its builder |
//! | [`Data<T>`] | events | the first argument |
//! | [`Valid<T>`] | events | the first argument, validated |
//! | [`Args<T>`] | events | all arguments, as a tuple |
//! | [`RawArgs`] | events | all arguments, as they came |
//! | [`EventName`] | events | the event's name |
//! | [`Ack`] | events | the way to answer by hand |
//! | [`DisconnectReason`](crate::DisconnectReason) | `on_disconnect` | why the socket left |
//! | [`Emitter`](crate::Emitter) | `on_init` | the way to the sockets of the namespace |
//!
//! The order of parameters means nothing. `Option<T>` of what is taken from the socket is `None`
//! where it is missing. A type of the application's own is taken by implementing [`FromEvent`], or
//! [`FromSocket`] if it needs nothing of an event.
//!
//! [`EventName`]: portcullis_socketio::packet::EventName
//! [`RawArgs`]: portcullis_socketio::args::Args

mod ack;
mod params;
mod payload;
mod state;
#[cfg(feature = "garde")]
mod valid;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use portcullis_socketio::args::Args as RawArgs;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::packet::EventName;

pub use ack::Ack;
pub(super) use ack::send_ack;
pub use params::Params;
pub use payload::{Args, Data};
pub(crate) use state::States;
pub use state::{Extension, State};
#[cfg(feature = "garde")]
pub use valid::Valid;

use super::describe::Parameters;
use super::error::EventError;
use crate::auth::Identity;
use crate::handshake::Handshake;
use crate::namespace::{self, Incoming, Socket};

/// Something that any handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that a handler can ask for",
    label = "no handler can ask for this",
    note = "the claims are taken with `User<…>`, state with `State<…>` or `Extension<…>`; a \
            payload is only there for events, as `Data<…>`"
)]
pub trait FromSocket: Sized {
    /// Takes it from the socket.
    ///
    /// # Errors
    ///
    /// If the socket does not have it; the handler is not run then.
    fn from_socket(socket: &Socket) -> Result<Self, EventError>;

    /// Says what it needs, so that `build()` can tell what is missing. Default: nothing.
    fn describe(parameters: &mut Parameters) {
        let _ = parameters;
    }
}

/// Something that an event's handler can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that an event's handler can ask for",
    label = "not an extractor of events",
    note = "wrap the payload: `Data<{Self}>`, or `Valid<{Self}>` to have it validated; the claims \
            are taken with `User<…>`, state with `State<…>` or `Extension<…>`"
)]
pub trait FromEvent: Sized {
    /// Takes it from the event.
    ///
    /// # Errors
    ///
    /// If the event does not have it; the handler is not run then, and the client is told.
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError>;

    /// Says what it needs, so that `build()` can tell what is missing. Default: nothing.
    fn describe(parameters: &mut Parameters) {
        let _ = parameters;
    }
}

impl<T: FromSocket> FromEvent for T {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Self::from_socket(context.socket)
    }

    fn describe(parameters: &mut Parameters) {
        <Self as FromSocket>::describe(parameters);
    }
}

/// One event on its way to its handler.
#[derive(Debug)]
pub struct EventContext<'a> {
    socket: &'a Socket,
    incoming: &'a Incoming,
    by_hand: &'a ByHand,
}

/// Whether the handler of an event answers by hand, and if so whether it has.
#[derive(Debug, Default)]
pub(super) struct ByHand(OnceLock<Arc<AtomicBool>>);

impl ByHand {
    /// Somebody asked to answer by hand; what comes back is set with the answer.
    fn begin(&self) -> Arc<AtomicBool> {
        Arc::clone(self.0.get_or_init(Arc::default))
    }

    /// Whether nobody but the handler is to answer.
    pub(super) fn is_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether the handler has answered.
    pub(super) fn is_answered(&self) -> bool {
        let answered = self.0.get();
        answered.is_some_and(|answered| answered.load(Ordering::Relaxed))
    }
}

impl<'a> EventContext<'a> {
    pub(super) const fn new(
        socket: &'a Socket,
        incoming: &'a Incoming,
        by_hand: &'a ByHand,
    ) -> Self {
        Self {
            socket,
            incoming,
            by_hand,
        }
    }

    /// The socket that sent it.
    #[must_use]
    pub const fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// Its name.
    #[must_use]
    pub const fn event(&self) -> &'a EventName {
        &self.incoming.event
    }

    /// Its arguments.
    #[must_use]
    pub const fn args(&self) -> &'a RawArgs {
        &self.incoming.args
    }

    /// Whether the client asked for an ack.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.incoming.ack.is_some()
    }

    pub(super) const fn ack(&self) -> Option<AckId> {
        self.incoming.ack
    }

    pub(super) fn answer_by_hand(&self) -> Arc<AtomicBool> {
        self.by_hand.begin()
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

impl FromSocket for namespace::Params {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(socket.params().clone())
    }
}

impl<T: FromSocket> FromSocket for Option<T> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        Ok(T::from_socket(socket).ok())
    }
}

/// The verified claims of the socket's identity, as it was when the handler was called.
///
/// In a public gateway nobody has any, and `build()` refuses a handler that asks for them; there,
/// `Option<User<C>>` is possible and `None`. It refuses a `C` as well that is not the type which
/// the authenticator makes, where the authenticator says which that is.
pub struct User<C> {
    identity: Identity,
    claims: PhantomData<C>,
}

impl<C: Send + Sync + 'static> User<C> {
    /// A user with these claims, for tests and code that call a method themselves. It is no proof
    /// of an identity: nobody has verified anything.
    ///
    /// ```
    /// use portcullis::gateway::User;
    ///
    /// struct Claims {
    ///     sub: String,
    /// }
    ///
    /// async fn greet(user: User<Claims>) -> String {
    ///     format!("Hello {}", user.sub)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let alice = User::new(Claims { sub: "alice".to_owned() });
    /// assert_eq!(greet(alice).await, "Hello alice");
    /// # }
    /// ```
    #[must_use]
    pub fn new(claims: C) -> Self {
        Self {
            identity: Identity::new(claims),
            claims: PhantomData,
        }
    }
}

impl<C: Send + Sync + 'static> FromSocket for User<C> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        let identity = socket
            .identity()
            .filter(|identity| identity.claims::<C>().is_some());
        match identity {
            Some(identity) => Ok(Self {
                identity,
                claims: PhantomData,
            }),
            None => Err(EventError::forbidden()),
        }
    }

    fn describe(parameters: &mut Parameters) {
        parameters.needs_claims::<C>();
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

impl<C> Clone for User<C> {
    fn clone(&self) -> Self {
        Self {
            identity: self.identity.clone(),
            claims: PhantomData,
        }
    }
}

impl<C> fmt::Debug for User<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(redacted)")
    }
}
