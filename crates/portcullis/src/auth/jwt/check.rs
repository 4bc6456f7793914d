//! Looking for everything that is wrong with a configuration, before the first token.

use serde::de::DeserializeOwned;

use super::Jwt;
use super::keys::KeyRing;
use super::problem::JwtProblem;
use crate::auth::source::{MAX_AUTH_BYTES, TokenSource};

impl<C: DeserializeOwned + Send + Sync + 'static> Jwt<C> {
    /// Looks for everything that is wrong with the configuration.
    ///
    /// # Errors
    ///
    /// All problems, never an empty list.
    pub fn check(&self) -> Result<(), Vec<JwtProblem>> {
        let mut problems = self.rejected.clone();
        self.check_keys(&mut problems);
        if self.sources.is_empty() {
            problems.push(JwtProblem::NoSource);
        }
        let names = self
            .sources
            .iter()
            .filter(|source| !source.has_usable_name())
            .filter_map(TokenSource::name);
        problems.extend(names.map(|name| JwtProblem::SourceName {
            name: name.to_owned(),
        }));
        if self.policy.leeway > Self::MAX_LEEWAY {
            let (leeway, max) = (self.policy.leeway, Self::MAX_LEEWAY);
            problems.push(JwtProblem::LeewayTooLong { leeway, max });
        }
        if !(1..=MAX_AUTH_BYTES).contains(&self.max_token_len) {
            let len_bytes = self.max_token_len;
            problems.push(JwtProblem::TokenLength { len_bytes });
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    fn check_keys(&self, problems: &mut Vec<JwtProblem>) {
        let of_issuers = self.issuers.iter().map(|issuer| &issuer.fixed);
        for ring in std::iter::once(&self.keys).chain(of_issuers) {
            self.check_ring(ring, problems);
        }
        let lacks_keys = if self.issuers.is_empty() {
            self.keys.is_empty() && self.published.is_none()
        } else {
            self.issuers
                .iter()
                .any(|issuer| issuer.fixed.is_empty() && issuer.published.is_none())
        };
        if lacks_keys && problems.is_empty() {
            problems.push(JwtProblem::NoKey);
        }
        if !self.issuers.is_empty() && !self.keys.is_empty() {
            problems.push(JwtProblem::KeysBesideIssuers);
        }
        if self.has_several_issuers() {
            let has_space = |name: &&String| name.contains(char::is_whitespace);
            let names = self.policy.issuers.iter().filter(has_space);
            problems.extend(names.map(|name| JwtProblem::IssuerName { name: name.clone() }));
        }
    }

    fn check_ring(&self, ring: &KeyRing, problems: &mut Vec<JwtProblem>) {
        for (key_id, key) in ring.iter() {
            if let Some(problem) = key.problem(self.allows_weak_secret) {
                problems.push(JwtProblem::Key {
                    key_id: key_id.cloned(),
                    algorithm: key.algorithm(),
                    problem,
                });
            }
        }
    }

    /// Whether a subject alone does not say who somebody is.
    pub(super) fn has_several_issuers(&self) -> bool {
        self.issuers.len() > 1 || self.policy.issuers.len() > 1
    }
}
