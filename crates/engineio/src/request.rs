//! Which session a request belongs to, or why it is refused: engine.io-protocol, "Handshake", and
//! the order in which the reference server verifies.
//!
//! | order | check                                                  | code |
//! |-------|--------------------------------------------------------|------|
//! | 1     | the transport is known and enabled                     | 0    |
//! | 2     | the `Origin` header holds no control characters        | 3    |
//! | 3     | with a sid: the session exists                         | 1    |
//! |       | and it uses the transport of the request, or upgrades  | 3    |
//! |       | and it speaks the protocol of the request              | 3    |
//! |       | and its upgrade is a GET                               | 3    |
//! | 4     | without a sid: the method is GET                       | 2    |
//! |       | and `websocket` comes as an upgrade, `polling` does not | 3    |
//! | 5     | the protocol is version 4                              | 5    |
//! | 6     | the application's gate, which answers for itself       | 4    |
//!
//! # Invariants
//!
//! - A request is refused before anything is upgraded.
//! - A refusal's body depends on its code alone, unless the gate wrote it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::fmt::Write as _;

mod query;

pub use query::{Query, percent_decoded};

/// The names of the transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportName {
    /// HTTP long-polling.
    Polling,
    /// RFC 6455.
    WebSocket,
}

impl TransportName {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// Which transports a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain configuration")]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket, alone or as an upgrade.
    pub websocket: bool,
}

/// The HTTP method of a request, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "everything else is Other")]
pub enum Method {
    /// Polls, and opens sessions.
    Get,
    /// Sends a payload.
    Post,
    /// Anything else.
    Other,
}

/// What the server knows of the session that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third case")]
pub enum Known {
    /// Nothing: it ended, or lives on another node, or never was.
    Nothing,
    /// It lives, and uses this transport.
    Session(TransportName),
}

/// The facts that decide about a request.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "every fact is needed to decide")]
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Whether it asks to become a WebSocket.
    pub is_upgrade: bool,
    /// Its query.
    pub query: &'a Query,
    /// Whether its `Origin` header is free of control characters.
    pub origin_is_valid: bool,
    /// What the server offers.
    pub transports: Transports,
    /// What the server knows of the session that the query names.
    pub known: Known,
}

/// What a request wants, once it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these are all the requests there are"
)]
pub enum Wanted {
    /// A new session on this transport.
    Open(TransportName),
    /// Packets from an existing polling session.
    Poll,
    /// Packets for an existing polling session.
    Post,
    /// A polling session wants to go on as a WebSocket.
    Upgrade,
    /// A method that polling does not have.
    UnsupportedMethod,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionCode {
    /// 0
    TransportUnknown,
    /// 1
    SessionUnknown,
    /// 2
    BadHandshakeMethod,
    /// 3
    BadRequest,
    /// 4
    Forbidden,
    /// 5
    UnsupportedProtocol,
}

impl RejectionCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::TransportUnknown => 0,
            Self::SessionUnknown => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden => 4,
            Self::UnsupportedProtocol => 5,
        }
    }

    /// The text on the wire.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::SessionUnknown => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocol => "Unsupported protocol version",
        }
    }
}

/// A refused request: its code, its status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    code: RejectionCode,
    status: u16,
    message: Option<Box<str>>,
}

impl Rejection {
    /// A refusal by the application's gate, with its own status and text.
    #[must_use]
    pub fn forbidden(status: u16, message: Option<&str>) -> Self {
        Self {
            code: RejectionCode::Forbidden,
            status,
            message: message.map(Box::from),
        }
    }

    /// Why.
    #[must_use]
    pub const fn code(&self) -> RejectionCode {
        self.code
    }

    /// The HTTP status: 400, or what the gate chose.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What the peer is told.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message())
    }

    /// The body of the refusal: its code and its text, as JSON (RFC 8259).
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(64);
        // Writing to a String cannot fail.
        let _ = write!(json, "{{\"code\":{},\"message\":\"", self.code.number());
        for character in self.message().chars() {
            let _ = match character {
                '"' | '\\' => write!(json, "\\{character}"),
                '\0'..='\x1f' => write!(json, "\\u{:04x}", u32::from(character)),
                _ => json.write_char(character),
            };
        }
        json.push_str("\"}");
        json
    }
}

impl From<RejectionCode> for Rejection {
    fn from(code: RejectionCode) -> Self {
        let status = if code == RejectionCode::Forbidden {
            403
        } else {
            400
        };
        Self {
            code,
            status,
            message: None,
        }
    }
}

impl Request<'_> {
    /// Decides about the request, up to the application's gate.
    ///
    /// # Errors
    ///
    /// The first check that fails, in the order of the module's table.
    pub fn verify(&self) -> Result<Wanted, RejectionCode> {
        let transport = self
            .enabled_transport()
            .ok_or(RejectionCode::TransportUnknown)?;
        if !self.origin_is_valid {
            return Err(RejectionCode::BadRequest);
        }
        if self.query.has_sid() {
            self.verify_existing(transport)
        } else {
            self.verify_new(transport)
        }
    }

    fn enabled_transport(&self) -> Option<TransportName> {
        let transport = self.query.transport()?;
        let enabled = match transport {
            TransportName::Polling => self.transports.polling,
            TransportName::WebSocket => self.transports.websocket,
        };
        enabled.then_some(transport)
    }

    fn verify_existing(&self, transport: TransportName) -> Result<Wanted, RejectionCode> {
        let Known::Session(current) = self.known else {
            return Err(RejectionCode::SessionUnknown);
        };
        if !self.query.is_version_4() {
            return Err(RejectionCode::BadRequest);
        }
        if self.is_upgrade {
            // A second WebSocket for a session that has one already is let in and closed at once.
            // RFC 6455 section 4.1 opens with a GET.
            return match (transport, self.method) {
                (TransportName::WebSocket, Method::Get) => Ok(Wanted::Upgrade),
                _ => Err(RejectionCode::BadRequest),
            };
        }
        if transport != current || transport == TransportName::WebSocket {
            return Err(RejectionCode::BadRequest);
        }
        Ok(match self.method {
            Method::Get => Wanted::Poll,
            Method::Post => Wanted::Post,
            Method::Other => Wanted::UnsupportedMethod,
        })
    }

    fn verify_new(&self, transport: TransportName) -> Result<Wanted, RejectionCode> {
        if self.method != Method::Get {
            return Err(RejectionCode::BadHandshakeMethod);
        }
        if self.is_upgrade != (transport == TransportName::WebSocket) {
            return Err(RejectionCode::BadRequest);
        }
        if !self.query.is_version_4() {
            return Err(RejectionCode::UnsupportedProtocol);
        }
        Ok(Wanted::Open(transport))
    }
}

#[cfg(test)]
mod tests;
