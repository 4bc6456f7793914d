//! Where the token of a connection is looked for, and in which order.
//!
//! ```text
//!  CONNECT payload ── auth.token ──┐
//!  request headers ── Bearer ──────┼─▶ first source that holds anything ─▶ Token, or a refusal
//!  (opt-in) cookie, query, header ─┘
//! ```
//!
//! # Invariants
//!
//! - The first source that holds anything decides. If what it holds is no token, the peer is
//!   refused; a later source is not asked, or an attacker could choose which one counts.
//! - Nothing longer than the caller allows leaves this module.
//!
//! # Not here
//!
//! Whether the token is worth anything (`jwt`), and the rule that a cookie needs an origin
//! allow-list beside it, which the server's builder checks.

use std::borrow::Cow;

use crate::auth::secret::Token;
use crate::auth::strict_json::Object;
use crate::auth::token_error::TokenError;

/// The longest token that is looked at where nothing else is said.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest CONNECT payload in which a token is looked for.
pub const MAX_AUTH_BYTES: usize = 16 * 1024;

/// One place in which a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// A text in the CONNECT payload, under this key: what a client passes as
    /// `io(url, { auth: { token } })`. Absent and `null` mean "look elsewhere".
    AuthPayload(Cow<'static, str>),
    /// As [`TokenSource::AuthPayload`], and the text may begin with `Bearer `.
    AuthPayloadWithScheme(Cow<'static, str>),
    /// The header `Authorization: Bearer …` of the request (RFC 6750 section 2.1).
    Bearer,
    /// A cookie of this name. Browsers send it from any page, so it needs an origin allow-list.
    Cookie(Cow<'static, str>),
    /// A parameter of this name in the query string. Such a token ends in the logs of proxies.
    Query(Cow<'static, str>),
    /// A header of this name, whose whole value is the token.
    Header(Cow<'static, str>),
}

impl TokenSource {
    /// The sources where nothing else is configured: `auth.token`, then `Authorization: Bearer`.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![Self::AuthPayload("token".into()), Self::Bearer]
    }

    /// The name that the source looks for, if it looks for one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::AuthPayload(name)
            | Self::AuthPayloadWithScheme(name)
            | Self::Cookie(name)
            | Self::Query(name)
            | Self::Header(name) => Some(name),
            Self::Bearer => None,
        }
    }

    /// Whether the source can ever find anything: a name is not empty, and a header's or cookie's
    /// name is a token of RFC 9110 section 5.6.2.
    pub(crate) fn has_usable_name(&self) -> bool {
        match self {
            Self::Bearer => true,
            Self::AuthPayload(name) | Self::AuthPayloadWithScheme(name) | Self::Query(name) => {
                !name.is_empty()
            }
            Self::Cookie(name) | Self::Header(name) => {
                http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            }
        }
    }

    /// Which request header must be kept from the handshake for this source, in lower case.
    #[must_use]
    pub fn header_name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bearer => Some(Cow::Borrowed("authorization")),
            Self::Cookie(_) => Some(Cow::Borrowed("cookie")),
            Self::Header(name) => Some(Cow::Owned(name.to_ascii_lowercase())),
            Self::AuthPayload(_) | Self::AuthPayloadWithScheme(_) | Self::Query(_) => None,
        }
    }

    fn find(
        &self,
        credentials: &Credentials<'_>,
        max_bytes: usize,
    ) -> Result<Option<Token>, TokenError> {
        let found = match self {
            Self::AuthPayload(name) => in_auth_payload(credentials.auth, name)?,
            Self::AuthPayloadWithScheme(name) => in_auth_payload(credentials.auth, name)?
                .map(|text| strip_bearer(&text).map(str::to_owned).unwrap_or(text)),
            Self::Bearer => single_header(credentials.headers, "authorization")?
                .map(after_bearer)
                .transpose()?,
            Self::Cookie(name) => in_cookies(credentials.headers, name)?,
            Self::Query(name) => in_query(credentials.query, name, max_bytes)?,
            Self::Header(name) => single_header(credentials.headers, name)?.map(str::to_owned),
        };
        found.map(|text| bounded(text, max_bytes)).transpose()
    }

    /// Shows what of a request, without its `auth` payload, this source reads.
    pub(crate) fn visit(&self, credentials: &Credentials<'_>, visit: &mut dyn FnMut(&[u8])) {
        match self {
            Self::AuthPayload(_) | Self::AuthPayloadWithScheme(_) => {}
            Self::Bearer => credentials
                .headers
                .each_value("authorization", &mut |value| visit(value)),
            Self::Header(name) => credentials
                .headers
                .each_value(name, &mut |value| visit(value)),
            // What cannot be read shows as something that no first request had.
            Self::Cookie(name) => match in_cookies(credentials.headers, name) {
                Ok(found) => found.iter().for_each(|value| visit(value.as_bytes())),
                Err(error) => visit(error.as_str().as_bytes()),
            },
            Self::Query(name) => match in_query(credentials.query, name, MAX_AUTH_BYTES) {
                Ok(found) => found.iter().for_each(|value| visit(value.as_bytes())),
                Err(error) => visit(error.as_str().as_bytes()),
            },
        }
    }
}

