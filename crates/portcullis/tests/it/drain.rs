//! How a server leaves: in which order, at which pace, and what nobody loses by it.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::gateway::Reply;
use portcullis::{DisconnectReason, Drain, ServerBuilder, Shutdown, Socket};
use portcullis_testing::wire::{Client, POLLING, WEBSOCKET};
use portcullis_testing::{Journal, MemoryBus, TestServer};
use tokio::sync::Notify;

use crate::support::{Wire, patiently, public, upgrade_head, witness};

const MS: Duration = Duration::from_millis(1);

fn quick() -> Drain {
    Drain::default()
        .pre_drain(Duration::ZERO)
        .window(Duration::ZERO)
        .deadline(Duration::from_secs(10))
}

/// A server that drains as its builder says, and hurries when it is told to.
struct Draining {
    server: TestServer,
    hurry: Arc<Notify>,
}

async fn start(builder: ServerBuilder) -> Draining {
    let server = builder.build().await.unwrap();
    let served = server.clone();
    let hurry = Arc::new(Notify::new());
    let again = Arc::clone(&hurry);
    let server = TestServer::serve(server, move |listener, stopped| {
        let shutdown = async move {
            stopped.await;
            Shutdown::paced_until(async move { again.notified().await })
        };
        served.serve_on(listener, shutdown)
    })
    .await
    .patience(Duration::from_secs(20));
    Draining { server, hurry }
}

