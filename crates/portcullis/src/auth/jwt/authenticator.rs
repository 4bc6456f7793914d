//! A verifier of tokens as the authenticator of a server: it looks for the token, and has keys
//! fetched that it does not know yet.

use std::any::TypeId;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use http::HeaderName;
use serde::de::DeserializeOwned;

use super::cache::AfterMiss;
use super::compact::Compact;
use super::{Jwt, JwtProblem, Verified};
use crate::auth::source::{Credentials, TokenSource, find_token};
use crate::auth::{
    Attempt, Authenticator, Identity, PrepareError, Readiness, RefusalCode, Token, TokenError,
};

impl<C: DeserializeOwned + Send + Sync + 'static> Jwt<C> {
    /// Verifies a token; if its key is not known, once more with keys that were fetched anew.
    async fn verify_fetching(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<Verified<C>, TokenError> {
        let error = match self.verify(token, now) {
            Err(error @ (TokenError::KeyUnknown | TokenError::KeysUnavailable)) => error,
            verdict => return verdict,
        };
        let place = Compact::parse(token, self.max_token_len)
            .and_then(|compact| self.place(&compact.claims).map(|(_, published)| published));
        let Ok(Some(published)) = place else {
            return Err(error);
        };
        match published.cache.after_miss().await {
            // Also if nothing was fetched now: a fetch may have ended since the token was judged.
            AfterMiss::Fetched | AfterMiss::Unchanged => self.verify(token, now),
            AfterMiss::Unavailable => Err(TokenError::KeysUnavailable),
        }
    }

    /// Says once that a user must be addressed with an issuer that is configured nowhere.
    fn warn_of_unknown_issuers(&self) {
        self.issuer_warning.call_once(|| {
            if self.takes_any_issuer() {
                tracing::warn!(
                    "tokens name an issuer and none is configured: users are `UserId::of(issuer, \
                     subject)`, and a subject alone names nobody; say `Jwt::issuer`"
                );
            }
        });
    }

    async fn identify(&self, token: &str, now: SystemTime) -> Result<Identity, RefusalCode> {
        let verified = self.verify_fetching(token, now).await;
        if verified
            .as_ref()
            .is_ok_and(|verified| verified.issuer.is_some())
        {
            self.warn_of_unknown_issuers();
        }
        verified
            .map(|verified| identity(verified).with_credential(token))
            .map_err(|error| refused(&error))
    }
}

/// Counts a refusal, and says what the peer may know of it.
fn refused(error: &TokenError) -> RefusalCode {
    // No error has text from the token in it: an application's rule says what it wants to be said.
    tracing::debug!(reason = error.as_str(), %error, "token refused");
    metrics::counter!("portcullis_tokens_refused_total", "reason" => error.as_str()).increment(1);
    error.code()
}

fn identity<C: Send + Sync + 'static>(verified: Verified<C>) -> Identity {
    let mut identity = Identity::new(verified.claims);
    if let Some(issuer) = verified.issuer {
        identity = identity.with_issuer(issuer);
    }
    if let Some(subject) = verified.subject {
        identity = identity.with_subject(subject);
    }
    if let Some(id) = verified.token_id {
        identity = identity.with_token_id(id);
    }
    if let Some(id) = verified.session_id {
        identity = identity.with_session_id(id);
    }
    if let Some(seconds) = verified.issued_at {
        identity = identity.with_issued_at(seconds);
    }
    if let Some(seconds) = verified.expires_at {
        identity = identity.with_expires_at(seconds);
    }
    identity
}

impl<C: DeserializeOwned + Send + Sync + 'static> Authenticator for Jwt<C> {
    fn authenticate<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        async {
            let found = find_token(
                self.token_sources(),
                &attempt.credentials(),
                self.max_token_len,
            );
            let token = found.map_err(|error| refused(&error))?;
            // Verified in place: handing an HMAC to another thread costs more than the HMAC.
            self.identify(token.expose(), attempt.now()).await
        }
        .boxed()
    }

    fn refresh<'a>(
        &'a self,
        attempt: &'a Attempt,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        // Wherever a first token has to stand, this one was sent for the purpose.
        self.identify(token.expose(), attempt.now()).boxed()
    }

    fn each_credential(&self, request: &Credentials<'_>, visit: &mut dyn FnMut(&[u8])) {
        for source in self.token_sources() {
            source.visit(request, visit);
        }
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), PrepareError>> {
        async {
            for published in self.caches() {
                if let Err(error) = published.cache.fetch().await
                    && published.is_required
                {
                    return Err(PrepareError::new(format!("no keys could be had: {error}")));
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        let running = self.caches().map(|published| published.cache.run());
        futures_util::future::join_all(running).map(drop).boxed()
    }

    fn readiness(&self) -> Readiness {
        let all = self.caches().map(|published| published.cache.readiness());
        all.fold(Readiness::Ready, |worst, one| match (&worst, &one) {
            (Readiness::NotReady { .. }, _) | (_, Readiness::Ready) => worst,
            (Readiness::Stale { .. }, Readiness::Stale { .. }) => worst,
            _ => one,
        })
    }

    fn longest_token_life(&self) -> Option<Duration> {
        // A token may be dated ahead by the leeway, and is good for it once more after its end.
        let life = self.policy.max_lifetime?;
        let leeway = self.policy.leeway.saturating_mul(2);
        Some(life.saturating_add(leeway))
    }

    fn has_several_issuers(&self) -> bool {
        Self::has_several_issuers(self)
    }

    fn problems(&self) -> Vec<String> {
        self.check()
            .err()
            .unwrap_or_default()
            .iter()
            .map(one_line)
            .collect()
    }

    fn headers(&self) -> Vec<HeaderName> {
        let names = self
            .token_sources()
            .iter()
            .filter_map(TokenSource::header_name);
        names
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect()
    }

    fn secret_fields(&self) -> Vec<String> {
        let fields = self
            .token_sources()
            .iter()
            .filter_map(|source| match source {
                TokenSource::AuthPayload(name) | TokenSource::AuthPayloadWithScheme(name) => {
                    Some(name.to_string())
                }
                _ => None,
            });
        fields.collect()
    }

    fn secret_parameters(&self) -> Vec<String> {
        let sources = self.token_sources().iter();
        let parameters = sources.filter(|source| matches!(source, TokenSource::Query(_)));
        parameters
            .filter_map(|source| source.name().map(str::to_owned))
            .collect()
    }

    fn claims_type(&self) -> Option<TypeId> {
        Some(TypeId::of::<C>())
    }

    fn reads_cookies(&self) -> bool {
        self.token_sources()
            .iter()
            .any(|source| matches!(source, TokenSource::Cookie(_)))
    }

    fn reads_query(&self) -> bool {
        self.token_sources()
            .iter()
            .any(|source| matches!(source, TokenSource::Query(_)))
    }
}

/// A problem with its cause, which says what to change.
fn one_line(problem: &JwtProblem) -> String {
    match std::error::Error::source(problem) {
        Some(cause) => format!("{problem}: {cause}"),
        None => problem.to_string(),
    }
}
