//! The responses of an engine, and nothing that decides which.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use portcullis_engineio::Rejection;

/// The body of every response that an engine makes.
pub(crate) type Body = Full<Bytes>;

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// A response with text in it.
pub(crate) fn text(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Packets for a poll.
pub(crate) fn payload(body: Bytes) -> Response<Body> {
    let mut response = text("text/plain; charset=UTF-8", body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a POST.
pub(crate) fn ok() -> Response<Body> {
    text("text/html", "ok")
}

/// The answer to another version of WebSocket (RFC 6455 section 4.4, RFC 9110 section 15.5.22).
pub(crate) fn upgrade_required() -> Response<Body> {
    let mut response = empty(StatusCode::UPGRADE_REQUIRED);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// A refused request, in the form that its transport expects.
pub(crate) fn rejection(rejection: &Rejection, is_upgrade: bool) -> Response<Body> {
    let mut response = if is_upgrade {
        text("text/html", rejection.message().to_owned())
    } else {
        text("application/json", rejection.to_json())
    };
    let status = StatusCode::from_u16(rejection.status());
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_REQUEST);
    if is_upgrade {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
