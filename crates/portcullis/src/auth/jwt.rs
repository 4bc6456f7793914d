//! Verifying JSON Web Tokens, strictly (RFC 7519, RFC 7515, RFC 8725).
//!
//! ```text
//!  token ─▶ compact ─▶ header ─▶ keys ─▶ signature ─▶ claims ─▶ policy ─▶ C ─▶ rules ─▶ Verified
//!           length,    bounded   kid,    by the       bounded   iss, aud, the application's
//!           base64url  JSON      alg     library      JSON      sub, dates own
//!                                 ▲
//!                    fixed, or a KeyCache ◀── a URL or a file
//! ```
//!
//! The library verifies signatures and nothing else: its reader of headers and claims is lenient
//! where ours must not be.
//!
//! # Invariants
//!
//! - Nothing in the claims is looked at before the signature holds, except `iss` where there are
//!   several issuers: it chooses among those that are configured, and is compared again afterwards.
//! - Whatever cannot be decided is refused. Nothing in a token can cause a panic.
//! - The time is an argument; nothing here reads a clock.
//!
//! # Not here
//!
//! Finding the token (`source`), and what happens to a connection when its token expires.

mod authenticator;
mod cache;
mod check;
mod claims;
mod compact;
mod file;
mod header;
mod https;
mod jwk;
mod jwks;
mod keys;
mod mint;
mod policy;
mod problem;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::auth::secret::Secret;
use crate::auth::source::{Credentials, MAX_TOKEN_BYTES, TokenSource, find_token};
use crate::auth::strict_json::Object;
use crate::auth::token_error::{Claim, TokenError};

use self::claims::Registered;
use self::compact::Compact;
use self::header::{Header, MAX_KEY_ID_BYTES};
use self::jwks::{IssuerKeys, Published};
use self::keys::KeyRing;
use self::policy::Policy;

pub use self::jwks::{Issuer, Jwks};
pub use self::keys::Key;
pub use self::mint::{MintError, mint_hs256};
pub use self::problem::{JwtProblem, KeyProblem};

/// How deep the JSON of a header or of claims may be nested.
const MAX_DEPTH: usize = 16;

type Validation<C> = Box<dyn Fn(&C) -> Result<(), Cow<'static, str>> + Send + Sync>;

/// Verifies JSON Web Tokens whose claims are a `C`.
///
/// ```
/// use std::time::Duration;
/// use portcullis::auth::jwt::{Jwt, JwtProblem};
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     username: String,
/// }
///
/// let jwt = Jwt::<Claims>::hs256("a secret of at least 32 bytes, from somewhere")
///     .audience("chat")
///     .issuer("https://login.example.com")
///     .max_lifetime(Duration::from_secs(3600))
///     .validate(|claims| if claims.username == "root" { Err("no root") } else { Ok(()) });
/// jwt.check()?;
/// # Ok::<(), Vec<JwtProblem>>(())
/// ```
///
/// What is refused without being asked: any algorithm but the key's own; a token without `exp`; a
/// registered claim of the wrong type; `iat` or `nbf` in the future; `aud` where no audience is
/// configured; a `typ` other than `JWT` and `at+jwt`; `crit`, compression and encryption; repeated
/// keys, deep nesting and anything beyond
/// [`MAX_TOKEN_BYTES`].
pub struct Jwt<C> {
    /// For the tokens of whoever.
    keys: KeyRing,
    /// For those that are signed with none of `keys`.
    published: Option<Published>,
    /// If there are any, a token is one of theirs.
    issuers: Vec<IssuerKeys>,
    policy: Policy,
    sources: Vec<TokenSource>,
    validations: Vec<Validation<C>>,
    allows_weak_secret: bool,
    max_token_len: usize,
    /// Keys that could not be added, for [`Jwt::check`].
    rejected: Vec<JwtProblem>,
    issuer_warning: Once,
}

/// A token that was accepted.
#[non_exhaustive]
pub struct Verified<C> {
    /// The claims, as the application's type.
    pub claims: C,
    /// `sub`: 1 to 255 bytes without control characters.
    pub subject: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `sid`, the login session that the token belongs to.
    pub session_id: Option<String>,
    /// `iat`, in seconds since 1970.
    pub issued_at: Option<u64>,
    /// `exp`, in seconds since 1970. Not later than the year 9999, and only absent after
    /// [`Jwt::dangerous_allow_missing_expiry`].
    pub expires_at: Option<u64>,
}