#[tokio::test]
async fn new_clients_are_taken_until_the_pre_drain_is_over_and_readiness_is_off_at_once() {
    let drain = quick().pre_drain(400 * MS).window(600 * MS);
    let Draining { mut server, .. } = start(public(|_| {}).drain(drain)).await;
    let mut http = server.http().await;
    assert!(server.server().obstacles().is_empty());
    server.stop();
    patiently(async {
        while server.server().obstacles() != ["draining"] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = server.client().await;
    assert_eq!(http.get(POLLING).await.status, 200, "it is still accepted");
    client.gone().await;
    server.stopped().await;
}

#[tokio::test]
async fn newcomers_are_sent_elsewhere_while_transports_close_and_polls_go_on() {
    let drain = quick().window(Duration::from_secs(2));
    let Draining { mut server, .. } = start(public(|_| {}).drain(drain)).await;
    // Ten leave with each tick: these leave over the whole window.
    let clients = join_all((0..60).map(|_| server.client())).await;
    let (mut polling, mut newcomer) = (server.http().await, server.http().await);
    let session = polling.join().await;
    server.stop();
    patiently(async {
        while newcomer.get(POLLING).await.status != 503 {
            tokio::time::sleep(5 * MS).await;
        }
    })
    .await;
    let refused = newcomer.get(POLLING).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(
        refused.text(),
        r#"{"code":4,"message":"Server is shutting down"}"#
    );
    let head = upgrade_head(server.tcp().await, WEBSOCKET).await;
    assert_eq!(head.status, 503, "the port is still open");
    let ends = async {
        // A poll is answered with what there is, and with the end at last.
        loop {
            let answer = polling.get(&session).await;
            if answer.status == 400 {
                return "400".to_owned();
            }
            if answer.text().ends_with('1') {
                return answer.text();
            }
        }
    };
    let (end, _) = tokio::join!(ends, join_all(clients.into_iter().map(Client::gone)));
    assert!(end == "1" || end == "6\u{1e}1", "{end:?}");
    server.stopped().await;
}

#[tokio::test]
async fn transports_close_at_a_pace_with_1012_and_without_a_word_to_their_sockets() {
    let drain = quick().window(Duration::from_secs(1));
    let builder = public(|_| {}).drain(drain);
    let Draining { mut server, .. } = start(builder).await;
    let clients = join_all((0..100).map(|_| server.client())).await;
    server.stop();
    let start = Instant::now();
    let ends = join_all(clients.into_iter().map(|mut client| async move {
        let code = client.goodbye().await;
        (code, start.elapsed())
    }));
    let ends = ends.await;
    assert!(ends.iter().all(|(code, _)| *code == Some(1012)), "{ends:?}");
    let mut times: Vec<_> = ends.iter().map(|(_, time)| *time).collect();
    // Clients came one by one: were they to leave in that order, this would be sorted.
    assert!(!times.is_sorted(), "the order is random");
    times.sort();
    assert!(times[99] >= 800 * MS, "{:?}", times[99]);
    for half in times.windows(50) {
        assert!(
            half[49] - half[0] >= 300 * MS,
            "the pace is even: {times:?}"
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_drain_is_announced_to_every_socket_where_that_is_wanted() {
    let builder = public(|_| {})
        .namespace("/other", |r| {
            r.public();
        })
        .drain(quick().announce(true));
    let Draining { mut server, .. } = start(builder).await;
    let mut client = server.client().await;
    let mut other = Client::connect(server.address(), "/other").await;
    server.stop();
    let notice = r#"["server:draining",{"windowMs":0}]"#;
    assert_eq!(client.event().await, notice);
    assert_eq!(other.event().await, notice);
    assert!(client.rest().await.is_empty() && other.rest().await.is_empty());
    drop((client, other));
    server.stopped().await;
}

#[tokio::test]
async fn a_handler_that_runs_may_answer_before_its_transport_closes() {
    let (journal, started) = (Journal::default(), Arc::new(Notify::new()));
    let (notes, tells) = (journal.clone(), Arc::clone(&started));
    let builder = public(move |r| {
        let ends = notes.clone();
        r.on_disconnect(move |reason: DisconnectReason| {
            ends.note(reason.as_str());
            ready(())
        });
        r.on("work", move || {
            tells.notify_one();
            let notes = notes.clone();
            async move {
                tokio::time::sleep(300 * MS).await;
                notes.note("worked");
                Reply("done")
            }
        });
    });
    let Draining { mut server, .. } = start(builder.drain(quick())).await;
    let mut client = server.client().await;
    client.send(r#"421["work"]"#).await;
    patiently(started.notified()).await;
    server.stop();
    assert_eq!(client.rest().await, [r#"431["done"]"#]);
    drop(client);
    server.stopped().await;
    assert_eq!(journal.lines(), ["worked", "server shutting down"]);
}

#[tokio::test]
async fn what_is_queued_leaves_before_the_transport_closes() {
    let builder = public(|_| {}).max_outbox(10_000_000, 100);
    let Draining { mut server, .. } = start(builder.drain(quick())).await;
    let mut client = server.client().await;
    let emitter = server.emitter("/");
    let large = "x".repeat(6_000_000);
    emitter.emit("large", &large).unwrap();
    emitter.emit("last", &()).unwrap();
    server.stop();
    let packets = client.rest().await;
    assert_eq!(packets.len(), 2);
    assert_eq!(packets[1], r#"42["last"]"#);
    drop(client);
    server.stopped().await;
}

#[tokio::test]
async fn what_is_queued_for_a_client_that_polls_is_still_fetched() {
    let Draining { mut server, .. } = start(public(|_| {}).drain(quick())).await;
    let mut http = server.http().await;
    let session = http.join().await;
    server.emitter("/").emit("last", &()).unwrap();
    server.stop();
    tokio::time::sleep(100 * MS).await;
    assert_eq!(http.get(&session).await.text(), r#"42["last"]"#);
    assert_eq!(http.get(&session).await.text(), "6\u{1e}1");
    server.stopped().await;
}

#[tokio::test]
async fn clients_that_do_not_end_their_side_are_waited_for_together() {
    let Draining { mut server, .. } = start(public(|_| {}).drain(quick())).await;
    let silent = join_all((0..50).map(|_| server.client())).await;
    let start = Instant::now();
    server.stop();
    server.stopped().await;
    // Each is given two seconds to end its side of the connection, at the same time.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(silent);
}

#[tokio::test]
async fn farewells_are_waited_for_and_the_cluster_is_left_last() {
    let bus = MemoryBus::default();
    let (adapter, node) = bus.node();
    let told = node.told().clone();
    let journal = told.clone();
    let builder = public(move |r| {
        r.on_disconnect(move |_: Socket| {
            let journal = journal.clone();
            async move {
                tokio::time::sleep(300 * MS).await;
                journal.note("farewell");
            }
        });
    });
    let Draining { mut server, .. } = start(builder.cluster(adapter).drain(quick())).await;
    let clients = join_all((0..5).map(|_| server.client())).await;
    server.stop();
    join_all(clients.into_iter().map(Client::gone)).await;
    server.stopped().await;
    let lines = told.lines();
    let last = lines.iter().rposition(|line| line == "farewell").unwrap();
    let left = lines.iter().position(|line| line == "close").unwrap();
    assert_eq!(told.count("farewell"), 5);
    assert!(last < left, "{lines:?}");
}

#[tokio::test]
async fn a_deadline_ends_what_does_not_end_and_the_cluster_is_left_all_the_same() {
    let bus = MemoryBus::default();
    let (adapter, node) = bus.node();
    let builder = public(|r| {
        r.on_disconnect(|_: Socket| std::future::pending::<()>());
    });
    let drain = quick().deadline(800 * MS);
    let Draining { mut server, .. } = start(builder.cluster(adapter).drain(drain)).await;
    let cut = witness().count("portcullis_shutdowns_cut_short_total", "");
    let client = server.client().await;
    let start = Instant::now();
    server.stop();
    client.gone().await;
    server.stopped().await;
    assert!(
        start.elapsed() >= 700 * MS && start.elapsed() < 2500 * MS,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(node.told().count("close"), 1);
    assert!(witness().count("portcullis_shutdowns_cut_short_total", "") > cut);
}

#[tokio::test]
async fn a_second_signal_is_fast() {
    let drain = Drain::default();
    let builder = public(|r| {
        r.on_disconnect(|_: Socket| std::future::pending::<()>());
    });
    let Draining { mut server, hurry } = start(builder.drain(drain)).await;
    let client = server.client().await;
    server.stop();
    tokio::time::sleep(100 * MS).await;
    let start = Instant::now();
    hurry.notify_one();
    client.gone().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    server.stopped().await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_is_mounted_drains_too() {
    let Draining { server, .. } = start(public(|_| {}).drain(quick().window(300 * MS))).await;
    let mut client = server.client().await;
    let (code, ()) = tokio::join!(
        async {
            let code = client.goodbye().await;
            drop(client);
            code
        },
        patiently(server.server().drain())
    );
    assert_eq!(code, Some(1012));
    assert_eq!(server.http().await.get(POLLING).await.status, 503);
}

#[tokio::test]
async fn a_client_that_is_connecting_does_not_hold_up_a_drain() {
    let builder = public(|r| {
        r.on_connect(|_: Socket| std::future::pending::<()>());
    });
    let Draining { mut server, .. } = start(builder.drain(quick())).await;
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    tokio::time::sleep(50 * MS).await;
    let start = Instant::now();
    server.stop();
    assert_eq!(client.goodbye().await, Some(1012));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    drop(client);
    server.stopped().await;
}
