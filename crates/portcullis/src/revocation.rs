//! What was taken back before its time: single tokens, login sessions, all tokens of a user.
//!
//! ```text
//!  revoke ─▶ set of this node ─▶ its sockets are looked through ─▶ `auth:revoked`, and the end
//!       └──▶ RevocationStore ─▶ … ─▶ LocalRevocations of the other nodes ─▶ the same there
//!
//!  CONNECT ─▶ is the store heard out? ─▶ set of this node ─▶ in, or TOKEN_REVOKED
//! ```
//!
//! # Invariants
//!
//! - What is revoked is named by claims, never by the text of a token: one token can be written in
//!   several ways.
//! - A revocation is in the set before sockets are looked through, and a socket looks at the set
//!   once more when it has become visible: none slips through between the two.
//! - The set is bounded. A node that cannot hold what the cluster has revoked admits nobody new
//!   until it can.
//!
//! # Not here
//!
//! How it reaches other nodes: a [`RevocationStore`], which the adapter brings.

mod set;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::future::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::Notify;

pub(crate) use set::Facts;
use set::{Added, Set};

use crate::clock::Clock;

/// The longest name of a token, a session, a user or an issuer, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// How long a revocation is kept where nothing says how long tokens live.
pub(crate) const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// For how long a revocation is kept when it is in force no more: a clock that was ahead and is set
/// back, be it by an hour, finds what it had taken for expired.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// What is taken back.
///
/// ```
/// use portcullis::revocation::Revocation;
///
/// let one_token = Revocation::token("0b7e…").issuer("https://login.example.com");
/// let one_login = Revocation::session("device-7");
/// let everything_until_now = Revocation::user("alice");
/// # let _ = (one_token, one_login, everything_until_now);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revocation {
    what: Revoked,
    issuer: Option<String>,
    issued_before: Option<u64>,
    kept_until: Option<u64>,
}

/// By which claim something is taken back.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revoked {
    /// The token with this `jti`.
    Token(String),
    /// The tokens with this `sid`: one login, such as of one device.
    Session(String),
    /// The tokens with this `sub`, as far as they were issued before a moment.
    User(String),
}

impl Revocation {
    /// Takes back the token whose `jti` this is.
    #[must_use]
    pub fn token(id: impl Into<String>) -> Self {
        Self::of(Revoked::Token(id.into()))
    }

    /// Takes back the tokens of one login session, by their `sid`.
    #[must_use]
    pub fn session(id: impl Into<String>) -> Self {
        Self::of(Revoked::Session(id.into()))
    }

    /// Takes back all tokens of a user, by their `sub`, that were issued until now or until
    /// [`Self::issued_before`]. Tokens that do not say when they were issued are among them.
    #[must_use]
    pub fn user(subject: impl Into<String>) -> Self {
        Self::of(Revoked::User(subject.into()))
    }

    /// A revocation as it was once resolved: what a [`RevocationStore`] makes of what it kept.
    #[must_use]
    pub const fn stored(
        what: Revoked,
        issuer: Option<String>,
        issued_before: Option<u64>,
        kept_until: u64,
    ) -> Self {
        Self {
            what,
            issuer,
            issued_before,
            kept_until: Some(kept_until),
        }
    }

    const fn of(what: Revoked) -> Self {
        Self {
            what,
            issuer: None,
            issued_before: None,
            kept_until: None,
        }
    }

    /// Only tokens whose `iss` is this. Default: of any issuer, and of none.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Of a user's tokens only those issued before `moment`. Rounded up to a whole second, as `iat`
    /// has no finer date: who logs in again within that second is refused until it is over.
    /// Default: the moment at which it is revoked.
    #[must_use]
    pub fn issued_before(mut self, moment: SystemTime) -> Self {
        self.issued_before = Some(seconds_up(moment));
        self
    }

    /// How long to keep it: until the last token that it is about has expired by itself. Default:
    /// the longest life of a token from now on; see
    /// [`ServerBuilder::longest_token_life`](crate::ServerBuilder::longest_token_life).
    #[must_use]
    pub fn keep_until(mut self, moment: SystemTime) -> Self {
        self.kept_until = Some(seconds_up(moment));
        self
    }

    /// By which claim.
    #[must_use]
    pub const fn what(&self) -> &Revoked {
        &self.what
    }

