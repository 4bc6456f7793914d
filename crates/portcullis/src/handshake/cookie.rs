//! The cookie by which a load balancer may keep a polling session on its node.

use std::fmt::Write as _;
use std::time::Duration;

use http::HeaderValue;
use portcullis_engineio::SessionId;

/// When a browser sends a cookie along from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// Never.
    Strict,
    /// When a person follows a link.
    Lax,
    /// Always; needs [`Cookie::secure`].
    None,
}

/// A cookie that carries the session id, set with the first polling response of a session.
///
/// Off by default. The value is the session's secret, so the cookie is `HttpOnly` unless told
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    partitioned: bool,
    same_site: Option<SameSite>,
}

impl Default for Cookie {
    /// `io=…; Path=/; HttpOnly; SameSite=Lax`
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            partitioned: false,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// The cookie's name. Default: `io`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The path below which the browser sends it; `None` leaves that to the browser. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: Option<&str>) -> Self {
        self.path = path.map(str::to_owned);
        self
    }

    /// The domain for which the browser sends it. Default: the host that set it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How long it lives, in whole seconds. Default: until the browser closes.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether scripts are kept from reading it. Default: true.
    #[must_use]
    pub const fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether it travels over TLS only. Default: false.
    #[must_use]
    pub const fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether each embedding site has a cookie of its own. Default: false.
    #[must_use]
    pub const fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// When it travels across sites; `None` leaves that to the browser. Default: `Lax`.
    #[must_use]
    pub const fn same_site(mut self, same_site: Option<SameSite>) -> Self {
        self.same_site = same_site;
        self
    }

    /// The header for one session; `None` if a part of it cannot be in a header.
    pub(crate) fn header(&self, id: &SessionId) -> Option<HeaderValue> {
        let mut text = format!("{}={}", self.name, id.expose());
        if let Some(max_age) = self.max_age {
            // Writing to a String cannot fail.
            let _ = write!(text, "; Max-Age={}", max_age.as_secs());
        }
        if let Some(domain) = &self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        if let Some(path) = &self.path {
            let _ = write!(text, "; Path={path}");
        }
        for (set, attribute) in [
            (self.http_only, "; HttpOnly"),
            (self.secure, "; Secure"),
            (self.partitioned, "; Partitioned"),
        ] {
            if set {
                text.push_str(attribute);
            }
        }
        text.push_str(match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_says_what_it_was_told_to_say() {
        let id = SessionId::parse("abc").unwrap();
        let usual = Cookie::default();
        for (cookie, expected) in [
            (usual.clone(), "io=abc; Path=/; HttpOnly; SameSite=Lax"),
            (
                usual.clone().name("sid"),
                "sid=abc; Path=/; HttpOnly; SameSite=Lax",
            ),
            (usual.clone().path(None), "io=abc; HttpOnly; SameSite=Lax"),
            (
                usual.clone().path(Some("/x")),
                "io=abc; Path=/x; HttpOnly; SameSite=Lax",
            ),
            (
                usual.clone().http_only(false),
                "io=abc; Path=/; SameSite=Lax",
            ),
            (
                usual.clone().secure(true).same_site(Some(SameSite::None)),
                "io=abc; Path=/; HttpOnly; Secure; SameSite=None",
            ),
            (
                usual
                    .clone()
                    .same_site(Some(SameSite::Strict))
                    .domain("example.com"),
                "io=abc; Domain=example.com; Path=/; HttpOnly; SameSite=Strict",
            ),
            (
                usual
                    .max_age(Duration::from_secs(60))
                    .partitioned(true)
                    .same_site(None),
                "io=abc; Max-Age=60; Path=/; HttpOnly; Partitioned",
            ),
        ] {
            assert_eq!(cookie.header(&id).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_cannot_smuggle_a_header() {
        let id = SessionId::parse("abc").unwrap();
        assert_eq!(Cookie::default().name("a\r\nb").header(&id), None);
    }
}
