//! Which pages may connect: the policy that every request is held against before anything else.
//!
//! A browser sends `Origin` with every WebSocket and every request to another site, and a page
//! cannot forge it. It is the one thing that stands between a visitor's cookies and a page that he
//! happens to look at (cross-site WebSocket hijacking). CORS does not: it tells browsers which
//! answers a page may read, and browsers do not ask it about WebSockets.
//!
//! | pattern                    | allows                                                          |
//! |----------------------------|-----------------------------------------------------------------|
//! | `https://app.example.com`  | this scheme, host and port, and no other                        |
//! | `https://*.example.com`    | any host below it: `a.example.com`, `a.b.example.com`           |
//! | `null`                     | pages without an origin: sandboxed frames, files                |
//!
//! Without a list the pages of the server itself may connect, and those that CORS lets read.
//! Whether a page is the server's own is told by `Host`, which a page cannot forge either.
//!
//! # Invariants
//!
//! - A pattern matches at the borders of labels: `*.example.com` is neither `evil-example.com` nor
//!   `example.com` itself.
//! - What is not exactly one serialised origin (RFC 6454 section 6.2) is refused: two headers, a
//!   path, user information, letters beyond ASCII.
//!
//! # Not here
//!
//! The headers that let a page read the answers (`cors`).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use super::cors::Cors;

/// Which pages may connect, on every transport.
///
/// ```
/// use portcullis::handshake::Origins;
///
/// let origins = Origins::list(["https://app.example.com", "https://*.example.org"]);
/// # let _ = origins;
/// ```
#[derive(Debug, Clone)]
pub struct Origins {
    allowed: Allowed,
    allows_none: bool,
    problems: Vec<String>,
}

#[derive(Debug, Clone)]
enum Allowed {
    Any,
    /// The pages of the server itself, and those that CORS lets read.
    Own,
    List {
        patterns: Vec<Pattern>,
        null: bool,
    },
}

/// An origin, or all that end like it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    origin: Origin,
    is_wildcard: bool,
}

/// A scheme, a host and a port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origins {
    /// Every page, whatever its origin. It does not build together with cookies.
    #[must_use]
    pub const fn any() -> Self {
        Self::new(Allowed::Any)
    }

    /// The pages of the server's own origin, whose host and port are the request's `Host`, and
    /// those that [`Cors`] lets read its answers. This is what a server does that is told nothing.
    ///
    /// The scheme is not compared: behind a proxy that ends TLS it is not known. A proxy must pass
    /// `Host` on as it came.
    #[must_use]
    pub const fn own() -> Self {
        Self::new(Allowed::Own)
    }

    /// These pages: `https://app.example.com`, `https://*.example.com`, `null`. A pattern that
    /// cannot be one keeps the server from being built.
    #[must_use]
    pub fn list<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Self {
        let (mut patterns, mut null, mut problems) = (Vec::new(), false, Vec::new());
        for text in origins {
            match text.as_ref() {
                "null" => null = true,
                text => match Pattern::parse(text) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(why) => problems.push(format!("the origin `{text}` {why}")),
                },
            }
        }
        Self {
            problems,
            ..Self::new(Allowed::List { patterns, null })
        }
    }

    /// Whether clients that send no `Origin`, which browsers do not leave out, may connect.
    /// Default: true.
    #[must_use]
    pub const fn allow_none(mut self, allow: bool) -> Self {
        self.allows_none = allow;
        self
    }

    const fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            allows_none: true,
            problems: Vec::new(),
        }
    }

    /// Whether there are pages that it keeps out.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.allowed, Allowed::List { .. })
    }

    /// Whether it keeps no page out.
    pub(crate) const fn is_any(&self) -> bool {
        matches!(self.allowed, Allowed::Any)
    }

    /// Whether it was not said who may connect.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self.allowed, Allowed::Own)
    }

    /// What is wrong with the patterns.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether a request with these headers may go on.
    pub(crate) fn allow(&self, headers: &HeaderMap, uri: &Uri, cors: Option<&Cors>) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let (origin, second) = (origins.next(), origins.next());
        match (&self.allowed, origin) {
            (_, None) => self.allows_none,
            (Allowed::Any, Some(_)) => true,
            _ if second.is_some() => false,
            (Allowed::List { patterns, null }, Some(origin)) => lists(patterns, *null, origin),
            (Allowed::Own, Some(origin)) => {
                cors.is_some_and(|cors| cors.allows(origin)) || is_of(origin, headers, uri)
            }
        }
    }
}

/// Whether a page of this origin is among those that are listed.
fn lists(patterns: &[Pattern], null: bool, origin: &HeaderValue) -> bool {
    let Ok(text) = origin.to_str() else {
        return false;
    };
    if text == "null" {
        return null;
    }
    Origin::parse(text).is_ok_and(|origin| patterns.iter().any(|one| one.matches(&origin)))
}

/// Whether a page of this origin is one of the server that is asked.
fn is_of(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let asked = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        // HTTP/2 has it in the target.
        (None, _) => uri.authority().map(Authority::as_str),
        (Some(_), Some(_)) => None,
    };
    let origin = origin
        .to_str()
        .ok()
        .and_then(|text| Origin::parse(text).ok());
    let (Some(asked), Some(origin)) = (asked, origin) else {
        return false;
    };
    split_port(asked).is_ok_and(|(host, port)| {
        let port = port.unwrap_or_else(|| default_port(&origin.scheme));
        origin.host == host.to_ascii_lowercase() && origin.port == port
    })
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((scheme, rest)) = text.split_once("://*.") else {
            return Ok(Self {
                origin: Origin::parse(text)?,
                is_wildcard: false,
            });
        };
        let origin = Origin::parse(&format!("{scheme}://{rest}"))?;
        // `*.com` is half of the world.
        if !origin.host.contains('.') && origin.host != "localhost" {
            return Err("has a wildcard for a whole top-level domain");
        }
        Ok(Self {
            origin,
            is_wildcard: true,
        })
    }

    fn matches(&self, origin: &Origin) -> bool {
        if !self.is_wildcard {
            return self.origin == *origin;
        }
        let prefix = origin.host.strip_suffix(&self.origin.host);
        let is_below = prefix
            .and_then(|prefix| prefix.strip_suffix('.'))
            .is_some_and(|prefix| !prefix.is_empty());
        is_below && self.origin.scheme == origin.scheme && self.origin.port == origin.port
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("has no scheme such as `https://`")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
            return Err("has no scheme such as `https://`");
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_port(rest)?;
        let port = port.unwrap_or_else(|| default_port(&scheme));
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

/// The port that an origin of this scheme does not name.
fn default_port(scheme: &str) -> u16 {
    match scheme {
        "https" => 443,
        "http" => 80,
        // Apps with a scheme of their own have no ports.
        _ => 0,
    }
}

/// Takes the port off a host, and judges both.
fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons within the brackets of an IPv6 address are not it.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = port
        .map(
            |port| match port.bytes().all(|byte| byte.is_ascii_digit()) {
                true => port.parse().map_err(|_| "has no valid port"),
                false => Err("has no valid port"),
            },
        )
        .transpose()?;
    let is_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    match is_host {
        true => Ok((host, port)),
        false if !host.is_ascii() => Err("must be written in punycode"),
        false => Err("is not a scheme, a host and perhaps a port"),
    }
}

/// Whether this could be a name: labels of letters, digits, hyphens and underscores.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // A name may end with the dot of the root, which makes it another origin.
    let labels = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 255 && labels.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
