//! Who a client is, and for how long.
//!
//! ```text
//!  Verified ─▶ Identity ─▶ CurrentIdentity ◀─ sockets that were joined with the same token
//!                              ▲ swapped
//!                          auth:refresh
//! ```
//!
//! # Invariants
//!
//! - An `Identity` does not change. What a socket has is a place for one, which a refresh fills
//!   anew: every extractor that looks afterwards sees the new one.
//! - All sockets that share a place were joined with one and the same token, told by its print:
//!   the claims of two tokens may differ where everything that is registered is the same.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::RwLock;

use super::Print;
use super::expiry::{Due, ExpiryPlan, Schedule};
use crate::revocation::Facts;

/// Who a client is, as its authenticator said.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    claims: Arc<dyn Any + Send + Sync>,
    issuer: Option<Box<str>>,
    subject: Option<Box<str>>,
    token_id: Option<Box<str>>,
    session_id: Option<Box<str>>,
    issued_at: Option<u64>,
    expires_at: Option<u64>,
    /// Of what it was made.
    credential: Option<Print>,
}

impl Identity {
    /// What one takes, without its claims and the text of its names.
    #[cfg(test)]
    pub(crate) const fn size_of_content() -> usize {
        size_of::<Inner>()
    }

    /// An identity with claims of any type, which handlers get back as that type.
    ///
    /// It has no subject and never expires, unless it is told so.
    #[must_use]
    pub fn new<C: Send + Sync + 'static>(claims: C) -> Self {
        Self(Arc::new(Inner {
            claims: Arc::new(claims),
            issuer: None,
            subject: None,
            token_id: None,
            session_id: None,
            issued_at: None,
            expires_at: None,
            credential: None,
        }))
    }

    /// Says who vouches for it: with the subject, the name by which it is told apart.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<Box<str>>) -> Self {
        self.with(|inner| inner.issuer = Some(issuer.into()))
    }

    /// Says whom it speaks of. Without a subject its sockets are in no room of their user, and
    /// cannot be revoked by user.
    #[must_use]
    pub fn with_subject(self, subject: impl Into<Box<str>>) -> Self {
        self.with(|inner| inner.subject = Some(subject.into()))
    }

    /// Gives it an id by which it can be revoked.
    #[must_use]
    pub fn with_token_id(self, id: impl Into<Box<str>>) -> Self {
        self.with(|inner| inner.token_id = Some(id.into()))
    }

    /// Says to which login session it belongs.
    #[must_use]
    pub fn with_session_id(self, id: impl Into<Box<str>>) -> Self {
        self.with(|inner| inner.session_id = Some(id.into()))
    }

    /// Says when it was issued, in seconds since 1970.
    #[must_use]
    pub fn with_issued_at(self, seconds: u64) -> Self {
        self.with(|inner| inner.issued_at = Some(seconds))
    }

    /// Says when it ends, in seconds since 1970.
    #[must_use]
    pub fn with_expires_at(self, seconds: u64) -> Self {
        self.with(|inner| inner.expires_at = Some(seconds))
    }

    /// Says what it was made of, such as the text of a token; a keyed hash of it is kept.
    ///
    /// Sockets of one connection whose identities were made of the same share one, so that
    /// `auth:refresh` in one namespace renews it in all. Where one credential makes several
    /// identities, as where the namespace decides on the claims, add what decides. Default: not
    /// said, and every socket has an identity of its own.
    #[must_use]
    pub fn with_credential(self, credential: impl AsRef<[u8]>) -> Self {
        self.with(|inner| inner.credential = Print::of(credential.as_ref()))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The claims, if they are of type `C`.
    #[must_use]
    pub fn claims<C: Send + Sync + 'static>(&self) -> Option<&C> {
        self.0.claims.downcast_ref()
    }

    /// The `iss` of the token.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// The `sub` of the token.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The `jti` of the token.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }

    /// The `sid` of the token: the login session that it belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }

    /// When the token was issued, in seconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> Option<u64> {
        self.0.issued_at
    }

    /// When the token ends, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.expires_at
    }

    /// By what it can be revoked.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            issuer: self.issuer(),
            subject: self.subject(),
            token_id: self.token_id(),
            session_id: self.session_id(),
            issued_at: self.issued_at(),
        }
    }

    /// Whether both speak of the same subject of the same issuer.
    pub(crate) fn is_same_subject(&self, other: &Self) -> bool {
        self.subject() == other.subject() && self.issuer() == other.issuer()
    }

    /// Whether both were made of the same token, and say the same of it.
    fn is_same_token(&self, other: &Self) -> bool {
        self.0.credential.is_some()
            && self.0.credential == other.0.credential
            && self.is_same_subject(other)
            && self.token_id() == other.token_id()
            && self.session_id() == other.session_id()
            && self.issued_at() == other.issued_at()
            && self.expires_at() == other.expires_at()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// The identity that some sockets of one connection have at the moment.
pub(crate) struct CurrentIdentity(RwLock<Held>);

struct Held {
    identity: Identity,
    schedule: Schedule,
}

impl CurrentIdentity {
    pub(crate) fn new(
        identity: Identity,
        plan: &ExpiryPlan,
        wall: SystemTime,
        now: Instant,
    ) -> Self {
        let schedule = plan.schedule(identity.expires_at(), wall, now);
        Self(RwLock::new(Held { identity, schedule }))
    }

    pub(crate) fn get(&self) -> Identity {
        self.0.read().identity.clone()
    }

    /// Whether it holds an identity made of the same token, and without claims of another type.
    pub(crate) fn is_of(&self, identity: &Identity) -> bool {
        let held = self.0.read();
        held.identity.is_same_token(identity)
            && (*held.identity.0.claims).type_id() == (*identity.0.claims).type_id()
    }

    /// Puts a new identity in the place of the old one.
    pub(crate) fn swap(
        &self,
        identity: Identity,
        plan: &ExpiryPlan,
        wall: SystemTime,
        now: Instant,
    ) {
        let schedule = plan.schedule(identity.expires_at(), wall, now);
        let old = std::mem::replace(&mut *self.0.write(), Held { identity, schedule });
        // Outside the lock: it may be the last of the application's claims.
        drop(old);
    }

    /// Whether anything has fallen due by `now`; a warning falls due once.
    pub(crate) fn due(&self, plan: &ExpiryPlan, wall: SystemTime, now: Instant) -> Due {
        let mut held = self.0.write();
        let expires_at = held.identity.expires_at();
        held.schedule.due(plan, expires_at, wall, now)
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.read().schedule.next()
    }
}

impl fmt::Debug for CurrentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentIdentity(redacted)")
    }
}
