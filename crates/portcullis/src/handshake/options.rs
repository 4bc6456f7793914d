//! What the HTTP side of an engine is told at start.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engineio::Transports;

use super::cookie::Cookie;
use super::cors::Cors;
use super::gate::{AllowRequest, GenerateId, HeadersHook};
use super::headers::HeaderPolicy;
use super::origins::Origins;
use super::proxies::TrustedProxies;
use crate::clock::{Clock, SystemClock};

/// The HTTP side of an engine.
#[derive(Clone)]
pub(crate) struct HttpOptions {
    /// Ends with a slash unless `add_trailing_slash` is off.
    pub(crate) path: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transports: Transports,
    pub(crate) allow_upgrades: bool,
    /// A message that follows the open packet of every session.
    pub(crate) initial_packet: Option<String>,
    pub(crate) origins: Origins,
    pub(crate) proxies: TrustedProxies,
    pub(crate) body_timeout: Duration,
    /// Bodies from this size on are compressed; `None` switches compression off.
    pub(crate) compression_threshold: Option<usize>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) cors: Option<Cors>,
    pub(crate) header_policy: HeaderPolicy,
    pub(crate) serve_client: Option<PathBuf>,
    pub(crate) allow_request: Option<AllowRequest>,
    pub(crate) generate_id: Option<GenerateId>,
    pub(crate) initial_headers: Option<HeadersHook>,
    pub(crate) headers: Option<HeadersHook>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            clock: Arc::new(SystemClock),
            transports: Transports {
                polling: true,
                websocket: true,
            },
            allow_upgrades: true,
            initial_packet: None,
            origins: Origins::own(),
            proxies: TrustedProxies::default(),
            body_timeout: Duration::from_secs(15),
            compression_threshold: Some(1024),
            cookie: None,
            cors: None,
            header_policy: HeaderPolicy::default(),
            serve_client: None,
            allow_request: None,
            generate_id: None,
            initial_headers: None,
            headers: None,
        }
    }
}

impl HttpOptions {
    /// Whether a request for `path` is for this engine: the configured path itself, or something
    /// below it. `/socket.io-admin` is not below `/socket.io/`.
    pub(crate) fn owns(&self, path: &str) -> bool {
        match path.strip_prefix(self.path.as_str()) {
            Some(rest) => self.path.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// Whether a hook needs the whole head of the request.
    pub(crate) fn wants_head(&self) -> bool {
        self.allow_request.is_some()
            || self.generate_id.is_some()
            || self.initial_headers.is_some()
            || self.headers.is_some()
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("path", &self.path)
            .field("transports", &self.transports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_owns_itself_and_what_is_below_and_not_its_namesakes() {
        let mut options = HttpOptions::default();
        for (path, owned) in [
            ("/socket.io/", true),
            ("/socket.io/anything", true),
            ("/socket.io", false),
            ("/socket.io-admin/", false),
            ("/", false),
        ] {
            assert_eq!(options.owns(path), owned, "{path}");
        }
        options.path = "/socket.io".to_owned();
        assert!(options.owns("/socket.io"));
        assert!(options.owns("/socket.io/"));
        assert!(!options.owns("/socket.io-admin"));
    }
}
