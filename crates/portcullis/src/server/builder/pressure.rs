//! What a server is told about who may connect, how many, how often, and how it leaves.

use super::ServerBuilder;
use crate::handshake::{Cors, Origins, TrustedProxies};
use crate::pace::Rate;
use crate::server::Drain;

impl ServerBuilder {
    /// Which pages may connect, on every transport. Default: [`Origins::own`], the server's own and
    /// those that CORS lets read. Tokens from cookies need a list.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.say("origins", &origins);
        self.http.origins = origins;
        self
    }

    /// The proxies whose headers are believed. Default: none; the client is then whoever opened
    /// the connection.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.say("trusted_proxies", &proxies);
        self.http.proxies = proxies;
        self
    }

    /// Requires the header of the PROXY protocol, version 1 or 2, on every connection to the
    /// server's own port, and closes those without. Whoever can reach the port can then claim any
    /// address: let only the balancer reach it. Default: off.
    #[must_use]
    pub fn proxy_protocol(mut self, required: bool) -> Self {
        self.say("proxy_protocol", &required);
        self.listener.requires_proxy_header = required;
        self
    }

    /// The most sessions at the same time; more are refused with 503. Default: nine tenths of the
    /// file descriptors that the process may have.
    #[must_use]
    pub fn max_sessions(mut self, count: usize) -> Self {
        self.say("max_sessions", &count);
        self.admission.max_sessions = Some(count);
        self
    }

    /// The most sessions of one address at the same time, or of one /64 of IPv6; more are refused
    /// with 503. Default: no limit, because behind a proxy that is not trusted all clients have one
    /// address.
    #[must_use]
    pub fn max_sessions_per_address(mut self, count: usize) -> Self {
        self.say("max_sessions_per_address", &count);
        self.admission.max_sessions_per_address = Some(count);
        self
    }

    /// The most sessions that have not joined a namespace yet; more are refused with 503, and room
    /// is left for those who hold a token. Default: half of [`Self::max_sessions`].
    #[must_use]
    pub fn max_pending_handshakes(mut self, count: usize) -> Self {
        self.say("max_pending_handshakes", &count);
        self.admission.max_pending = Some(count);
        self
    }

    /// The most runs of the authenticator at the same time, and as many again for those who are in
    /// already. Who comes on top waits for a turn, at most half of [`Self::verify_timeout`], and
    /// is then refused with `AUTH_UNAVAILABLE`, which stock clients do not try again by
    /// themselves. Default: 4,096.
    #[must_use]
    pub fn max_verifications(mut self, count: usize) -> Self {
        self.say("max_verifications", &count);
        self.gate.max_verifications = count;
        self
    }

    /// The most TCP connections to the server's own port, whatever they carry; more are told 503
    /// and closed. Default: nine tenths of the file descriptors that the process may have.
    #[must_use]
    pub fn max_tcp_connections(mut self, count: usize) -> Self {
        self.say("max_tcp_connections", &count);
        self.listener.max_connections = Some(count);
        self
    }

    /// The most TCP connections of one address; more are told 503 and closed. Trusted proxies are
    /// not counted. Default: no limit.
    #[must_use]
    pub fn max_tcp_connections_per_address(mut self, count: usize) -> Self {
        self.say("max_tcp_connections_per_address", &count);
        self.listener.max_connections_per_address = Some(count);
        self
    }

    /// How many sessions may be asked for on this node; more are refused with 503 and the time to
    /// wait. Default: no limit.
    #[must_use]
    pub fn handshake_rate(mut self, rate: Rate) -> Self {
        self.say("handshake_rate", &rate);
        self.admission.rate = Some(rate);
        self
    }

    /// How many sessions one address may ask for. Default: no limit, as with
    /// [`Self::max_sessions_per_address`].
    #[must_use]
    pub fn handshake_rate_per_address(mut self, rate: Rate) -> Self {
        self.say("handshake_rate_per_address", &rate);
        self.admission.rate_per_address = Some(rate);
        self
    }

    /// How many events each socket may send. One beyond is answered with `RATE_LIMITED` if it wants
    /// an ack, and dropped otherwise; who sends more than twice as many is disconnected. Default:
    /// no limit.
    ///
    /// It is the limit of the server, which handlers never see.
    /// [`RateLimit`](crate::gateway::RateLimit) is a guard: of a gateway or a handler, and gentler.
    #[must_use]
    pub fn event_rate(mut self, rate: Rate) -> Self {
        self.say("event_rate", &rate);
        self.gate.event_rate = Some(rate);
        self
    }

    /// How the server leaves when it is told to. Default: [`Drain::default`].
    #[must_use]
    pub fn drain(mut self, drain: Drain) -> Self {
        self.say("drain", &drain);
        self.drain = drain;
        self
    }

    /// Takes what was not said from what the system allows.
    pub(super) fn fill_in_limits(&mut self) {
        if let Some(files) = open_files() {
            let most = files - files / 10;
            self.admission.max_sessions.get_or_insert(most);
            self.listener.max_connections.get_or_insert(most);
        }
        if let Some(most) = self.admission.max_sessions {
            self.admission.max_pending.get_or_insert(most.div_ceil(2));
        }
    }

    /// What is wrong with all that.
    pub(super) fn pressure_problems(&self) -> Vec<String> {
        let origins = &self.http.origins;
        let mut problems = origins.problems().to_vec();
        problems.extend_from_slice(self.http.proxies.problems());
        problems.extend(self.drain.problem().map(str::to_owned));
        let reads_cookies = self
            .authenticator
            .as_ref()
            .is_some_and(|authenticator| authenticator.reads_cookies());
        if reads_cookies && !origins.is_list() {
            problems.push("tokens from cookies need an allow-list of pages: `origins`".to_owned());
        }
        let cors = self.http.cors.as_ref();
        if cors.is_some_and(Cors::is_any_with_credentials) {
            problems.push("CORS cannot allow any origin together with credentials".to_owned());
        } else if cors.is_some_and(Cors::allows_credentials) && !origins.is_list() {
            problems.push(
                "CORS with credentials needs an allow-list of pages, `origins`: CORS itself does \
                 not apply to WebSockets"
                    .to_owned(),
            );
        }
        if self.http.proxies.is_empty() || !self.listener.requires_proxy_header {
            return problems;
        }
        problems.push(
            "`trusted_proxies` and `proxy_protocol` are two answers to one question".to_owned(),
        );
        problems
    }

    /// Says what does not keep a server from being built, and may surprise.
    pub(super) fn warn_of_pressure(&self) {
        if self.http.cors.is_some() && self.http.origins.is_any() {
            tracing::warn!("CORS keeps no page from connecting: `origins` does");
        }
    }
}

/// How many files the process may have open, if there is a limit.
fn open_files() -> Option<usize> {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
        usize::try_from(limit).ok()
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn without_a_word_a_tenth_of_the_descriptors_is_kept_back() {
        let mut builder = ServerBuilder::new();
        builder.fill_in_limits();
        let files = open_files().unwrap();
        assert_eq!(builder.admission.max_sessions, Some(files - files / 10));
        assert_eq!(builder.listener.max_connections, Some(files - files / 10));
        let half = (files - files / 10).div_ceil(2);
        assert_eq!(builder.admission.max_pending, Some(half));
        let mut builder = ServerBuilder::new().max_sessions(7).max_tcp_connections(8);
        builder.fill_in_limits();
        assert_eq!(builder.admission.max_sessions, Some(7));
        assert_eq!(builder.admission.max_pending, Some(4));
        assert_eq!(builder.listener.max_connections, Some(8));
    }
}
