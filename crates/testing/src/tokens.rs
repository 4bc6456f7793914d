//! Tokens for tests, and the verifier that accepts them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis::auth::Token;
use portcullis::auth::jwt::{Jwt, mint_hs256};
use portcullis::clock::{Clock, SystemClock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Not a secret: it is printed here.
const SECRET: &str = "not a secret: it is in the source of the testing kit";

/// Mints tokens (HS256) that are valid now, by a clock of the test's choice.
///
/// ```
/// use std::time::Duration;
/// use portcullis::Server;
/// use portcullis_testing::{TestClock, TestServer, TestTokens};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = TestClock::new();
/// let tokens = TestTokens::new().clock(&clock).claim("aud", "chat");
/// let builder = Server::builder()
///     .clock(clock.clone())
///     .authenticate(tokens.jwt::<serde_json::Value>().audience("chat"))
///     .namespace("/", |_| {});
/// let server = TestServer::start(builder).await;
///
/// let token = tokens.mint("alice");
/// server.connect("/").token(&token).await;
///
/// clock.advance(Duration::from_secs(3600));
/// let refused = server.connect("/").token(&token).refused().await;
/// assert_eq!(refused.code(), Some("TOKEN_EXPIRED"));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestTokens {
    secret: String,
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    claims: Map<String, Value>,
}

impl TestTokens {
    /// Tokens that are signed with a secret of the kit's own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_secret(SECRET)
    }

    /// Tokens that are signed with `secret`.
    #[must_use]
    pub fn with_secret(secret: impl Into<String>) -> Self {
        Self {
            secret: secret.into(),
            clock: Arc::new(SystemClock),
            lifetime: Duration::from_secs(15 * 60),
            claims: Map::new(),
        }
    }

    /// The clock to which expiry is relative. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: &(impl Clock + Clone)) -> Self {
        self.clock = Arc::new(clock.clone());
        self
    }

    /// How long a token is valid. Zero makes tokens that have expired, apart from the verifier's
    /// leeway. Default: 15 minutes.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// A claim that every token has.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims.insert(name.to_owned(), json!(value));
        self
    }

    /// A verifier with the same secret, for `authenticate`.
    #[must_use]
    pub fn jwt<C: DeserializeOwned + Send + Sync + 'static>(&self) -> Jwt<C> {
        Jwt::hs256(self.secret.as_str())
    }

    /// A token for `subject`.
    #[must_use]
    pub fn mint(&self, subject: &str) -> Token {
        self.mint_with(subject, &json!({}))
    }

    /// As [`Self::mint`], with further claims, which win over all others.
    ///
    /// # Panics
    ///
    /// If `claims` are not an object.
    #[must_use]
    pub fn mint_with(&self, subject: &str, claims: &impl Serialize) -> Token {
        let issued_at = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let issued_at = issued_at.expect("tests are set after 1970").as_secs();
        let mut all = self.claims.clone();
        all.insert("sub".to_owned(), json!(subject));
        all.insert("iat".to_owned(), json!(issued_at));
        all.insert("exp".to_owned(), json!(issued_at + self.lifetime.as_secs()));
        let Value::Object(further) = json!(claims) else {
            panic!("claims are an object");
        };
        all.extend(further);
        mint_hs256(&self.secret.as_str().into(), &all).unwrap()
    }
}

impl Default for TestTokens {
    fn default() -> Self {
        Self::new()
    }
}
