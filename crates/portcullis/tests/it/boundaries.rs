//! The limits of one connection: what is fine at each, and what happens one past it.
//!
//! How many may come is `admission`; the heads and bodies of requests are `limits`.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use portcullis::auth::{Attempt, Identity, RefusalCode, WhenFull};
use portcullis::gateway::Reply;
use portcullis::{DisconnectReason, Rate, ServerBuilder, Socket};
use portcullis_testing::wire::{BoxIo, Client, Http, POLLING, WEBSOCKET, WebSocket, request};
use portcullis_testing::{Journal, TestServer};
use tokio_util::sync::CancellationToken;

use crate::support::{Wire, builder, patiently, public, witness};

fn violations(rule: &str) -> u64 {
    witness().count("portcullis_violations_total", &format!("rule={rule}"))
}

fn limited(limit: &str) -> u64 {
    witness().count("portcullis_limited_total", &format!("limit={limit}"))
}

fn faults(fault: &str) -> u64 {
    witness().count(
        "portcullis_transport_faults_total",
        &format!("fault={fault}"),
    )
}

/// A server on which clients may note why they left.
fn farewells(journal: &Journal) -> ServerBuilder {
    let journal = journal.clone();
    public(move |r| {
        r.on_disconnect(move |reason: DisconnectReason| {
            journal.note(reason.as_str());
            ready(())
        });
        r.on("echo", async || Reply("here"));
    })
}

/// Whether the server still answers this client.
async fn lives(client: &mut Client) -> bool {
    client.sync().await.is_empty()
}

/// Waits until the server ends this client's connection, be it in the middle of what is sent.
async fn ends(client: &mut Client) {
    client.rest().await;
}

// CONNECTs of one connection: ten a second, a hundred at once.

async fn come_and_go(client: &mut Client, rounds: usize) -> usize {
    for round in 0..rounds {
        if client.try_send("40").await.is_err() {
            return round;
        }
        match client.recv().await {
            Some(answer) => assert!(answer.starts_with("40{"), "{answer}"),
            None => return round,
        }
        if client.try_send("41").await.is_err() {
            return round;
        }
    }
    rounds
}

#[tokio::test]
async fn a_hundred_connects_at_once_are_answered() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = Client::open(server.address()).await;
    assert_eq!(come_and_go(&mut client, 99).await, 99);
    client.join("/").await;
    assert!(lives(&mut client).await);
}

#[tokio::test]
async fn connects_without_a_pause_end_the_connection() {
    let server = TestServer::start(public(|_| {})).await;
    let before = violations("connect_rate");
    let mut client = Client::open(server.address()).await;
    let rounds = come_and_go(&mut client, 1000).await;
    assert!((100..200).contains(&rounds), "{rounds}");
    assert!(violations("connect_rate") > before);
}

// Refusals of one connection: three.

fn closed() -> ServerBuilder {
    builder()
        .authenticate_with(async |_| Err(RefusalCode::TokenInvalid))
        .namespace("/", |_| {})
}

#[tokio::test]
async fn three_refusals_leave_the_connection_open() {
    let server = TestServer::start(closed()).await;
    let mut client = Client::open(server.address()).await;
    for _ in 0..3 {
        assert!(client.try_join("/", "").await.starts_with("44"));
    }
    assert_eq!(server.server().sessions(), 1);
}

#[tokio::test]
async fn the_fourth_refusal_ends_the_connection() {
    let server = TestServer::start(closed()).await;
    let before = violations("too_many_refusals");
    let mut client = Client::open(server.address()).await;
    for _ in 0..4 {
        client.send("40").await;
    }
    assert_eq!(client.rest().await.len(), 4, "all four are answered");
    assert!(violations("too_many_refusals") > before);
}

// Other credentials in later requests of a session: a hundred at once, three refusals.

/// A server that refuses what is bad, and takes everybody else for alice.
fn all_are_alice() -> ServerBuilder {
    builder()
        .authenticate_with(async |attempt: Arc<Attempt>| {
            match attempt.request().headers().get("authorization") {
                Some(value) if value.starts_with("Bearer bad") => Err(RefusalCode::TokenInvalid),
                _ => Ok(Identity::new(()).with_subject("alice")),
            }
        })
        .namespace("/", |_| {})
}

