//! Answers that clients owe: who may give them, and what becomes of those that do not come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use portcullis::socketio::args::Args;
use portcullis::{AckError, EmitError, Socket};
use portcullis_testing::TestServer;
use portcullis_testing::wire::Client;

use crate::support::{Wire, public};

/// Two clients of one server, and their sockets.
struct Pair {
    server: TestServer,
    clients: [Client; 2],
    sockets: [Socket; 2],
}

impl Pair {
    async fn new() -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        let server = TestServer::start(public(move |r| {
            r.on_connect(move |socket: Socket| {
                keep.lock().push(socket);
                std::future::ready(())
            });
        }))
        .await;
        let clients = [
            server.client_in_memory().await,
            server.client_in_memory().await,
        ];
        let sockets: [Socket; 2] = kept
            .lock()
            .drain(..)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        Self {
            server,
            clients,
            sockets,
        }
    }
}

fn first(args: &Args) -> i64 {
    args.get(0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_the_socket_that_was_asked_can_answer_and_only_once() {
    let mut pair = Pair::new().await;
    let [asked, other] = &mut pair.clients;
    let (answer, ()) = tokio::join!(pair.sockets[0].emit_with_ack("q", &()), async {
        assert_eq!(asked.recv().await.as_deref(), Some(r#"420["q"]"#));
        other.send("430[1]").await;
        assert!(other.sync().await.is_empty());
        asked.send("431[2]").await;
        asked.send("430[3]").await;
        asked.send("430[4]").await;
    });
    assert_eq!(first(&answer.unwrap()), 3);
    assert!(asked.sync().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_does_not_come_is_waited_for_as_long_as_was_said() {
    let pair = Pair::new().await;
    let socket = &pair.sockets[0];
    for (timeout, expected) in [(None, 10_000), (Some(70), 70)] {
        let start = tokio::time::Instant::now();
        let result = match timeout {
            Some(ms) => {
                let timed = socket.timeout(Duration::from_millis(ms));
                timed.emit_with_ack("q", &()).await
            }
            None => socket.emit_with_ack("q", &()).await,
        };
        assert!(matches!(result, Err(AckError::Timeout { responses }) if responses.is_empty()));
        assert_eq!(start.elapsed().as_millis(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_times_out_still_hands_over_the_answers_that_came() {
    let mut pair = Pair::new().await;
    let all = pair.server.server().emitter("/").unwrap().all();
    let [answering, _silent] = &mut pair.clients;
    let (answers, ()) = tokio::join!(all.emit_with_ack("q", &()), async {
        assert_eq!(answering.recv().await.as_deref(), Some(r#"420["q"]"#));
        answering.send("430[5]").await;
        answering.send("430[6]").await;
    });
    let Err(AckError::Timeout { responses }) = answers else {
        panic!("{answers:?}")
    };
    assert_eq!(responses.iter().map(first).collect::<Vec<_>>(), [5]);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_nobody_is_answered_at_once() {
    let pair = Pair::new().await;
    let nobody = pair.server.server().emitter("/").unwrap().to("nobody");
    let start = tokio::time::Instant::now();
    assert!(nobody.emit_with_ack("q", &()).await.unwrap().is_empty());
    assert!(start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_leaves_ends_the_wait_for_its_ack() {
    let mut pair = Pair::new().await;
    let [leaver, _] = &mut pair.clients;
    let start = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(pair.sockets[0].emit_with_ack("q", &()), async {
        leaver.recv().await.unwrap();
        leaver.send("41").await;
    });
    assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    let answer = pair.sockets[0].emit_with_ack("q", &()).await;
    assert!(
        matches!(answer, Err(AckError::Emit(EmitError::Disconnected))),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_socket_owes_a_thousand_acks_and_no_more() {
    let mut pair = Pair::new().await;
    let socket = pair.sockets[0].clone();
    let [client, _] = &mut pair.clients;
    let asked = (0..1000).map(|number| {
        let socket = &socket;
        async move { socket.emit_with_ack("q", &number).await }
    });
    let (answers, ()) = tokio::join!(join_all(asked), async {
        for number in 0..1000 {
            let question = client.recv().await.unwrap();
            assert_eq!(question, format!(r#"42{number}["q",{number}]"#));
        }
        let one_more = socket.emit_with_ack("q", &"too many").await;
        assert!(matches!(one_more, Err(AckError::TooMany)), "{one_more:?}");
        for number in 0..1000 {
            client.send(&format!("43{number}[{number}]")).await;
        }
    });
    let answers: Vec<i64> = answers
        .into_iter()
        .map(|answer| first(&answer.unwrap()))
        .collect();
    assert_eq!(answers, (0..1000).collect::<Vec<_>>());
    assert!(
        client.sync().await.is_empty(),
        "the one too many was not sent"
    );

    let (again, ()) = tokio::join!(socket.emit_with_ack("q", &()), async {
        assert_eq!(client.recv().await.as_deref(), Some(r#"421000["q"]"#));
        client.send("431000[9]").await;
    });
    assert_eq!(first(&again.unwrap()), 9);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_for_an_ack_frees_its_place() {
    let mut pair = Pair::new().await;
    let socket = pair.sockets[0].clone();
    let [client, _] = &mut pair.clients;
    for number in 0..1100 {
        let asked = socket.emit_with_ack("q", &());
        tokio::select! {
            biased;
            answer = asked => panic!("{answer:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(client.recv().await.unwrap(), format!(r#"42{number}["q"]"#));
    }
}
