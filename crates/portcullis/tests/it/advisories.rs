//! What has broken others of our kind: one test for each advisory that applies, by its number.
//!
//! `SECURITY.md` has the table of them all; `tables` holds it against these names.

use std::time::{Duration, Instant};

use portcullis::auth::Refusal;
use portcullis::gateway::{Data, Reply};
use portcullis::socketio::codec::{Codec, Decoder, Limits};
use portcullis::{ServerBuilder, Socket};
use portcullis_testing::TestServer;
use portcullis_testing::wire::{
    Client, Http, POLLING, WEBSOCKET, WebSocket, request, tcp, upgrade_request,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Wire, builder, patiently, public, witness};

async fn start() -> TestServer {
    TestServer::start(public(|r| {
        r.on("say", async || Reply("heard"));
    }))
    .await
}

/// Whether the server still serves others.
async fn is_well(server: &TestServer) {
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["say"]"#).await, r#"["heard"]"#);
}

/// Sends packets on a connection of their own, which must end.
async fn ends_with(server: &TestServer, packets: &[&str]) {
    let mut client = server.client().await;
    for packet in packets {
        if client.try_send(packet).await.is_err() {
            return;
        }
    }
    client.rest().await;
}

/// Sends bytes on a connection of their own: what is answered until it ends, or has been quiet.
async fn answered(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = tcp(server.address()).await;
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_millis(300), reading).await;
    String::from_utf8_lossy(&answer).into_owned()
}

// Engine.IO and Socket.IO in Node.

