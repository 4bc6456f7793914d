//! Why Redis cannot be talked to.
//!
//! # Invariants
//!
//! - No error has the arguments of a command, which Redis quotes where it does not know it: errors
//!   end in logs, and arguments may be payloads, names and passwords.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What stands before the arguments that Redis quotes.
const QUOTE: &str = ", with args beginning with:";

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
    /// Sentinels name another master.
    #[error("{server} is not the master any more")]
    Deposed { server: String },
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
            source: without_arguments(source),
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
            Self::Deposed { .. } => "deposed",
            Self::NoMaster { .. } => "no_master",
            Self::NoCluster { .. } => "no_cluster",
        }
    }
}

fn without_arguments(error: RedisError) -> RedisError {
    let unquoted = error
        .detail()
        .and_then(|detail| detail.split_once(QUOTE))
        .map(|(unquoted, _)| unquoted.to_owned());
    match unquoted {
        Some(unquoted) => (error.kind(), "the server says", unquoted).into(),
        None => error,
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

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn said(answer: &str) -> LinkError {
        let answer = parse_redis_value(format!("-{answer}\r\n").as_bytes());
        LinkError::redis("server", answer.and_then(Value::extract_error).unwrap_err())
    }

    #[test]
    fn an_error_has_what_redis_says_and_not_what_it_quotes() {
        let unknown = "ERR unknown command 'SPUBLISH', with args beginning with: 'room' 'secret' ";
        let error = said(unknown);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("unknown command 'SPUBLISH'"), "{shown}");
        assert!(
            !shown.contains("secret") && !shown.contains("room"),
            "{shown}"
        );
        assert_eq!(error.label(), "server");
        let denied = said("NOPERM No permissions to access a channel");
        assert!(
            denied.to_string().contains("to access a channel"),
            "{denied}"
        );
        assert_eq!(denied.label(), "denied");
    }
}
