//! Looking for everything that is wrong with a configuration, before the first token.

use std::collections::BTreeSet;

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
            let names = self.known_issuers().unwrap_or_default().into_iter();
            let with_space = names.filter(|name| name.contains(char::is_whitespace));
            problems.extend(with_space.map(|name| JwtProblem::IssuerName {
                name: name.to_owned(),
            }));
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

    /// Whether a subject alone does not say who somebody is: not where there is one issuer, and
    /// its tokens must say so.
    pub(super) fn has_several_issuers(&self) -> bool {
        self.known_issuers().is_none_or(|names| names.len() > 1)
    }

    /// Whether a token may name any issuer, or none.
    pub(super) fn takes_any_issuer(&self) -> bool {
        self.known_issuers().is_none()
    }

    /// Whose tokens can be accepted; `None` if that is whoever has one of the keys.
    fn known_issuers(&self) -> Option<BTreeSet<&str>> {
        let policy = &self.policy.issuers;
        let is_wanted = |name: &&str| policy.is_empty() || policy.iter().any(|one| one == name);
        let mut names: BTreeSet<&str> = self
            .issuers
            .iter()
            .filter_map(|issuer| issuer.issuer.as_deref())
            .filter(is_wanted)
            .collect();
        let mut has_unbound_keys = self.published.is_some();
        for (_, key) in self.keys.iter() {
            match key.issuer() {
                Some(name) => names.extend(Some(name).filter(is_wanted)),
                None => has_unbound_keys = true,
            }
        }
        if has_unbound_keys {
            if policy.is_empty() {
                return None;
            }
            names.extend(policy.iter().map(String::as_str));
        }
        Some(names)
    }
}
