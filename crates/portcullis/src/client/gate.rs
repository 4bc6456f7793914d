//! The one way into a namespace, behind every transport.
//!
//! ```text
//!  namespace exists? ─▶ authenticated, not revoked, ─▶ room for ─▶ middlewares ─▶ on_connect ─▶ in
//!        │              the connection's own subject?   the user?      │             │
//!        │                   │                             │           │             │
//!  Invalid namespace    Unauthorized                       └───── refused ───────────┘
//! ```
//!
//! # Invariants
//!
//! - No step runs before the one ahead of it has said yes; the authenticator runs once, or once
//!   more where another declaration turned out to be the namespace's.
//! - A socket enters the namespace that it was judged for, also where several declarations stand
//!   for one name.
//! - A socket that is refused, or whose client goes away meanwhile, leaves nothing behind.
//! - What is revoked is asked twice: when the token has been verified, and when the socket can be
//!   found by those who end what is revoked.

mod admitted;
mod requests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis_socketio::client::ClientLimits;
use portcullis_socketio::codec::{Codec, Limits};
use portcullis_socketio::ids::{NamespacePath, Room, SocketId};
use portcullis_socketio::packet::Auth;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(super) use self::admitted::Admitted;
use self::admitted::Seated;
use super::bond::{Bond, Hold, Moment};
use super::user_limit::{Counted, UserLimit};
use crate::auth::source::Credentials;
use crate::auth::{
    self, Attempt, Authenticator, ExpiryPlan, Identity, Print, Refusal, RefusalCode, Token, UserId,
};
use crate::clock::{self, Clock};
use crate::handshake::RequestFacts;
use crate::namespace::{Found, Namespaces, Opened, SocketInner, SocketParts};
use crate::pace::Rate;
use crate::random;
use crate::revocation::Revocations;
use crate::session::Connection;
use crate::tasks::Tasks;

/// What the gate is told at start.
#[derive(Debug, Clone)]
pub(crate) struct GateOptions {
    pub(crate) codec: Codec,
    pub(crate) codec_limits: Limits,
    pub(crate) client_limits: ClientLimits,
    pub(crate) verify_timeout: Duration,
    /// How many runs of the authenticator may be under way.
    pub(crate) max_verifications: usize,
    pub(crate) handler_timeout: Duration,
    /// How many events a socket may send.
    pub(crate) event_rate: Option<Rate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) expiry: ExpiryPlan,
    /// Whether the namespaces of one connection may be joined as different subjects.
    pub(crate) allows_several_subjects: bool,
    /// Whether sockets join the room of their user.
    pub(crate) has_user_rooms: bool,
    pub(crate) user_limit: Option<UserLimit>,
}

/// Decides who may join which namespace.
pub(crate) struct Gate {
    options: GateOptions,
    namespaces: Arc<Namespaces>,
    authenticator: Option<Arc<dyn Authenticator>>,
    secret_fields: Vec<String>,
    has_several_issuers: bool,
    revocations: Revocations,
    /// The places of newcomers whom the authenticator runs for, and of those who are in already: a
    /// storm of the ones is not to let the tokens of the others expire.
    verifying: Semaphore,
    refreshing: Semaphore,
    tasks: Tasks,
}

/// Why a client may not join, and whether its credentials were the reason.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) is_unauthorized: bool,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            is_unauthorized: false,
        }
    }
}

impl From<RefusalCode> for Refused {
    fn from(code: RefusalCode) -> Self {
        Self {
            refusal: code.into(),
            is_unauthorized: true,
        }
    }
}

fn timed_out() -> Refusal {
    Refusal::new("Connection timed out")
}

pub(super) fn invalid_namespace() -> Refusal {
    Refusal::new("Invalid namespace")
}

impl Gate {
    pub(crate) fn new(
        options: GateOptions,
        namespaces: Arc<Namespaces>,
        authenticator: Option<Arc<dyn Authenticator>>,
        revocations: Revocations,
        tasks: Tasks,
    ) -> Self {
        let secret_fields = authenticator
            .as_ref()
            .map_or_else(Vec::new, |auth| auth.secret_fields());
        let has_several_issuers = authenticator
            .as_ref()
            .is_some_and(|auth| auth.has_several_issuers());
        let places = options.max_verifications.min(Semaphore::MAX_PERMITS);
        Self {
            options,
            namespaces,
            authenticator,
            secret_fields,
            has_several_issuers,
            revocations,
            verifying: Semaphore::new(places),
            refreshing: Semaphore::new(places),
            tasks,
        }
    }

