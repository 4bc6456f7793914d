//! Ending the sockets of this node whose identities were taken back.
//!
//! # Invariants
//!
//! - However many revocations come at once, the sockets are looked through one time after another,
//!   with a pause between: what an application revokes in a loop costs no more than that.

use std::sync::Arc;
use std::time::Duration;

use portcullis_socketio::value::Value;

use crate::adapter::Target;
use crate::auth::RefusalCode;
use crate::namespace::{DisconnectReason, Namespaces, Socket};
use crate::revocation::Revocations;
use crate::session::{Ending, turn};

/// The event that a client hears before its end.
const REVOKED: &str = "auth:revoked";

/// So many sockets are looked at before others may use the thread.
const CHUNK: usize = 1024;

/// Between two looks through all sockets.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs for as long as the server does.
pub(crate) async fn end_what_is_revoked(revocations: Revocations, namespaces: Arc<Namespaces>) {
    loop {
        revocations.applied().await;
        let mut revoked = Vec::new();
        for namespace in namespaces.all() {
            let sockets = namespace.collect(&Target::default());
            for chunk in sockets.chunks(CHUNK) {
                let is_revoked = |socket: &&Socket| {
                    let identity = socket.identity();
                    identity.is_some_and(|identity| revocations.is_revoked(&identity.facts()))
                };
                revoked.extend(chunk.iter().filter(is_revoked).cloned());
                tokio::task::yield_now().await;
            }
        }
        end(&revoked);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells the clients that their tokens were taken back, and ends their connections.
///
/// In three rounds: the end of a connection would have its other sockets end for another reason,
/// and without a word.
fn end(revoked: &[Socket]) {
    turn(|| {
        for socket in revoked {
            let code = Value::from(RefusalCode::TokenRevoked.as_str());
            // Who has left meanwhile need not hear it.
            let _ = socket.emit(REVOKED, &Value::Map(vec![("code".to_owned(), code)]));
        }
        for socket in revoked {
            let socket = socket.inner();
            socket.disconnect_for(DisconnectReason::TokenRevoked, false);
            metrics::counter!("portcullis_sockets_revoked_total").increment(1);
        }
        for socket in revoked {
            socket.inner().connection().end(Ending::Expelled);
        }
    });
}

impl Socket {
    /// Tells the client that its token was taken back, and ends its connection.
    pub(crate) fn end_revoked(&self) {
        end(std::slice::from_ref(self));
    }
}
