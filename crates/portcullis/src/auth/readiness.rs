//! Whether an authenticator can do its work.

use std::sync::Arc;

use super::Authenticator;
use crate::revocation::Revocations;

/// Whether an authenticator can do its work now, for the page that a load balancer asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Readiness {
    /// It can.
    #[default]
    Ready,
    /// It can, with what it has from before.
    Stale {
        /// Why, for a person.
        reason: String,
    },
    /// It refuses everybody.
    NotReady {
        /// Why, for a person.
        reason: String,
    },
}

impl Readiness {
    /// Whether connections can be authenticated.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        !matches!(self, Self::NotReady { .. })
    }
}

/// An authenticator that must be ready at start is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PrepareError(String);

impl PrepareError {
    /// Says why, for a person.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What admitting somebody takes: an authenticator, and to know what is revoked.
#[derive(Debug, Clone)]
pub(crate) struct AuthState {
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
    pub(crate) revocations: Revocations,
}

impl AuthState {
    pub(crate) fn readiness(&self) -> Readiness {
        let Some(authenticator) = &self.authenticator else {
            return Readiness::Ready;
        };
        let readiness = authenticator.readiness();
        if !readiness.is_ready() || self.revocations.is_settled() {
            return readiness;
        }
        let reason = "it is not known what is revoked".to_owned();
        if self.revocations.admits_unread() {
            Readiness::Stale { reason }
        } else {
            Readiness::NotReady { reason }
        }
    }
}
