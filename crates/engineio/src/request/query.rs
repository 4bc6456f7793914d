//! The query string of a request: four names that matter, and whatever else a client adds.
//!
//! # Invariants
//!
//! - Reading is linear in the length of the query, and keeps nothing of it but a session id.
//! - What cannot be understood is never mistaken for what is absent: a bad `sid` is still a `sid`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::borrow::Cow;

use crate::request::TransportName;
use crate::session_id::SessionId;

/// `transport`, the longest name that matters, with every character escaped.
const LONGEST_NAME: usize = 3 * "transport".len();

/// What the query string says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    is_version_4: bool,
    transport: Option<TransportName>,
    sid: Sid,
    base64: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Sid {
    #[default]
    Absent,
    /// There is one, but no session can have it.
    Impossible,
    Given(SessionId),
}

impl Query {
    /// Reads a raw query string. Names that the protocol does not know are skipped; a name that
    /// comes twice counts as unusable, because peers and proxies differ in which one they take.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        let (mut protocols, mut transports, mut sids) = (0_u32, 0_u32, 0_u32);
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.len() > LONGEST_NAME {
                continue;
            }
            let value = || percent_decoded(value);
            match &*percent_decoded(name) {
                "EIO" => {
                    protocols = protocols.saturating_add(1);
                    query.is_version_4 = value() == "4";
                }
                "transport" => {
                    transports = transports.saturating_add(1);
                    query.transport = match &*value() {
                        "polling" => Some(TransportName::Polling),
                        "websocket" => Some(TransportName::WebSocket),
                        _ => None,
                    };
                }
                "sid" => {
                    sids = sids.saturating_add(1);
                    query.sid = SessionId::parse(&value()).map_or(Sid::Impossible, Sid::Given);
                }
                "b64" => query.base64 |= !value().is_empty(),
                _ => {}
            }
        }
        if protocols > 1 {
            query.is_version_4 = false;
        }
        if transports > 1 {
            query.transport = None;
        }
        if sids > 1 {
            query.sid = Sid::Impossible;
        }
        query
    }

    /// Whether the request speaks version 4 of the protocol, exactly.
    #[must_use]
    pub const fn is_version_4(&self) -> bool {
        self.is_version_4
    }

    /// The transport, if it is one that exists.
    #[must_use]
    pub const fn transport(&self) -> Option<TransportName> {
        self.transport
    }

    /// The session, if the request names one that could exist.
    #[must_use]
    pub const fn sid(&self) -> Option<&SessionId> {
        match &self.sid {
            Sid::Given(sid) => Some(sid),
            Sid::Absent | Sid::Impossible => None,
        }
    }

    /// Whether the request is about a session that should exist already.
    #[must_use]
    pub const fn has_sid(&self) -> bool {
        !matches!(self.sid, Sid::Absent)
    }

    /// Whether the client takes text only.
    #[must_use]
    pub const fn base64(&self) -> bool {
        self.base64
    }
}

/// The text behind the escapes (RFC 3986 section 2.1). A malformed escape stands for itself, and
/// escaped bytes that are not UTF-8 become characters which nothing that matters contains.
///
/// ```
/// use portcullis_engineio::percent_decoded;
///
/// assert_eq!(percent_decoded("%E2%82%AC 5"), "€ 5");
/// assert_eq!(percent_decoded("100%, %+4"), "100%, %+4");
/// ```
#[must_use]
pub fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match tail {
            [high, low, after @ ..] if first == b'%' => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
