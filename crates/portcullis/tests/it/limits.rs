//! What a port of one's own takes from strangers: heads and bodies within bounds and within time.

use std::time::Duration;

use portcullis::Server;
use portcullis_testing::TestServer;
use portcullis_testing::wire::{POLLING, request};

use crate::support::{Wire, patiently, public, witness};

#[tokio::test]
async fn a_head_that_is_too_large_or_no_head_at_all_is_refused() {
    let server = TestServer::start(public(|_| {})).await;
    let long = "x".repeat(20_000);
    let large_header = request("GET", POLLING, &[("X-Large", &long)], b"");
    let long_target = request("GET", &format!("{POLLING}&x={long}"), &[], b"");
    let names: Vec<String> = (0..70).map(|number| format!("X-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let many_headers = request("GET", POLLING, &headers, b"");
    for (what, bytes, statuses) in [
        ("a large header", &large_header[..], &[431][..]),
        ("a long target", &long_target, &[414, 431]),
        ("many headers", &many_headers, &[431]),
        ("no HTTP", b"\x16\x03\x01 hello\r\n\r\n", &[400]),
    ] {
        let response = server.http().await.exchange(bytes).await;
        assert!(statuses.contains(&response.status), "{what}: {response:?}");
    }
    let just_fits = "x".repeat(10_000);
    let response = server
        .http()
        .await
        .get_with(POLLING, &[("X-Large", &just_fits)])
        .await;
    assert_eq!(response.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_dawdles_ends_its_connection_after_ten_seconds() {
    let server = TestServer::start(public(|_| {})).await;
    let start = tokio::time::Instant::now();
    let mut http = server.http().await;
    http.send(b"GET / HTTP/1.1\r\nHost: loc").await;
    let answer = http.rest().await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    assert!(
        start.elapsed() >= Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_secs(12),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_dawdles_is_refused_and_ends_its_session() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http_in_memory();
    let session = http.join().await;
    let head = format!("POST {session} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n40");
    let start = tokio::time::Instant::now();
    let refused = http.exchange(head.as_bytes()).await;
    assert_eq!(refused.status, 408);
    assert_eq!(start.elapsed().as_secs(), 15);
    let mut http = server.http_in_memory();
    assert_eq!(http.get(&session).await.status, 400);
}

#[tokio::test]
async fn a_body_or_a_message_beyond_the_limit_is_refused() {
    let builder = public(|_| {}).max_payload(1000);
    let server = TestServer::start(builder).await;
    let (mut polling, mut posting) = (server.http_in_memory(), server.http_in_memory());
    let session = polling.join().await;
    let event = |len: usize| format!(r#"42["{}"]"#, "x".repeat(len - 6));
    assert_eq!(posting.post(&session, &event(1000)).await.status, 200);
    assert_eq!(posting.post(&session, &event(1001)).await.status, 413);

    let mut client = server.client_in_memory().await;
    client.send(&event(1000)).await;
    assert!(client.sync().await.is_empty());
    // The end may come while the message is still being sent.
    let _ = client.try_send(&event(1001)).await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let listener = Server::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = Server::bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_nine_seconds_is_answered() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    http.send(b"GET /elsewhere HTTP/1.1\r\nHost: loc").await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    http.send(b"alhost\r\n\r\n").await;
    assert_eq!(http.recv().await.map(|response| response.status), Some(404));
}

#[tokio::test]
async fn a_head_of_almost_sixteen_kilobytes_is_read() {
    let server = TestServer::start(public(|_| {})).await;
    let large = "x".repeat(15_900);
    let response = server
        .http()
        .await
        .get_with(POLLING, &[("X-Large", &large)])
        .await;
    assert_eq!(response.status, 200);
}

/// A request with so many headers; `Host` is one of them.
fn with_headers(count: usize) -> Vec<u8> {
    let names: Vec<_> = (1..count).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    request("GET", POLLING, &headers, b"")
}

#[tokio::test]
async fn sixty_four_headers_are_read() {
    let server = TestServer::start(public(|_| {})).await;
    assert_eq!(
        server.http().await.exchange(&with_headers(64)).await.status,
        200
    );
}

#[tokio::test]
async fn the_sixty_fifth_header_is_too_many() {
    let server = TestServer::start(public(|_| {})).await;
    let before = witness().count("portcullis_http_errors_total", "kind=head_too_large");
    assert_eq!(
        server.http().await.exchange(&with_headers(65)).await.status,
        431
    );
    patiently(async {
        while witness().count("portcullis_http_errors_total", "kind=head_too_large") == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_fourteen_seconds_is_read() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http_in_memory();
    let session = http.join().await;
    let head = format!("POST {session} HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n42");
    http.send(head.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    http.send(b"[\"x\"]").await;
    assert_eq!(http.recv().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_read() {
    let server = TestServer::start(public(|_| {}).max_payload(1000)).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let event = format!(r#"42["{}"]"#, "x".repeat(994));
    assert_eq!(event.len(), 1000);
    assert_eq!(http.post(&session, &event).await.text(), "ok");
}
