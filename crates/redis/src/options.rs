//! What is said about the cluster before it is joined.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::adapter::Running;
use redis::{ClientTlsConfig, TlsCertificates};

use crate::address::Address;
use crate::connection::queue::QueueLimits;
use crate::wire::parser::{Msgpack, Parser};

/// Which of Node's adapters the cluster speaks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// `createAdapter`: Pub/Sub. Redis 6.2 and later.
    #[default]
    Classic,
    /// `createShardedAdapter` with `subscriptionMode: "dynamic"`: sharded Pub/Sub, with a channel
    /// for each room that is not a socket's own. Redis 7 and later.
    ShardedDynamic,
    /// The same with `"dynamic-private"`: a channel for each socket too.
    ShardedDynamicPrivate,
    /// The same with `"static"`: two channels for each namespace.
    ShardedStatic,
}

impl Mode {
    pub(crate) const fn is_sharded(self) -> bool {
        !matches!(self, Self::Classic)
    }
}

/// What happens if Redis cannot be reached when the server is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtStart {
    /// The server is not built.
    Fail {
        /// After so long.
        after: Duration,
    },
    /// The server serves its own sockets, says that it is not well, and goes on trying.
    Degrade,
}

/// Everything that can be said.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) address: Result<Address, String>,
    pub(crate) prefix: String,
    pub(crate) mode: Mode,
    pub(crate) at_start: AtStart,
    pub(crate) requests_timeout: Duration,
    pub(crate) specific_response: bool,
    pub(crate) own_rooms_only: bool,
    pub(crate) queue: QueueLimits,
    pub(crate) keep_alive: Duration,
    pub(crate) parser: Arc<dyn Parser>,
    pub(crate) has_own_parser: bool,
    /// Its own `Debug` shows nothing of them.
    pub(crate) certificates: Option<TlsCertificates>,
}

impl Options {
    /// Whether rooms have subscriptions of their own.
    pub(crate) const fn watches_rooms(&self) -> bool {
        match self.mode {
            Mode::Classic => self.own_rooms_only,
            Mode::ShardedDynamic | Mode::ShardedDynamicPrivate => true,
            Mode::ShardedStatic => false,
        }
    }
}

/// A cluster over Redis, on the wire of Node's adapters.
///
/// ```no_run
/// # async fn example() -> Result<(), portcullis::BuildError> {
/// use portcullis::Server;
/// use portcullis_redis::Redis;
///
/// let server = Server::builder()
///     .namespace("/chat", |r| { r.public(); })
///     .cluster(Redis::new("redis://localhost:6379"))
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// What cannot be used, such as an address without a host, is said when the server is built.
pub struct Redis {
    pub(crate) options: Options,
    pub(crate) running: OnceLock<Arc<Running>>,
}

impl Redis {
    /// The Redis at an address: `redis://`, `rediss://` for TLS,
    /// `redis+sentinel://host:port,…/name` or `redis+cluster://host:port,…`, each with
    /// `user:password@` before the hosts if need be.
    #[must_use]
    pub fn new(url: impl AsRef<str>) -> Self {
        Self::at(Address::parse(url.as_ref()).map_err(|error| error.to_string()))
    }

    /// The master that sentinels, each `host:port`, call `master`.
    #[must_use]
    pub fn sentinel<S: Into<String>>(
        sentinels: impl IntoIterator<Item = S>,
        master: impl AsRef<str>,
    ) -> Self {
        let sentinels: Vec<String> = sentinels.into_iter().map(Into::into).collect();
        let address = Address::sentinel(&sentinels, master.as_ref());
        Self::at(address.map_err(|error| error.to_string()))
    }

    /// A Redis Cluster, of which some nodes, each `host:port` or an address, are known.
    #[must_use]
    pub fn cluster<S: Into<String>>(nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes: Vec<String> = nodes.into_iter().map(Into::into).collect();
        Self::at(Address::cluster(&nodes).map_err(|error| error.to_string()))
    }