    /// What a connection is bound by, whose first request this is; `None` if nobody is asked who
    /// they are.
    pub(super) fn bond(&self, request: &RequestFacts) -> Option<Arc<Bond>> {
        let authenticator = self.authenticator.as_ref()?;
        let credentials = Credentials {
            auth: None,
            headers: request.headers(),
            query: request.query(),
        };
        let first = print(&**authenticator, &credentials);
        // Without randomness no socket gets an id either.
        let room = self.options.user_limit.map(|_| auth::room_of_connection());
        let allows_several = self.options.allows_several_subjects;
        Some(Bond::new(first, room.and_then(Result::ok), allows_several))
    }

    pub(super) const fn codec(&self) -> Codec {
        self.options.codec
    }

    pub(super) const fn event_rate(&self) -> Option<Rate> {
        self.options.event_rate
    }

    pub(super) const fn codec_limits(&self) -> &Limits {
        &self.options.codec_limits
    }

    pub(super) const fn client_limits(&self) -> &ClientLimits {
        &self.options.client_limits
    }

    pub(super) const fn expiry_plan(&self) -> &ExpiryPlan {
        &self.options.expiry
    }

    /// What time it is, as far as tokens are concerned.
    pub(super) fn wall(&self) -> SystemTime {
        self.options.clock.now()
    }

