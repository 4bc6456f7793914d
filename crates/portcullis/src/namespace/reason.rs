//! Why a socket left: every one ends once, for one of these.

use std::fmt;

/// Why a socket left its namespace, in the words of Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The server made it leave.
    ServerNamespaceDisconnect,
    /// The server is going away.
    ServerShuttingDown,
    /// No pong arrived in time.
    PingTimeout,
    /// The connection was closed by the peer.
    TransportClose,
    /// The connection broke, or the peer misused the transport.
    TransportError,
    /// The peer sent something that is not Engine.IO.
    ParseError,
    /// The peer broke the rules of Socket.IO.
    ForcedClose,
    /// As [`Self::ForcedClose`], on a transport that could not close at once.
    ForcedServerClose,
    /// The peer took too long to read what it was sent.
    SlowConsumer,
    /// The token expired, and no other came in time.
    TokenExpired,
    /// The token was taken back.
    TokenRevoked,
    /// The user has more connections than allowed, and this one had to go.
    TooManyConnections,
}

impl DisconnectReason {
    /// The words that Socket.IO uses, which are also the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::SlowConsumer => "slow consumer",
            Self::TokenExpired => "token expired",
            Self::TokenRevoked => "token revoked",
            Self::TooManyConnections => "too many connections",
        }
    }

    /// Whether the client was sent a DISCONNECT packet.
    pub(crate) const fn is_by_server(self) -> bool {
        matches!(
            self,
            Self::ServerNamespaceDisconnect
                | Self::TokenExpired
                | Self::TokenRevoked
                | Self::TooManyConnections
        )
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
