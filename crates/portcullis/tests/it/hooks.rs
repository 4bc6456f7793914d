//! What an application may decide about requests, on both transports.

use std::io::Read as _;

use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderValue, StatusCode};
use portcullis::engineio::SessionId;
use portcullis::gateway::Data;
use portcullis::handshake::{Cookie, GateRefusal, IdError};
use portcullis::{ServerBuilder, Socket};
use portcullis_testing::wire::{Client, POLLING, Response, WEBSOCKET, WebSocket};
use portcullis_testing::{Journal, TestServer};

use crate::support::{Wire, public, upgrade_head};

/// The answer to a handshake by WebSocket that is refused.
async fn refused_websocket(server: &TestServer, target: &str) -> Response {
    let io = server.memory(1024);
    let upgraded = WebSocket::upgrade(io, target, &[]).await;
    upgraded.expect_err("a refusal")
}

fn open() -> ServerBuilder {
    public(|_| {})
}

#[tokio::test]
async fn the_gate_answers_with_a_status_of_its_own_on_both_transports() {
    let builder = open().allow_request(async |head| {
        tokio::task::yield_now().await;
        let query = head.uri().query().unwrap_or_default();
        Err(match query.split("status=").nth(1) {
            Some("401") => GateRefusal::new(StatusCode::UNAUTHORIZED).message("who are you?"),
            Some("429") => GateRefusal::new(StatusCode::TOO_MANY_REQUESTS),
            _ => return Ok(()),
        })
    });
    let server = TestServer::start(builder).await;
    for (status, message) in [(401, "who are you?"), (429, "Forbidden")] {
        let refused = server
            .http_in_memory()
            .get(&format!("{POLLING}&status={status}"))
            .await;
        assert_eq!(refused.status, status);
        assert_eq!(
            refused.text(),
            format!(r#"{{"code":4,"message":"{message}"}}"#)
        );
        let target = format!("{WEBSOCKET}&status={status}");
        let refused = refused_websocket(&server, &target).await;
        assert_eq!(
            (refused.status, refused.text()),
            (status, message.to_owned())
        );
    }
    server.client_in_memory().await;
    assert_eq!(server.http_in_memory().get(POLLING).await.status, 200);
}

#[tokio::test]
async fn the_gate_sees_handshakes_and_upgrades_and_no_other_request() {
    let seen = Journal::default();
    let notes = seen.clone();
    let builder = open().allow_request(move |head| {
        let has_sid = head
            .uri()
            .query()
            .is_some_and(|query| query.contains("sid="));
        notes.note(format!("{} {has_sid}", head.method()));
        std::future::ready(match has_sid {
            true => Err(GateRefusal::new(StatusCode::FORBIDDEN)),
            false => Ok(()),
        })
    });
    let server = TestServer::start(builder).await;
    let mut http = server.http_in_memory();
    let session = http.join().await;
    assert_eq!(seen.lines(), ["GET false"]);
    let target = session.replace(POLLING, WEBSOCKET);
    assert_eq!(refused_websocket(&server, &target).await.status, 403);
    assert_eq!(seen.lines(), ["GET false", "GET true"]);
    assert_eq!(
        http.post(&session, "41").await.status,
        200,
        "polling goes on"
    );
}

#[tokio::test]
async fn the_applications_generator_names_the_sessions_once_each() {
    let builder = open().generate_id(async |head| {
        tokio::task::yield_now().await;
        let wanted = head.headers().get("x-id").and_then(|id| id.to_str().ok());
        SessionId::parse(wanted.unwrap_or_default()).map_err(|_| IdError::new())
    });
    let server = TestServer::start(builder).await;
    let mut http = server.http_in_memory();
    let named = http.get_with(POLLING, &[("X-Id", "chosen")]).await;
    assert!(
        named.text().starts_with(r#"0{"sid":"chosen","#),
        "{}",
        named.text()
    );
    let refusal = r#"{"code":3,"message":"Bad request"}"#;
    for id in ["chosen", "", "not an id"] {
        let refused = http.get_with(POLLING, &[("X-Id", id)]).await;
        assert_eq!(
            (refused.status, refused.text()),
            (400, refusal.to_owned()),
            "{id:?}"
        );
    }
    let refused = refused_websocket(&server, WEBSOCKET).await;
    assert_eq!(
        (refused.status, refused.text()),
        (400, "Bad request".to_owned())
    );
    assert_eq!(server.server().sessions(), 1);
}

#[tokio::test]
async fn initial_headers_come_once_and_the_others_with_every_response() {
    let value = || HeaderValue::from_static("here");
    let builder = open()
        .initial_headers(move |headers, head| {
            assert_eq!(head.method(), "GET");
            headers.insert("x-initial", value());
        })
        .headers(move |headers, _| {
            headers.insert("x-every", value());
        });
    let server = TestServer::start(builder).await;
    let mut http = server.http_in_memory();
    let headers =
        |response: &Response| ["x-initial", "x-every"].map(|name| response.header(name).is_some());
    let opened = http.get(POLLING).await;
    assert_eq!(headers(&opened), [true, true]);
    let open: serde_json::Value = serde_json::from_str(&opened.text()[1..]).unwrap();
    let session = format!("{POLLING}&sid={}", open["sid"].as_str().unwrap());
    assert_eq!(headers(&http.post(&session, "40").await), [false, true]);
    assert_eq!(headers(&http.get(&session).await), [false, true]);
    let rejected = http.get(&format!("{POLLING}&sid=nobody")).await;
    assert_eq!((rejected.status, headers(&rejected)), (400, [false, true]));

    let head = upgrade_head(server.memory(1024), WEBSOCKET).await;
    assert_eq!((head.status, headers(&head)), (101, [true, true]));
}

#[tokio::test]
async fn the_cookie_is_set_by_the_first_polling_response_only() {
    let server = TestServer::start(open().cookie(Cookie::default())).await;
    let mut http = server.http_in_memory();
    let opened = http.get(POLLING).await;
    let open: serde_json::Value = serde_json::from_str(&opened.text()[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    let cookie = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(opened.header("set-cookie"), Some(cookie.as_str()));
    let session = format!("{POLLING}&sid={sid}");
    assert_eq!(http.post(&session, "40").await.header("set-cookie"), None);
    assert_eq!(http.get(&session).await.header("set-cookie"), None);
    let head = upgrade_head(server.memory(1024), WEBSOCKET).await;
    assert_eq!((head.status, head.header("set-cookie")), (101, None));
}

#[tokio::test]
async fn the_client_bundle_is_served_by_name_with_a_tag_and_nothing_else_is() {
    // Several runs of the tests may share the folder for what is temporary.
    let outside = format!(
        "{}/bundle-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let outside = std::path::PathBuf::from(outside);
    let folder = outside.join("bundle");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("socket.io.js"), "the client").unwrap();
    std::fs::write(folder.join("secret.txt"), "a secret").unwrap();
    std::fs::write(outside.join("socket.io.esm.min.js"), "outside").unwrap();
    let server = TestServer::start(open().serve_client(&folder)).await;
    let mut http = server.http_in_memory();
    let served = http.get("/socket.io/socket.io.js").await;
    assert_eq!(
        (served.status, served.text()),
        (200, "the client".to_owned())
    );
    let kind = "application/javascript; charset=utf-8";
    assert_eq!(served.header("content-type"), Some(kind));

    let tag = served.header("etag").unwrap();
    for known in [tag, &format!("W/{tag}")] {
        let target = "/socket.io/socket.io.js";
        let unchanged = http.get_with(target, &[("If-None-Match", known)]).await;
        assert_eq!(
            (unchanged.status, unchanged.header("etag")),
            (304, Some(tag))
        );
    }
    let other = [("If-None-Match", "\"other\"")];
    assert_eq!(
        http.get_with("/socket.io/socket.io.js", &other)
            .await
            .status,
        200
    );

    assert_eq!(http.get("/socket.io/socket.io.min.js").await.status, 404);
    for path in [
        "/socket.io/secret.txt",
        "/socket.io/../bundle/secret.txt",
        "/socket.io/%2e%2e/bundle/secret.txt",
        "/socket.io/..%2fbundle%2fsecret.txt",
        "/socket.io/../socket.io.esm.min.js",
        "/socket.io/../../../../../../../../etc/passwd",
    ] {
        let response = http.get(path).await;
        assert!(matches!(response.status, 400 | 404), "{path}: {response:?}");
    }
    std::fs::remove_dir_all(outside).unwrap();
}

fn sizes(r: &mut portcullis::gateway::Registrar) {
    r.on("text", async |socket: Socket, Data(len): Data<usize>| {
        socket.emit("text", &"x".repeat(len)).unwrap();
    });
    r.on("plain", async |socket: Socket, Data(len): Data<usize>| {
        socket
            .compress(false)
            .emit("text", &"x".repeat(len))
            .unwrap();
    });
}

/// Asks for a text of so many bytes with polls that accept `coding`; says how it came.
async fn coding_of(builder: ServerBuilder, event: &str, coding: &str) -> Option<String> {
    let server = TestServer::start(builder).await;
    let mut http = server.http_in_memory();
    let session = http.join().await;
    http.post(&session, &format!("42{event}")).await;
    let response = http
        .get_with(&session, &[("Accept-Encoding", coding)])
        .await;
    let mut text = String::new();
    match response.header("content-encoding") {
        Some("gzip") => {
            GzDecoder::new(&response.body[..])
                .read_to_string(&mut text)
                .unwrap();
        }
        Some("deflate") => {
            ZlibDecoder::new(&response.body[..])
                .read_to_string(&mut text)
                .unwrap();
        }
        _ => text = response.text(),
    }
    assert!(text.starts_with(r#"42["text","xxx"#), "{text}");
    response.header("content-encoding").map(str::to_owned)
}

#[tokio::test]
async fn polling_responses_are_compressed_from_the_threshold_on() {
    let builder = || public(sizes);
    for (builder, event, accepted, expected) in [
        // Around the text stand 12 bytes: `42["text","` and `"]`, less one.
        (builder(), r#"["text",1010]"#, "gzip", None),
        (builder(), r#"["text",1011]"#, "gzip", Some("gzip")),
        (
            builder(),
            r#"["text",2000]"#,
            "deflate, br",
            Some("deflate"),
        ),
        (builder(), r#"["text",2000]"#, "gzip;q=0, br", None),
        (builder(), r#"["plain",2000]"#, "gzip", None),
        (
            builder().http_compression(Some(10)),
            r#"["text",9]"#,
            "gzip",
            Some("gzip"),
        ),
        (
            builder().http_compression(None),
            r#"["text",2000]"#,
            "gzip",
            None,
        ),
    ] {
        let coding = coding_of(builder, event, accepted).await;
        assert_eq!(coding.as_deref(), expected, "{event} {accepted}");
    }
}

#[tokio::test]
async fn an_initial_packet_follows_the_open_packet_on_both_transports() {
    let server = TestServer::start(public(|_| {}).initial_packet("hello")).await;
    let mut websocket = Client::open(server.address()).await;
    assert_eq!(websocket.recv().await.as_deref(), Some("4hello"));
    let mut http = server.http().await;
    let session = http.open_session().await;
    assert_eq!(http.get(&session).await.text(), "4hello");
}

#[tokio::test]
async fn a_full_server_still_lets_its_own_sessions_upgrade() {
    let server = TestServer::start(public(|_| {}).max_sessions(1)).await;
    let mut http = server.http().await;
    let session = http.open_session().await;
    assert_eq!(http.get(POLLING).await.status, 503);
    // Panics unless the probe is let in and answered.
    Client::probe(server.address(), &session.replace(POLLING, WEBSOCKET)).await;
}
