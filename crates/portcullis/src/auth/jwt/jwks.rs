//! Sets of keys that somebody else publishes, and the issuers that they belong to.
//!
//! ```text
//!  Jwt::jwks(Jwks)            one set, for tokens of whoever
//!  Jwt::issuers([Issuer, …])  a set, or fixed keys, for the tokens of each
//! ```
//!
//! # Invariants
//!
//! - An issuer is chosen by `iss` among those that are configured. What the claim says is used for
//!   nothing else before the signature holds, least of all to make a URL.
//! - A key of one issuer verifies no token of another, whatever their names are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{CacheTimes, KeyCache, KeySource};
use super::file::KeyFile;
use super::https::{self, Https};
use super::keys::{Key, KeyRing};
use super::problem::JwtProblem;

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(5);

/// A JWK set that somebody publishes: at an HTTPS URL, or in a file.
///
/// The URL is fixed; redirects are not followed. A set has at most 100 keys and 1 MiB. Symmetric
/// keys from a URL, keys for another use, and keys of types that are not known are skipped; each
/// key verifies its own `alg` only.
///
/// ```
/// use std::time::Duration;
/// use portcullis::auth::jwt::{Jwks, Jwt};
///
/// let keys = Jwks::url("https://login.example.com/.well-known/jwks.json")
///     .refresh_every(Duration::from_secs(300));
/// let jwt = Jwt::<serde_json::Value>::jwks(keys)
///     .issuer("https://login.example.com")
///     .audience("chat");
/// assert!(jwt.check().is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Jwks {
    place: Place,
    refresh_every: Option<Duration>,
    max_stale: Duration,
    cool_down: Duration,
    timeout: Duration,
    only_hosts: Option<Vec<String>>,
    roots: Option<Vec<u8>>,
    allows_loopback: bool,
    must_be_there: bool,
}

#[derive(Debug, Clone)]
enum Place {
    Url(String),
    File(PathBuf),
}

impl Jwks {
    /// The set at an HTTPS URL.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self::at(Place::Url(url.into()))
    }

    /// The set in a file, which is read again when it changes. It may hold secrets.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::File(path.into()))
    }

    const fn at(place: Place) -> Self {
        Self {
            place,
            refresh_every: None,
            max_stale: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            only_hosts: None,
            roots: None,
            allows_loopback: false,
            must_be_there: false,
        }
    }

    /// How often the set is fetched without being asked for. Default: 10 min; a file is looked at
    /// every 5 s.
    #[must_use]
    pub const fn refresh_every(mut self, interval: Duration) -> Self {
        self.refresh_every = Some(interval);
        self
    }

    /// How long the keys of the last good fetch are used while no other succeeds. Default: 24 h.
    #[must_use]
    pub const fn max_stale(mut self, age: Duration) -> Self {
        self.max_stale = age;
        self
    }

    /// How long after a token with an unknown key has caused a fetch no other does. Default: 30 s,
    /// which is also the least for a URL.
    #[must_use]
    pub const fn cool_down(mut self, cool_down: Duration) -> Self {
        self.cool_down = cool_down;
        self
    }

    /// How long one fetch may take, from the look-up of the name to the last byte. Default: 5 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Refuses to build with a URL of another host than these, where the URL comes from a
    /// configuration that many may write to. Default: any host.
    #[must_use]
    pub fn only_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.only_hosts = Some(hosts.into_iter().map(Into::into).collect());
        self
    }

    /// Trusts these roots, in PEM, and not those of the system.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Whether `build()` fails if the set cannot be fetched. Otherwise the server starts without
    /// it, is not ready, and refuses tokens with `AUTH_UNAVAILABLE` until it is there. Default:
    /// false.
    #[must_use]
    pub const fn must_be_there(mut self, must: bool) -> Self {
        self.must_be_there = must;
        self
    }

    /// Allows the host to resolve to an address of this machine or of its link, where cloud
    /// providers keep credentials.
    #[must_use]
    pub const fn dangerous_allow_loopback(mut self) -> Self {
        self.allows_loopback = true;
        self
    }

    fn times(&self) -> CacheTimes {
        let (interval, cool_down) = match self.place {
            Place::Url(_) => (Duration::from_secs(600), self.cool_down),
            // To look at a file costs nothing.
            Place::File(_) => (FILE_INTERVAL, Duration::from_secs(1)),
        };
        CacheTimes {
            refresh_every: self.refresh_every.unwrap_or(interval),
            max_stale: self.max_stale,
            cool_down,
        }
    }

    /// Everything that cannot work.
    fn problem(&self) -> Option<&'static str> {
        const MINUTE: Duration = Duration::from_secs(60);
        let times = self.times();
        if times.refresh_every < Duration::from_secs(1) || times.refresh_every > 1440 * MINUTE {
            return Some("refresh_every must be between 1 s and 24 h");
        }
        if times.max_stale < times.refresh_every {
            return Some("max_stale must not be shorter than refresh_every");
        }
        if self.timeout.is_zero() || self.timeout > MINUTE {
            return Some("the timeout must be between nothing and 1 min");
        }
        let Place::Url(url) = &self.place else {
            return None;
        };
        if self.cool_down < MINUTE / 2 {
            return Some("the cool-down must be at least 30 s");
        }
        let host = match https::parse_url(url) {
            Ok((_, host, _)) => host,
            Err(problem) => return Some(problem),
        };
        let is_listed = |hosts: &Vec<String>| hosts.iter().any(|h| h.eq_ignore_ascii_case(&host));
        if !self.only_hosts.as_ref().is_none_or(is_listed) {
            return Some("its host is not one of those that are allowed");
        }
        None
    }

    fn place(&self) -> String {
        match &self.place {
            Place::Url(url) => url.clone(),
            Place::File(path) => path.display().to_string(),
        }
    }

    /// The cache for these keys, or what is wrong.
    pub(super) fn open(&self, issuer: Option<String>) -> Result<KeyCache, JwtProblem> {
        let refuse = |problem| JwtProblem::Jwks {
            place: self.place(),
            problem,
        };
        if let Some(problem) = self.problem() {
            return Err(refuse(problem));
        }
        let source: Box<dyn KeySource> = match &self.place {
            Place::Url(url) => {
                let url = https::parse_url(url).map_err(refuse)?;
                let roots = self.roots.clone();
                Box::new(Https::new(url, self.timeout, self.allows_loopback, roots))
            }
            Place::File(path) => Box::new(KeyFile::new(path.clone())),
        };
        Ok(KeyCache::new(source, issuer, self.times()))
    }

    pub(super) const fn is_required(&self) -> bool {
        self.must_be_there
    }
}