/// The request headers of a handshake, as far as the search for a token needs them.
pub trait HeaderLookup {
    /// Calls `visit` with each value of the header, in the order in which they arrived.
    ///
    /// `name` is compared without regard to ASCII case.
    fn each_value<'h>(&'h self, name: &str, visit: &mut dyn FnMut(&'h [u8]));
}

impl HeaderLookup for http::HeaderMap {
    fn each_value<'h>(&'h self, name: &str, visit: &mut dyn FnMut(&'h [u8])) {
        for value in self.get_all(name) {
            visit(value.as_bytes());
        }
    }
}

/// Everything in which a token may stand, of one CONNECT on one connection.
#[derive(Clone, Copy)]
#[expect(
    clippy::exhaustive_structs,
    reason = "built by literal wherever a CONNECT is accepted"
)]
pub struct Credentials<'a> {
    /// The JSON text of the CONNECT packet's payload, if it has one.
    pub auth: Option<&'a str>,
    /// The headers of the connection's first request.
    pub headers: &'a dyn HeaderLookup,
    /// The query string of that request, without its question mark.
    pub query: &'a str,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// Finds the one token that counts, if it has at most `max_bytes`.
///
/// # Errors
///
/// [`TokenError::Missing`] if no source holds anything; otherwise what is wrong with the first
/// thing found.
pub fn find_token(
    sources: &[TokenSource],
    credentials: &Credentials<'_>,
    max_bytes: usize,
) -> Result<Token, TokenError> {
    for source in sources {
        if let Some(token) = source.find(credentials, max_bytes)? {
            return Ok(token);
        }
    }
    Err(TokenError::Missing)
}

fn bounded(text: String, max_bytes: usize) -> Result<Token, TokenError> {
    if text.len() > max_bytes {
        return Err(TokenError::TooLarge);
    }
    // RFC 6750 section 2.1 allows less than this; what matters is that it is one word.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::SourceMalformed);
    }
    Ok(Token::from(text))
}

fn in_auth_payload(auth: Option<&str>, key: &str) -> Result<Option<String>, TokenError> {
    let Some(auth) = auth else { return Ok(None) };
    if auth.len() > MAX_AUTH_BYTES {
        return Err(TokenError::TooLarge);
    }
    let payload = Object::parse_top(auth).map_err(|_| TokenError::SourceMalformed)?;
    let mut values = payload.all(key);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(TokenError::SourceAmbiguous);
    }
    if value.is_null() {
        return Ok(None);
    }
    value.to_text().map(Some).ok_or(TokenError::SourceMalformed)
}

fn single_header<'h>(
    headers: &'h dyn HeaderLookup,
    name: &str,
) -> Result<Option<&'h str>, TokenError> {
    let mut count = 0;
    let mut found = None;
    headers.each_value(name, &mut |value| {
        count += 1;
        found = Some(value);
    });
    if count > 1 {
        return Err(TokenError::SourceAmbiguous);
    }
    found
        .map(|bytes| std::str::from_utf8(bytes).map_err(|_| TokenError::SourceMalformed))
        .transpose()
}

/// What follows the scheme `Bearer`, if that is the first word of the text (RFC 9110 section 11.4).
fn strip_bearer(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| rest.trim_start_matches(' '))
}

fn after_bearer(value: &str) -> Result<String, TokenError> {
    if value.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::SourceMalformed);
    }
    strip_bearer(value)
        .map(str::to_owned)
        .ok_or(TokenError::SchemeUnsupported)
}

fn in_cookies(headers: &dyn HeaderLookup, name: &str) -> Result<Option<String>, TokenError> {
    let mut result = Ok(None);
    headers.each_value("cookie", &mut |line| {
        let Ok(line) = std::str::from_utf8(line) else {
            result = Err(TokenError::SourceMalformed);
            return;
        };
        for pair in line.split(';') {
            let Some((key, value)) = pair.split_once('=') else {
                continue;
            };
            if key.trim_matches([' ', '\t']) != name || result.is_err() {
                continue;
            }
            // A page on a sibling domain can plant a second cookie of the same name.
            result = match result {
                Ok(None) => Ok(Some(unquoted(value.trim_matches([' ', '\t'])).to_owned())),
                _ => Err(TokenError::SourceAmbiguous),
            };
        }
    });
    result
}

/// A cookie's value may stand in double quotes (RFC 6265 section 4.1.1).
fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

fn in_query(query: &str, name: &str, max_bytes: usize) -> Result<Option<String>, TokenError> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if strictly_form_decoded(key).as_deref() != Some(name) {
            continue;
        }
        if found.is_some() {
            return Err(TokenError::SourceAmbiguous);
        }
        // The bound comes first, so that nothing long is copied.
        if value.len() > 3 * max_bytes {
            return Err(TokenError::TooLarge);
        }
        found = Some(strictly_form_decoded(value).ok_or(TokenError::SourceMalformed)?);
    }
    Ok(found)
}

/// Undoes `application/x-www-form-urlencoded`, as browsers write a query. Unlike what shows the
/// query to the application, it takes no escape that is none: a token is not read in two ways.
fn strictly_form_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests;
