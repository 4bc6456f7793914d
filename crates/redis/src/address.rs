//! Where Redis is.
//!
//! | address                                          | means                                  |
//! |--------------------------------------------------|----------------------------------------|
//! | `redis://[user:password@]host[:port][/db]`       | one server                             |
//! | `rediss://…`                                     | the same, with TLS                     |
//! | `redis+sentinel://[…@]host:port,host:port/name`  | the master that sentinels call `name`  |
//! | `redis+cluster://[…@]host:port,host:port`        | a cluster; any of its nodes is enough  |
//!
//! `rediss+sentinel` and `rediss+cluster` are the same with TLS. User and password are for the
//! servers; sentinels are greeted without.

use std::fmt;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

/// The port of Redis.
const PORT: u16 = 6379;

/// The port of its sentinels.
const SENTINEL_PORT: u16 = 26379;

/// What Redis calls those who do not say who they are.
const DEFAULT_USER: &str = "default";

/// Where Redis is.
#[derive(Clone)]
pub(crate) enum Address {
    Standalone(Box<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        template: Box<ConnectionInfo>,
    },
    Cluster {
        seeds: Vec<ConnectionInfo>,
    },
}

/// An address that cannot be used. Quotes nothing of it: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of redis cannot be used: {0}")]
pub(crate) struct AddressError(String);

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| no("it has no scheme"))?;
        match scheme {
            "redis+sentinel" => Self::parse_sentinel("redis", rest),
            "rediss+sentinel" => Self::parse_sentinel("rediss", rest),
            "redis+cluster" => Self::parse_cluster("redis", rest),
            "rediss+cluster" => Self::parse_cluster("rediss", rest),
            _ => Ok(Self::Standalone(Box::new(info(url)?))),
        }
    }

    fn parse_sentinel(scheme: &str, rest: &str) -> Result<Self, AddressError> {
        let (credentials, hosts) = split_credentials(rest);
        let (hosts, path) = hosts
            .split_once('/')
            .ok_or_else(|| no("the name of the master is missing: host:port/name"))?;
        let (master, database) = match path.split_once('/') {
            Some((master, database)) => (master, format!("/{database}")),
            None => (path, String::new()),
        };
        let sentinels = hosts.split(',');
        let sentinels: Vec<_> = sentinels
            .map(|host| with_port(host, SENTINEL_PORT))
            .collect();
        let template = format!("{scheme}://{credentials}localhost{database}");
        Self::sentinel_over(scheme, &sentinels, master, &template)
    }

    /// The master that `sentinels`, each `host:port` or an address, call `master`.
    pub(crate) fn sentinel(sentinels: &[String], master: &str) -> Result<Self, AddressError> {
        let first = sentinels.first().map_or("", String::as_str);
        let scheme = first
            .split_once("://")
            .map_or("redis", |(scheme, _)| scheme);
        let template = format!("{scheme}://localhost");
        Self::sentinel_over(scheme, sentinels, master, &template)
    }

    fn sentinel_over(
        scheme: &str,
        sentinels: &[String],
        master: &str,
        template: &str,
    ) -> Result<Self, AddressError> {
        if master.is_empty() {
            return Err(no("the name of the master is missing"));
        }
        let sentinels = sentinels
            .iter()
            .map(|host| info(&with_scheme(scheme, host)));
        let sentinels: Vec<_> = sentinels.collect::<Result<_, _>>()?;
        if sentinels.is_empty() {
            return Err(no("there are no sentinels"));
        }
        Ok(Self::Sentinel {
            sentinels,
            master: master.to_owned(),
            template: Box::new(info(template)?),
        })
    }

    fn parse_cluster(scheme: &str, rest: &str) -> Result<Self, AddressError> {
        let (credentials, hosts) = split_credentials(rest);
        let seeds = hosts.trim_end_matches('/').split(',');
        let seeds = seeds.map(|host| format!("{scheme}://{credentials}{}", with_port(host, PORT)));
        Self::cluster(&seeds.collect::<Vec<_>>())
    }

    /// A cluster, of which these nodes, each `host:port` or an address, are known.
    pub(crate) fn cluster(seeds: &[String]) -> Result<Self, AddressError> {
        let seeds = seeds.iter().map(|seed| info(&with_scheme("redis", seed)));
        let seeds: Vec<_> = seeds.collect::<Result<_, _>>()?;
        if seeds.is_empty() {
            return Err(no("there are no nodes"));
        }
        Ok(Self::Cluster { seeds })
    }

    /// Trusts an authority of the application's own, and shows a certificate if servers ask for
    /// one. Concerns TLS alone.
    pub(crate) fn with_certificates(
        mut self,
        certificates: &TlsCertificates,
    ) -> Result<Self, AddressError> {
        let dress = |info: &mut ConnectionInfo| {
            if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
                let client = Client::build_with_tls(info.clone(), certificates.clone());
                let client = client.map_err(|error| no(error.category()))?;
                *info = client.get_connection_info().clone();
            }
            Ok(())
        };
        match &mut self {
            Self::Standalone(info) => dress(info)?,
            Self::Sentinel {
                sentinels,
                template,
                ..
            } => {
                sentinels.iter_mut().try_for_each(dress)?;
                dress(template)?;
            }
            Self::Cluster { seeds } => seeds.iter_mut().try_for_each(dress)?,
        }
        Ok(self)
    }

    /// Greets the servers with a user, or Redis' default one, and a password.
    pub(crate) fn set_credentials(&mut self, user: Option<&str>, password: &str) {
        let user = user.unwrap_or(DEFAULT_USER);
        let greet = |info: &mut ConnectionInfo| {
            let settings = info.redis_settings().clone();
            let settings = settings.set_username(user).set_password(password);
            *info = info.clone().set_redis_settings(settings);
        };
        match self {
            Self::Standalone(info) => greet(info),
            Self::Sentinel { template, .. } => greet(template),
            Self::Cluster { seeds } => seeds.iter_mut().for_each(greet),
        }
    }
}