/// The status of a POST that shows this token, which says nothing.
async fn shown(http: &mut Http, session: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "text/plain"), ("authorization", &bearer)];
    http.exchange(&request("POST", session, &headers, b"3"))
        .await
        .status
}

/// Polls until there is no such session.
async fn is_gone(http: &mut Http, session: &str) {
    let going = async { while http.get(session).await.status != 400 {} };
    patiently(going).await;
}

#[tokio::test]
async fn three_refused_tokens_of_later_requests_leave_the_session_open() {
    let server = TestServer::start(all_are_alice()).await;
    let mut http = server.http().await;
    let session = http.join().await;
    for token in ["bad1", "bad2", "bad3"] {
        assert_eq!(shown(&mut http, &session, token).await, 403);
    }
    assert_eq!(shown(&mut http, &session, "good").await, 200);
}

#[tokio::test]
async fn the_fourth_refused_token_of_a_later_request_ends_the_session() {
    let server = TestServer::start(all_are_alice()).await;
    let before = violations("too_many_refusals");
    let mut http = server.http().await;
    let session = http.join().await;
    for token in ["bad1", "bad2", "bad3", "bad4"] {
        assert_eq!(shown(&mut http, &session, token).await, 403);
    }
    assert!(violations("too_many_refusals") > before);
    is_gone(&mut http, &session).await;
}

#[tokio::test]
async fn a_hundred_tokens_of_later_requests_are_looked_at_at_once() {
    let server = TestServer::start(all_are_alice()).await;
    let mut http = server.http().await;
    let session = http.join().await;
    for number in 0..100 {
        let token = format!("good{number}");
        assert_eq!(shown(&mut http, &session, &token).await, 200, "{number}");
    }
}

#[tokio::test]
async fn tokens_of_later_requests_without_a_pause_are_refused_and_end_the_session() {
    let server = TestServer::start(all_are_alice()).await;
    let before = limited("credentials");
    let mut http = server.http().await;
    let session = http.join().await;
    let (mut admitted, mut refused) = (0, 0);
    // The pace gives a few back meanwhile.
    while admitted < 1000 && refused < 4 {
        match shown(&mut http, &session, &format!("good{admitted}-{refused}")).await {
            200 => admitted += 1,
            status => {
                assert_eq!(status, 403);
                refused += 1;
            }
        }
    }
    assert!((100..500).contains(&admitted), "{admitted}");
    assert!(limited("credentials") >= before + 4);
    is_gone(&mut http, &session).await;
}

// Packets and frames that carry nothing: a hundred a second, a thousand at once.

/// A frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![
        first,
        0x80 | u8::try_from(payload.len()).unwrap(),
        0,
        0,
        0,
        0,
    ];
    bytes.extend_from_slice(payload);
    bytes
}

async fn websocket(server: &TestServer) -> WebSocket {
    let io = server.tcp().await;
    WebSocket::upgrade(io, WEBSOCKET, &[]).await.unwrap()
}

/// The status code with which the server says goodbye.
async fn goodbye(websocket: &mut WebSocket) -> Option<u16> {
    loop {
        let (opcode, payload) = patiently(websocket.read()).await?;
        if opcode == WebSocket::CLOSE {
            return payload.first_chunk().copied().map(u16::from_be_bytes);
        }
    }
}

#[tokio::test]
async fn a_thousand_pings_at_once_are_answered_with_the_last_pong() {
    let server = TestServer::start(public(|_| {})).await;
    let mut websocket = websocket(&server).await;
    let mut flood = frame(0x89, b"ping").repeat(999);
    flood.extend(frame(0x89, b"last"));
    websocket.write_raw(&flood).await.unwrap();
    let last = async {
        while let Some((opcode, payload)) = websocket.read().await {
            if opcode == WebSocket::PONG && &payload[..] == b"last" {
                return;
            }
        }
        panic!("the connection ended");
    };
    patiently(last).await;
}

