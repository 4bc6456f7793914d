//! What is said of identities after the handshake: their end, their renewal, their number.

use std::sync::Arc;
use std::time::Duration;

use super::{BuildError, ServerBuilder};
use crate::auth::{Expiry, ExpiryEnding, WhenFull};
use crate::broadcast::end_what_is_revoked;
use crate::client::UserLimit;
use crate::namespace::Namespaces;
use crate::revocation::{DEFAULT_TOKEN_LIFE, Revocations, WhileUnread, Wiring};
use crate::tasks::Tasks;

impl ServerBuilder {
    /// What happens to a connection when its token expires. Default: it ends 5 s after `exp`.
    #[must_use]
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.say("expiry", &expiry);
        self.gate.expiry.expiry = expiry;
        self
    }

    /// How that end looks to the client. Default: its transport closes, so that it comes back by
    /// itself with a fresh token.
    #[must_use]
    pub fn expiry_ending(mut self, ending: ExpiryEnding) -> Self {
        self.say("expiry_ending", &ending);
        self.gate.expiry.ending = ending;
        self
    }

    /// Whether the namespaces of one connection may be joined as different subjects. Default:
    /// false.
    #[must_use]
    pub fn several_subjects(mut self, allow: bool) -> Self {
        self.say("several_subjects", &allow);
        self.gate.allows_several_subjects = allow;
        self
    }

    /// Whether sockets join the room of their user, so that
    /// [`to_user`](crate::Emitter::to_user) finds them. Default: true.
    #[must_use]
    pub fn user_rooms(mut self, join: bool) -> Self {
        self.say("user_rooms", &join);
        self.gate.has_user_rooms = join;
        self
    }

    /// How many connections a user may have, on all nodes together. A connection counts once,
    /// however many namespaces it is in. It takes [`Self::user_rooms`], and for each connection one
    /// question to the cluster for each namespace. Default: no limit.
    #[must_use]
    pub fn max_connections_per_user(mut self, max: usize, when_full: WhenFull) -> Self {
        self.say("max_connections_per_user", &(max, when_full));
        self.gate.user_limit = Some(UserLimit { max, when_full });
        self
    }

    /// The way to revoke, for whatever is made before the server runs.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }

    /// What happens to new connections while the cluster cannot say what is revoked. Default:
    /// they are refused with `AUTH_UNAVAILABLE`.
    #[must_use]
    pub fn while_revocations_are_unread(mut self, policy: WhileUnread) -> Self {
        self.say("while_revocations_are_unread", &policy);
        self.while_unread = policy;
        self
    }

    /// How long the longest of all tokens is good, from its issue on: for so long a revocation is
    /// kept. A shorter time than the truth lets a revoked token in again at its end. Default:
    /// [`Jwt::max_lifetime`](crate::auth::jwt::Jwt::max_lifetime) and twice its leeway, or 30 days.
    #[must_use]
    pub fn longest_token_life(mut self, life: Duration) -> Self {
        self.say("longest_token_life", &life);
        self.longest_token_life = Some(life);
        self
    }

    /// What cannot work.
    pub(super) fn check_identity(&mut self) {
        let longest = match self.gate.expiry.expiry {
            Expiry::Disconnect { grace } => grace,
            Expiry::Notify { before } => before,
            Expiry::Ignore => Duration::ZERO,
        };
        if longest > Expiry::MAX {
            let problem = "the times of `expiry` must not be longer than 24 h".to_owned();
            self.problems.push(problem);
        }
        if let Some(limit) = self.gate.user_limit {
            if limit.max == 0 {
                let problem = "max_connections_per_user must be at least 1".to_owned();
                self.problems.push(problem);
            }
            if !self.gate.has_user_rooms {
                let problem = "max_connections_per_user counts in user_rooms, which are off";
                self.problems.push(problem.to_owned());
            }
        }
    }

    /// Has keys fetched, and hears of what is revoked.
    pub(super) async fn start_identity(
        &self,
        namespaces: &Arc<Namespaces>,
        tasks: &Tasks,
    ) -> Result<(), BuildError> {
        let Some(authenticator) = &self.authenticator else {
            return Ok(());
        };
        if let Err(error) = authenticator.prepare().await {
            self.adapter.close().await;
            return Err(error.into());
        }
        let running = Arc::clone(authenticator);
        tasks.spawn_service(async move { running.run().await });
        let longest_life = self
            .longest_token_life
            .or_else(|| authenticator.longest_token_life())
            .unwrap_or(DEFAULT_TOKEN_LIFE);
        let ending = end_what_is_revoked(self.revocations.clone(), Arc::clone(namespaces));
        tasks.spawn_service(ending);
        self.revocations.wire(Wiring {
            clock: Arc::clone(&self.gate.clock),
            longest_life,
            while_unread: self.while_unread,
            store: self.adapter.revocations(),
        });
        Ok(())
    }
}