    /// Takes one CONNECT from its packet to a socket that is ready to enter.
    pub(super) fn admit(
        self: Arc<Self>,
        connection: Arc<Connection>,
        bond: Option<Arc<Bond>>,
        request: Arc<RequestFacts>,
        namespace: NamespacePath,
        auth: Auth,
    ) -> BoxFuture<'static, Result<Admitted, Refused>> {
        async move {
            let clock = Arc::clone(&self.options.clock);
            let attempt = Attempt::new(request, namespace, auth, clock);
            let handshake = attempt.handshake();
            let finding = self.namespaces.find(attempt.namespace(), &handshake);
            let found = tokio::time::timeout(self.options.handler_timeout, finding)
                .await
                .map_err(|_| timed_out())?
                .ok_or_else(invalid_namespace)?;
            let Cleared {
                opened,
                hold,
                user,
                counted,
            } = self.clear(found, &attempt, bond.as_ref()).await?;
            let kept_secrets: &[String] = &self.secret_fields;
            let drop_fields = if hold.is_some() { kept_secrets } else { &[] };
            let random = random::id().map_err(|_| RefusalCode::AuthUnavailable)?;
            let socket = Arc::new(SocketInner::new(SocketParts {
                id: SocketId::from_random(random),
                namespace: Arc::clone(opened.namespace()),
                connection,
                handshake: attempt.into_handshake(drop_fields),
                identity: hold.as_ref().map(|hold| Arc::clone(hold.place())),
            }));
            // Ends the socket on every way out but the last.
            let admitted = Admitted::new(Seated {
                socket,
                opened,
                hold,
                counted: counted.clone().map(Box::new),
                gate: Arc::clone(&self),
            });
            if let Some(user) = &user {
                admitted.socket().enter_room(user);
            }
            if let Some(counted) = &counted {
                admitted.socket().enter_room(&counted.connection);
                counted.check(admitted.socket()).await?;
            }
            let dispatch = admitted.socket().namespace().dispatch();
            let connecting = dispatch.connect(Arc::clone(admitted.socket()).into());
            match tokio::time::timeout(self.options.handler_timeout, connecting).await {
                Ok(result) => result?,
                Err(_) => return Err(timed_out().into()),
            }
            // It may have been taken back while `on_connect` ran.
            if admitted.is_revoked() {
                return Err(RefusalCode::TokenRevoked.into());
            }
            Ok(admitted)
        }
        .boxed()
    }

    /// Finds out who the client is, as far as the namespace wants to know, and opens that.
    async fn clear(
        &self,
        mut found: Found,
        attempt: &Attempt,
        bond: Option<&Arc<Bond>>,
    ) -> Result<Cleared, RefusalCode> {
        loop {
            let identity = self.identify(&found, attempt).await?;
            let user = identity
                .as_ref()
                .and_then(|identity| self.room_of(identity));
            let counted = self.counted(user.as_ref(), bond.map(|bond| &**bond));
            let hold = match (identity, bond) {
                (Some(identity), Some(bond)) => Some(self.claim(bond, &identity)?),
                _ => None,
            };
            match found.open() {
                Ok(opened) => {
                    return Ok(Cleared {
                        opened,
                        hold,
                        user,
                        counted,
                    });
                }
                // What was opened is found in the second round, which is the last one.
                Err(other) => found = other,
            }
        }
    }

    fn claim(&self, bond: &Arc<Bond>, identity: &Identity) -> Result<Hold, RefusalCode> {
        let moment = Moment {
            wall: self.wall(),
            now: clock::instant(),
        };
        bond.claim(identity, &self.options.expiry, moment)
    }

    /// What a socket of this user is counted by, if users are limited.
    fn counted(&self, user: Option<&Room>, bond: Option<&Bond>) -> Option<Counted> {
        Some(Counted {
            limit: self.options.user_limit?,
            user: user?.clone(),
            connection: bond?.room()?.clone(),
            namespaces: Arc::clone(&self.namespaces),
        })
    }

    /// The room that the sockets of this user are in.
    fn room_of(&self, identity: &Identity) -> Option<Room> {
        if !self.options.has_user_rooms {
            return None;
        }
        let user = UserId::of_identity(identity, self.has_several_issuers)?;
        Some(user.room())
    }

    /// Judges a token with which a connected client wants to stay.
    pub(super) fn refresh(
        self: Arc<Self>,
        request: Arc<RequestFacts>,
        namespace: NamespacePath,
        current: Identity,
        token: Token,
    ) -> BoxFuture<'static, Result<Identity, RefusalCode>> {
        async move {
            let authenticator = self
                .authenticator
                .as_ref()
                .ok_or(RefusalCode::AuthUnavailable)?;
            let clock = Arc::clone(&self.options.clock);
            let attempt = Attempt::new(request, namespace, Auth::Absent, clock);
            let run = |timeout| auth::refresh(&**authenticator, &attempt, &token, timeout);
            let identity = self.verify(&self.refreshing, run).await?;
            if !identity.is_same_subject(&current) {
                metrics::counter!("portcullis_other_subjects_total", "where" => "refresh")
                    .increment(1);
                return Err(RefusalCode::TokenClaims);
            }
            self.check_revoked(&identity).await?;
            Ok(identity)
        }
        .boxed()
    }

    /// Runs the authenticator when it is this one's turn; a storm of clients that come back waits
    /// here, and is not refused. Waiting takes at most half of the time that there is for both.
    async fn verify<F>(
        &self,
        turns: &Semaphore,
        run: impl FnOnce(Duration) -> F,
    ) -> Result<Identity, RefusalCode>
    where
        F: Future<Output = Result<Identity, RefusalCode>>,
    {
        let (timeout, started) = (self.options.verify_timeout, Instant::now());
        let turn = tokio::time::timeout(timeout / 2, turns.acquire()).await;
        let Ok(Ok(_place)) = turn else {
            metrics::counter!("portcullis_limited_total", "limit" => "verifications").increment(1);
            return Err(RefusalCode::AuthUnavailable);
        };
        run(timeout.saturating_sub(started.elapsed())).await
    }

    /// Whether an identity was taken back, as far as the whole cluster knows.
    async fn check_revoked(&self, identity: &Identity) -> Result<(), RefusalCode> {
        let settled = self.revocations.settled();
        if tokio::time::timeout(self.options.verify_timeout, settled)
            .await
            .is_err()
        {
            tracing::warn!("it is not known what was revoked: nobody new is admitted");
            return Err(RefusalCode::AuthUnavailable);
        }
        if self.is_revoked(identity) {
            return Err(RefusalCode::TokenRevoked);
        }
        Ok(())
    }

    /// Whether what came with `identity` was taken back, as far as this node knows.
    pub(super) fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations.is_revoked(&identity.facts())
    }

    async fn identify(
        &self,
        found: &Found,
        attempt: &Attempt,
    ) -> Result<Option<Identity>, RefusalCode> {
        if found.dispatch().is_public() {
            return Ok(None);
        }
        if matches!(attempt.raw_auth(), Auth::TooLarge | Auth::TooDeep) {
            // Refused without a look: the authenticator is not for hire.
            return Err(RefusalCode::TokenInvalid);
        }
        // The builder does not build a server with a guarded namespace and no authenticator.
        let authenticator = self
            .authenticator
            .as_ref()
            .ok_or(RefusalCode::AuthUnavailable)?;
        let run = |timeout| auth::authenticate(&**authenticator, attempt, timeout);
        let mut identity = self.verify(&self.verifying, run).await;
        if let Ok(verified) = &identity
            && let Err(code) = self.check_revoked(verified).await
        {
            identity = Err(code);
        }
        let outcome = identity
            .as_ref()
            .map_or_else(|code| code.as_str(), |_| "ok");
        metrics::counter!("portcullis_authentications_total", "outcome" => outcome).increment(1);
        identity.map(Some)
    }
}

/// The print of what a request shows; `None` if that is nothing.
fn print(authenticator: &dyn Authenticator, shown: &Credentials<'_>) -> Option<Print> {
    Print::of_each(|visit| authenticator.each_credential(shown, visit))
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

/// A client that was let as far as the middlewares of a namespace.
struct Cleared {
    opened: Opened,
    /// Its part in the subject of its connection.
    hold: Option<Hold>,
    /// The room of its user.
    user: Option<Room>,
    counted: Option<Counted>,
}
