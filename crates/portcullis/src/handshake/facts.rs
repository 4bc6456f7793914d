//! What is known of a connection from its first request, and of a socket from its CONNECT.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use portcullis_engineio::percent_decoded;
use portcullis_socketio::MAX_DEPTH;
use portcullis_socketio::value::{Value, ValueError};
use serde::de::DeserializeOwned;

use super::headers::Headers;

/// The address of the peer, put into the extensions of a request by whoever accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a plain extension for other servers to insert"
)]
pub struct RemoteAddress(pub SocketAddr);

/// What is kept of the first request of a session.
pub struct RequestFacts {
    pub(crate) url: Box<str>,
    pub(crate) headers: Headers,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) secure: bool,
    pub(crate) issued: SystemTime,
}

impl RequestFacts {
    /// The path and the query as the client sent them.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The raw query string, without its question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        self.url.split_once('?').map_or("", |(_, query)| query)
    }

    /// The headers that were kept.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The peer's address, if the server that accepted the connection told it.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the connection is encrypted as far as this process can tell.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// When the request arrived.
    #[must_use]
    pub const fn issued_at(&self) -> SystemTime {
        self.issued
    }

    /// The same as on the wire, in ms since 1970, by which all nodes tell who came first.
    pub(crate) fn issued_ms(&self) -> i64 {
        let since = self.issued.duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for RequestFacts {
    /// Without the URL and the headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFacts")
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

/// The facts of the first request, and the `auth` that the client sent for its namespace.
#[derive(Clone)]
pub struct Handshake {
    request: Arc<RequestFacts>,
    auth: Option<Box<str>>,
}

impl Handshake {
    pub(crate) const fn new(request: Arc<RequestFacts>, auth: Option<Box<str>>) -> Self {
        Self { request, auth }
    }

    /// The first request of the connection.
    #[must_use]
    pub fn request(&self) -> &RequestFacts {
        &self.request
    }

    /// The first value of a header, if it was kept and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)
    }

    /// The value of a query parameter, percent-decoded; the first one if there are several.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// All query parameters, percent-decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self
            .request
            .query()
            .split('&')
            .filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decoded(key), form_decoded(value))
        })
    }

    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.request.address
    }

    /// Whether a page of some origin made the connection.
    #[must_use]
    pub fn is_cross_domain(&self) -> bool {
        self.header("origin").is_some()
    }

    /// What the client sent as `auth`, as a type. A token that an authenticator took from it is no
    /// longer there.
    ///
    /// # Errors
    ///
    /// If it is not a `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.auth_value().to()
    }

    /// What the client sent as `auth`; an empty object if it sent nothing.
    #[must_use]
    pub fn auth_value(&self) -> Value {
        let parsed = self
            .auth
            .as_deref()
            .and_then(|text| Value::from_json(text, MAX_DEPTH).ok());
        parsed.unwrap_or_else(|| Value::Map(Vec::new()))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// Decodes `%41` and `+`; what is not valid stays as it is.
fn form_decoded(text: &str) -> String {
    // First of all: an escaped plus is a plus.
    percent_decoded(&text.replace('+', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_once_and_junk_stays() {
        for (raw, decoded) in [
            ("a%20b", "a b"),
            ("a+b", "a b"),
            ("%2541", "%41"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%+4", "% 4"),
            ("%-4", "%-4"),
            ("%2b+", "+ "),
            ("%", "%"),
            ("%e2%82%ac", "€"),
        ] {
            assert_eq!(form_decoded(raw), decoded, "{raw}");
        }
    }
}
