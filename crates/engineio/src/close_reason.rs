//! Why a session ended. Not an error: every session ends once, for one of these.

use std::fmt;

/// How the transport was misused, or how it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFault {
    /// A second GET came while one was waiting.
    PollOverlap,
    /// A second POST came while one was being received.
    PostOverlap,
    /// The client gave up a waiting GET.
    PollAborted,
    /// The client gave up a POST.
    PostAborted,
    /// A POST of `application/octet-stream`, which version 4 does not know.
    InvalidContent,
    /// The client sent a ping, which is the server's to send.
    InvalidHeartbeat,
    /// A message exceeded the limit.
    TooBig,
    /// A message came in too many fragments.
    TooManyFragments,
    /// Too many packets or frames came that carry nothing.
    Flood,
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// The WebSocket frames broke RFC 6455.
    WebSocket,
    /// Reading or writing failed.
    Io,
}

impl TransportFault {
    /// What happened, for logs; where Node has words for it, they are Node's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PollOverlap => "overlap from client",
            Self::PostOverlap => "data request overlap from client",
            Self::PollAborted => "poll connection closed prematurely",
            Self::PostAborted => "data request connection closed prematurely",
            Self::InvalidContent => "invalid content",
            Self::InvalidHeartbeat => "invalid heartbeat direction",
            Self::TooBig => "max payload size exceeded",
            Self::TooManyFragments => "too many fragments",
            Self::Flood => "too many packets without content",
            Self::InvalidUtf8 => "invalid UTF-8 sequence",
            Self::WebSocket => "invalid WebSocket frame",
            Self::Io => "connection failed",
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client said goodbye, or its connection went away.
    TransportClose,
    /// The transport was misused, or it broke.
    TransportError(TransportFault),
    /// Something arrived that is not an Engine.IO packet.
    ParseError,
    /// No pong arrived in time.
    PingTimeout,
    /// The layer above closed the session.
    ForcedClose,
    /// The server stops.
    ServerShuttingDown,
    /// The client reads more slowly than it is written to.
    SlowConsumer,
}

impl CloseReason {
    /// The words of the JavaScript API, which are also the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError(_) => "transport error",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ForcedClose => "forced close",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowConsumer => "slow consumer",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
