//! The client bundle, served from a directory (`serve_client`). Off by default.
//!
//! # Invariants
//!
//! - A request names one of a fixed list of files; nothing in it becomes a path.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::respond::{Body, empty};

const FILES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
];

/// The file of the bundle that a path ends in.
pub(crate) fn file_name(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next()?;
    FILES.into_iter().find(|file| *file == name)
}

/// Serves one file; 404 if the directory does not have it.
pub(crate) async fn serve(
    directory: PathBuf,
    name: &'static str,
    request: &HeaderMap,
) -> Response<Body> {
    let known = request.get(IF_NONE_MATCH).cloned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(directory.join(Path::new(name))));
    let Ok(Ok(content)) = read.await else {
        return empty(StatusCode::NOT_FOUND);
    };
    let etag = format!("\"{:016x}\"", fingerprint(&content));
    let weak = format!("W/{etag}");
    let is_known = known.is_some_and(|known| known == etag.as_str() || known == weak.as_str());
    let mut response = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::new(Body::from(Bytes::from(content)))
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    let kind = if name.ends_with(".map") {
        "application/json; charset=utf-8"
    } else {
        "application/javascript; charset=utf-8"
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Tells one version of a file from another (FNV-1a); it guards nothing.
fn fingerprint(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_bundle_have_names() {
        assert_eq!(file_name("/socket.io/socket.io.js"), Some("socket.io.js"));
        for path in [
            "/socket.io/",
            "/socket.io/../../etc/passwd",
            "/socket.io/%2e%2e/x.js",
        ] {
            assert_eq!(file_name(path), None, "{path}");
        }
    }
}
