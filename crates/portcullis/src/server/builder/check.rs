//! What keeps a description from being a server: every problem at once, a line each.

use std::fmt;
use std::time::Duration;

use super::ServerBuilder;

impl ServerBuilder {
    /// Notes that an option was set. Two parts of an application that set it to different values
    /// would otherwise be served one of the two, and never know.
    pub(super) fn say(&mut self, option: &'static str, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        match self.said.iter().find(|(name, _)| *name == option) {
            Some((_, before)) if *before == value => {}
            Some((_, before)) => self.problems.push(format!(
                "`{option}` is set twice: to {before}, and to {value}"
            )),
            None => self.said.push((option, value)),
        }
    }

    /// Collects what is wrong.
    pub(super) fn check(&mut self) {
        let of_gateways = self.gateway_problems();
        let of_pressure = self.pressure_problems();
        let problems = &mut self.problems;
        problems.extend(of_gateways);
        problems.extend(of_pressure);
        if self.declared.is_empty() {
            problems.push("no namespace is declared".to_owned());
        }
        if let Some(authenticator) = &self.authenticator {
            problems.extend(authenticator.problems());
        }
        for (name, duration) in [
            ("ping_interval", self.core.timing.ping_interval),
            ("ping_timeout", self.core.timing.ping_timeout),
            ("upgrade_timeout", self.core.upgrade_timeout),
            ("handler_timeout", self.namespace_limits.handler_timeout),
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
