//! Which pages of other origins may read polling responses (Fetch standard, "HTTP extensions").
//!
//! CORS tells browsers what to let through; it refuses nobody. A browser does not ask for it on a
//! WebSocket at all, which is what `origins` is for.
//!
//! # Invariants
//!
//! - Without configuration no response carries a CORS header.
//! - `*` never goes together with credentials; `Vary: Origin` is there whenever the answer depends
//!   on the origin.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

type Predicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Which origins are allowed.
#[derive(Clone)]
#[non_exhaustive]
pub enum CorsOrigin {
    /// Every origin, answered with `*`; does not go together with credentials.
    Any,
    /// These origins, compared byte by byte.
    List(Vec<String>),
    /// Those for which the function says yes.
    Predicate(Predicate),
}

impl fmt::Debug for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::List(origins) => f.debug_tuple("List").field(origins).finish(),
            Self::Predicate(_) => f.write_str("Predicate"),
        }
    }
}

/// The CORS policy of an engine.
#[derive(Debug, Clone)]
pub struct Cors {
    origin: CorsOrigin,
    methods: String,
    allowed_headers: Option<String>,
    exposed_headers: Option<String>,
    credentials: bool,
    max_age: Option<Duration>,
}

impl Cors {
    /// Allows every origin, without credentials.
    #[must_use]
    pub fn any() -> Self {
        Self::with(CorsOrigin::Any)
    }

    /// Allows these origins, such as `https://app.example.com`.
    #[must_use]
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self::with(CorsOrigin::List(
            origins.into_iter().map(Into::into).collect(),
        ))
    }

    /// Allows the origins for which `allowed` says yes.
    #[must_use]
    pub fn predicate(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::with(CorsOrigin::Predicate(Arc::new(allowed)))
    }

    fn with(origin: CorsOrigin) -> Self {
        Self {
            origin,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".to_owned(),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
        }
    }

    /// What a preflight allows. Default: `GET,HEAD,PUT,PATCH,POST,DELETE`, as Node.
    #[must_use]
    pub fn methods(mut self, methods: impl Into<String>) -> Self {
        self.methods = methods.into();
        self
    }

    /// The request headers that a preflight allows. Default: those it asks for.
    #[must_use]
    pub fn allowed_headers(mut self, headers: impl Into<String>) -> Self {
        self.allowed_headers = Some(headers.into());
        self
    }

    /// The response headers that a page may read. Default: none.
    #[must_use]
    pub fn exposed_headers(mut self, headers: impl Into<String>) -> Self {
        self.exposed_headers = Some(headers.into());
        self
    }

    /// Whether requests may carry cookies. Default: false.
    #[must_use]
    pub const fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long a browser may remember a preflight. Default: not said.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether any page could act with a visitor's cookies.
    pub(crate) const fn is_any_with_credentials(&self) -> bool {
        self.credentials && matches!(self.origin, CorsOrigin::Any)
    }

    pub(crate) const fn allows_credentials(&self) -> bool {
        self.credentials
    }

    /// Adds what belongs on every response.
    pub(crate) fn decorate(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let origin = request.get(ORIGIN);
        match &self.origin {
            CorsOrigin::Any => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            CorsOrigin::List(_) | CorsOrigin::Predicate(_) => {
                response.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
                    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                }
            }
        }
        if self.credentials {
            let allowed = HeaderValue::from_static("true");
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
        if let Some(headers) = self.exposed_headers.as_deref().and_then(value) {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, headers);
        }
    }

    /// The answer to a preflight, beside what [`Self::decorate`] adds.
    pub(crate) fn preflight(&self, request: &HeaderMap, response: &mut HeaderMap) -> StatusCode {
        if let Some(methods) = value(&self.methods) {
            response.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let headers = match &self.allowed_headers {
            Some(headers) => value(headers),
            None => {
                response.append(
                    VARY,
                    HeaderValue::from_static("Access-Control-Request-Headers"),
                );
                request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned()
            }
        };
        if let Some(headers) = headers {
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        if let Some(max_age) = self.max_age {
            response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age.as_secs()));
        }
        response.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        StatusCode::NO_CONTENT
    }

    /// Whether a page of this origin may read.
    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        match &self.origin {
            CorsOrigin::Any => true,
            CorsOrigin::List(origins) => origins.iter().any(|allowed| allowed == origin),
            CorsOrigin::Predicate(allowed) => allowed(origin),
        }
    }
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
