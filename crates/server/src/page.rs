//! The page with which a person tries the gateway, and the tokens that it asks for.
//!
//! | request           | answer                                                          |
//! |-------------------|-----------------------------------------------------------------|
//! | `GET /`           | the page                                                        |
//! | `GET /*.css, *.js`| its parts; all of them are in the binary, nothing comes from afar|
//! | `POST /dev/token` | `{"name": "…"}` becomes `{"token": "…"}`, for whoever asks       |
//! | anything else     | 404                                                             |
//!
//! # Invariants
//!
//! - No script and no style stands inside the page, so its policy allows neither: text from a
//!   stranger that got into the document would still not run.
//! - A form on another site cannot ask for a token: JSON needs that site to be allowed by CORS,
//!   and none is.
//!
//! # Not here
//!
//! The gateway's own path (`/socket.io/`), which the framework answers before it asks this router.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderMap, StatusCode};
use portcullis::auth::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::token::{check_name, mint};

/// How long a token from the page is good.
const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);

/// The longest request for a token.
const MAX_REQUEST_BYTES: usize = 4 * 1024;

/// What the page may do: load its own parts, talk to its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file of the page: its path, its type, its text.
const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/layout.css", CSS, include_str!("page/layout.css")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/rooms.js", SCRIPT, include_str!("page/rooms.js")),
    ("/client.js", SCRIPT, include_str!("page/client.js")),
    ("/engine.js", SCRIPT, include_str!("page/engine.js")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
];

/// The page and its tokens, signed with `secret`.
pub(crate) fn router(secret: Secret) -> Router {
    let dev_token = post(token).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES));
    FILES
        .into_iter()
        .fold(Router::new(), |router, (path, content_type, text)| {
            router.route(path, get(move || async move { file(content_type, text) }))
        })
        .route("/dev/token", dev_token)
        .method_not_allowed_fallback(async || StatusCode::NOT_FOUND)
        .with_state(Arc::new(secret))
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[derive(Deserialize)]
struct TokenRequest {
    name: String,
}

async fn token(State(secret): State<Arc<Secret>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_json(&headers) {
        return answer(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &json!({ "error": "not JSON" }),
        );
    }
    let Ok(TokenRequest { name }) = serde_json::from_slice(&body) else {
        return answer(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "not {\"name\": \"…\"}" }),
        );
    };
    if let Err(problem) = check_name(&name) {
        return answer(StatusCode::BAD_REQUEST, &json!({ "error": problem }));
    }
    let further = [("name".to_owned(), Value::from(name.as_str()))];
    match mint(&secret, &name, TOKEN_TTL, further, SystemTime::now()) {
        Ok(token) => answer(StatusCode::OK, &json!({ "token": token.expose() })),
        Err(error) => {
            tracing::error!(%error, "no token");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": "no token" }),
            )
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests;