#[tokio::test]
async fn pings_pongs_and_empty_fragments_without_end_are_a_flood() {
    let server = TestServer::start(public(|_| {})).await;
    let begin = frame(0x01, b"");
    for (what, before, flood) in [
        ("pings", &[][..], frame(0x89, b"")),
        ("pongs", &[], frame(0x8a, b"x")),
        ("empty fragments", &begin, frame(0x00, b"")),
        ("crumbs", &begin, frame(0x00, b"fifteen letters")),
    ] {
        let counted = faults("too many packets without content");
        let mut websocket = websocket(&server).await;
        websocket.write_raw(before).await.unwrap();
        // The end may come while the flood is still being sent.
        let _ = websocket.write_raw(&flood.repeat(3000)).await;
        assert_eq!(goodbye(&mut websocket).await, Some(1008), "{what}");
        assert!(
            faults("too many packets without content") > counted,
            "{what}"
        );
    }
}

/// A WebSocket that probes for a polling session, which is joined.
async fn probing(server: &TestServer, io: BoxIo) -> (Http, String, WebSocket) {
    let mut polling = server.http().await;
    let session = polling.join().await;
    let target = session.replace("transport=polling", "transport=websocket");
    let websocket = WebSocket::upgrade(io, &target, &[]).await.unwrap();
    (polling, session, websocket)
}

#[tokio::test]
async fn pings_of_a_websocket_that_has_no_session_yet_are_a_flood_too() {
    let server = TestServer::start(public(|_| {})).await;
    for io in [server.tcp().await, server.memory(64 * 1024)] {
        let counted = faults("too many packets without content");
        let (mut polling, session, mut websocket) = probing(&server, io).await;
        let _ = websocket.write_raw(&frame(0x89, b"").repeat(3000)).await;
        assert_eq!(goodbye(&mut websocket).await, Some(1008));
        assert!(faults("too many packets without content") > counted);
        assert_eq!(polling.get(&session).await.status, 400);
    }
}