    fn at(address: Result<Address, String>) -> Self {
        let options = Options {
            address,
            prefix: "socket.io".to_owned(),
            mode: Mode::Classic,
            at_start: AtStart::Fail {
                after: Duration::from_secs(10),
            },
            requests_timeout: Duration::from_secs(5),
            specific_response: false,
            own_rooms_only: false,
            queue: QueueLimits {
                messages: 10_000,
                bytes: 32 * 1024 * 1024,
            },
            keep_alive: Duration::from_secs(5),
            parser: Arc::new(Msgpack),
            has_own_parser: false,
            certificates: None,
        };
        Self {
            options,
            running: OnceLock::new(),
        }
    }

    /// The user and password of Redis, instead of those in the address. Without a user it is Redis'
    /// default one.
    #[must_use]
    pub fn credentials(mut self, user: Option<&str>, password: impl AsRef<str>) -> Self {
        if let Ok(address) = &mut self.options.address {
            address.set_credentials(user, password.as_ref());
        }
        self
    }

    /// Trusts the authority of this certificate (PEM) and no other. Concerns `rediss` addresses.
    /// Default: the authorities of the system.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates().root_cert = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one; both PEM. Concerns `rediss` addresses.
    #[must_use]
    pub fn client_certificate(mut self, pem: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.certificates().client_tls = Some(ClientTlsConfig {
            client_cert: pem.into(),
            client_key: key.into(),
        });
        self
    }

    fn certificates(&mut self) -> &mut TlsCertificates {
        self.options.certificates.get_or_insert(TlsCertificates {
            client_tls: None,
            root_cert: None,
        })
    }

    /// What all channels begin with (Node: `key`, `channelPrefix`). Clusters that share a Redis
    /// need different ones; its databases do not separate them. Default: `socket.io`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// Which of Node's adapters to speak like; all nodes must agree. Default: [`Mode::Classic`].
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.options.mode = mode;
        self
    }

    /// What happens if Redis cannot be reached when the server is built. Default: the server is
    /// not built, after 10 s.
    #[must_use]
    pub const fn at_start(mut self, at_start: AtStart) -> Self {
        self.options.at_start = at_start;
        self
    }

    /// The longest that other nodes are waited for when they are asked for sockets or rooms (Node:
    /// `requestsTimeout`); an operation's own timeout counts if it is shorter. Default: 5 s.
    #[must_use]
    pub const fn requests_timeout(mut self, timeout: Duration) -> Self {
        self.options.requests_timeout = timeout;
        self
    }

    /// Whether answers go to the node that asked, instead of to all (Node:
    /// `publishOnSpecificResponseChannel`). Nodes with either setting understand each other; the
    /// sharded modes always do so. Default: false, as in Node.
    #[must_use]
    pub const fn specific_response(mut self, specific: bool) -> Self {
        self.options.specific_response = specific;
        self
    }

    /// Whether this node subscribes to the rooms that it has members of, instead of to all of a
    /// namespace. Broadcasts to one room then reach only nodes where somebody is in it, at the
    /// price of a subscription for each room and each socket. Only this node's subscriptions
    /// change: nodes with either setting, Node's among them, understand each other. Default: false.
    #[must_use]
    pub const fn own_rooms_only(mut self, own: bool) -> Self {
        self.options.own_rooms_only = own;
        self
    }

    /// How much may wait to be published: messages and bytes. When it is full, the oldest message
    /// is dropped, and a gap reported. Default: 10,000 and 32 MiB.
    #[must_use]
    pub const fn publish_queue(mut self, messages: usize, bytes: usize) -> Self {
        self.options.queue = QueueLimits { messages, bytes };
        self
    }

    /// How long a connection may be silent. It is looked after four times in that time, and given
    /// up when no answer has come for one and a half times as long: whatever swallows it is noticed
    /// within twice as long. Default: 5 s. Between 50 ms and 5 min.
    #[must_use]
    pub const fn keep_alive(mut self, interval: Duration) -> Self {
        self.options.keep_alive = interval;
        self
    }

    /// The codec of broadcasts and acks on the classic wire (Node: `parser`); all nodes must
    /// agree. Default: msgpack.
    #[must_use]
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.options.parser = Arc::new(parser);
        self.options.has_own_parser = true;
        self
    }
}

/// Without user and password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.options.address)
            .field("prefix", &self.options.prefix)
            .field("mode", &self.options.mode)
            .finish_non_exhaustive()
    }
}