impl From<&str> for Jwks {
    fn from(url: &str) -> Self {
        Self::url(url)
    }
}

impl From<String> for Jwks {
    fn from(url: String) -> Self {
        Self::url(url)
    }
}

/// One of several issuers, with the keys of its tokens.
///
/// ```
/// use portcullis::auth::jwt::{Issuer, Jwt, Key};
///
/// # let secret = "the secret of the service that makes tokens for robots";
/// let jwt = Jwt::<serde_json::Value>::issuers([
///     Issuer::new("https://login.example.com").jwks("https://login.example.com/jwks.json"),
///     Issuer::new("robots").key("2026", Key::hs256(secret)),
/// ]);
/// assert!(jwt.check().is_ok());
/// ```
#[derive(Debug)]
pub struct Issuer {
    name: String,
    keys: Vec<(String, Key)>,
    jwks: Option<Jwks>,
}

impl Issuer {
    /// The issuer whose tokens say this in `iss`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            keys: Vec::new(),
            jwks: None,
        }
    }

    /// Its keys are published here: a URL, or a [`Jwks`].
    #[must_use]
    pub fn jwks(mut self, jwks: impl Into<Jwks>) -> Self {
        self.jwks = Some(jwks.into());
        self
    }

    /// Adds a fixed key for its tokens whose header says `kid: key_id`.
    #[must_use]
    pub fn key(mut self, key_id: impl Into<String>, key: Key) -> Self {
        self.keys.push((key_id.into(), key));
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_keys(self) -> (Vec<(String, Key)>, Option<Jwks>) {
        (self.keys, self.jwks)
    }
}

/// The keys for the tokens of one issuer, or of whoever.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    /// `None` where all tokens go to the same keys.
    pub(super) issuer: Option<String>,
    /// Looked at first.
    pub(super) fixed: KeyRing,
    pub(super) published: Option<Published>,
}

/// Keys that are fetched.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) cache: Arc<KeyCache>,
    pub(super) is_required: bool,
}