#[tokio::test]
async fn pongs_that_a_websocket_without_a_session_does_not_read_end_it_and_polling_goes_on() {
    let server = TestServer::start(public(|_| {})).await;
    let io = server.memory(256);
    let (mut polling, session, mut websocket) = probing(&server, io).await;
    let pings = frame(0x89, &[b'p'; 100]).repeat(900);
    let _ = patiently(websocket.write_raw(&pings)).await;
    let mut pongs = 0;
    while patiently(websocket.read()).await.is_some() {
        pongs += 1;
    }
    assert!(pongs < 100, "{pongs}");
    assert_eq!(polling.post(&session, r#"42["x"]"#).await.status, 200);
    assert_eq!(server.server().sessions(), 1);
}

#[tokio::test]
async fn pongs_of_engine_io_count_too_over_both_transports() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.client().await;
    for _ in 0..1500 {
        if client.try_send("3").await.is_err() {
            break;
        }
    }
    ends(&mut client).await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let pongs = vec!["3"; 1000].join("\u{1e}");
    assert_eq!(posting.post(&session, &pongs).await.text(), "ok");
    posting.post(&session, &pongs).await;
    assert_eq!(polling.get(&session).await.status, 400);
}

#[tokio::test]
async fn pongs_that_nobody_reads_do_not_fill_an_outbox() {
    let journal = Journal::default();
    let builder = farewells(&journal).max_outbox(64 * 1024, 8);
    let server = TestServer::start(builder).await;
    // Memory that holds little stands for a peer that does not read.
    let io = server.memory(256);
    let mut websocket = WebSocket::upgrade(io, WEBSOCKET, &[]).await.unwrap();
    websocket.write(WebSocket::TEXT, b"40").await.unwrap();
    for _ in 0..900 {
        websocket
            .write_raw(&frame(0x89, &[b'p'; 100]))
            .await
            .unwrap();
    }
    assert_eq!(server.server().sessions(), 1);
    assert!(journal.lines().is_empty(), "{:?}", journal.lines());
}

// Fragments of one message: 16,384.

#[tokio::test]
async fn a_message_of_many_fragments_arrives_whole() {
    let server = TestServer::start(public(|r| {
        r.on("say", async || Reply("heard"));
    }))
    .await;
    let mut websocket = websocket(&server).await;
    websocket.write(WebSocket::TEXT, b"40").await.unwrap();
    let mut message = frame(0x01, b"421[\"say\",\"");
    message.extend(frame(0x00, &[b'x'; 16]).repeat(16_000));
    message.extend(frame(0x80, b"\"]"));
    websocket.write_raw(&message).await.unwrap();
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
async fn a_message_of_too_many_fragments_ends_the_connection_with_1008() {
    let server = TestServer::start(public(|_| {})).await;
    let before = faults("too many fragments");
    let mut websocket = websocket(&server).await;
    let mut message = frame(0x01, b"4");
    message.extend(frame(0x00, &[b'x'; 16]).repeat(17_000));
    let _ = websocket.write_raw(&message).await;
    assert_eq!(goodbye(&mut websocket).await, Some(1008));
    assert!(faults("too many fragments") > before);
}

// Messages: `max_payload` bytes.

#[tokio::test]
async fn a_message_of_the_largest_size_is_read() {
    let server = TestServer::start(public(|_| {}).max_payload(1000)).await;
    let mut client = server.client().await;
    client.send(&format!("42[\"{}\"]", "x".repeat(994))).await;
    assert!(lives(&mut client).await);
}

#[tokio::test]
async fn a_message_one_byte_larger_ends_the_connection_with_1009() {
    let server = TestServer::start(public(|_| {}).max_payload(1000)).await;
    let before = faults("max payload size exceeded");
    let mut client = server.client().await;
    let _ = client
        .try_send(&format!("42[\"{}\"]", "x".repeat(995)))
        .await;
    assert_eq!(client.goodbye().await, Some(1009));
    assert!(faults("max payload size exceeded") > before);
}

// Packets of one polling body: 1,000.

#[tokio::test]
async fn a_body_of_a_thousand_packets_is_handled() {
    let server = TestServer::start(public(|_| {})).await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let mut packets = vec!["42[\"x\"]"; 999];
    packets.push("421[\"sync\"]");
    posting.post(&session, &packets.join("\u{1e}")).await;
    assert_eq!(polling.get(&session).await.text(), "431[]");
}

#[tokio::test]
async fn a_body_of_one_packet_more_ends_the_session() {
    let server = TestServer::start(public(|_| {})).await;
    let before = witness().count("portcullis_sessions_closed_total", "reason=parse error");
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    posting
        .post(&session, &vec!["42[\"x\"]"; 1001].join("\u{1e}"))
        .await;
    assert_eq!(polling.get(&session).await.status, 400);
    assert!(witness().count("portcullis_sessions_closed_total", "reason=parse error") > before);
}

// What a packet may be: attachments, their bytes and their time, its depth.

fn announcing(count: usize) -> String {
    let places: Vec<_> = (0..count)
        .map(|number| format!(r#"{{"_placeholder":true,"num":{number}}}"#))
        .collect();
    format!("45{count}-1[\"echo\",{}]", places.join(","))
}

#[tokio::test]
async fn ten_attachments_belong_to_one_packet() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    let mut client = server.client().await;
    client.send(&announcing(10)).await;
    for _ in 0..10 {
        client.send_binary(b"bytes").await;
    }
    assert_eq!(client.recv().await.as_deref(), Some(r#"431["here"]"#));
}

#[tokio::test]
async fn eleven_attachments_are_refused_before_the_first_arrives() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    let before = violations("invalid_packet");
    let mut client = server.client().await;
    client.send(&announcing(11)).await;
    ends(&mut client).await;
    assert!(violations("invalid_packet") > before);
}

#[tokio::test]
async fn attachments_may_be_as_large_as_a_message_together() {
    let server = TestServer::start(farewells(&Journal::default()).max_payload(1000)).await;
    let mut client = server.client().await;
    let text = announcing(2);
    client.send(&text).await;
    client.send_binary(&[0; 400]).await;
    client.send_binary(&[0; 400]).await;
    assert_eq!(client.recv().await.as_deref(), Some(r#"431["here"]"#));
}

#[tokio::test]
async fn attachments_that_are_larger_together_end_the_connection() {
    let server = TestServer::start(farewells(&Journal::default()).max_payload(1000)).await;
    let before = violations("invalid_packet");
    let mut client = server.client().await;
    client.send(&announcing(2)).await;
    client.send_binary(&[0; 600]).await;
    client.send_binary(&[0; 600]).await;
    ends(&mut client).await;
    assert!(violations("invalid_packet") > before);
}

#[tokio::test(start_paused = true)]
async fn attachments_that_take_nine_seconds_are_waited_for() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    let mut client = server.client_in_memory().await;
    client.send(&announcing(1)).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    client.send_binary(b"bytes").await;
    assert_eq!(client.recv().await.as_deref(), Some(r#"431["here"]"#));
}

#[tokio::test(start_paused = true)]
async fn attachments_that_take_more_than_ten_seconds_end_the_connection() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    let before = violations("attachments_timeout");
    let mut client = server.client_in_memory().await;
    client.send(&announcing(1)).await;
    let start = tokio::time::Instant::now();
    ends(&mut client).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(violations("attachments_timeout") > before);
}

fn nested(depth: usize) -> String {
    // The array of the packet is the first level.
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    format!("421[\"echo\",{open}{close}]")
}

#[tokio::test]
async fn a_packet_may_nest_64_levels_deep() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    let mut client = server.client().await;
    client.send(&nested(64)).await;
    assert_eq!(client.recv().await.as_deref(), Some(r#"431["here"]"#));
}

#[tokio::test]
async fn a_packet_that_nests_deeper_ends_the_connection_however_deep() {
    let server = TestServer::start(farewells(&Journal::default())).await;
    for depth in [65, 100_000] {
        let before = violations("invalid_packet");
        let mut client = server.client().await;
        client.send(&nested(depth)).await;
        ends(&mut client).await;
        assert!(violations("invalid_packet") > before);
    }
}

// Namespaces of one connection: sixteen.

#[tokio::test]
async fn sixteen_namespaces_may_be_joined() {
    let server = TestServer::start(many_namespaces()).await;
    let mut client = Client::open(server.address()).await;
    for number in 0..16 {
        client.join(&format!("/n{number}")).await;
    }
}

#[tokio::test]
async fn the_seventeenth_namespace_is_refused_and_the_others_stay() {
    let server = TestServer::start(many_namespaces()).await;
    let before = limited("namespaces");
    let mut client = Client::open(server.address()).await;
    for number in 0..16 {
        client.join(&format!("/n{number}")).await;
    }
    let refused = client.try_join("/n16", "").await;
    assert_eq!(refused, r#"44/n16,{"message":"Too many namespaces"}"#);
    client.send("42/n0,1[\"here\"]").await;
    assert_eq!(client.recv().await.as_deref(), Some("43/n0,1[]"));
    assert!(limited("namespaces") > before);
}

fn many_namespaces() -> ServerBuilder {
    builder().namespace_pattern("/n{number}", |r| {
        r.public().on("here", async || {});
    })
}

#[tokio::test]
async fn namespaces_made_on_demand_are_as_many_as_their_clients() {
    let server = TestServer::start(many_namespaces()).await;
    for _ in 0..20 {
        let mut client = Client::open(server.address()).await;
        for number in 0..90 {
            let answer = client.try_join(&format!("/n{number}x"), "").await;
            if answer.starts_with("44") {
                break;
            }
        }
    }
    patiently(async {
        while server.server().sessions() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.server().namespaces(), 0);
}

// Rooms of one socket: a thousand; their names: 256 bytes.

/// A server that lets clients join rooms, of whom it may ask who they are.
fn rooms(is_guarded: bool) -> ServerBuilder {
    // With a limit the connection has a room as well as the user.
    let builder = builder()
        .authenticate_with(async |_| Ok(Identity::new(()).with_subject("alice")))
        .max_connections_per_user(100, WhenFull::RejectNew);
    builder.namespace("/", move |r| {
        if !is_guarded {
            r.public();
        }
        r.on(
            "join",
            async |socket: Socket,
                   portcullis::gateway::Data(count): portcullis::gateway::Data<i64>| {
                for room in 0..count {
                    socket.join(room);
                }
                Reply(socket.rooms().len())
            },
        );
        r.on(
            "name",
            async |socket: Socket,
                   portcullis::gateway::Data(len): portcullis::gateway::Data<usize>| {
                socket.join("r".repeat(len));
                Reply(socket.rooms().len())
            },
        );
    })
}

#[tokio::test]
async fn a_socket_may_be_in_a_thousand_rooms() {
    for is_guarded in [false, true] {
        let server = TestServer::start(rooms(is_guarded)).await;
        let mut client = server.client().await;
        // Its own room is extra, and so are those of its user and its connection.
        assert_eq!(client.ask(r#"["join",1000]"#).await, "[1001]");
    }
}

#[tokio::test]
async fn one_room_more_is_not_joined() {
    for is_guarded in [false, true] {
        let server = TestServer::start(rooms(is_guarded)).await;
        let before = witness().count("portcullis_joins_refused_total", "");
        let mut client = server.client().await;
        assert_eq!(client.ask(r#"["join",1001]"#).await, "[1001]");
        assert!(witness().count("portcullis_joins_refused_total", "") > before);
    }
}

#[tokio::test]
async fn the_name_of_a_room_may_have_256_bytes() {
    let server = TestServer::start(rooms(false)).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["name",256]"#).await, "[2]");
}

#[tokio::test]
async fn a_room_with_a_longer_name_is_not_joined() {
    let server = TestServer::start(rooms(false)).await;
    let before = witness().count("portcullis_joins_refused_total", "");
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["name",257]"#).await, "[1]");
    assert!(witness().count("portcullis_joins_refused_total", "") > before);
}

// Events of one socket in a time, where that is limited.

const TWO_AT_ONCE: Rate = Rate::per_second(1).burst(2);

fn paced(journal: &Journal) -> ServerBuilder {
    let journal = journal.clone();
    public(move |r| {
        r.on("say", move || {
            journal.note("said");
            ready(Reply("heard"))
        });
    })
    .event_rate(TWO_AT_ONCE)
}

#[tokio::test]
async fn as_many_events_as_may_come_at_once_are_handled() {
    let journal = Journal::default();
    let server = TestServer::start(paced(&journal)).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(client.ask(r#"["say"]"#).await, r#"["heard"]"#);
    }
    assert_eq!(journal.count("said"), 2);
}

#[tokio::test]
async fn an_event_more_is_refused_then_dropped_and_who_goes_on_is_disconnected() {
    let journal = Journal::default();
    let server = TestServer::start(paced(&journal)).await;
    let (refused, closed) = (limited("events"), violations("event_rate"));
    let mut other = server.client().await;
    let mut client = server.client().await;
    for _ in 0..2 {
        client.ask(r#"["say"]"#).await;
    }
    let answer = client.ask(r#"["say"]"#).await;
    assert!(answer.contains("RATE_LIMITED"), "{answer}");
    client.emit(r#"["say"]"#).await;
    assert_eq!(journal.count("said"), 2, "neither was handled");
    client.emit(r#"["say"]"#).await;
    assert!(
        client.rest().await.is_empty(),
        "what wants no answer gets none"
    );
    assert_eq!(other.ask(r#"["say"]"#).await, r#"["heard"]"#);
    assert!(limited("events") >= refused + 2 && violations("event_rate") > closed);
}

// Time: without a namespace, for an upgrade.

#[tokio::test(start_paused = true)]
async fn a_connection_may_take_nine_seconds_to_join() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.open_within(1024).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    client.join("/").await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(lives(&mut client).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_not_joined_after_ten_seconds_is_closed() {
    let server = TestServer::start(public(|_| {})).await;
    let before = limited("unjoined");
    let mut client = server.open_within(1024).await;
    let start = tokio::time::Instant::now();
    ends(&mut client).await;
    assert!(
        (9..=10).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    assert!(limited("unjoined") > before);
    assert_eq!(server.server().sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_may_take_nine_seconds() {
    let server = TestServer::start(public(|_| {})).await;
    let session = server.http_in_memory().join().await;
    let target = session.replace("polling", "websocket");
    let mut probe = WebSocket::upgrade(server.memory(1024), &target, &[])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    probe.write(WebSocket::TEXT, b"2probe").await.unwrap();
    let (_, answer) = probe.read().await.unwrap();
    assert_eq!(&answer[..], b"3probe");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_finished_after_ten_seconds_is_given_up_and_polling_goes_on() {
    let server = TestServer::start(public(|_| {})).await;
    let before = witness().count("portcullis_upgrades_failed_total", "");
    let mut http = server.http_in_memory();
    let session = http.join().await;
    let target = session.replace("polling", "websocket");
    let mut probe = WebSocket::upgrade(server.memory(1024), &target, &[])
        .await
        .unwrap();
    let start = tokio::time::Instant::now();
    while probe.read().await.is_some() {}
    assert!(
        (10..=13).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(http.post(&session, "421[\"sync\"]").await.text(), "ok");
    assert_eq!(http.get(&session).await.text(), "431[]");
    assert!(witness().count("portcullis_upgrades_failed_total", "") > before);
}

// One poll and one POST at a time.

#[tokio::test]
async fn fifty_polls_of_one_session_at_once_end_it_and_all_are_answered() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let polls = (0..50).map(|_| async {
        let mut http = server.http().await;
        http.get(&session).await
    });
    let answers = futures_util::future::join_all(polls).await;
    let told = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(told <= 1, "one is told of the end, the others are refused");
    assert_eq!(http.get(&session).await.status, 400);
    assert!(faults("overlap from client") > 0);
    assert_eq!(http.get(POLLING).await.status, 200);
}

// The queues: behind a handler, behind a verdict, in front of a peer that does not read.

/// A server whose handlers, or whose verdicts, wait for the gate.
fn waiting(gate: &CancellationToken, journal: &Journal) -> ServerBuilder {
    let (opened, journal) = (gate.clone(), journal.clone());
    let verdict = gate.clone();
    builder()
        .authenticate_with(move |_| {
            let verdict = verdict.clone();
            async move {
                verdict.cancelled().await;
                Ok(Identity::new("alice"))
            }
        })
        .namespace("/", |r| {
            let journal = journal.clone();
            r.on("say", move || {
                journal.note("said");
                ready(())
            });
        })
        .namespace("/open", move |r| {
            r.public();
            r.on("say", move || {
                let (opened, journal) = (opened.clone(), journal.clone());
                async move {
                    opened.cancelled().await;
                    journal.note("said");
                }
            });
        })
}

#[tokio::test]
async fn sixty_four_events_wait_for_a_verdict() {
    let (gate, journal) = (CancellationToken::new(), Journal::default());
    let server = TestServer::start(waiting(&gate, &journal)).await;
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    for _ in 0..64 {
        client.send(r#"42["say"]"#).await;
    }
    gate.cancel();
    journal.wait_for_count("said", 64).await;
}

#[tokio::test]
async fn one_event_more_before_the_verdict_is_a_flood() {
    let (gate, journal) = (CancellationToken::new(), Journal::default());
    let server = TestServer::start(waiting(&gate, &journal)).await;
    let before = violations("flood");
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    for _ in 0..65 {
        let _ = client.try_send(r#"42["say"]"#).await;
    }
    assert!(client.rest().await.is_empty());
    gate.cancel();
    assert_eq!(journal.count("said"), 0);
    assert!(violations("flood") > before);
}

#[tokio::test]
async fn sixty_four_events_wait_for_a_handler() {
    let (gate, journal) = (CancellationToken::new(), Journal::default());
    let server = TestServer::start(waiting(&gate, &journal)).await;
    let mut client = Client::connect(server.address(), "/open").await;
    for _ in 0..=64 {
        client.emit(r#"["say"]"#).await;
    }
    gate.cancel();
    journal.wait_for_count("said", 65).await;
}

#[tokio::test]
async fn one_event_more_behind_a_handler_is_a_flood() {
    let (gate, journal) = (CancellationToken::new(), Journal::default());
    let server = TestServer::start(waiting(&gate, &journal)).await;
    let before = violations("flood");
    let mut client = Client::connect(server.address(), "/open").await;
    for _ in 0..=65 {
        let _ = client.try_send(r#"42/open,["say"]"#).await;
    }
    assert!(client.rest().await.is_empty());
    assert!(violations("flood") > before);
    gate.cancel();
}

#[tokio::test]
async fn as_many_frames_as_allowed_wait_for_a_peer() {
    let journal = Journal::default();
    let server = TestServer::start(farewells(&journal).max_outbox(1_000_000, 10)).await;
    let mut http = server.http().await;
    let session = http.join().await;
    for number in 0..10 {
        server.emitter("/").emit("n", &number).unwrap();
    }
    let packets = http.get(&session).await.text();
    assert_eq!(packets.split('\u{1e}').count(), 10);
    assert!(journal.lines().is_empty());
}

#[tokio::test]
async fn one_frame_more_for_a_peer_that_does_not_read_ends_its_session() {
    let journal = Journal::default();
    let server = TestServer::start(farewells(&journal).max_outbox(1_000_000, 10)).await;
    let before = witness().count("portcullis_slow_consumers_total", "");
    let session = server.http().await.join().await;
    for number in 0..11 {
        server.emitter("/").emit("n", &number).unwrap();
    }
    journal.wait_for("slow consumer").await;
    assert_eq!(server.http().await.get(&session).await.status, 400);
    assert!(witness().count("portcullis_slow_consumers_total", "") > before);
}

// Time for a handler: thirty seconds.

fn sleepy() -> ServerBuilder {
    public(|r| {
        r.on(
            "sleep",
            async |portcullis::gateway::Data(seconds): portcullis::gateway::Data<u64>| {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Reply("awake")
            },
        );
    })
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_twenty_nine_seconds() {
    let server = TestServer::start(sleepy()).await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["sleep",29]"#).await, r#"["awake"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_longer_than_thirty_seconds_is_dropped() {
    let server = TestServer::start(sleepy()).await;
    let before = witness().count("portcullis_handler_timeouts_total", "");
    let mut client = server.client_in_memory().await;
    let answer = client.ask(r#"["sleep",31]"#).await;
    assert!(answer.contains("TIMEOUT"), "{answer}");
    assert!(witness().count("portcullis_handler_timeouts_total", "") > before);
}

// What is left: one poll after another, acks, sockets that leave handlers behind.

#[tokio::test]
async fn a_poll_may_follow_another() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    let session = http.join().await;
    for number in 0..3 {
        server.emitter("/").emit("n", &number).unwrap();
        assert_eq!(
            http.get(&session).await.text(),
            format!(r#"42["n",{number}]"#)
        );
    }
}

#[tokio::test]
async fn a_thousand_acks_may_be_outstanding() {
    let server = TestServer::start(public(|r| {
        r.on("ask", async |socket: Socket| {
            let asked = (0..1000).map(|_| {
                let socket = socket.clone();
                async move { socket.emit_with_ack("q", &()).await.is_ok() }
            });
            let answered = futures_util::future::join_all(asked).await;
            Reply(answered.into_iter().filter(|answered| *answered).count())
        });
    }))
    .await;
    let mut client = server.client().await;
    client.send(r#"421["ask"]"#).await;
    for number in 0..1000 {
        assert_eq!(client.recv().await, Some(format!(r#"42{number}["q"]"#)));
    }
    for number in 0..1000 {
        client.send(&format!("43{number}[]")).await;
    }
    assert_eq!(client.recv().await.as_deref(), Some("431[1000]"));
}

#[tokio::test]
async fn sixteen_sockets_may_leave_handlers_behind() {
    let server = TestServer::start(public(|r| {
        r.on("hang", async || std::future::pending::<()>().await);
    }))
    .await;
    let mut client = Client::open(server.address()).await;
    for _ in 0..16 {
        client.join("/").await;
        client.send(r#"42["hang"]"#).await;
        client.send("41").await;
    }
    assert_eq!(server.server().sessions(), 1);
}
