//! One emit to one socket: with which modifiers, and what can come of it.

use std::time::Duration;

use portcullis_socketio::args::Args;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::payload::{EncodeError, Payload};
use serde::Serialize;

use super::frames;
use super::socket::Socket;
use crate::session::{Delivery, IfSlow};

/// How long an ack is waited for unless told otherwise.
pub(crate) const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why something could not be emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The event's name is reserved, or the arguments cannot be serialised.
    #[error("cannot encode the event")]
    Encode(#[from] EncodeError),
    /// The socket has left its namespace.
    #[error("the socket is disconnected")]
    Disconnected,
    /// The emitter's server is not running yet.
    #[error("the server is not running")]
    NotServing,
}

/// Why an ack did not come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event could not be emitted.
    #[error("the event could not be emitted")]
    Emit(#[from] EmitError),
    /// Nobody, or not everybody, answered in time.
    #[error("operation has timed out")]
    Timeout {
        /// The answers that did come, of a broadcast; at most one per socket.
        responses: Vec<Args>,
    },
    /// The socket disconnected before it answered.
    #[error("the socket disconnected before it answered")]
    Disconnected,
    /// Too many acks of this socket are outstanding.
    #[error("too many acks are outstanding")]
    TooMany,
}

/// One emit to one socket, with its modifiers.
#[derive(Debug, Clone)]
#[must_use = "an emission does nothing until something is emitted"]
pub struct Emission<'a> {
    pub(super) socket: &'a Socket,
    pub(super) volatile: bool,
    pub(super) compress: bool,
    pub(super) if_slow: Option<IfSlow>,
    pub(super) timeout: Duration,
}

impl Emission<'_> {
    /// The emit is dropped if it cannot leave at once.
    pub const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// What becomes of the emit if the client reads too slowly.
    pub const fn if_slow(mut self, policy: IfSlow) -> Self {
        self.if_slow = Some(policy);
        self
    }

    /// Whether a polling response that carries the emit may be compressed.
    pub const fn compress(mut self, allowed: bool) -> Self {
        self.compress = allowed;
        self
    }

    /// How long `emit_with_ack` waits.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// See [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded or the socket has left.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.send(&Payload::event(event, args)?, None)
    }

    /// See [`Socket::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// See [`AckError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the ack; the event has been sent.
    pub async fn emit_with_ack<T: Serialize + ?Sized + Sync>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Args, AckError> {
        let payload = Payload::event(event, args).map_err(EmitError::from)?;
        let socket = self.socket.inner();
        let namespace = socket.namespace();
        let id = socket.reserve_ack().ok_or_else(|| {
            metrics::counter!("portcullis_limited_total", "limit" => "acks").increment(1);
            AckError::TooMany
        })?;
        let answer = namespace.acks().expect_one(id, socket);
        self.send(&payload, Some(id))?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Some(args)) => Ok(args),
            Ok(None) => Err(AckError::Disconnected),
            Err(_) => Err(AckError::Timeout {
                responses: Vec::new(),
            }),
        }
    }

    /// Sends an event that is serialised already.
    pub(super) fn send(&self, payload: &Payload, ack: Option<AckId>) -> Result<(), EmitError> {
        let socket = self.socket.inner();
        let dispatch = socket.namespace().dispatch();
        if dispatch.watches_outgoing() {
            dispatch.outgoing(self.socket, payload);
        }
        let frame = frames::event(socket.namespace(), payload, ack).compress(self.compress);
        let delivery = Delivery::of_event(self.volatile, self.if_slow);
        socket.send(&frame.finish(), delivery)
    }
}
