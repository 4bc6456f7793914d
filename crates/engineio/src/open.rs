//! The first packet of a session (engine.io-protocol, "Handshake").

use std::fmt::Write as _;
use std::time::Duration;

use crate::request::TransportName;
use crate::session_id::SessionId;

/// What the server tells a client about its new session.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "the protocol fixes these five")]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a SessionId,
    /// What the client may upgrade to from where it is.
    pub upgrades: &'a [TransportName],
    /// How often the server pings.
    pub ping_interval: Duration,
    /// How long it waits for the answer.
    pub ping_timeout: Duration,
    /// The largest body, and the largest message, in bytes.
    pub max_payload: usize,
}

impl Open<'_> {
    /// The packet, type included, with its keys in the order that the reference server uses.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(128);
        text.push_str("0{\"sid\":\"");
        text.push_str(self.sid.expose());
        text.push_str("\",\"upgrades\":[");
        for (index, upgrade) in self.upgrades.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}\"{}\"", upgrade.as_str());
        }
        let _ = write!(
            text,
            "],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            self.ping_interval.as_millis(),
            self.ping_timeout.as_millis(),
            self.max_payload,
        );
        text
    }
}

#[cfg(test)]
mod tests;