#[tokio::test]
async fn cve_2017_16031_session_ids_cannot_be_guessed_from_each_other() {
    let server = start().await;
    let mut http = server.http().await;
    let mut ids = Vec::new();
    for _ in 0..2000 {
        let session = http.open_session().await;
        ids.push(session.split_once("sid=").unwrap().1.to_owned());
    }
    for pair in ids.windows(2) {
        let (one, two) = (pair[0].as_bytes(), pair[1].as_bytes());
        assert_eq!(one.len(), 20);
        let prefix = one.iter().zip(two).take_while(|(a, b)| a == b).count();
        let suffix = one
            .iter()
            .rev()
            .zip(two.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        assert!(prefix < 6 && suffix < 6, "{pair:?}");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
}

#[tokio::test]
async fn cve_2020_28481_no_origin_may_read_by_default() {
    let server = start().await;
    let mut http = server.http().await;
    let origin = [("Origin", "https://evil.example")];
    for target in [POLLING, "/socket.io/?EIO=4&transport=nothing"] {
        let response = http.get_with(target, &origin).await;
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn cve_2020_36048_a_body_of_half_a_million_packets_costs_next_to_nothing() {
    let server = start().await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let body = "3\u{1e}".repeat(499_999);
    let start = Instant::now();
    posting.post(&session, &body).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(polling.get(&session).await.status, 400);
    is_well(&server).await;
}

#[test]
fn cve_2020_36049_decoding_takes_as_long_as_its_input_is() {
    let took = |len: usize| {
        let text = format!(r#"2["say",[{}"x"]]"#, r#""x","#.repeat(len / 4));
        let limits = Limits::new();
        let once = || {
            let start = Instant::now();
            let packet = Decoder::new(Codec::Json).handle_text(&text, &limits);
            assert!(matches!(packet, Ok(Some(_))));
            start.elapsed()
        };
        (0..9).map(|_| once()).min().unwrap()
    };
    let (short, long) = (took(250_000), took(1_000_000));
    assert!(
        long < short * 12,
        "four times as long took {long:?} instead of {short:?}"
    );
}

#[tokio::test]
async fn cve_2022_21676_bad_frames_in_the_segment_of_the_upgrade_hurt_nobody() {
    let server = start().await;
    let mut bytes = upgrade_request(WEBSOCKET, &[]);
    bytes.extend([0xf1, 0x81, 0, 0, 0, 0, b'4']);
    let answer = answered(&server, &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2022_2421_a_placeholder_is_a_number_of_an_attachment_that_comes() {
    let server = start().await;
    for number in [
        "\"splice\"",
        "-1",
        "1",
        "0.5",
        "1e0",
        "null",
        "[0]",
        "\"0\"",
        "9999999999999999999",
    ] {
        let packet = format!(r#"451-["say",{{"_placeholder":true,"num":{number}}}]"#);
        let mut client = server.client().await;
        client.send(&packet).await;
        client.send_binary(b"x").await;
        client.rest().await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2022_41940_a_reset_during_a_refused_upgrade_hurts_nobody() {
    let server = start().await;
    let refused = upgrade_request("/socket.io/?EIO=4&transport=nothing", &[]);
    for _ in 0..1000 {
        let mut stream = tcp(server.address()).await;
        let _ = stream.write_all(&refused).await;
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    is_well(&server).await;
    let upgrade = upgrade_request(WEBSOCKET, &[]);
    for _ in 0..200 {
        let mut stream = tcp(server.address()).await;
        let _ = stream.write_all(&upgrade).await;
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    patiently(async {
        while server.server().sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn cve_2023_31125_odd_queries_are_refused() {
    let server = start().await;
    let long = format!("{POLLING}&x={}", "a".repeat(10_000));
    for (query, status) in [
        ("/socket.io/?EIO=4&transport=polling&transport=polling", 400),
        ("/socket.io/?EIO=4&transport[]=polling", 400),
        ("/socket.io/?EIO=4&transport=__proto__", 400),
        ("/socket.io/?EIO=4&transport=constructor", 400),
        ("/socket.io/?EIO=4&transport=%zz", 400),
        ("/socket.io/?EIO=4&transport", 400),
        ("/socket.io/?transport=polling", 400),
        ("/socket.io/?EIO=5&transport=polling", 400),
        ("/socket.io/?EIO=4&EIO=4&transport=polling", 400),
        ("/socket.io/?__proto__[transport]=polling", 400),
        ("/socket.io/?", 400),
        ("/socket.io/?&&&=&", 400),
        (&long, 200),
    ] {
        assert_eq!(
            server.http().await.get(query).await.status,
            status,
            "{query}"
        );
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2023_32695_the_name_of_an_event_is_text_and_not_reserved() {
    let server = start().await;
    for args in [
        r#""toString""#,
        r#"[{"toString":1}]"#,
        r#"[["say"]]"#,
        "[null]",
        "[true]",
        "[]",
        "{}",
        r#"["connect"]"#,
        r#"["connect_error"]"#,
        r#"["disconnect"]"#,
        r#"["disconnecting"]"#,
        r#"["newListener"]"#,
        r#"["removeListener"]"#,
    ] {
        ends_with(&server, &[&format!("42{args}")]).await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2024_38355_no_name_of_an_event_has_a_meaning_of_its_own() {
    let server = start().await;
    let mut client = server.client().await;
    let long = format!(r#"["{}"]"#, "x".repeat(64 * 1024));
    for event in [
        r#"["error"]"#,
        r#"["message"]"#,
        r#"["close"]"#,
        r#"[""]"#,
        "[1]",
        &long,
    ] {
        client.emit(event).await;
    }
    assert_eq!(client.ask(r#"["say"]"#).await, r#"["heard"]"#);
}

#[tokio::test]
async fn cve_2026_33151_no_packet_announces_more_attachments_than_may_come() {
    let server = start().await;
    for packet in [
        r#"45999999999-["x"]"#,
        r#"4511-["x"]"#,
        r#"4518446744073709551616-["x"]"#,
    ] {
        ends_with(&server, &[packet]).await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2026_69185_a_packet_that_announces_nothing_waits_for_nothing() {
    let server = start().await;
    for packet in [
        r#"450-["x"]"#,
        r#"45-["x"]"#,
        "45",
        "451",
        r#"45-1-["x"]"#,
        r#"451.0-["x"]"#,
        r#"4501-["x"]"#,
        "460-[]",
        r#"451-["x"]"#,
    ] {
        let mut client = server.client().await;
        client.send(packet).await;
        // Bytes that belong to no packet are the end at the latest.
        for _ in 0..3 {
            let _ = client.try_send("42[\"say\"]").await;
        }
        client.rest().await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2026_59725_a_body_of_any_type_is_answered() {
    let server = start().await;
    for kind in [
        "application/octet-stream",
        "application/json",
        "text/html",
        "x",
        "",
    ] {
        let mut http = server.http().await;
        let session = http.join().await;
        let headers = [("Content-Type", kind)];
        let post = request("POST", &session, &headers, b"42[\"say\"]");
        let answered = tokio::time::timeout(Duration::from_secs(5), http.exchange(&post)).await;
        assert!(answered.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn ghsa_gr94_w7qr_f4j3_a_sid_is_a_key_and_nothing_else() {
    let server = start().await;
    let opened = witness().count("portcullis_sessions_opened_total", "");
    for sid in [
        "__proto__",
        "",
        "%00",
        "%ff%fe",
        "constructor",
        "..%2f..%2f",
        "a%0d%0ab",
    ] {
        for transport in ["polling", "websocket"] {
            let target = format!("/socket.io/?EIO=4&transport={transport}&sid={sid}");
            let polled = server.http().await.get(&target).await.status;
            assert_eq!(polled, 400, "{target}");
            let io = server.tcp().await;
            let upgraded = WebSocket::upgrade(io, &target, &[]).await;
            assert_eq!(
                upgraded.err().map(|response| response.status),
                Some(400),
                "{target}"
            );
        }
    }
    assert_eq!(
        witness().count("portcullis_sessions_opened_total", ""),
        opened
    );
}

#[tokio::test]
async fn cve_2022_21667_an_empty_body_is_answered() {
    let server = start().await;
    let mut http = server.http().await;
    let session = http.join().await;
    let post = request("POST", &session, &[("Content-Length", "0")], b"");
    http.exchange(&post).await;
    for target in ["/", "/socket.io/", POLLING] {
        let post = request("POST", target, &[("Content-Length", "0")], b"");
        let status = server.http().await.exchange(&post).await.status;
        assert!((400..500).contains(&status), "{target}: {status}");
    }
    is_well(&server).await;
}

// WebSocket.

#[tokio::test]
async fn cve_2016_10542_a_declared_length_is_refused_before_it_is_believed() {
    let server = start().await;
    for len in [1_000_001_u64, 1 << 40, 1 << 63, u64::MAX] {
        let mut websocket = WebSocket::upgrade(server.tcp().await, WEBSOCKET, &[])
            .await
            .unwrap();
        let mut header = vec![0x81, 0xff];
        header.extend(len.to_be_bytes());
        header.extend([0; 4]);
        let _ = websocket.write_raw(&header).await;
        let ended = async { while websocket.read().await.is_some() {} };
        patiently(ended).await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn ws_3_3_1_extensions_of_any_name_are_declined() {
    let server = start().await;
    for offered in [
        "constructor",
        "__proto__",
        "permessage-deflate",
        ";;;,,,",
        "a; b=\"c",
    ] {
        let headers = [("Sec-WebSocket-Extensions", offered)];
        let mut http = server.http().await;
        let response = http.exchange(&upgrade_request(WEBSOCKET, &headers)).await;
        assert_eq!(response.status, 101, "{offered}");
        assert_eq!(response.header("sec-websocket-extensions"), None);
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2021_32640_long_headers_of_spaces_and_commas_cost_next_to_nothing() {
    let server = start().await;
    for name in [
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Connection",
        "Upgrade",
        "Origin",
    ] {
        for filling in [" ", ",", ", ", "a,"] {
            let value = format!("a{}b", filling.repeat(15_000 / filling.len() / 2));
            let start = Instant::now();
            let mut http = server.http().await;
            http.exchange(&upgrade_request(WEBSOCKET, &[(name, &value)]))
                .await;
            assert!(
                start.elapsed() < Duration::from_millis(500),
                "{name}: {:?}",
                start.elapsed()
            );
        }
        let endless = " ".repeat(64 * 1024);
        let answer = answered(&server, &upgrade_request(WEBSOCKET, &[(name, &endless)])).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2024_37890_more_headers_than_allowed_are_refused() {
    let server = start().await;
    for count in [101, 200, 2000] {
        let names: Vec<_> = (0..count).map(|number| format!("x{number}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let answer = answered(&server, &upgrade_request(WEBSOCKET, &headers)).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2026_48779_fragments_pings_and_nothing_read_are_bounded() {
    let server = start().await;
    let mut websocket = WebSocket::upgrade(server.memory(256), WEBSOCKET, &[])
        .await
        .unwrap();
    let begin = [0x01, 0x81, 0, 0, 0, 0, b'4'];
    websocket.write_raw(&begin).await.unwrap();
    let flood = [[0x00, 0x80, 0, 0, 0, 0], [0x89, 0x80, 0, 0, 0, 0]]
        .concat()
        .repeat(100);
    let mut sent = 0;
    // It never reads: memory holds the answers, and little of them.
    while websocket.write_raw(&flood).await.is_ok() && sent < 1000 {
        sent += 1;
    }
    assert!(sent < 50, "{sent}");
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2023_43669_a_head_of_twenty_megabytes_is_refused_by_its_first_sixteen_kilobytes() {
    let server = start().await;
    let start = Instant::now();
    let large = "x".repeat(20_000_000);
    let answer = answered(&server, &upgrade_request(WEBSOCKET, &[("X", &large)])).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2026_2229_a_body_with_a_content_encoding_is_refused() {
    let server = start().await;
    let mut http = server.http().await;
    let session = http.join().await;
    for encoding in ["gzip", "deflate", "br", "identity", "gzip, gzip", "x"] {
        let headers = [("Content-Encoding", encoding)];
        let post = request("POST", &session, &headers, b"42[\"say\"]");
        assert_eq!(http.exchange(&post).await.status, 415, "{encoding}");
    }
}

#[tokio::test]
async fn cve_2026_45541_a_protocol_that_nobody_asked_for_is_never_echoed() {
    let server = start().await;
    let long = "p".repeat(8000);
    for offered in ["chat", "chat, token.abc", &long, "\"", ","] {
        let headers = [("Sec-WebSocket-Protocol", offered)];
        let mut http = server.http().await;
        let response = http.exchange(&upgrade_request(WEBSOCKET, &headers)).await;
        assert_eq!(response.header("sec-websocket-protocol"), None, "{offered}");
    }
}

#[tokio::test]
async fn ghsa_c4j6_fc7j_m34r_a_target_in_absolute_form_goes_nowhere_else() {
    let server = start().await;
    let target = format!("http://192.0.2.1{WEBSOCKET}");
    let io = server.tcp().await;
    let upgraded = WebSocket::upgrade(io, &target, &[]).await;
    assert!(upgraded.is_ok(), "it is ours whatever host it names");
    let other = "http://192.0.2.1/elsewhere";
    assert_eq!(server.http().await.get(other).await.status, 404);
}

#[tokio::test]
async fn rustsec_2021_0078_lengths_that_could_be_read_in_two_ways_are_refused() {
    let server = start().await;
    for lengths in [
        "Content-Length: +1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        let head = format!(
            "POST {POLLING} HTTP/1.1\r\nHost: x\r\n{lengths}\r\nxGET / HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        let answer = answered(&server, head.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{lengths}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            usize::from(!answer.is_empty()),
            "{answer}"
        );
    }
    is_well(&server).await;
}

#[tokio::test]
async fn rustsec_2021_0079_a_length_beside_chunks_is_refused_and_nothing_behind_it_is_read() {
    let server = start().await;
    let ambiguous = "portcullis_http_errors_total";
    let before = witness().count(ambiguous, "kind=ambiguous_length");
    let post = |headers: &str, body: &str| {
        format!("POST {POLLING} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}")
    };
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let ends = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: chunked\r\nX: y\r\ncontent-length:0\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\n",
    ];
    for headers in ends {
        let answer = answered(&server, post(headers, smuggled).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
        assert!(answer.contains("connection: close"), "{headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{headers}: {answer}");
    }
    // Behind a request whose length is in order, and on a path that is not the engine's.
    let both = post("Content-Length: 0\r\n", "") + &post(ends[1], smuggled);
    let answer = answered(&server, both.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 2, "{answer}");
    let elsewhere = post(ends[0], smuggled).replace(POLLING, "/");
    let answer = answered(&server, elsewhere.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(
        witness().count(ambiguous, "kind=ambiguous_length"),
        before + 7
    );
    is_well(&server).await;
}

#[tokio::test]
async fn a_form_in_chunks_may_say_how_long_its_parts_are() {
    let server = start().await;
    let part =
        "--x\r\nContent-Disposition: form-data; name=a\r\nContent-Length: 1\r\n\r\n1\r\n--x--";
    let upload = |connection: &str| {
        format!(
            "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{part}\r\n0\r\n\r\n",
            part.len()
        )
    };
    let answer = answered(
        &server,
        (upload("keep-alive") + &upload("close")).as_bytes(),
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_body_in_chunks_is_read_behind_bodies_of_any_other_kind() {
    let server = start().await;
    let mut http = server.http().await;
    let session = http.join().await;
    for _ in 0..2 {
        assert_eq!(http.post(&session, "42[\"x\"]").await.text(), "ok");
        let chunked = format!(
            "POST {session} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\n42[\r\n4\r\n\"x\"]\r\n0\r\n\r\n"
        );
        assert_eq!(http.exchange(chunked.as_bytes()).await.text(), "ok");
    }
}

#[tokio::test]
async fn rustsec_2024_0332_http_2_is_not_spoken() {
    let server = start().await;
    let answer = answered(
        &server,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .await;
    assert!(!answer.starts_with('\0'), "{answer:?}");
    is_well(&server).await;
}

// socketioxide, engineioxide and codecs.

fn msgpack() -> ServerBuilder {
    public(|r| {
        r.on("say", async || Reply("heard"));
    })
    .parser(Codec::Msgpack)
}

/// A client that speaks msgpack, as far as the CONNECT reply.
async fn msgpack_client(server: &TestServer) -> WebSocket {
    let mut websocket = WebSocket::upgrade(server.tcp().await, WEBSOCKET, &[])
        .await
        .unwrap();
    // The type 0, in the namespace "/".
    let connect = b"\x82\xa4type\x00\xa3\x6esp\xa1/";
    websocket.write(WebSocket::BINARY, connect).await.unwrap();
    while let Some((opcode, _)) = patiently(websocket.read()).await {
        if opcode == WebSocket::BINARY {
            return websocket;
        }
    }
    panic!("the client is not connected");
}

#[tokio::test]
async fn ghsa_c6g7_r2mf_pf5g_nested_msgpack_is_refused_without_recursion() {
    let server = TestServer::start(msgpack()).await;
    for depth in [65, 1000, 500_000] {
        let mut websocket = msgpack_client(&server).await;
        // The type 2, in "/", with the data ["say", [[[…]]]].
        let mut event = b"\x83\xa4type\x02\xa3\x6esp\xa1/\xa4data\x92\xa3say".to_vec();
        event.extend(vec![0x91; depth]);
        event.push(0xc0);
        let _ = websocket.write(WebSocket::BINARY, &event).await;
        patiently(async { while websocket.read().await.is_some() {} }).await;
    }
    msgpack_client(&server).await;
}

#[tokio::test]
async fn ghsa_55mf_67qm_4wpg_attachments_and_messages_are_bounded() {
    let server = start().await;
    ends_with(&server, &[r#"45100-["x"]"#]).await;
    let mut client = server.client().await;
    let _ = client
        .try_send(&format!("42[\"{}\"]", "x".repeat(1_000_000)))
        .await;
    assert_eq!(client.goodbye().await, Some(1009));
    is_well(&server).await;
}

#[tokio::test]
async fn ghsa_7xpx_rcqc_8qjh_no_bytes_of_msgpack_hurt_anybody() {
    let server = TestServer::start(msgpack()).await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..40)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect();
        let mut websocket = WebSocket::upgrade(server.tcp().await, WEBSOCKET, &[])
            .await
            .unwrap();
        websocket.write(WebSocket::BINARY, &bytes).await.unwrap();
        patiently(async { while websocket.read().await.is_some() {} }).await;
    }
    msgpack_client(&server).await;
}

#[tokio::test]
async fn rustsec_2017_0006_a_list_that_claims_four_billion_items_reserves_nothing() {
    let server = TestServer::start(msgpack()).await;
    for claim in [
        &b"\xdd\xff\xff\xff\xff\xc0"[..],
        b"\xdf\xff\xff\xff\xff\xc0",
        b"\xc6\xff\xff\xff\xff\0",
    ] {
        let mut websocket = msgpack_client(&server).await;
        let mut event = b"\x83\xa4type\x02\xa3\x6esp\xa1/\xa4data".to_vec();
        event.extend(claim);
        websocket.write(WebSocket::BINARY, &event).await.unwrap();
        patiently(async { while websocket.read().await.is_some() {} }).await;
    }
    msgpack_client(&server).await;
}

#[tokio::test]
async fn engineioxide_794_packets_of_many_bytes_a_letter_are_cut_nowhere() {
    let server = start().await;
    for packet in [
        "é",
        "4é",
        "42é",
        "42/é",
        "4€",
        "🦀",
        "4🦀[\"say\"]",
        "42🦀",
        "451-🦀",
        "b🦀",
        "",
    ] {
        let (mut polling, mut posting) = (server.http().await, server.http().await);
        let session = polling.join().await;
        posting.post(&session, packet).await;
        ends_with(&server, &[packet, "4nonsense"]).await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn socketioxide_357_malformed_binary_does_not_loop() {
    let server = start().await;
    for body in ["b", "b!!!", "bAAA", "b====", "bAAAA\u{1e}b"] {
        let (mut polling, mut posting) = (server.http().await, server.http().await);
        let session = polling.join().await;
        let posted = tokio::time::timeout(Duration::from_secs(5), posting.post(&session, body));
        assert!(posted.await.is_ok(), "{body}");
    }
    is_well(&server).await;
}

#[tokio::test]
async fn socketioxide_731_an_upgrade_that_never_finishes_leaves_no_session() {
    let builder = public(|_| {})
        .upgrade_timeout(Duration::from_millis(200))
        .ping_interval(Duration::from_millis(200))
        .ping_timeout(Duration::from_millis(200));
    let server = TestServer::start(builder).await;
    let mut probes = Vec::new();
    for _ in 0..30 {
        let session = server.http().await.join().await;
        let target = session.replace("polling", "websocket");
        probes.push(
            WebSocket::upgrade(server.tcp().await, &target, &[])
                .await
                .unwrap(),
        );
    }
    patiently(async {
        while server.server().sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(probes);
}

#[tokio::test]
async fn socketioxide_a_room_that_was_joined_before_a_refusal_is_left() {
    async fn refuse(socket: Socket) -> Result<(), Refusal> {
        socket.join("lobby");
        Err(Refusal::new("never"))
    }
    let builder = public(|r| {
        r.on_connect(refuse);
    });
    let builder = builder.namespace("/guarded", |r| {
        r.public().connect_guard(refuse);
    });
    let server = TestServer::start(builder).await;
    for namespace in ["/", "/guarded"] {
        let mut client = Client::open(server.address()).await;
        let refusal = client.try_join(namespace, "").await;
        assert!(refusal.contains("never"), "{refusal}");
        let rooms = server.emitter(namespace).all_rooms().await.unwrap();
        assert!(rooms.items.is_empty(), "{rooms:?}");
        // Nor does whoever is still on the connection hear of it.
        server.emitter(namespace).emit("lost", &()).unwrap();
        client.send("1").await;
        assert_eq!(client.rest().await, [""; 0]);
    }
}

#[tokio::test]
async fn socketioxide_801_a_second_connect_runs_nothing_a_second_time() {
    let journal = portcullis_testing::Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.on_connect(move |_: Socket| {
            notes.note("connected");
            std::future::ready(())
        });
    }))
    .await;
    let mut client = server.client().await;
    client.send("40").await;
    client.rest().await;
    assert_eq!(journal.count("connected"), 1);
}

#[tokio::test]
async fn socketioxide_811_text_between_attachments_is_refused() {
    let server = start().await;
    let mut client = server.client().await;
    client
        .send(r#"452-["say",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    client.send_binary(b"one").await;
    client.send(r#"42["say"]"#).await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn socketioxide_813_a_member_of_several_rooms_is_reached_once() {
    let server = TestServer::start(public(|r| {
        r.on_connect(async |socket: Socket| {
            socket.join("a");
            socket.join("b");
        });
    }))
    .await;
    let mut client = server.client().await;
    server
        .emitter("/")
        .to("a")
        .to("b")
        .emit("once", &())
        .unwrap();
    assert_eq!(client.sync().await, [r#"42["once"]"#]);
}

#[tokio::test]
async fn socketioxide_815_a_malformed_sid_opens_no_session() {
    let server = start().await;
    for sid in [
        "short",
        "with space",
        "x%20y",
        "ü",
        "!",
        "AAAAAAAAAAAAAAAAAAAA",
    ] {
        let target = format!("{POLLING}&sid={}", sid.replace(' ', "%20"));
        assert_eq!(server.http().await.get(&target).await.status, 400, "{sid}");
    }
    assert_eq!(server.server().sessions(), 0);
}

#[tokio::test]
async fn socketioxide_816_a_path_is_not_that_of_its_namesakes() {
    let server = start().await;
    for path in [
        "/socket.io-admin/?EIO=4&transport=polling",
        "/socket.iox/",
        "/xsocket.io/",
    ] {
        assert_eq!(server.http().await.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn socketioxide_817_a_pong_too_many_is_no_timeout() {
    let builder = public(|_| {})
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(100));
    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    for _ in 0..8 {
        client.send("3").await;
        client.send("3").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(client.sync().await.is_empty());
    }
}

#[tokio::test]
async fn socketioxide_820_an_ack_that_times_out_is_forgotten() {
    let server = TestServer::start(public(|r| {
        r.on("ask", async |socket: Socket, Data(count): Data<usize>| {
            for _ in 0..count {
                let asked = socket.timeout(Duration::from_millis(1));
                assert!(asked.emit_with_ack("q", &()).await.is_err());
            }
            Reply(count)
        });
    }))
    .await;
    let mut client = server.client().await;
    // A thousand acks may be outstanding: were these kept, the rest could not be asked.
    client.send(r#"421["ask",1100]"#).await;
    loop {
        let packet = client.recv().await.unwrap();
        if packet == "431[1100]" {
            break;
        }
        assert!(packet.ends_with(r#"["q"]"#), "{packet}");
    }
}

// Frameworks and peers.

#[tokio::test]
async fn cve_2026_40879_many_packets_in_one_read_are_handled_one_after_the_other() {
    let server = start().await;
    let mut websocket = WebSocket::upgrade(server.tcp().await, WEBSOCKET, &[])
        .await
        .unwrap();
    websocket.write(WebSocket::TEXT, b"40").await.unwrap();
    let mut frame = vec![0x81, 0x89, 0, 0, 0, 0];
    frame.extend(b"42[\"nop\"]");
    let mut flood = frame.repeat(50_000);
    flood.extend([0x81, 0x8a, 0, 0, 0, 0]);
    flood.extend(b"421[\"say\"]");
    websocket.write_raw(&flood).await.unwrap();
    let heard = async {
        while let Some((_, payload)) = websocket.read().await {
            if payload.starts_with(b"431[\"heard\"]") {
                return;
            }
        }
        panic!("the connection ended");
    };
    patiently(heard).await;
}

#[tokio::test]
async fn cve_2026_35515_what_is_said_holds_no_separator_of_packets() {
    const SAID: &str = "a\u{1e}41\u{1e}42[\"forged\"]\n\r\n42[\"forged\"]";
    let server = TestServer::start(public(|r| {
        r.on(
            "repeat",
            async |socket: Socket, Data(text): Data<String>| {
                socket.emit(&text, &text).unwrap();
                Reply(text)
            },
        );
    }))
    .await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let asked = serde_json::to_string(&("repeat", SAID)).unwrap();
    posting.post(&session, &format!("421{asked}")).await;
    let mut packets = Vec::new();
    while packets.len() < 2 {
        let body = polling.get(&session).await.text();
        packets.extend(body.split('\u{1e}').map(str::to_owned));
    }
    let event = serde_json::to_string(&(SAID, SAID)).unwrap();
    let reply = serde_json::to_string(&[SAID]).unwrap();
    assert_eq!(packets, [format!("42{event}"), format!("431{reply}")]);
}

#[tokio::test]
async fn cve_2026_33011_no_method_is_a_way_around_the_gate() {
    let builder = public(|_| {}).management(0).allow_request(|_| {
        let refusal = portcullis::handshake::GateRefusal::new(http::StatusCode::FORBIDDEN);
        std::future::ready(Err(refusal))
    });
    let server = TestServer::start(builder).await;
    for method in [
        "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "X",
    ] {
        let answer = answered(&server, &request(method, POLLING, &[], b"")).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{method}: {answer}");
    }
    let management = server.server().management_address().unwrap();
    for method in ["HEAD", "POST", "OPTIONS", "X"] {
        let mut http = Http::open(management).await;
        http.send(&request(method, "/metrics", &[], b"")).await;
        let answer = patiently(http.rest()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn cve_2026_48802_pongs_start_no_task_and_are_soon_too_many() {
    let server = start().await;
    let mut client = Client::open(server.address()).await;
    // Before it is known who sends them.
    for _ in 0..5000 {
        if client.try_send("3").await.is_err() {
            break;
        }
    }
    client.rest().await;
    is_well(&server).await;
}

#[tokio::test]
async fn cve_2019_13611_a_page_of_another_site_cannot_use_a_visitors_cookies() {
    use portcullis::auth::jwt::Jwt;
    use portcullis::auth::source::TokenSource;
    use portcullis::handshake::Origins;
    let jwt = Jwt::<serde_json::Value>::hs256("a secret for tests, long enough for HS256");
    let builder = builder()
        .authenticate(jwt.sources([TokenSource::Cookie("token".into())]))
        .origins(Origins::list(["https://app.example.com"]))
        .namespace("/", |_| {});
    let server = TestServer::start(builder).await;
    let headers = [
        ("Origin", "https://evil.example"),
        ("Cookie", "token=whatever it is"),
    ];
    assert_eq!(
        server.http().await.get_with(POLLING, &headers).await.status,
        403
    );
    let upgraded = WebSocket::upgrade(server.tcp().await, WEBSOCKET, &headers).await;
    assert_eq!(upgraded.err().map(|response| response.status), Some(403));
}

#[tokio::test]
async fn cve_2026_32689_a_body_of_separators_makes_no_list() {
    let server = start().await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let start = Instant::now();
    posting.post(&session, &"\u{1e}".repeat(1_000_000)).await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        posting.post(&session, &"\n".repeat(1_000_001)).await.status,
        400
    );
    is_well(&server).await;
}