impl<C> fmt::Debug for Verified<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Claims and subject are personal data.
        f.debug_struct("Verified")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A constructor per algorithm, each for a server with that one key.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name($argument: $type) -> Self {
            Self::with_ring(KeyRing { unnamed: Some(Key::$name($argument)), ..KeyRing::default() })
        })*
    };
}

impl<C: DeserializeOwned + Send + Sync + 'static> Jwt<C> {
    /// The longest leeway that can be configured.
    pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

    const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

    constructors! {
        /// Tokens signed with HMAC and SHA-256, by a secret of at least 32 bytes.
        hs256(secret: impl Into<Secret>);
        /// Tokens signed with HMAC and SHA-384, by a secret of at least 48 bytes.
        hs384(secret: impl Into<Secret>);
        /// Tokens signed with HMAC and SHA-512, by a secret of at least 64 bytes.
        hs512(secret: impl Into<Secret>);
        /// Tokens signed with RSASSA-PKCS1-v1_5 and SHA-256.
        rs256_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with RSASSA-PKCS1-v1_5 and SHA-384.
        rs384_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with RSASSA-PKCS1-v1_5 and SHA-512.
        rs512_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with RSASSA-PSS and SHA-256.
        ps256_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with RSASSA-PSS and SHA-384.
        ps384_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with RSASSA-PSS and SHA-512.
        ps512_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with ECDSA on P-256 and SHA-256.
        es256_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with ECDSA on P-384 and SHA-384.
        es384_pem(public_key: impl AsRef<[u8]>);
        /// Tokens signed with EdDSA on Ed25519.
        eddsa_pem(public_key: impl AsRef<[u8]>);
    }

    /// Tokens that name one of several keys in `kid`.
    ///
    /// ```
    /// use portcullis::auth::jwt::{Jwt, Key};
    ///
    /// # let (old, new) = ("the secret of the year before, still in use", [7; 32]);
    /// let jwt = Jwt::<serde_json::Value>::keys([
    ///     ("2025", Key::hs256(old)),
    ///     ("2026", Key::hs256(new)),
    /// ]);
    /// assert!(jwt.check().is_ok());
    /// ```
    #[must_use]
    pub fn keys<K: Into<String>>(keys: impl IntoIterator<Item = (K, Key)>) -> Self {
        let empty = Self::with_ring(KeyRing::default());
        keys.into_iter()
            .fold(empty, |jwt, (key_id, key)| jwt.key(key_id, key))
    }

    /// Tokens signed with one of the keys that somebody publishes: at an HTTPS URL, or where a
    /// [`Jwks`] says. Keys that are added with [`Self::key`] are looked at first.
    #[must_use]
    pub fn jwks(jwks: impl Into<Jwks>) -> Self {
        let mut jwt = Self::with_ring(KeyRing::default());
        jwt.published = jwt.open(&jwks.into(), None);
        jwt
    }

    /// Tokens of several issuers, each with keys of its own. A token goes to the issuer that its
    /// `iss` names, and to nobody if that is none of these.
    #[must_use]
    pub fn issuers(issuers: impl IntoIterator<Item = Issuer>) -> Self {
        issuers
            .into_iter()
            .fold(Self::with_ring(KeyRing::default()), Self::with_issuer)
    }

    fn with_issuer(mut self, issuer: Issuer) -> Self {
        let name = issuer.name().to_owned();
        if name.is_empty() || name.contains(char::is_whitespace) {
            self.rejected.push(JwtProblem::IssuerName { name });
            return self;
        }
        let is_same = |other: &IssuerKeys| other.issuer.as_deref() == Some(name.as_str());
        if self.issuers.iter().any(is_same) {
            self.rejected.push(JwtProblem::DuplicateIssuer { name });
            return self;
        }
        let (keys, jwks) = issuer.into_keys();
        let mut fixed = KeyRing::default();
        for (key_id, key) in keys {
            let added = add_key(&mut fixed, key_id, key.issued_by(name.as_str()));
            self.rejected.extend(added.err());
        }
        let published = jwks.and_then(|jwks| self.open(&jwks, Some(name.clone())));
        self.issuers.push(IssuerKeys {
            issuer: Some(name),
            fixed,
            published,
        });
        self
    }

    fn open(&mut self, jwks: &Jwks, issuer: Option<String>) -> Option<Published> {
        match jwks.open(issuer) {
            Ok(cache) => Some(Published {
                cache: Arc::new(cache),
                is_required: jwks.is_required(),
            }),
            Err(problem) => {
                self.rejected.push(problem);
                None
            }
        }
    }

    fn with_ring(keys: KeyRing) -> Self {
        Self {
            keys,
            published: None,
            issuers: Vec::new(),
            policy: Policy {
                audiences: Vec::new(),
                issuers: Vec::new(),
                leeway: Self::DEFAULT_LEEWAY,
                requires_subject: false,
                typ: None,
                max_lifetime: None,
                allows_missing_expiry: false,
            },
            sources: TokenSource::defaults(),
            validations: Vec::new(),
            allows_weak_secret: false,
            max_token_len: MAX_TOKEN_BYTES,
            rejected: Vec::new(),
            issuer_warning: Once::new(),
        }
    }

    /// Adds a key for tokens whose header says `kid: key_id`.
    ///
    /// From the first such key on, a token that names an unknown key is refused; one that names
    /// none still goes to the key without a name, if there is one. A name has 1 to 256 bytes.
    #[must_use]
    pub fn key(mut self, key_id: impl Into<String>, key: Key) -> Self {
        let added = add_key(&mut self.keys, key_id.into(), key);
        self.rejected.extend(added.err());
        self
    }

    /// Accepts only tokens made for this audience, or for one of several if called again.
    ///
    /// Compared exactly with the text, or with each text, of `aud`. Without an audience here, a
    /// token that has `aud` is refused, because it was made for somebody else.
    ///
    /// Default: none.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.policy.audiences.push(audience.into());
        self
    }

    /// Accepts only tokens made by this issuer, or by one of several if called again.
    ///
    /// Compared exactly with `iss`. Several issuers with keys of their own also need
    /// [`Key::issued_by`].
    ///
    /// Default: any, and none. Then a subject of one issuer is not that of another, nor of none:
    /// a user whose tokens have `iss` is addressed by
    /// [`UserId::of`](crate::auth::UserId::of), and not by the subject alone.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.policy.issuers.push(issuer.into());
        self
    }

    /// By how much the clocks of issuer and server may differ.
    ///
    /// A token is expired from `exp + leeway` on; `nbf` and `iat` may lie this far in the future.
    ///
    /// Default: 5 s. At most [`Jwt::MAX_LEEWAY`].
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.policy.leeway = leeway;
        self
    }

    /// Whether a token without `sub` is refused.
    ///
    /// Where a subject is there it is checked in any case.
    ///
    /// Default: `false`.
    #[must_use]
    pub const fn require_subject(mut self, is_required: bool) -> Self {
        self.policy.requires_subject = is_required;
        self
    }

    /// Demands this `typ` in the header, such as `at+jwt`.
    ///
    /// Compared without regard to case and to a leading `application/`. Refresh and identity tokens
    /// that say what they are cannot pass for access tokens then.
    ///
    /// Default: none, `JWT`, or `at+jwt`.
    #[must_use]
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.policy.typ = Some(typ.into());
        self
    }

    /// Refuses tokens that were made to live longer than this, from `iat` to `exp`.
    ///
    /// Both claims must be there then.
    ///
    /// Default: any lifetime.
    #[must_use]
    pub const fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.policy.max_lifetime = Some(max_lifetime);
        self
    }

    /// Where to look for the token, in order.
    ///
    /// Default: [`TokenSource::defaults`].
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Adds a rule of the application's own, which runs after all others.
    ///
    /// The text of the error goes to the log, never to the peer.
    #[must_use]
    pub fn validate<E: Into<Cow<'static, str>>>(
        mut self,
        rule: impl Fn(&C) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.validations
            .push(Box::new(move |claims| rule(claims).map_err(Into::into)));
        self
    }

    /// The longest token that is looked at, in bytes.
    ///
    /// Default: 8 KiB. At most 16 KiB, which is also the longest `auth` payload.
    #[must_use]
    pub const fn max_token_len(mut self, bytes: usize) -> Self {
        self.max_token_len = bytes;
        self
    }

    /// Accepts tokens without `exp`, which admit whoever finds one, for ever.
    #[must_use]
    pub const fn dangerous_allow_missing_expiry(mut self) -> Self {
        self.policy.allows_missing_expiry = true;
        self
    }

    /// Accepts secrets that can be guessed. An empty secret stays refused.
    #[must_use]
    pub const fn dangerous_allow_weak_secret(mut self) -> Self {
        self.allows_weak_secret = true;
        self
    }

    /// The configured sources, for whoever must keep the right headers or warn.
    #[must_use]
    pub fn token_sources(&self) -> &[TokenSource] {
        &self.sources
    }

    /// Finds the token among the credentials and verifies it.
    ///
    /// Keys are not fetched for it: an authenticator does that.
    ///
    /// # Errors
    ///
    /// Why the peer is refused.
    pub fn authenticate(
        &self,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Verified<C>, TokenError> {
        let token = find_token(&self.sources, credentials, self.max_token_len)?;
        self.verify(token.expose(), now)
    }

    /// Verifies one token.
    ///
    /// # Errors
    ///
    /// The first reason for which the token is refused, in the order of the module's diagram.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Verified<C>, TokenError> {
        let compact = Compact::parse(token, self.max_token_len)?;
        let header = Header::parse(&compact.header)?;
        let (fixed, published) = self.place(&compact.claims)?;
        let fetched;
        let key = match (fixed.choose(&header), published) {
            (Err(TokenError::KeyUnknown | TokenError::KeyIdMissing), Some(published)) => {
                fetched = published.cache.ring().ok_or(TokenError::KeysUnavailable)?;
                fetched.choose(&header)?
            }
            (chosen, _) => chosen?,
        };
        self.policy.check_type(header.typ.as_deref())?;
        key.verify(compact.signed, &compact.signature, self.allows_weak_secret)?;

        let registered = Registered::parse(&compact.claims)?;
        self.policy.check_claims(&registered, key.issuer(), now)?;
        let claims = serde_json::from_slice(&compact.claims).map_err(|error| {
            TokenError::ClaimsMismatch {
                missing_field: missing_field(&error),
            }
        })?;
        for rule in &self.validations {
            rule(&claims).map_err(|reason| TokenError::ClaimsRefused { reason })?;
        }
        Ok(Verified {
            claims,
            subject: registered.subject,
            issuer: registered.issuer,
            token_id: registered.token_id,
            session_id: registered.session_id,
            issued_at: registered.issued_at,
            expires_at: registered.expires_at,
        })
    }

    /// The keys that a token with these claims may be signed with.
    fn place(&self, claims: &[u8]) -> Result<(&KeyRing, Option<&Published>), TokenError> {
        if self.issuers.is_empty() {
            return Ok((&self.keys, self.published.as_ref()));
        }
        // Nothing is signed yet: the claim chooses, and proves nothing.
        let named = Object::parse(claims, MAX_DEPTH)
            .ok()
            .and_then(|claims| claims.get(Claim::Issuer.as_str())?.to_text());
        let issuer = self.issuers.iter().find(|keys| keys.issuer == named);
        let issuer = issuer.ok_or(TokenError::KeyUnknown)?;
        Ok((&issuer.fixed, issuer.published.as_ref()))
    }

    /// Every set of keys that is fetched.
    fn caches(&self) -> impl Iterator<Item = &Published> {
        let of_issuers = self
            .issuers
            .iter()
            .filter_map(|keys| keys.published.as_ref());
        self.published.iter().chain(of_issuers)
    }
}

/// Adds a key, unless its name cannot be used or is taken.
fn add_key(ring: &mut KeyRing, key_id: String, key: Key) -> Result<(), JwtProblem> {
    let len_bytes = key_id.len();
    if !(1..=MAX_KEY_ID_BYTES).contains(&len_bytes) {
        return Err(JwtProblem::KeyIdLength { len_bytes });
    }
    match ring.named.entry(key_id) {
        Entry::Vacant(entry) => {
            entry.insert(vec![key]);
            Ok(())
        }
        Entry::Occupied(entry) => Err(JwtProblem::DuplicateKeyId {
            key_id: entry.key().clone(),
        }),
    }
}

/// The field that is missing, if that is what serde complains of.
///
/// Its other messages quote values of the token, which must not reach a log; this one quotes the
/// application's own type.
fn missing_field(error: &serde_json::Error) -> Option<String> {
    let message = error.to_string();
    let (name, _) = message.strip_prefix("missing field `")?.split_once('`')?;
    Some(name.to_owned())
}

impl<C> fmt::Debug for Jwt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("keys", &self.keys)
            .field("policy", &self.policy)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}
