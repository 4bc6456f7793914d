//! Which server is the right one now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionInfo, Value};

use super::error::LinkError;
use super::first::first_good;
use super::lookups::Lookups;
use super::server::Server;
use crate::address::Address;

/// How long a sentinel, or the server that it names, may take to answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds the server that is the right one now.
#[derive(Clone)]
pub(crate) enum Endpoint {
    /// Always the same.
    Fixed(Box<Server>),
    /// Any master of a cluster.
    Cluster(Arc<Lookups>),
    /// The master that sentinels name.
    Sentinel {
        sentinels: Vec<Server>,
        master: String,
        /// How to greet the master.
        template: Box<ConnectionInfo>,
    },
}

impl Endpoint {
    pub(crate) fn new(address: &Address) -> Result<Self, LinkError> {
        let refused = |error| LinkError::redis("the address", error);
        match address {
            Address::Standalone(info) => {
                let server = Server::new((**info).clone()).map_err(refused)?;
                Ok(Self::Fixed(Box::new(server)))
            }
            Address::Sentinel {
                sentinels,
                master,
                template,
            } => {
                let sentinels = sentinels.iter().cloned().map(Server::new);
                Ok(Self::Sentinel {
                    sentinels: sentinels.collect::<Result<_, _>>().map_err(refused)?,
                    master: master.clone(),
                    template: template.clone(),
                })
            }
            Address::Cluster { seeds } => Ok(Self::Cluster(Arc::new(Lookups::new(seeds)?))),
        }
    }

    /// What logs call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Fixed(server) => server.name.clone(),
            Self::Cluster(lookups) => lookups.name(),
            Self::Sentinel { master, .. } => master.clone(),
        }
    }

    /// The server to connect to.
    pub(crate) async fn resolve(&self) -> Result<Server, LinkError> {
        match self {
            Self::Fixed(server) => Ok((**server).clone()),
            Self::Cluster(lookups) => lookups.any_master().await,
            Self::Sentinel {
                sentinels,
                master,
                template,
            } => {
                let questions: Vec<_> = sentinels
                    .iter()
                    .map(|sentinel| master_of(sentinel, master, template))
                    .collect();
                let found = first_good(questions).await;
                found.map_err(|failure| LinkError::NoMaster {
                    master: master.clone(),
                    reason: failure.map_or_else(
                        || "there are no sentinels".to_owned(),
                        |error| error.to_string(),
                    ),
                })
            }
        }
    }

    /// Whether there are sentinels, which may name another server at any time.
    pub(crate) const fn has_sentinels(&self) -> bool {
        matches!(self, Self::Sentinel { .. })
    }

    /// The server that a sentinel names, whether that agrees or not; nothing if none says so.
    pub(crate) async fn named(&self) -> Option<Server> {
        let Self::Sentinel {
            sentinels,
            master,
            template,
        } = self
        else {
            return None;
        };
        let questions: Vec<_> = sentinels
            .iter()
            .map(|sentinel| named_by(sentinel, master, template))
            .collect();
        first_good(questions).await.ok()
    }
}

/// Names only: how servers are greeted is secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.name())
    }
}

/// Asks one sentinel.
async fn named_by(
    sentinel: &Server,
    master: &str,
    template: &ConnectionInfo,
) -> Result<Server, LinkError> {
    let connection = sentinel.connect(|_| {}).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer = connection.ask(command, LOOKUP_TIMEOUT).await?;
    let named: Option<(String, u16)> = redis::from_redis_value(answer).unwrap_or_default();
    let (host, port) = named.ok_or_else(|| disagrees(sentinel, master, "does not know it"))?;
    let address = match template.addr() {
        redis::ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => redis::ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => redis::ConnectionAddr::Tcp(host, port),
    };
    let info = template.clone().set_addr(address);
    Server::new(info).map_err(|error| LinkError::redis(&sentinel.name, error))
}

/// Asks one sentinel, and the server that it names whether it agrees: a master that was away
/// may not have heard that it is none any more.
async fn master_of(
    sentinel: &Server,
    master: &str,
    template: &ConnectionInfo,
) -> Result<Server, LinkError> {
    let server = named_by(sentinel, master, template).await?;
    let connection = server.connect(|_| {}).await?;
    let role = connection.ask(redis::cmd("ROLE"), LOOKUP_TIMEOUT).await?;
    let is_master = match &role {
        Value::Array(parts) => {
            matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master")
        }
        _ => false,
    };
    if is_master {
        Ok(server)
    } else {
        let reason = "names a server that is no master";
        Err(disagrees(sentinel, master, reason))
    }
}

fn disagrees(sentinel: &Server, master: &str, reason: &str) -> LinkError {
    LinkError::NoMaster {
        master: master.to_owned(),
        reason: format!("{} {reason}", sentinel.name),
    }
}
