//! The end of a server: told to everyone, waited for, and leaving nothing behind.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use portcullis::gateway::Registrar;
use portcullis::{DisconnectReason, Socket};
use portcullis_testing::wire::{Client, POLLING, WEBSOCKET, tcp};
use portcullis_testing::{Journal, TestServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{Wire, builder, patiently, public, upgrade_head};

fn farewells(r: &mut Registrar, journal: &Journal) {
    let journal = journal.clone();
    r.on_disconnect(move |reason: DisconnectReason| {
        journal.note(reason.as_str());
        ready(())
    });
}

#[tokio::test]
async fn the_signal_ends_every_session_and_frees_the_port() {
    let journal = Journal::default();
    let notes = journal.clone();
    let mut server = TestServer::start(public(move |r| farewells(r, &notes))).await;
    let client = server.client().await;
    let (mut polling, mut posting) = (server.http().await, server.http().await);
    let session = polling.join().await;
    let (answer, (), ()) = tokio::join!(polling.get(&session), client.gone(), async {
        // By the time the answer is here, the poll waits.
        posting.post(&session, r#"42["nothing"]"#).await;
        server.stop();
        server.stopped().await;
    });
    assert_eq!((answer.status, answer.text()), (200, "1".to_owned()));
    assert_eq!(journal.lines(), ["server shutting down"; 2]);
    assert_eq!(server.server().sessions(), 0);
    TcpListener::bind(server.address()).await.unwrap();
}

#[tokio::test]
async fn a_client_is_not_told_to_stay_away() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.client().await;
    let (packets, ()) = tokio::join!(
        async {
            let packets = client.rest().await;
            drop(client);
            packets
        },
        patiently(server.server().close())
    );
    assert!(packets.is_empty(), "no disconnect packet: {packets:?}");
}

#[tokio::test]
async fn no_session_opens_once_the_end_has_begun() {
    let (journal, gate) = (Journal::default(), CancellationToken::new());
    let (notes, opened) = (journal.clone(), gate.clone());
    let server = TestServer::start(public(move |r| {
        r.on_disconnect(move |_: DisconnectReason| {
            notes.note("leaving");
            let opened = opened.clone();
            async move { opened.cancelled().await }
        });
    }))
    .await;
    let client = server.client().await;
    let mut http = server.http().await;
    assert_eq!(
        http.get("/socket.io/").await.status,
        400,
        "it is kept alive"
    );
    let ((), ()) = tokio::join!(server.close([client]), async {
        journal.wait_for("leaving").await;
        assert_eq!(http.get(POLLING).await.status, 503);
        let stream = Box::new(tcp(server.address()).await);
        let head = upgrade_head(stream, WEBSOCKET);
        assert_eq!(head.await.status, 503);
        gate.cancel();
    });
    assert_eq!(http.get(POLLING).await.status, 503);
    assert_eq!(server.server().sessions(), 0);
}

#[tokio::test]
async fn a_server_may_be_closed_twice_and_by_several() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| farewells(r, &notes))).await;
    let client = server.client().await;
    let other = server.server().clone();
    let ((), ()) = tokio::join!(server.close([client]), patiently(other.close()));
    patiently(server.server().close()).await;
    assert_eq!(journal.lines(), ["server shutting down"]);
}

#[tokio::test]
async fn a_connection_without_a_session_does_not_hold_up_the_end() {
    let mut server = TestServer::start(public(|_| {})).await;
    let _silent = server.http().await;
    let mut half = server.http().await;
    half.send(b"GET / HT").await;
    let [mut kept_alive, mut begun] = [server.http().await, server.http().await];
    assert_eq!(kept_alive.get("/").await.status, 404);
    assert_eq!(begun.get("/").await.status, 404);
    begun.send(b"GET / HT").await;
    server.stop();
    server.stopped().await;
    assert!(kept_alive.rest().await.is_empty());
}

#[tokio::test]
async fn a_client_that_is_connecting_is_let_go_without_a_farewell() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        farewells(r, &notes);
        r.on_connect(move || {
            notes.note("connecting");
            std::future::pending::<()>()
        });
    }))
    .await;
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    journal.wait_for("connecting").await;
    server.close([client]).await;
    assert_eq!(journal.lines(), ["connecting"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_kicked_and_takes_nothing_does_not_hold_up_the_end() {
    let server = TestServer::start(public(|r| {
        r.on("kick", async |socket: Socket| {
            socket.emit("long", &"x".repeat(900_000)).unwrap();
            socket.disconnect(true);
        });
    }))
    .await;
    let mut stuck = server.client_in_memory().await;
    stuck.emit(r#"["kick"]"#).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.server().sessions(), 0, "it is only on its way out");
    let start = tokio::time::Instant::now();
    patiently(server.server().close()).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    drop(stuck);
}

#[tokio::test]
async fn a_closed_server_frees_what_its_handlers_hold() {
    for keeps_an_emitter in [false, true] {
        let held = Arc::new(());
        let builder = builder();
        let emitter = keeps_an_emitter.then(|| builder.emitter("/").unwrap());
        let holds = Arc::clone(&held);
        let server = TestServer::start(builder.namespace("/", move |r| {
            r.public().on("x", move || {
                let _ = (&emitter, &holds);
                ready(())
            });
        }))
        .await;
        let client = server.client().await;
        server.close([client]).await;
        drop(server);
        let freed = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_millis(200), freed)
                .await
                .is_ok(),
            "with an emitter: {keeps_an_emitter}"
        );
    }
}
