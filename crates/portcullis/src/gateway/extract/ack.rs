//! Answering by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_socketio::ids::AckId;
use portcullis_socketio::payload::Payload;
use serde::Serialize;

use super::{EventContext, FromEvent};
use crate::gateway::error::EventError;
use crate::namespace::{EmitError, Socket, frames};

/// The way to answer an event by hand. What the handler returns is not the answer then, except an
/// error.
#[derive(Debug, Clone)]
pub struct Ack {
    socket: Socket,
    id: Option<AckId>,
    answered: Arc<AtomicBool>,
}

impl FromEvent for Ack {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(Self {
            socket: context.socket().clone(),
            id: context.ack(),
            answered: context.answer_by_hand(),
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
pub(in crate::gateway) fn send_ack(
    socket: &Socket,
    id: AckId,
    payload: &Payload,
) -> Result<(), EmitError> {
    let inner = socket.inner();
    let frame = frames::ack(inner.namespace(), id, payload);
    inner.answer(&frame.finish())
}
