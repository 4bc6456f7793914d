//! From CONNECT to the last farewell: what runs when, and how often.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::auth::{Identity, Refusal, RefusalCode};
use portcullis::gateway::{Data, Registrar};
use portcullis::socketio::value::Value;
use portcullis::{DisconnectReason, ServerBuilder, Socket};
use portcullis_testing::wire::{Client, Http, WEBSOCKET, tcp};
use portcullis_testing::{Journal, TestServer};
use tokio_util::sync::CancellationToken;

use crate::support::{Wire, builder, farewells, patiently, public};

/// A handler for `wait` that notes its start, waits for `gate`, and notes its end.
fn waits(r: &mut Registrar, journal: &Journal, gate: &CancellationToken) {
    let (journal, gate) = (journal.clone(), gate.clone());
    r.on("wait", move || {
        let (journal, gate) = (journal.clone(), gate.clone());
        async move {
            journal.note("waiting");
            gate.cancelled().await;
            journal.note("done");
        }
    });
}

#[tokio::test]
async fn a_client_hears_that_it_is_connected_after_on_connect_has_run() {
    let gate = CancellationToken::new();
    let opened = gate.clone();
    let builder = public(move |r| {
        r.on_connect(move |socket: Socket| {
            let opened = opened.clone();
            async move {
                assert!(!socket.is_connected());
                opened.cancelled().await;
            }
        });
    });
    let builder = builder.namespace("/other", |r| {
        r.public();
    });
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    client.send("40/other,").await;
    let first = client.recv().await.unwrap();
    assert!(first.starts_with("40/other,{"), "{first}");
    gate.cancel();
    let second = client.recv().await.unwrap();
    assert!(second.starts_with(r#"40{"sid":"#), "{second}");
}

#[tokio::test]
async fn what_on_connect_emits_arrives_right_behind_the_connect_reply() {
    let builder = public(|r| {
        r.on_connect(async |socket: Socket| {
            socket.emit("first", &1).unwrap();
            tokio::task::yield_now().await;
            socket.join("room");
            socket.within("room").emit("too early", &()).unwrap();
            socket.volatile().emit("second", &2).unwrap();
        });
    });
    let server = TestServer::start(builder).await;
    for _ in 0..2 {
        let mut client = Client::open(server.address()).await;
        client.send("40").await;
        client.send(r#"42999["sync"]"#).await;
        let reply = client.recv().await.unwrap();
        assert!(reply.starts_with(r#"40{"sid":"#), "{reply}");
        assert_eq!(client.event().await, r#"["first",1]"#);
        assert_eq!(client.event().await, r#"["second",2]"#);
        assert_eq!(client.recv().await.as_deref(), Some("43999[]"));
    }
}

#[tokio::test]
async fn an_error_of_on_connect_or_a_middleware_refuses_with_its_message_and_data() {
    let journal = Journal::default();
    let notes = journal.clone();
    let builder = public(move |r| {
        farewells(r, &notes);
        r.on_connect(async || {
            let data = Value::Map(vec![("why".to_owned(), Value::from(7))]);
            Err::<(), _>(Refusal::new("not today").data(data))
        });
    });
    let builder = builder.namespace("/middleware", |r| {
        farewells(r, &journal);
        r.public()
            .connect_guard(async || Err::<(), _>(Refusal::new("never")))
            .on_connect(async || assert!(false, "is not reached"));
    });
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    let refusal = client.try_join("/", "").await;
    assert_eq!(refusal, r#"44{"message":"not today","data":{"why":7}}"#);
    let refusal = client.try_join("/middleware", "").await;
    assert_eq!(refusal, r#"44/middleware,{"message":"never"}"#);
    server.close([client]).await;
    assert_eq!(journal.lines(), [""; 0], "nobody left who never came");
}

#[tokio::test]
async fn middlewares_run_in_order_before_on_connect_and_see_a_socket_that_is_not_connected() {
    let journal = Journal::default();
    let step = |name: &'static str| {
        let journal = journal.clone();
        move |socket: Socket| {
            journal.note(format!("{name} {}", socket.is_connected()));
            ready(())
        }
    };
    let builder = public(|r| {
        r.on_connect(step("connect 1"))
            .connect_guard(step("middleware 1"))
            .on_connect(step("connect 2"))
            .connect_guard(step("middleware 2"))
            .on("state", step("event"));
    });
    let server = TestServer::start(builder).await;
    server.client().await.ask(r#"["state"]"#).await;
    assert_eq!(
        journal.lines(),
        [
            "middleware 1 false",
            "middleware 2 false",
            "connect 1 false",
            "connect 2 false",
            "event true",
        ]
    );
}

#[tokio::test]
async fn every_accepted_socket_leaves_once_with_the_reason_of_its_end() {
    let quick = |builder: ServerBuilder| {
        builder
            .ping_interval(Duration::from_millis(40))
            .ping_timeout(Duration::from_millis(40))
    };
    for (how, expected) in [
        ("41", "client namespace disconnect"),
        ("1", "transport close"),
        ("drop", "transport close"),
        ("4x", "forced close"),
        ("x", "parse error"),
        (r#"42["kick",false]"#, "server namespace disconnect"),
        (r#"42["kick",true]"#, "server namespace disconnect"),
        ("silence", "ping timeout"),
        ("close", "server shutting down"),
    ] {
        let journal = Journal::default();
        let notes = journal.clone();
        let builder = public(move |r| {
            farewells(r, &notes);
            r.on("kick", async |socket: Socket, Data(close): Data<bool>| {
                socket.disconnect(close);
            });
        });
        let is_silent = how == "silence";
        let builder = if is_silent { quick(builder) } else { builder };
        let server = TestServer::start(builder).await;
        let mut client = Some(server.client().await);
        match (how, &mut client) {
            ("drop", client) => *client = None,
            ("close" | "silence", _) | (_, None) => {}
            (packet, Some(client)) => client.send(packet).await,
        }
        let left = format!("left: {expected}");
        if how != "close" {
            journal.wait_for(&left).await;
        }
        server.close(client).await;
        assert_eq!(journal.lines(), [left], "{how}");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_ends_as_one_that_is_closed() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| farewells(r, &notes))).await;
    let stream = tcp(server.address()).await;
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let mut client = Client::open_over(Box::new(stream), WEBSOCKET, &[]).await;
    client.join("/").await;
    drop(client);
    journal.wait_for("left: transport close").await;
}

#[tokio::test]
async fn a_socket_that_has_left_cannot_end_what_its_connection_has_become() {
    let kept: Arc<Mutex<Option<Socket>>> = Arc::default();
    let keeping = Arc::clone(&kept);
    let builder = public(|_| {}).namespace("/game", move |r| {
        r.public().on_connect(move |socket: Socket| {
            *keeping.lock().unwrap() = Some(socket);
            ready(Ok::<_, Refusal>(()))
        });
        r.on("sync", async || {});
    });
    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    client.join("/game").await;
    let old = kept.lock().unwrap().take().unwrap();
    client.send("41/game,").await;
    client.join("/game").await;
    old.disconnect(true);
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn one_connection_ends_in_all_of_its_namespaces() {
    let journal = Journal::default();
    let mut builder = builder();
    for name in ["/", "/a", "/b"] {
        let notes = journal.clone();
        builder = builder.namespace(name, |r| {
            r.public()
                .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                    notes.note(format!("{} {reason}", socket.namespace()));
                    ready(())
                });
        });
    }
    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    client.join("/a").await;
    client.join("/b").await;
    client.send("41/a,").await;
    journal.wait_for("/a client namespace disconnect").await;
    drop(client);
    journal.wait_for("/b transport close").await;
    server.server().close().await;
    let mut lines = journal.lines();
    lines.sort();
    assert_eq!(
        lines,
        [
            "/ transport close",
            "/a client namespace disconnect",
            "/b transport close",
        ]
    );
}

#[tokio::test]
async fn who_was_refused_or_went_away_while_connecting_has_no_farewell() {
    let journal = Journal::default();
    let gate = CancellationToken::new();
    let (notes, closed) = (journal.clone(), gate.clone());
    let builder = builder()
        .authenticate_with(async |attempt| match attempt.auth().get("token") {
            Some(_) => Ok(Identity::new(())),
            None => Err(RefusalCode::TokenMissing),
        })
        .namespace("/", move |r| {
            farewells(r, &notes);
            r.on_connect(move || {
                let (notes, closed) = (notes.clone(), closed.clone());
                async move {
                    notes.note("connecting");
                    closed.cancelled().await;
                }
            });
        });
    let server = TestServer::start(builder).await;
    let mut refused = Client::open(server.address()).await;
    let refusal = refused.try_join("/", "").await;
    let expected = r#"44{"message":"Unauthorized","data":{"code":"TOKEN_MISSING"}}"#;
    assert_eq!(refusal, expected);

    let mut gone = Client::open(server.address()).await;
    gone.send(r#"40{"token":1}"#).await;
    journal.wait_for("connecting").await;
    drop(gone);
    let mut leaver = Client::open(server.address()).await;
    leaver.send(r#"40{"token":1}"#).await;
    journal.wait_for_count("connecting", 2).await;
    leaver.send("41").await;
    leaver.send("1").await;
    leaver.gone().await;

    gate.cancel();
    server.close([refused]).await;
    assert_eq!(journal.lines(), ["connecting"; 2]);
}

#[tokio::test]
async fn a_farewell_follows_the_handler_in_flight_and_close_waits_for_both() {
    let (journal, gate) = (Journal::default(), CancellationToken::new());
    let (notes, opened) = (journal.clone(), gate.clone());
    let server = TestServer::start(public(move |r| {
        farewells(r, &notes);
        waits(r, &notes, &opened);
    }))
    .await;
    let mut client = server.client().await;
    client.emit(r#"["wait"]"#).await;
    client.emit(r#"["wait"]"#).await;
    journal.wait_for("waiting").await;
    drop(client);
    let server = server.server().clone();
    let mut closing = tokio::task::JoinSet::new();
    closing.spawn(async move { server.close().await });
    tokio::task::yield_now().await;
    assert!(closing.try_join_next().is_none(), "a handler still runs");
    assert_eq!(journal.lines(), ["waiting"]);

    gate.cancel();
    patiently(closing.join_next()).await.unwrap().unwrap();
    let lines = journal.lines();
    // Whether its connection was seen to end before the server closed is a matter of time.
    assert_eq!(lines[..2], ["waiting", "done"]);
    assert!(lines[2].starts_with("left: "), "{lines:?}");
    assert_eq!(
        lines.len(),
        3,
        "what waited behind it was dropped: {lines:?}"
    );
}

#[tokio::test]
async fn close_waits_for_a_slow_farewell() {
    let journal = Journal::default();
    let gate = CancellationToken::new();
    let (notes, opened) = (journal.clone(), gate.clone());
    let server = TestServer::start(public(move |r| {
        r.on_disconnect(move |reason: DisconnectReason| {
            let (notes, opened) = (notes.clone(), opened.clone());
            async move {
                notes.note(format!("leaving: {reason}"));
                opened.cancelled().await;
                notes.note("left");
            }
        });
    }))
    .await;
    let client = server.client().await;
    let ((), ()) = tokio::join!(server.close([client]), async {
        journal.wait_for("leaving: server shutting down").await;
        gate.cancel();
    });
    assert_eq!(journal.lines(), ["leaving: server shutting down", "left"]);
}

#[tokio::test]
async fn a_kick_during_on_connect_is_told_behind_the_connect_reply() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        farewells(r, &notes);
        r.on_connect(async |socket: Socket| {
            socket.emit("sorry", &()).unwrap();
            socket.disconnect(true);
            socket.join("room");
        });
    }))
    .await;
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    let packets = client.rest().await;
    assert!(packets[0].starts_with("40{"), "{packets:?}");
    assert_eq!(packets[1..], [r#"42["sorry"]"#, "41"]);
    server.close([client]).await;
    assert_eq!(journal.lines(), ["left: server namespace disconnect"]);
}

#[tokio::test]
async fn a_polling_session_that_is_kicked_says_goodbye_too() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        farewells(r, &notes);
        r.on("kick", async |socket: Socket| socket.disconnect(true));
    }))
    .await;
    let mut http = Http::open(server.address()).await;
    let session = http.join().await;
    http.post(&session, r#"42["kick"]"#).await;
    assert_eq!(http.get(&session).await.text(), "41");
    assert_eq!(http.get(&session).await.text(), "6\u{1e}1");
    journal.wait_for("left: server namespace disconnect").await;
    assert_eq!(http.get(&session).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_is_kicked_has_thirty_seconds_for_what_was_said_before() {
    for (pause, is_in_time) in [(29, true), (31, false)] {
        let builder = public(|r| {
            r.on("kick", async |socket: Socket| {
                socket.emit("long", &"x".repeat(900_000)).unwrap();
                socket.disconnect(true);
            });
        });
        let server = TestServer::start(builder).await;
        let mut slow = server.client_in_memory().await;
        slow.emit(r#"["kick"]"#).await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let packets = slow.rest().await;
        if is_in_time {
            assert_eq!(packets.len(), 2);
            assert!(packets[0].starts_with(r#"42["long","xxx"#));
            assert_eq!(packets[1], "41");
        } else {
            assert!(packets.is_empty(), "{} packets", packets.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_breaks_the_rules_has_two_seconds() {
    for (pause, is_in_time) in [(1, true), (3, false)] {
        let server = TestServer::start(public(|r| {
            r.on("long", async |socket: Socket| {
                socket.emit("long", &"x".repeat(900_000))
            });
        }))
        .await;
        let mut slow = server.client_in_memory().await;
        slow.emit(r#"["long"]"#).await;
        slow.send("nonsense").await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        assert_eq!(slow.rest().await.len(), usize::from(is_in_time));
    }
}

#[tokio::test(start_paused = true)]
async fn on_connect_that_hangs_refuses_in_the_end() {
    let server = TestServer::start(
        public(|r| {
            r.on_connect(async || std::future::pending::<()>().await);
        })
        .namespace("/other", |r| {
            r.public();
        }),
    )
    .await;
    // The deadline for joining is another matter, so this one has joined elsewhere.
    let mut client = server.open_within(1024).await;
    client.join("/other").await;
    let refusal = client.try_join("/", "").await;
    assert_eq!(refusal, r#"44{"message":"Connection timed out"}"#);
}
