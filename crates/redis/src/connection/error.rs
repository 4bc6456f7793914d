//! Why Redis cannot be talked to.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why Redis cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The library or the server said so.
    #[error("{server}: {source}")]
    Redis {
        server: String,
        #[source]
        source: RedisError,
    },
    /// Nothing came in time.
    #[error("{server} did not answer within {timeout:?}")]
    Timeout { server: String, timeout: Duration },
    /// A subscription was refused, or something else was subscribed to.
    #[error("{server} did not subscribe to what it was asked for")]
    Subscription { server: String },
    /// A message published on one connection did not arrive on the other.
    #[error("{server} takes subscriptions and does not deliver")]
    Probe { server: String },
    /// The connection was closed by the other side.
    #[error("{server} closed the connection")]
    Closed { server: String },
    /// What was subscribed to lives on another server now.
    #[error("{server} has handed over what is subscribed to")]
    Moved { server: String },
    /// No sentinel names a master that answers as one.
    #[error("no sentinel knows a master {master:?}: {reason}")]
    NoMaster { master: String, reason: String },
    /// No node of the cluster says who serves what.
    #[error("no node of the cluster answers: {reason}")]
    NoCluster { reason: String },
}

impl LinkError {
    pub(crate) fn redis(server: &str, source: RedisError) -> Self {
        Self::Redis {
            server: server.to_owned(),
            source,
        }
    }

    /// Whether another server is the right one.
    pub(crate) fn is_misdirected(&self) -> bool {
        let Self::Redis { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            ErrorKind::Server(
                ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
            )
        )
    }

    /// Whether nobody listens there: the server is gone.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Redis { source, .. } if source.is_connection_refusal())
    }

    /// The node of a cluster that may know more.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Redis { source, .. } => source.redirect_node().map(|(node, _)| node.to_owned()),
            Self::Moved { server } => Some(server.clone()),
            _ => None,
        }
    }

    /// The `reason` label of the metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Redis { source, .. } => label(source),
            Self::Timeout { .. } => "timeout",
            Self::Subscription { .. } => "subscription",
            Self::Probe { .. } => "probe",
            Self::Closed { .. } => "closed",
            Self::Moved { .. } => "moved",
            Self::NoMaster { .. } => "no_master",
            Self::NoCluster { .. } => "no_cluster",
        }
    }
}

fn label(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "auth",
        ErrorKind::Io if error.is_timeout() => "timeout",
        ErrorKind::Io if error.is_connection_refusal() => "refused",
        ErrorKind::Io => "io",
        ErrorKind::Parse => "parse",
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::BusyLoading => "loading",
            ServerErrorKind::NoPerm => "denied",
            ServerErrorKind::ReadOnly => "read_only",
            ServerErrorKind::ClusterDown => "cluster_down",
            ServerErrorKind::MasterDown => "master_down",
            ServerErrorKind::Moved | ServerErrorKind::Ask => "moved",
            _ => "server",
        },
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => "auth",
            Some("OOM") => "out_of_memory",
            _ => "other",
        },
    }
}