fn no(reason: &str) -> AddressError {
    AddressError(reason.to_owned())
}

fn info(url: &str) -> Result<ConnectionInfo, AddressError> {
    // The library's own text says what is wrong, and quotes nothing.
    let info = url
        .into_connection_info()
        .map_err(|error| no(error.category()))?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(no("TLS is verified, always")),
        _ => Ok(info),
    }
}

/// What stands before the last `@`, with it; passwords may hold one themselves.
fn split_credentials(rest: &str) -> (&str, &str) {
    match rest.rfind('@') {
        Some(at) => rest.split_at_checked(at + 1).unwrap_or(("", rest)),
        None => ("", rest),
    }
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
        // Colons within brackets belong to the address.
        port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
    });
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

fn with_scheme(scheme: &str, host: &str) -> String {
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

/// Hosts and ports only.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = |list: &[ConnectionInfo]| {
            let names: Vec<_> = list.iter().map(|info| info.addr().to_string()).collect();
            names.join(",")
        };
        match self {
            Self::Standalone(info) => write!(f, "Standalone({})", info.addr()),
            Self::Sentinel {
                sentinels, master, ..
            } => write!(f, "Sentinel({}/{master})", hosts(sentinels)),
            Self::Cluster { seeds } => write!(f, "Cluster({})", hosts(seeds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        format!("{:?}", Address::parse(url).unwrap())
    }

    #[test]
    fn addresses_are_understood_and_shown_without_their_secrets() {
        for (url, expected) in [
            ("redis://localhost", "Standalone(localhost:6379)"),
            ("redis://u:secret@h:1/2", "Standalone(h:1)"),
            ("rediss://:secret@h", "Standalone(h:6379)"),
            (
                "redis+sentinel://u:secr@et@a,b:2/mymaster/3",
                "Sentinel(a:26379,b:2/mymaster)",
            ),
            ("rediss+sentinel://[::1]/m", "Sentinel(::1:26379/m)"),
            ("redis+cluster://:secret@a:1,b", "Cluster(a:1,b:6379)"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn credentials_stand_for_all_that_the_address_says() {
        let url = "redis://chat:secret@h/2";
        for (user, expected) in [(None, "default"), (Some("other"), "other")] {
            let mut address = Address::parse(url).unwrap();
            address.set_credentials(user, "hidden");
            let Address::Standalone(info) = address else {
                panic!("one server")
            };
            let settings = info.redis_settings();
            assert_eq!(settings.username(), Some(expected));
            assert_eq!(settings.password(), Some("hidden"));
            assert_eq!(settings.db(), 2);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_quoting_it() {
        for url in [
            "",
            "secret",
            "http://secret@x",
            "redis+sentinel://secret@a:1",
            "redis+sentinel://secret@a:1/",
            "redis://:secret@host:99999",
            "rediss://:secret@host/#insecure",
            "rediss+cluster://:secret@a:1/#insecure",
            "rediss+cluster://:secret@a:1#insecure",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
