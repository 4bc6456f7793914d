//! Pages of other origins: refused on every transport, before anything is done for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::ServerBuilder;
use portcullis::handshake::{Cors, Origins};
use portcullis_testing::TestServer;
use portcullis_testing::wire::{POLLING, WEBSOCKET, WebSocket, request};

use crate::support::{Wire, public, witness};

const OURS: (&str, &str) = ("Origin", "https://app.example.com");
const EVIL: (&str, &str) = ("Origin", "https://app.example.com.evil.io");

fn guarded() -> ServerBuilder {
    public(|_| {}).origins(Origins::list([
        "https://app.example.com",
        "https://*.example.org",
    ]))
}

async fn upgrade(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> u16 {
    let io = server.tcp().await;
    let upgraded = WebSocket::upgrade(io, target, headers).await;
    upgraded.map_or_else(|response| response.status, |_| 101)
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_on_both_transports_with_code_4() {
    let server = TestServer::start(guarded()).await;
    let refused = witness().count("portcullis_origins_refused_total", "");
    let mut http = server.http().await;
    let response = http.get_with(POLLING, &[EVIL]).await;
    assert_eq!(response.status, 403);
    assert_eq!(response.text(), r#"{"code":4,"message":"Forbidden"}"#);
    let io = server.tcp().await;
    let response = WebSocket::upgrade(io, WEBSOCKET, &[EVIL])
        .await
        .unwrap_err();
    assert_eq!(
        (response.status, response.text()),
        (403, "Forbidden".to_owned())
    );
    assert_eq!(server.server().sessions(), 0);
    assert!(witness().count("portcullis_origins_refused_total", "") >= refused + 2);
}

#[tokio::test]
async fn a_page_that_is_listed_connects_and_so_does_who_is_no_page() {
    let server = TestServer::start(guarded()).await;
    let below = ("Origin", "https://a.example.org");
    for headers in [&[OURS][..], &[below], &[]] {
        assert_eq!(
            server.http().await.get_with(POLLING, headers).await.status,
            200
        );
        assert_eq!(upgrade(&server, WEBSOCKET, headers).await, 101);
    }
}

#[tokio::test]
async fn who_is_no_page_stays_out_where_pages_alone_are_wanted() {
    let origins = Origins::list(["https://app.example.com"]).allow_none(false);
    let server = TestServer::start(public(|_| {}).origins(origins)).await;
    assert_eq!(server.http().await.get(POLLING).await.status, 403);
    assert_eq!(upgrade(&server, WEBSOCKET, &[]).await, 403);
    assert_eq!(upgrade(&server, WEBSOCKET, &[OURS]).await, 101);
}

#[tokio::test]
async fn a_session_of_an_allowed_page_is_of_no_use_to_another() {
    let server = TestServer::start(guarded()).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let post = request("POST", &session, &[EVIL], b"42[\"sync\"]");
    assert_eq!(http.exchange(&post).await.status, 403);
    assert_eq!(http.get_with(&session, &[EVIL]).await.status, 403);
    let target = session.replace("polling", "websocket");
    assert_eq!(upgrade(&server, &target, &[EVIL]).await, 403);
    assert_eq!(upgrade(&server, &target, &[OURS]).await, 101);
}

#[tokio::test]
async fn two_origins_are_refused_even_if_both_are_allowed() {
    let server = TestServer::start(guarded()).await;
    assert_eq!(
        server
            .http()
            .await
            .get_with(POLLING, &[OURS, OURS])
            .await
            .status,
        403
    );
    assert_eq!(upgrade(&server, WEBSOCKET, &[OURS, EVIL]).await, 403);
    assert_eq!(upgrade(&server, WEBSOCKET, &[EVIL, OURS]).await, 403);
}

#[tokio::test]
async fn nothing_is_done_for_a_page_that_is_refused() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let builder = guarded().allow_request(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    });
    let server = TestServer::start(builder).await;
    server.http().await.get_with(POLLING, &[EVIL]).await;
    upgrade(&server, WEBSOCKET, &[EVIL]).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    server.http().await.get_with(POLLING, &[OURS]).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn cors_lets_a_page_read_and_origins_let_it_connect() {
    let builder = guarded().cors(Cors::origins(["https://app.example.com"]).credentials(true));
    let server = TestServer::start(builder).await;
    let mut http = server.http().await;
    let ours = http.get_with(POLLING, &[OURS]).await;
    assert_eq!(ours.header("access-control-allow-origin"), Some(OURS.1));
    assert_eq!(ours.header("vary"), Some("Origin"));
    let evil = http.get_with(POLLING, &[EVIL]).await;
    assert_eq!(
        (evil.status, evil.header("access-control-allow-origin")),
        (403, None)
    );
    let asks = ("Access-Control-Request-Method", "POST");
    let preflight = request("OPTIONS", POLLING, &[EVIL, asks], b"");
    let preflight = http.exchange(&preflight).await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    assert_eq!(server.server().sessions(), 1);
}

#[tokio::test]
async fn without_a_word_no_page_may_read_and_no_answer_has_a_cors_header() {
    let server = TestServer::start(public(|_| {})).await;
    for headers in [&[EVIL][..], &[("Origin", "http://localhost")], &[]] {
        let response = server.http().await.get_with(POLLING, headers).await;
        for name in response.headers.keys() {
            assert!(!name.as_str().starts_with("access-control"), "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_word_the_servers_own_pages_connect_and_no_others() {
    let server = TestServer::start(public(|_| {})).await;
    for (origin, allowed) in [
        // The kit asks `localhost`.
        ("http://localhost", true),
        ("https://localhost", true),
        (EVIL.1, false),
        ("http://localhost:3000", false),
        ("http://localhost.evil.io", false),
        ("null", false),
    ] {
        let headers = [("Origin", origin)];
        let polled = server.http().await.get_with(POLLING, &headers).await.status;
        assert_eq!(polled, if allowed { 200 } else { 403 }, "{origin}");
        let upgraded = upgrade(&server, WEBSOCKET, &headers).await;
        assert_eq!(upgraded, if allowed { 101 } else { 403 }, "{origin}");
    }
    assert_eq!(upgrade(&server, WEBSOCKET, &[]).await, 101, "no page");
}

#[tokio::test]
async fn without_a_list_of_origins_the_pages_that_cors_lets_read_connect() {
    let cors = Cors::origins(["https://app.example.com"]);
    let server = TestServer::start(public(|_| {}).cors(cors)).await;
    assert_eq!(upgrade(&server, WEBSOCKET, &[OURS]).await, 101);
    assert_eq!(upgrade(&server, WEBSOCKET, &[EVIL]).await, 403);
    let server = TestServer::start(public(|_| {}).cors(Cors::any())).await;
    assert_eq!(upgrade(&server, WEBSOCKET, &[EVIL]).await, 101);
}
