//! What keeps a description from being a server: every problem at once, a line each.

use std::time::Duration;

use portcullis_socketio::ids::NamespacePath;

use super::ServerBuilder;
use crate::handshake::Cors;
use crate::namespace::Kind;

impl ServerBuilder {
    /// Collects what is wrong.
    pub(super) fn check(&mut self) {
        let problems = &mut self.problems;
        let mut paths: Vec<&NamespacePath> = Vec::new();
        for (kind, registrar) in &self.declared {
            let name = match kind {
                Kind::Static(path) => path.to_string(),
                Kind::Pattern(pattern) => pattern.to_string(),
                Kind::Predicate(_) => "namespaces made by a predicate".to_owned(),
            };
            if let Kind::Static(path) = kind {
                if paths.contains(&path) {
                    problems.push(format!("namespace {name} is declared twice"));
                }
                paths.push(path);
            }
            for problem in &registrar.problems {
                problems.push(format!("{name}: {problem}"));
            }
            if !registrar.router.is_public && self.authenticator.is_none() {
                problems.push(format!(
                    "{name} is guarded, and there is no authenticator: call `authenticate`, or \
                     declare it `public`"
                ));
            }
        }
        if self.declared.is_empty() {
            problems.push("no namespace is declared".to_owned());
        }
        if let Some(authenticator) = &self.authenticator {
            problems.extend(authenticator.problems());
            if authenticator.reads_cookies() && !self.cookies_are_safe {
                problems.push(
                    "tokens from cookies need an allow-list of origins: check it in \
                     `allow_request` and say so with `origins_are_checked`"
                        .to_owned(),
                );
            }
        }
        if self
            .http
            .cors
            .as_ref()
            .is_some_and(Cors::is_any_with_credentials)
        {
            problems.push("CORS cannot allow any origin together with credentials".to_owned());
        }
        for (name, duration) in [
            ("ping_interval", self.core.timing.ping_interval),
            ("ping_timeout", self.core.timing.ping_timeout),
            ("upgrade_timeout", self.core.upgrade_timeout),
            (
                "auth_timeout",
                self.core.join_timeout.unwrap_or(Duration::from_secs(1)),
            ),
        ] {
            // A day is far beyond any use, and safely within what a clock can add.
            let bounds = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
            if !bounds.contains(&duration) {
                problems.push(format!("{name} must be between 1 ms and 24 h"));
            }
        }
        let transports = self.http.transports;
        if !transports.polling && !transports.websocket {
            problems.push("no transport is offered".to_owned());
        }
        if !self.http.path.starts_with('/') {
            problems.push("the path must begin with a slash".to_owned());
        }
    }
}
