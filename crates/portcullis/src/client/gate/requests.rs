//! Later requests of a connection, which may come from somebody else.
//!
//! # Invariants
//!
//! - Who shows nothing, what was shown before, or anything while there is no subject to compare
//!   with, costs nothing but a hash.
//!
//! # Not here
//!
//! What is known of a connection (`bond`), and how much it may try (`later`).

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::packet::Auth;

use super::{Gate, print};
use crate::auth::source::Credentials;
use crate::auth::{self, Attempt, Print, RefusalCode};
use crate::client::bond::Bond;
use crate::clock;
use crate::handshake::RequestFacts;
use crate::session::Connection;

impl Gate {
    /// Judges a later request of a connection: `None` lets it pass, a future is to be asked.
    pub(in crate::client) fn check_later(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        bond: &Arc<Bond>,
        shown: &Credentials<'_>,
        facts: impl FnOnce() -> RequestFacts,
    ) -> Option<BoxFuture<'static, bool>> {
        let print = print(&**self.authenticator.as_ref()?, shown)?;
        if bond.lets_pass(print) {
            return None;
        }
        let (gate, connection) = (Arc::clone(self), Arc::clone(connection));
        let (bond, facts) = (Arc::clone(bond), Arc::new(facts()));
        let judging = async move {
            let _turn = bond.later().turn().await;
            if bond.lets_pass(print) {
                return true;
            }
            let Err(code) = gate.judge_later(&bond, print, facts).await else {
                return true;
            };
            metrics::counter!("portcullis_other_subjects_total", "where" => "request").increment(1);
            // That the server cannot decide is not the client's fault.
            if code != RefusalCode::AuthUnavailable && bond.later().refuse() {
                connection.expel("too_many_refusals");
            }
            false
        };
        Some(judging.boxed())
    }

    /// Whether a later request is of the subject that the connection belongs to.
    async fn judge_later(
        &self,
        bond: &Bond,
        print: Print,
        request: Arc<RequestFacts>,
    ) -> Result<(), RefusalCode> {
        if !bond.later().take(clock::instant()) {
            metrics::counter!("portcullis_limited_total", "limit" => "credentials").increment(1);
            return Err(RefusalCode::TokenInvalid);
        }
        let authenticator = self
            .authenticator
            .as_ref()
            .ok_or(RefusalCode::AuthUnavailable)?;
        let clock = Arc::clone(&self.options.clock);
        let attempt = Attempt::new(request, NamespacePath::root(), Auth::Absent, clock);
        let run = |timeout| auth::authenticate(&**authenticator, &attempt, timeout);
        let identity = self.verify(&self.refreshing, run).await?;
        if self.revocations.is_revoked(&identity.facts()) {
            return Err(RefusalCode::TokenRevoked);
        }
        if bond.admits(print, &identity) {
            Ok(())
        } else {
            Err(RefusalCode::TokenClaims)
        }
    }
}
