//! JWT verification that the client can make slow, silent or panicking.

use std::sync::Arc;
use std::time::Duration;

use portcullis::auth::jwt::Jwt;
use portcullis::auth::{Attempt, Authenticator, Identity, RefusalCode};
use portcullis::socketio::value::Value;
use serde::Deserialize;

use super::counters::Counters;

/// What a token must say.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) username: String,
}

#[derive(Debug)]
pub(super) struct Steered {
    jwt: Jwt<Claims>,
    counters: Arc<Counters>,
}

impl Steered {
    pub(super) const fn new(jwt: Jwt<Claims>, counters: Arc<Counters>) -> Self {
        Self { jwt, counters }
    }
}

type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Authenticator for Steered {
    fn authenticate<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        Box::pin(async move {
            Counters::count(&self.counters.verified);
            match attempt.auth().get("verify") {
                Some(Value::String(how)) if how == "panic" => {
                    #[expect(clippy::panic, reason = "the client asked for it")]
                    {
                        panic!("the client asked for a panic");
                    }
                }
                Some(Value::String(how)) if how == "hang" => std::future::pending().await,
                Some(steer) => wait(steer).await,
                None => {}
            }
            Authenticator::authenticate(&self.jwt, attempt).await
        })
    }

    fn problems(&self) -> Vec<String> {
        self.jwt.problems()
    }

    fn headers(&self) -> Vec<http::HeaderName> {
        self.jwt.headers()
    }

    fn secret_fields(&self) -> Vec<String> {
        self.jwt.secret_fields()
    }

    fn reads_cookies(&self) -> bool {
        self.jwt.reads_cookies()
    }

    fn reads_query(&self) -> bool {
        self.jwt.reads_query()
    }
}

/// Waits as long as `{wait: MS}` says.
pub(super) async fn wait(steer: &Value) {
    let wait = steer.get("wait").and_then(Value::as_i64).unwrap_or(0);
    let wait = u64::try_from(wait).unwrap_or(0).min(60_000);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}
