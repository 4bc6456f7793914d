//! Clients that do not read: what is volatile is dropped, and who stays too far behind goes.

use std::future::ready;

use portcullis::gateway::Registrar;
use portcullis::{DisconnectReason, IfSlow, ServerBuilder, Socket};
use portcullis_testing::wire::{Client, POLLING, WEBSOCKET, WebSocket};
use portcullis_testing::{Journal, TestServer};
use tokio::net::TcpSocket;

use crate::support::{Wire, public, witness};

/// A server that notes why each of its clients was disconnected.
fn noting_ends() -> (ServerBuilder, Journal) {
    noting_ends_of(|_| {})
}

/// The same, with handlers.
fn noting_ends_of(register: impl FnOnce(&mut Registrar)) -> (ServerBuilder, Journal) {
    let journal = Journal::default();
    let notes = journal.clone();
    let builder = public(move |r| {
        register(r);
        r.on_disconnect(move |reason: DisconnectReason| {
            notes.note(reason.as_str());
            ready(())
        });
    });
    (builder, journal)
}

/// A client whose kernel takes little on its behalf.
async fn small_client(server: &TestServer) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address()).await.unwrap();
    let mut client = Client::open_over(Box::new(stream), WEBSOCKET, &[]).await;
    client.join("/").await;
    client
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_the_others_get_everything() {
    let (builder, journal) = noting_ends();
    let server = TestServer::start(builder).await;
    let stuck = small_client(&server).await;
    let mut reader = server.client().await;
    let emitter = server.server().emitter("/").unwrap();
    let text = "x".repeat(200_000);
    let mut count = 0;
    while journal.lines().is_empty() {
        emitter.emit("n", &(count, &text)).unwrap();
        assert_eq!(reader.event().await, format!(r#"["n",{count},"{text}"]"#));
        count += 1;
    }
    assert_eq!(journal.lines(), ["slow consumer"]);
    assert!(reader.sync().await.is_empty());
    drop(stuck);
}

#[tokio::test]
async fn a_polling_client_that_does_not_poll_is_disconnected_too() {
    let (builder, journal) = noting_ends();
    let server = TestServer::start(builder.max_outbox(1_000_000, 10)).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let emitter = server.server().emitter("/").unwrap();
    for number in 0..10 {
        emitter.emit("n", &number).unwrap();
    }
    let expected: Vec<_> = (0..10)
        .map(|number| format!(r#"42["n",{number}]"#))
        .collect();
    assert_eq!(http.get(&session).await.text(), expected.join("\u{1e}"));
    for number in 0..11 {
        emitter.emit("n", &number).unwrap();
    }
    journal.wait_for("slow consumer").await;
    assert_eq!(http.get(&session).await.status, 400);
}

#[tokio::test]
async fn a_slow_client_may_lose_events_instead_of_its_connection() {
    let builder = public(|_| {}).max_outbox(1_000_000, 10);
    let server = TestServer::start(builder.if_slow(IfSlow::Drop)).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let emitter = server.server().emitter("/").unwrap();
    for number in 0..15 {
        emitter.emit("n", &number).unwrap();
    }
    let expected: Vec<_> = (0..10)
        .map(|number| format!(r#"42["n",{number}]"#))
        .collect();
    assert_eq!(http.get(&session).await.text(), expected.join("\u{1e}"));
    emitter.emit("n", &15).unwrap();
    assert_eq!(http.get(&session).await.text(), r#"42["n",15]"#);
}

#[tokio::test]
async fn an_emitter_may_say_for_each_event_what_a_slow_client_loses() {
    let (builder, journal) = noting_ends();
    let server = TestServer::start(builder.max_outbox(1_000_000, 10)).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let all = server.server().emitter("/").unwrap().all();
    for number in 0..15 {
        let operator = all.clone().if_slow(IfSlow::Drop);
        operator.emit("n", &number).unwrap();
    }
    assert_eq!(http.get(&session).await.text().split('\u{1e}').count(), 10);
    assert!(journal.lines().is_empty());

    for number in 0..11 {
        all.emit("n", &number).unwrap();
    }
    journal.wait_for("slow consumer").await;
}

#[tokio::test]
async fn what_is_volatile_is_dropped_for_who_does_not_read_and_for_nobody_else() {
    let server = TestServer::start(public(|_| {})).await;
    let mut stuck = small_client(&server).await;
    let mut reader = server.client().await;
    let all = server.server().emitter("/").unwrap().all();
    // One event of any size fits, and this one is more than a kernel buffers.
    let large = "x".repeat(8_000_000);
    all.emit("large", &large).unwrap();
    reader.event().await;
    all.clone().volatile().emit("now or never", &()).unwrap();
    assert_eq!(reader.sync().await, [r#"42["now or never"]"#]);

    stuck.event().await;
    assert!(stuck.sync().await.is_empty());
    all.volatile().emit("again", &()).unwrap();
    assert_eq!(stuck.event().await, r#"["again"]"#);
}

#[tokio::test]
async fn a_generic_stream_drops_what_is_volatile_while_it_is_full() {
    let server = TestServer::start(public(|_| {})).await;
    let mut stuck = server.client_within(16).await;
    let mut reader = server.client_in_memory().await;
    let all = server.server().emitter("/").unwrap().all();
    all.emit("large", &"x".repeat(1000)).unwrap();
    reader.event().await;
    all.clone().volatile().emit("now or never", &()).unwrap();
    assert_eq!(reader.sync().await, [r#"42["now or never"]"#]);

    stuck.event().await;
    assert!(stuck.sync().await.is_empty());
    all.volatile().emit("again", &()).unwrap();
    assert_eq!(stuck.event().await, r#"["again"]"#);
}

#[tokio::test]
async fn what_is_volatile_needs_a_poll_that_waits() {
    let server = TestServer::start(public(|_| {})).await;
    let (mut polling, mut posting) = (server.http_in_memory(), server.http_in_memory());
    let session = polling.join().await;
    let all = server.server().emitter("/").unwrap().all().volatile();
    all.emit("nobody polls", &()).unwrap();
    let (polled, ()) = tokio::join!(polling.get(&session), async {
        // By the time the answer is here, the poll waits.
        posting.post(&session, r#"42["nothing"]"#).await;
        all.emit("somebody polls", &()).unwrap();
    });
    assert_eq!(polled.text(), r#"42["somebody polls"]"#);
}

#[tokio::test]
async fn nobody_is_slow_for_what_a_single_turn_says() {
    let (builder, journal) = noting_ends_of(|r| {
        r.on("flood", async |socket: Socket| {
            for number in 0..1_000 {
                let _ = socket.server().emit("n", &number);
            }
        });
    });
    let server = TestServer::start(builder.max_outbox(1_000_000, 10)).await;
    let (mut asking, mut reading) = (server.client().await, server.client().await);
    asking.emit(r#"["flood"]"#).await;
    for client in [&mut asking, &mut reading] {
        for number in 0..1_000 {
            assert_eq!(client.event().await, format!(r#"["n",{number}]"#));
        }
    }
    assert!(journal.lines().is_empty());
}

#[tokio::test]
async fn what_is_volatile_never_ends_a_socket_before_it_is_let_in() {
    let before = witness().count("portcullis_volatile_dropped_total", "");
    let builder = public(|r| {
        r.on_connect(async |socket: Socket| {
            for number in 0..15 {
                let _ = socket.volatile().emit("n", &number);
            }
        });
    });
    let server = TestServer::start(builder.max_outbox(1_000_000, 10)).await;
    let mut client = server.client().await;
    // With the CONNECT reply, these are ten.
    assert_eq!(client.sync().await.len(), 9);
    assert!(witness().count("portcullis_volatile_dropped_total", "") >= before + 6);
}

#[tokio::test]
async fn what_a_socket_may_lose_is_lost_before_it_is_let_in_too() {
    let before = witness().count("portcullis_events_lost_total", "");
    let builder = public(|r| {
        r.on_connect(async |socket: Socket| {
            for number in 0..15 {
                let _ = socket.if_slow(IfSlow::Drop).emit("n", &number);
            }
        });
    });
    let server = TestServer::start(builder.max_outbox(1_000_000, 10)).await;
    let mut client = server.client().await;
    // With the CONNECT reply, these are ten.
    let expected: Vec<_> = (0..9)
        .map(|number| format!(r#"42["n",{number}]"#))
        .collect();
    assert_eq!(client.sync().await, expected);
    assert!(witness().count("portcullis_events_lost_total", "") >= before + 6);
}

#[tokio::test]
async fn bytes_that_wait_for_a_socket_to_be_let_in_are_bounded() {
    let (builder, journal) = noting_ends_of(|r| {
        r.on_connect(async |socket: Socket| {
            let text = "x".repeat(400);
            let results = [(); 3].map(|()| socket.emit("n", &text).is_ok());
            assert_eq!(results, [true, true, false]);
        });
    });
    let server = TestServer::start(builder.max_outbox(1_000, 100)).await;
    let mut client = server.open_within(64 * 1024).await;
    client.send("40").await;
    assert!(client.rest().await.is_empty());
    journal.wait_for("slow consumer").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_one_has_gone() {
    let builder = public(|_| {}).max_sessions(2).max_pending_handshakes(2);
    let server = TestServer::start(builder).await;
    let first = server.client_in_memory().await;
    let mut http = server.http_in_memory();
    let _session = http.open_session().await;
    let refused = http.get(POLLING).await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.text(),
        r#"{"code":4,"message":"Too many connections"}"#
    );
    let io = server.memory(1024);
    let refused = WebSocket::upgrade(io, WEBSOCKET, &[]).await;
    assert_eq!(refused.err().map(|response| response.status), Some(503));

    drop(first);
    while server.server().sessions() > 1 {
        tokio::task::yield_now().await;
    }
    server.client_in_memory().await;
}

#[tokio::test]
async fn what_is_said_behind_more_than_may_wait_reaches_who_has_just_come() {
    let (builder, journal) = noting_ends_of(|r| {
        r.on_connect(async |socket: Socket| {
            let _ = socket.emit("snapshot", &"x".repeat(2_000_000));
            let _ = socket.emit("ready", &());
        });
    });
    let server = TestServer::start(builder).await;
    let has_both =
        |events: &[String]| events[0].starts_with(r#"["snapshot","#) && events[1] == r#"["ready"]"#;
    for mut client in [server.client().await, server.client_within(64 * 1024).await] {
        let events = [client.event().await, client.event().await];
        assert!(has_both(&events));
        assert!(client.sync().await.is_empty());
    }
    let mut http = server.http().await;
    let session = http.open_session().await;
    assert_eq!(http.post(&session, "40").await.status, 200);
    let mut polled = String::new();
    while !polled.ends_with(r#"42["ready"]"#) {
        polled += &http.get(&session).await.text();
    }
    assert!(polled.contains(r#"42["snapshot","#));
    assert_eq!(journal.count("slow consumer"), 0);
}

#[tokio::test]
async fn who_misses_events_still_hears_what_the_protocol_says() {
    let (builder, journal) = noting_ends();
    let builder = builder.max_outbox(1_000_000, 10).if_slow(IfSlow::Drop);
    let server = TestServer::start(builder).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let emitter = server.server().emitter("/").unwrap();
    for number in 0..15 {
        emitter.emit("n", &number).unwrap();
    }
    emitter.all().disconnect_sockets(false).unwrap();
    journal.wait_for("server namespace disconnect").await;
    let polled = http.get(&session).await.text();
    assert!(polled.ends_with("\u{1e}41"), "{polled}");
    assert_eq!(polled.matches(r#"42["n","#).count(), 10);
}
