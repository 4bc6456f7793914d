//! What clients do that no honest client does: nobody else may feel it, and nothing may be left.

use std::time::Duration;

use portcullis::DisconnectReason;
use portcullis::gateway::Registrar;
use portcullis_testing::wire::Client;
use portcullis_testing::{Journal, TestServer};

use crate::support::{Wire, builder, patiently, public};

/// Notes who comes and goes, and what is said.
fn noted(journal: &Journal) -> impl FnOnce(&mut Registrar) + use<> {
    let journal = journal.clone();
    move |r| {
        let notes = journal.clone();
        r.on_connect(move || {
            notes.note("came");
            std::future::ready(())
        });
        let notes = journal.clone();
        r.on_disconnect(move |_: DisconnectReason| {
            notes.note("went");
            std::future::ready(())
        });
        r.on("say", move || {
            journal.note("said");
            std::future::ready(())
        });
    }
}

#[tokio::test]
async fn an_event_behind_a_rejoin_in_the_same_payload_is_handled() {
    let journal = Journal::default();
    let server = TestServer::start(public(noted(&journal))).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let answer = http.post(&session, "41\x1e40\x1e42[\"say\"]").await;
    assert_eq!(answer.text(), "ok");
    patiently(journal.wait_for("said")).await;
    assert_eq!((journal.count("came"), journal.count("went")), (2, 1));
}

#[tokio::test]
async fn leaving_and_rejoining_at_once_leaves_one_socket() {
    let journal = Journal::default();
    let server = TestServer::start(public(noted(&journal))).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let answer = http.post(&session, "41\x1e40\x1e41\x1e40").await;
    assert_eq!(answer.text(), "ok");
    patiently(journal.wait_for_count("went", 2)).await;
    assert_eq!(journal.count("came"), 3);
}

#[tokio::test]
async fn a_bad_packet_and_a_poll_at_once_leave_no_poll_hanging() {
    let server = TestServer::start(public(|_| {})).await;
    for _ in 0..20 {
        let (mut polls, mut posts) = (server.http().await, server.http().await);
        let session = polls.join().await;
        let both = async { tokio::join!(polls.get(&session), posts.post(&session, "4oops")) };
        // Whichever came first decides what they say; that they are answered is what counts.
        let answered = tokio::time::timeout(Duration::from_secs(5), both).await;
        assert!(answered.is_ok(), "both requests are answered at once");
    }
}

#[tokio::test]
async fn connects_that_are_given_up_count_as_refusals() {
    let builder = builder()
        .authenticate_with(async |_| std::future::pending().await)
        .namespace("/", |_| {});
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    for _ in 0..4 {
        client.send("40").await;
        client.send("41").await;
    }
    assert_eq!(client.rest().await, Vec::<String>::new());
}

#[tokio::test]
async fn sockets_whose_handlers_hang_on_cannot_be_piled_up() {
    let builder = public(|r| {
        r.on("hang", async || std::future::pending::<()>().await);
    });
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    let mut rounds = 0;
    // Each round leaves a handler behind; the connection is closed before they are many.
    while client.try_send("40").await.is_ok() && rounds < 100 {
        let Some(answer) = client.recv().await else {
            break;
        };
        assert!(answer.starts_with("40{"), "{answer}");
        rounds += 1;
        if client.try_send("42[\"hang\"]").await.is_err() || client.try_send("41").await.is_err() {
            break;
        }
    }
    assert_eq!(rounds, 16);
}

#[tokio::test]
async fn newcomers_do_not_hold_up_a_server_that_stops() {
    let mut server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    assert!(http.try_get_session().await);
    // A connection that is kept alive and goes on opening sessions while the server stops.
    let newcomers = async { while http.try_get_session().await {} };
    let stopping = async {
        server.stop();
        tokio::time::timeout(Duration::from_secs(5), server.stopped()).await
    };
    let ((), stopped) = tokio::join!(newcomers, stopping);
    assert!(
        stopped.is_ok(),
        "the server stops while sessions are being opened"
    );
}
