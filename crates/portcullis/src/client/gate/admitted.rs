//! A socket that the gate has let through: what it holds, and its way in.
//!
//! # Invariants
//!
//! - Whoever lets go of it last ends the socket, on every way out.

use std::fmt;
use std::sync::Arc;

use super::Gate;
use crate::client::bond::Hold;
use crate::client::user_limit::Counted;
use crate::namespace::{DisconnectReason, Opened, Socket, SocketInner};

/// A socket that may enter, or has; the last one to let go of it ends it.
#[derive(Debug, Clone)]
pub(in crate::client) struct Admitted(Arc<Seated>);

/// What an admitted socket holds.
pub(super) struct Seated {
    pub(super) socket: Arc<SocketInner>,
    /// Keeps a namespace that was made on demand.
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) opened: Opened,
    /// The socket's part in the subject of its connection.
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) hold: Option<Hold>,
    /// What its connection is counted by, if that is limited. Most are not.
    pub(super) counted: Option<Box<Counted>>,
    pub(super) gate: Arc<Gate>,
}

impl Admitted {
    pub(super) fn new(seated: Seated) -> Self {
        Self(Arc::new(seated))
    }

    pub(in crate::client) fn socket(&self) -> &Arc<SocketInner> {
        &self.0.socket
    }

    pub(super) fn is_revoked(&self) -> bool {
        let place = self.socket().identity();
        place.is_some_and(|place| self.0.gate.is_revoked(&place.get()))
    }

    /// Lets the socket in: from here on broadcasts reach it, behind the CONNECT reply.
    pub(in crate::client) fn enter(&self) {
        let socket = self.socket();
        // A connection that is in one namespace already was counted when it came.
        let counted = self
            .0
            .counted
            .clone()
            .filter(|counted| !counted.has_joined());
        socket.namespace().insert(socket);
        socket.accept();
        metrics::counter!("portcullis_sockets_connected_total").increment(1);
        if self.is_revoked() {
            // Those who look through the sockets may have passed before it was there.
            Socket::from(Arc::clone(socket)).end_revoked();
        }
        if let Some(counted) = counted {
            let enforcing = counted.enforce(Arc::clone(socket));
            self.0.gate.tasks.spawn_service(enforcing);
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.socket.end(DisconnectReason::TransportClose);
    }
}

impl fmt::Debug for Seated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seated")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
