//! Time under control: the wall clock by `TestClock`, timers by the runtime's paused clock.

use std::time::Duration;

use portcullis::auth::Identity;
use portcullis::gateway::{Registrar, Reply, User};
use portcullis::{DisconnectReason, Server};
use portcullis_testing::{Connecting, Disconnect, Journal, TestClock, TestServer, TestTokens};
use serde_json::{Value, json};
use tokio::time::Instant;

type Way = for<'a> fn(Connecting<'a>) -> Connecting<'a>;

#[tokio::test]
async fn a_token_lives_as_long_as_the_clock_of_the_test_says() {
    let clock = TestClock::new();
    let tokens = TestTokens::new().clock(&clock).claim("aud", "chat");
    let minute = Duration::from_secs(60);
    let builder = Server::builder()
        .clock(clock.clone())
        .authenticate(
            tokens
                .jwt::<Value>()
                .audience("chat")
                .leeway(Duration::ZERO),
        )
        .namespace("/", |r| {
            r.on("who", async |user: User<Value>| Reply(user["role"].clone()));
        });
    let server = TestServer::start(builder).await;
    let token = tokens
        .lifetime(minute)
        .mint_with("alice", &json!({ "role": "host" }));

    clock.advance(minute - Duration::from_secs(1));
    let client = server.connect("/").token(&token).await;
    assert_eq!(client.emit_with_ack("who", &()).await, "host");
    clock.advance(Duration::from_secs(1));
    let refused = server.connect("/").token(&token).refused().await;
    assert_eq!(refused.code(), Some("TOKEN_EXPIRED"));
    clock.set(std::time::SystemTime::UNIX_EPOCH);
    let refused = server.connect("/").token(&token).refused().await;
    assert_eq!(refused.code(), Some("TOKEN_CLAIMS"), "issued in the future");
}

#[tokio::test]
async fn an_authenticator_and_a_handshake_are_told_the_time_of_the_test() {
    let clock = TestClock::new();
    let builder = Server::builder()
        .clock(clock.clone())
        .authenticate_with(async |attempt| {
            Ok(Identity::new((
                attempt.now(),
                attempt.request().issued_at(),
            )))
        })
        .namespace("/", |r| {
            r.on(
                "when",
                async |user: User<(std::time::SystemTime, std::time::SystemTime)>| {
                    let day = |time: std::time::SystemTime| {
                        time.duration_since(std::time::SystemTime::UNIX_EPOCH)
                            .map_or(0, |since| since.as_secs() / 86_400)
                    };
                    Reply((day(user.0), day(user.1)))
                },
            );
        });
    let server = TestServer::start(builder).await;
    let client = server.connect("/").await;
    // The days between 1970 and 2030.
    assert_eq!(client.emit_with_ack("when", &()).await, (21_915, 21_915));
}

fn farewells(journal: &Journal) -> impl FnOnce(&mut Registrar) + use<> {
    let notes = journal.clone();
    move |r| {
        r.public().on_disconnect(move |reason: DisconnectReason| {
            notes.note(reason.as_str());
            std::future::ready(())
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_is_found_by_the_heartbeat_in_no_time() {
    for way in [|client| client, |client| client.polling()] as [Way; 2] {
        let journal = Journal::default();
        let builder = Server::builder().namespace("/", farewells(&journal));
        let server = TestServer::start(builder)
            .await
            .patience(Duration::from_secs(60));
        let client = way(server.connect("/")).await;
        let (start, real) = (Instant::now(), std::time::Instant::now());
        client.freeze().await;
        journal.wait_for("ping timeout").await;
        let waited = start.elapsed().as_secs();
        assert!((44..=46).contains(&waited), "25 s and 20 s, but {waited} s");
        assert!(
            real.elapsed() < Duration::from_secs(20),
            "{:?}",
            real.elapsed()
        );
        client.thaw().await;
        client.expect_disconnect(Disconnect::TransportClose).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lives_answers_pings_while_nobody_asks_it_anything() {
    let builder = Server::builder().namespace("/", |r| {
        r.public();
    });
    let server = TestServer::start(builder).await;
    let (client, polling) = (
        server.connect("/").await,
        server.connect("/").polling().await,
    );
    client.expect_nothing(Duration::from_secs(300)).await;
    assert!(client.is_connected() && polling.is_connected());
    assert_eq!(server.server().sessions(), 2);
}
