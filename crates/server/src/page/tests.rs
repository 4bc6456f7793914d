use axum::body::Body;
use http::{Method, Request};
use portcullis::auth::jwt::Jwt;
use tower_service::Service as _;

use super::*;
use crate::token::Claims;

const SECRET: &str = "a secret for tests, of 32 bytes or more";

async fn send(request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = router(SECRET.into()).call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn request(method: Method, path: &str) -> (StatusCode, HeaderMap, String) {
    send(
        Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

async fn ask_for_token(content_type: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::post("/dev/token")
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let (status, _, body) = send(request).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test]
async fn every_file_comes_with_its_type_and_the_policy() {
    for (path, content_type, text) in FILES {
        let (status, headers, body) = request(Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers[CONTENT_TYPE], content_type, "{path}");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY, "{path}");
        assert_eq!(body, text, "{path}");
    }
}

#[test]
fn the_page_asks_for_nothing_that_the_binary_has_not() {
    let [(_, _, page), ..] = FILES;
    let named = ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for path in named {
        assert!(FILES.iter().any(|&(known, ..)| known == path), "{path}");
        count += 1;
    }
    assert_eq!(count, 4, "two sheets, one script, one icon");
    let imported = FILES
        .iter()
        .flat_map(|(_, _, text)| text.split("from \"./").skip(1))
        .filter_map(|rest| rest.split('"').next());
    for name in imported {
        assert!(
            FILES
                .iter()
                .any(|&(known, ..)| known.strip_prefix('/') == Some(name)),
            "{name}"
        );
    }
}

#[test]
fn nothing_in_the_page_is_inline_or_markup_made_of_text() {
    let [(_, _, page), ..] = FILES;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"));
    assert!(
        page.split("<script")
            .skip(1)
            .all(|rest| rest.contains("></script>"))
    );
    for (path, _, text) in FILES {
        assert!(
            !text.contains("innerHTML") && !text.contains("insertAdjacentHTML"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn anything_else_is_not_found() {
    for (method, path) in [
        (Method::GET, "/socket.io"),
        (Method::GET, "/index.html"),
        (Method::GET, "/../Cargo.toml"),
        (Method::GET, "/%2e%2e/Cargo.toml"),
        (Method::GET, "/..%2fCargo.toml"),
        (Method::GET, "//etc/passwd"),
        (Method::POST, "/"),
        (Method::GET, "/dev/token"),
        (Method::DELETE, "/dev/token"),
    ] {
        let (status, ..) = request(method.clone(), path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
    }
}

#[tokio::test]
async fn a_name_becomes_a_token_that_the_gate_accepts() {
    let (status, answer) = ask_for_token("application/json", r#"{"name":"Zoë"}"#).await;
    assert_eq!(status, StatusCode::OK);
    let token = answer["token"].as_str().unwrap();
    let verified = Jwt::<Claims>::hs256(SECRET)
        .verify(token, SystemTime::now())
        .unwrap();
    assert_eq!(
        verified.claims,
        Claims {
            sub: "Zoë".to_owned(),
            name: Some("Zoë".to_owned())
        }
    );
}

#[tokio::test]
async fn a_name_that_is_none_gets_no_token() {
    let longest = format!(r#"{{"name":"{}"}}"#, "x".repeat(64));
    assert_eq!(
        ask_for_token("application/json", &longest).await.0,
        StatusCode::OK
    );
    for body in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        r#"{"name":5}"#.to_owned(),
        r#"{"name":""}"#.to_owned(),
        r#"{"name":"  "}"#.to_owned(),
        r#"{"name":"a\nb"}"#.to_owned(),
        format!(r#"{{"name":"{}"}}"#, "x".repeat(65)),
        format!(r#"{{"name":"{}"}}"#, "\u{1f600}".repeat(64)),
    ] {
        let (status, answer) = ask_for_token("application/json", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer["error"].is_string() && answer["token"].is_null(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_request_larger_than_any_name_is_not_read() {
    let body = format!(
        r#"{{"name":"a","more":"{}"}}"#,
        "x".repeat(MAX_REQUEST_BYTES)
    );
    let (status, _) = ask_for_token("application/json", &body).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_form_of_another_site_gets_no_token() {
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let (status, _) = ask_for_token(content_type, r#"{"name":"eve"}"#).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let (status, _) = ask_for_token("Application/JSON; charset=utf-8", r#"{"name":"a"}"#).await;
    assert_eq!(status, StatusCode::OK);
}