    /// Of which issuer, if not of any.
    #[must_use]
    pub fn only_issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Until when tokens of a user are revoked, in seconds since 1970; set once it is resolved.
    #[must_use]
    pub const fn before_seconds(&self) -> Option<u64> {
        self.issued_before
    }

    /// Until when it is kept, in seconds since 1970; set once it is resolved.
    #[must_use]
    pub const fn kept_until_seconds(&self) -> Option<u64> {
        self.kept_until
    }

    /// Fills in what was left to defaults.
    ///
    /// # Errors
    ///
    /// If a name is empty or too long.
    pub fn resolve(mut self, now: SystemTime, longest_life: Duration) -> Result<Self, RevokeError> {
        let (Revoked::Token(name) | Revoked::Session(name) | Revoked::User(name)) = &self.what;
        let names = [Some(name), self.issuer.as_ref()];
        if names
            .into_iter()
            .flatten()
            .any(|name| name.is_empty() || name.len() > MAX_NAME_BYTES)
        {
            return Err(RevokeError::Name);
        }
        if matches!(self.what, Revoked::User(_)) {
            self.issued_before.get_or_insert_with(|| seconds_up(now));
        } else {
            self.issued_before = None;
        }
        self.kept_until.get_or_insert_with(|| {
            seconds_up(now).saturating_add(longest_life.as_secs().saturating_add(1))
        });
        Ok(self)
    }
}

/// Without names, which are personal data.
impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("what", &self.what)
            .field("kept_until", &self.kept_until)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(redacted)",
            Self::Session(_) => "Session(redacted)",
            Self::User(_) => "User(redacted)",
        })
    }
}

/// The first whole second that is not before `moment`.
fn seconds_up(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() + u64::from(since.subsec_nanos() > 0)
}

/// Why something is not revoked, or not everywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// A name is empty or longer than 1,024 bytes.
    #[error("a revocation names its token, session or user with 1 to 1024 bytes")]
    Name,
    /// This node holds as many as it may, 1,000,000. The other nodes were told nevertheless.
    #[error("no more revocations can be held")]
    Full,
    /// The server is not running.
    #[error("the server is not running")]
    NotServing,
    /// The store failed, perhaps after it had taken it: whether the other nodes know is not known.
    ///
    /// On a server it holds on this node all the same. The others learn of it when the store is
    /// back: this node keeps it, and writes it there then. A process that serves nobody keeps
    /// nothing: it has to do it again, which does no harm if it was done.
    #[error("it is not known whether the other nodes were told")]
    Store(#[source] StoreError),
}

/// The store of revocations could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the store of revocations failed")]
pub struct StoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Wraps whatever went wrong.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Keeps what was revoked for the whole cluster, and tells every node.
///
/// Asked of it: what is [published](Self::publish) is applied on every other node at once, and by
/// every node that comes later, until it has expired. A store that comes back empty is given what
/// the nodes [hold](LocalRevocations::held).
pub trait RevocationStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps `local` up to date from now on. Called once.
    ///
    /// The server keeps `local`, which keeps this store: a store that keeps it too, and not by a
    /// [`Weak`](std::sync::Weak), outlives a server that is dropped.
    fn start(&self, local: Arc<dyn LocalRevocations>);

    /// Keeps a revocation, and tells the other nodes.
    fn publish(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Ready when everything that was published before this call, by any node, is applied here,
    /// give or take a second. Waits for as long as that takes.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time.
    fn settled(&self) -> BoxFuture<'_, ()>;

    /// Whether [`Self::settled`] would be ready at once.
    fn is_settled(&self) -> bool;
}

/// This node's revocations, as a store sees them.
pub trait LocalRevocations: fmt::Debug + Send + Sync + 'static {
    /// Applies what other nodes have revoked; `false` if not all of it could be held. The store is
    /// not settled then until all that it keeps was applied anew.
    fn apply(&self, revocations: Vec<Revocation>) -> bool;

    /// Everything that this node holds and that has not expired.
    fn held(&self) -> Vec<Revocation>;
}

/// What happens to new connections while the store cannot say what is revoked. Those who are
/// connected stay in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhileUnread {
    /// They wait for it as long as a verification may take, and are refused with
    /// `AUTH_UNAVAILABLE` then.
    #[default]
    Refuse,
    /// They are admitted by what this node knows. A token that was revoked elsewhere meanwhile is
    /// good here until the store is back.
    Admit,
}

