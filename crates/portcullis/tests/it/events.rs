//! The events of one socket: their order, how many at a time, and who sees them on their way.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use portcullis::Socket;
use portcullis::gateway::{
    Ack, Data, Emit, EventError, EventHandler as _, Registrar, Replies, Reply,
};
use portcullis::socketio::args::Args;
use portcullis_testing::wire::Client;
use portcullis_testing::{Journal, TestCluster, TestServer};
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::support::{Wire, farewells, public};

/// A handler for `sleep` that waits so many milliseconds and then notes how many.
fn sleeps(r: &mut Registrar, journal: &Journal) {
    let journal = journal.clone();
    r.on("sleep", move |Data(ms): Data<u64>| {
        let journal = journal.clone();
        async move {
            journal.note(format!("starts {ms}"));
            tokio::time::sleep(Duration::from_millis(ms)).await;
            journal.note(format!("ends {ms}"));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn handlers_of_one_socket_run_in_the_order_of_its_events_however_long_they_take() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| sleeps(r, &notes))).await;
    let mut client = server.client_in_memory().await;
    for ms in [300, 200, 100, 0] {
        client.emit(&format!(r#"["sleep",{ms}]"#)).await;
    }
    assert!(client.sync().await.is_empty());
    let expected = [300, 200, 100, 0].map(|ms| [format!("starts {ms}"), format!("ends {ms}")]);
    assert_eq!(journal.lines(), expected.concat());
}

#[tokio::test]
async fn a_parked_handler_holds_up_neither_other_namespaces_nor_other_sockets() {
    let gate = CancellationToken::new();
    let opened = gate.clone();
    let builder = public(move |r| {
        r.on("wait", move || {
            let opened = opened.clone();
            async move { opened.cancelled().await }
        });
    });
    let builder = builder.namespace("/other", |r| {
        r.public().on("sync", async || {});
    });
    let server = TestServer::start(builder).await;
    let mut other = server.client().await;
    let mut client = server.client().await;
    client.send(r#"421["wait"]"#).await;
    client.join("/other").await;
    assert!(client.sync().await.is_empty());
    assert!(other.sync().await.is_empty());
    gate.cancel();
    assert_eq!(client.recv().await.as_deref(), Some("431[]"));
}

#[tokio::test]
async fn a_concurrent_event_overlaps_with_itself_up_to_its_limit() {
    let both = Arc::new(Barrier::new(2));
    let server = TestServer::start(public(move |r| {
        let meet = move |Data(name): Data<String>| {
            let both = Arc::clone(&both);
            async move {
                both.wait().await;
                Reply(name)
            }
        };
        r.on("meet", meet.concurrency(2));
    }))
    .await;
    let mut client = server.client().await;
    // The third starts when one of the others has ended, and meets the fourth.
    for number in 1..=4 {
        client
            .send(&format!(r#"42{number}["meet","{number}"]"#))
            .await;
    }
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.recv().await.unwrap());
    }
    answers.sort();
    assert_eq!(
        answers,
        [r#"431["1"]"#, r#"432["2"]"#, r#"433["3"]"#, r#"434["4"]"#]
    );
}

#[tokio::test]
async fn a_handler_may_wait_for_an_ack_of_its_own_client() {
    let server = TestServer::start(public(|r| {
        r.on("ask me", async |socket: Socket| {
            let answer = socket.emit_with_ack("what", &()).await;
            answer.map_or_else(
                |error| Err(EventError::new("NO", error.to_string())),
                |args| Ok(Reply(args.get::<String>(0).unwrap())),
            )
        });
    }))
    .await;
    let mut client = server.client().await;
    client.send(r#"421["ask me"]"#).await;
    assert_eq!(client.recv().await.as_deref(), Some(r#"420["what"]"#));
    client.send(r#"430["this"]"#).await;
    assert_eq!(client.recv().await.as_deref(), Some(r#"431["this"]"#));
}

#[tokio::test]
async fn as_many_events_as_may_wait_are_handled_and_one_more_is_a_flood() {
    for (behind, is_flood) in [(64, false), (65, true)] {
        let (journal, gate) = (Journal::default(), CancellationToken::new());
        let (notes, opened) = (journal.clone(), gate.clone());
        let server = TestServer::start(public(move |r| {
            farewells(r, &notes);
            r.on("work", move || {
                let (notes, opened) = (notes.clone(), opened.clone());
                async move {
                    opened.cancelled().await;
                    notes.note("worked");
                }
            });
        }))
        .await;
        let mut other = server.client().await;
        let mut client = server.client().await;
        for _ in 0..=behind {
            client.emit(r#"["work"]"#).await;
        }
        if is_flood {
            assert!(client.rest().await.is_empty());
            assert!(other.sync().await.is_empty());
            gate.cancel();
            journal.wait_for("left: forced close").await;
            assert_eq!(journal.lines(), ["worked", "left: forced close"]);
        } else {
            gate.cancel();
            journal.wait_for_count("worked", behind + 1).await;
            assert!(client.sync().await.is_empty());
        }
    }
}

#[tokio::test]
async fn events_that_wait_are_bounded_in_bytes_too() {
    let gate = CancellationToken::new();
    let opened = gate.clone();
    let server = TestServer::start(public(move |r| {
        r.on("work", move || {
            let opened = opened.clone();
            async move { opened.cancelled().await }
        });
    }))
    .await;
    let mut client = server.client().await;
    let long = "x".repeat(100_000);
    let mut named = server.client().await;
    client.emit(&format!(r#"["work","{long}"]"#)).await;
    named.emit(r#"["work"]"#).await;
    for _ in 0..3 {
        client.emit(&format!(r#"["work","{long}"]"#)).await;
        named.emit(&format!(r#"["{long}"]"#)).await;
    }
    assert!(client.rest().await.is_empty(), "the fourth is too much");
    assert!(named.rest().await.is_empty(), "names count, too");
    gate.cancel();
}

#[tokio::test]
async fn what_waits_behind_the_handler_that_ends_its_socket_is_never_handled() {
    let (journal, gate) = (Journal::default(), CancellationToken::new());
    let (notes, opened) = (journal.clone(), gate.clone());
    let server = TestServer::start(public(move |r| {
        farewells(r, &notes);
        r.on("kick", move |socket: Socket| {
            let opened = opened.clone();
            async move {
                opened.cancelled().await;
                socket.disconnect(false);
            }
        });
        r.on("note", move || {
            notes.note("handled");
            ready(())
        });
    }))
    .await;
    let mut client = server.client().await;
    client.emit(r#"["kick"]"#).await;
    client.emit(r#"["note"]"#).await;
    // So that both have arrived.
    client.send("40/elsewhere").await;
    assert!(client.recv().await.unwrap().starts_with("44/elsewhere"));
    gate.cancel();
    assert_eq!(client.recv().await.as_deref(), Some("41"));
    journal.wait_for("left: server namespace disconnect").await;
    assert_eq!(journal.lines(), ["left: server namespace disconnect"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_dropped_in_the_end_and_the_next_event_is_handled() {
    let server = TestServer::start(public(|r| {
        r.on("hang", async || std::future::pending::<()>().await);
    }))
    .await;
    let mut client = server.client_in_memory().await;
    client.emit(r#"["hang"]"#).await;
    let told = client.sync().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("exception") && told[0].contains("TIMEOUT"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_too_many_that_was_in_the_queue_is_dropped_after_the_timeout_and_no_later() {
    let server = TestServer::start(
        public(|r| {
            r.on("endless", async || Replies(stream::pending::<Emit<u8>>()));
            r.on("hold", async || {
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
        })
        .handler_timeout(Duration::from_secs(3)),
    )
    .await;
    let mut client = server.client_in_memory().await;
    for _ in 0..16 {
        client.emit(r#"["endless"]"#).await;
    }
    assert!(client.sync().await.is_empty());
    let start = tokio::time::Instant::now();
    client.emit(r#"["hold"]"#).await;
    client.send(r#"425["endless"]"#).await;
    let told = client.recv().await.unwrap();
    assert!(
        told.starts_with("435") && told.contains("TIMEOUT"),
        "{told}"
    );
    // The next ping, after 25 s, would have the session look at its handlers too.
    assert_eq!(start.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_after_the_end_of_its_socket_does_not_hold_up_on_disconnect() {
    let (journal, gate) = (Journal::default(), CancellationToken::new());
    let (notes, opened) = (journal.clone(), gate.clone());
    let builder = public(move |r| {
        r.on("late", move || {
            let opened = opened.clone();
            async move {
                opened.cancelled().await;
                Replies(stream::pending::<Emit<u8>>())
            }
        });
        r.on_disconnect(move || {
            notes.note("left");
            ready(())
        });
    });
    let builder = builder.namespace("/other", |r| {
        r.public();
    });
    let server = TestServer::start(builder).await;
    let mut client = server.client_in_memory().await;
    client.emit(r#"["late"]"#).await;
    client.send("41").await;
    // Its answer says that the socket has ended.
    client.join("/other").await;
    assert_eq!(journal.count("left"), 0, "the handler is waited for");
    gate.cancel();
    journal.wait_for("left").await;
}

#[tokio::test]
async fn an_event_passes_watchers_then_middlewares_then_its_handler() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        let note = move |line: String| notes.note(line);
        let (any, first, second, handler) = (note.clone(), note.clone(), note.clone(), note);
        r.on("x", move |Data(number): Data<i64>| {
            handler(format!("handler {number}"));
            ready(())
        });
        r.event_middleware(move |_, event, args: Args| {
            first(format!("first {} {}", event.as_str(), args.len()));
            ready(Ok(()))
        });
        r.event_middleware(move |_, event, _| {
            second(format!("second {}", event.as_str()));
            ready(Ok(()))
        });
        r.on_any(move |_, event, args| any(format!("any {} {}", event.as_str(), args.len())));
    }))
    .await;
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["x",7]"#).await, "[]");
    client.emit(r#"["nobody listens"]"#).await;
    client.emit(r#"["x",8]"#).await;
    assert!(client.sync().await.is_empty());
    assert_eq!(
        journal.lines(),
        [
            "any x 1",
            "first x 1",
            "second x",
            "handler 7",
            "any nobody listens 0",
            "any x 1",
            "first x 1",
            "second x",
            "handler 8",
            "any sync 0",
            "first sync 0",
            "second sync",
        ]
    );
}

#[tokio::test]
async fn an_error_reaches_the_ack_or_else_the_exception_event() {
    let server = TestServer::start(public(|r| {
        let denied = || EventError::new("DENIED", "not you");
        r.event_middleware(move |_, event, _| {
            ready(match event.as_str() {
                "denied" => Err(denied()),
                _ => Ok(()),
            })
        });
        r.on("denied", async || assert!(false, "is not reached"));
        r.on("fails", async || Err::<(), _>(EventError::new("NO", "no")));
        r.on("typed", async |Data(_): Data<u8>| {});
        r.on("by hand", async |_: Ack| {
            Err::<(), _>(EventError::new("NO", "no"))
        });
    }))
    .await;
    let mut client = server.client().await;
    let error = |code: &str, message: &str| {
        format!(r#"{{"status":"error","code":"{code}","message":"{message}"}}"#)
    };
    for (event, expected) in [
        (r#"["denied"]"#, error("DENIED", "not you")),
        (r#"["fails"]"#, error("NO", "no")),
        (r#"["by hand"]"#, error("NO", "no")),
    ] {
        assert_eq!(client.ask(event).await, format!("[{expected}]"), "{event}");
        client.emit(event).await;
        let cause = format!(
            r#","cause":{{"pattern":{}}}}}"#,
            event.trim_matches(['[', ']'])
        );
        let exception = expected.replace('}', &cause);
        assert_eq!(
            client.event().await,
            format!(r#"["exception",{exception}]"#)
        );
    }
    let invalid = client.ask(r#"["typed",300]"#).await;
    assert!(invalid.contains(r#""code":"VALIDATION""#), "{invalid}");
}

#[tokio::test]
async fn an_ack_by_hand_is_sent_once_and_only_if_it_was_asked_for() {
    let server = TestServer::start(public(|r| {
        r.on("by hand", async |ack: Ack| {
            ack.send(&(1, "two")).unwrap();
            ack.send(&3).unwrap();
            Reply(ack.is_requested())
        });
        r.on("never", async |_: Ack| Reply(1));
    }))
    .await;
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["by hand"]"#).await, r#"[1,"two"]"#);
    client.emit(r#"["by hand"]"#).await;
    client.send(r#"421["never"]"#).await;
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn the_watcher_of_outgoing_events_sees_each_recipient_once_and_no_acks() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.on_any_outgoing(move |socket, payload| {
            let text = String::from_utf8(payload.json().to_vec()).unwrap();
            notes.note(format!("{} {text}", socket.id()));
        });
        r.on("go", async |socket: Socket| {
            socket.emit("own", &1).unwrap();
            socket.broadcast().emit("others", &2).unwrap();
        });
    }))
    .await;
    let mut a = server.client().await;
    let mut b = server.client().await;
    a.emit(r#"["go"]"#).await;
    a.event().await;
    b.event().await;
    assert!(a.sync().await.is_empty());
    let expected = [
        format!(r#"{} ["own",1]"#, a.id),
        format!(r#"{} ["others",2]"#, b.id),
    ];
    assert_eq!(journal.lines(), expected);
}

/// Takes the question of a broadcast, and answers it.
async fn answer(client: &mut Client) {
    assert_eq!(client.recv().await.as_deref(), Some(r#"420["q",1]"#));
    client.send("430[]").await;
}

#[tokio::test]
async fn the_watcher_of_outgoing_events_sees_each_recipient_of_a_broadcast_with_acks() {
    let journal = Journal::default();
    let cluster = TestCluster::start(2, |_| {
        let notes = journal.clone();
        public(move |r| {
            r.on_any_outgoing(move |socket, payload| {
                let text = String::from_utf8(payload.json().to_vec()).unwrap();
                notes.note(format!("{} {text}", socket.id()));
            });
        })
    })
    .await;
    let mut near = cluster.server(0).client_in_memory().await;
    let mut far = cluster.server(1).client_in_memory().await;
    let all = cluster.server(0).emitter("/").all();
    let (answers, (), ()) = tokio::join!(
        all.emit_with_ack("q", &1),
        answer(&mut near),
        answer(&mut far)
    );
    assert_eq!(answers.unwrap().len(), 2);
    let mut expected = [&near, &far].map(|client| format!(r#"{} ["q",1]"#, client.id));
    expected.sort();
    let mut seen = journal.lines();
    seen.sort();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn attachments_belong_to_their_event_and_must_come_in_time() {
    let server = TestServer::start(public(|r| {
        r.on("len", async |Data(bytes): Data<Bytes>| Reply(bytes.len()));
    }))
    .await;
    let mut client = server.client_in_memory().await;
    let event = r#"451-7["len",{"_placeholder":true,"num":0}]"#;
    client.send(event).await;
    client.send_binary(b"four").await;
    assert_eq!(client.recv().await.as_deref(), Some("437[4]"));

    let start = tokio::time::Instant::now();
    client.send(event).await;
    assert!(client.rest().await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_attachments_ends_with_the_last_one_even_if_their_packet_is_ignored() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.client_in_memory().await;
    client.send(r#"461-[{"_placeholder":true,"num":0}]"#).await;
    client.send_binary(b"an answer to no question").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(client.sync().await.is_empty());
}