/// The way to revoke, from any task. Cheap to clone, and there before the server runs.
#[derive(Clone)]
pub struct Revocations(Arc<Shared>);

struct Shared {
    set: RwLock<Set>,
    /// The sockets of this node are to be looked through.
    applied: Notify,
    wiring: OnceLock<Wiring>,
}

/// What the server's builder decides.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) longest_life: Duration,
    pub(crate) while_unread: WhileUnread,
    pub(crate) store: Option<Arc<dyn RevocationStore>>,
}

impl Revocations {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            set: RwLock::default(),
            applied: Notify::new(),
            wiring: OnceLock::new(),
        }))
    }

    /// Takes something back: here at once, and on every other node.
    ///
    /// Sockets that came with it hear `auth:revoked` and are disconnected; their clients see
    /// `io server disconnect`. Whoever comes with it later is refused with `TOKEN_REVOKED`.
    ///
    /// # Errors
    ///
    /// See [`RevokeError`].
    ///
    /// # Cancel safety
    ///
    /// Once polled it holds on this node; whether the others were told is not known then.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let wiring = self.0.wiring.get().ok_or(RevokeError::NotServing)?;
        let revocation = revocation.resolve(wiring.clock.now(), wiring.longest_life)?;
        let fits = self.0.add(std::slice::from_ref(&revocation));
        metrics::counter!("portcullis_revocations_total", "from" => "here").increment(1);
        if let Some(store) = &wiring.store {
            let published = store.publish(revocation).await;
            published.map_err(RevokeError::Store)?;
        }
        if fits { Ok(()) } else { Err(RevokeError::Full) }
    }

    /// Whether this node knows all that is revoked in its cluster.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let store = self.0.wiring.get().and_then(|wiring| wiring.store.as_ref());
        store.is_none_or(|store| store.is_settled())
    }

    /// Whether new connections are admitted while it does not.
    pub(crate) fn admits_unread(&self) -> bool {
        let wiring = self.0.wiring.get();
        wiring.is_some_and(|wiring| wiring.while_unread == WhileUnread::Admit)
    }

    /// How many revocations this node holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.set.read().len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn wire(&self, wiring: Wiring) {
        let store = wiring.store.clone();
        if self.0.wiring.set(wiring).is_ok()
            && let Some(store) = store
        {
            store.start(Arc::clone(&self.0) as _);
        }
    }

    /// Ready when the set may be relied upon, which it may never be.
    pub(crate) async fn settled(&self) {
        let Some(wiring) = self.0.wiring.get() else {
            return;
        };
        if wiring.while_unread == WhileUnread::Admit {
            return;
        }
        if let Some(store) = &wiring.store {
            store.settled().await;
        }
    }

    pub(crate) fn is_revoked(&self, facts: &Facts<'_>) -> bool {
        self.0.set.read().contains(facts, self.0.now())
    }

    /// Ready when something was added since this was last ready.
    pub(crate) async fn applied(&self) {
        self.0.applied.notified().await;
    }
}

impl Shared {
    /// Adds them, and has the sockets looked through if they say anything new; `false` if there was
    /// no room.
    fn add(&self, revocations: &[Revocation]) -> bool {
        let now = self.now();
        let (mut changed, mut fits) = (false, true);
        {
            let mut set = self.set.write();
            for revocation in revocations {
                match set.add(revocation, now) {
                    Added::Changed => changed = true,
                    Added::Known => {}
                    Added::Full => fits = false,
                }
            }
        }
        if changed {
            self.applied.notify_one();
        }
        fits
    }

    /// Seconds since 1970, by the server's clock.
    fn now(&self) -> u64 {
        let wiring = self.wiring.get();
        wiring.map_or(0, |wiring| seconds_up(wiring.clock.now()))
    }
}

impl LocalRevocations for Shared {
    fn apply(&self, revocations: Vec<Revocation>) -> bool {
        let count = revocations.len() as u64;
        metrics::counter!("portcullis_revocations_total", "from" => "cluster").increment(count);
        let fits = self.add(&revocations);
        if !fits {
            tracing::error!("this node cannot hold all revocations of the cluster");
        }
        fits
    }

    fn held(&self) -> Vec<Revocation> {
        self.set.read().held(self.now())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revocations")
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
