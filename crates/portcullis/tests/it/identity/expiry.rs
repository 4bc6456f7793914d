//! What happens to a connection when its token expires, in virtual time.

use portcullis::auth::{Expiry, ExpiryEnding};
use portcullis::clock::Clock as _;
use portcullis_testing::{Disconnect, Journal, TestServer};
use serde_json::json;
use tokio::time::Instant;

use super::{clock_and_tokens, seconds, server, watched};

const TICK_MS: u128 = 500;

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_its_token_and_the_grace_are_over_and_not_before() {
    for polling in [false, true] {
        let (clock, tokens) = clock_and_tokens();
        let builder = server(&clock, &tokens).expiry(Expiry::Disconnect { grace: seconds(3) });
        let server = TestServer::start(builder).await.patience(seconds(60));
        let start = Instant::now();
        let short = tokens.clone().lifetime(seconds(1)).mint("alice");
        let connecting = server.connect("/").token(&short);
        let alice = if polling {
            connecting.polling()
        } else {
            connecting
        }
        .await;
        assert!(
            alice
                .expect("auth:expired")
                .await
                .get::<serde_json::Value>(0)
                .is_ok()
        );
        alice.expect_disconnect(Disconnect::TransportClose).await;
        let elapsed = start.elapsed().as_millis();
        assert!((4000..4000 + TICK_MS).contains(&elapsed), "{elapsed} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_may_be_a_disconnect_and_the_application_hears_why() {
    let (clock, tokens) = clock_and_tokens();
    let journal = Journal::default();
    let builder = watched(&clock, &tokens, &journal).expiry_ending(ExpiryEnding::Disconnect);
    let server = TestServer::start(builder).await.patience(seconds(60));
    let token = tokens.clone().lifetime(seconds(10)).mint("alice");
    let alice = server.connect("/watched").token(&token).await;
    let beside = alice.connect("/").token(&token).await;
    assert_eq!(
        alice.expect("auth:expired").await,
        json!({ "exp": 1_893_499_210 })
    );
    alice.expect_disconnect(Disconnect::ByServer).await;
    beside.expect_disconnect(Disconnect::ByServer).await;
    journal.wait_for("token expired").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_warned_once_in_each_namespace_and_then_ended() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).expiry(Expiry::Notify {
        before: seconds(20),
    });
    let server = TestServer::start(builder).await.patience(seconds(120));
    let start = Instant::now();
    let token = tokens.clone().lifetime(seconds(60)).mint("alice");
    let alice = server.connect("/").token(&token).await;
    let beside = alice.connect("/chat").token(&token).await;
    for client in [&alice, &beside] {
        let warning = client.expect("auth:expiring").await;
        assert_eq!(warning, json!({ "exp": 1_893_499_260 }));
    }
    assert!((40..42).contains(&start.elapsed().as_secs()));
    alice.expect_nothing(seconds(20)).await;
    alice.expect("auth:expired").await;
    alice.expect_disconnect(Disconnect::TransportClose).await;
    assert!((65..67).contains(&start.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn only_an_ignored_expiry_lets_somebody_stay() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).expiry(Expiry::Ignore);
    let server = TestServer::start(builder).await;
    let token = tokens.clone().lifetime(seconds(1)).mint("alice");
    let alice = server.connect("/").token(&token).await;
    alice.expect_nothing(seconds(3600)).await;
    assert!(alice.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_year_9999_ends_nobody_and_breaks_nothing() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    for exp in [253_402_300_799_u64, 4_102_444_800] {
        let token = tokens.mint_with("alice", &json!({ "exp": exp }));
        let alice = server.connect("/").token(&token).await;
        alice.expect_nothing(seconds(2 * 3600)).await;
        assert!(alice.is_connected());
    }
    for exp in [
        json!(u64::MAX),
        json!(1e308),
        json!(-1),
        json!("9999999999"),
    ] {
        let token = tokens.mint_with("alice", &json!({ "exp": exp }));
        let refused = server.connect("/").token(&token).refused().await;
        assert_eq!(refused.code(), Some("TOKEN_CLAIMS"), "{exp}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_an_hour_forth_or_back_ends_nobody_early_and_keeps_nobody_longer() {
    for is_forth in [true, false] {
        let (clock, tokens) = clock_and_tokens();
        let server = TestServer::start(server(&clock, &tokens)).await;
        let server = server.patience(seconds(120));
        let start = Instant::now();
        let token = tokens.clone().lifetime(seconds(60)).mint("alice");
        let alice = server.connect("/").token(&token).await;
        let (before, hour) = (clock.now(), seconds(3600));
        clock.set(if is_forth {
            before + hour
        } else {
            before - hour
        });
        alice.expect_nothing(seconds(50)).await;
        assert!(alice.is_connected());
        // Who comes now is judged by what the clock shows now.
        let bob = server.connect("/").token(&tokens.mint("bob")).await;
        assert!(bob.is_connected());
        if is_forth {
            let refused = server.connect("/").token(&token).refused().await;
            assert_eq!(refused.code(), Some("TOKEN_EXPIRED"));
        }
        alice.expect("auth:expired").await;
        alice.expect_disconnect(Disconnect::TransportClose).await;
        assert!((65..67).contains(&start.elapsed().as_secs()));
        assert!(bob.is_connected());
    }
}

#[tokio::test(start_paused = true)]
async fn public_namespaces_expire_only_with_a_connection_that_does() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).namespace("/open", |r| {
        r.public();
    });
    let server = TestServer::start(builder).await.patience(seconds(60));
    let reader = server.connect("/open").await;
    reader.expect_nothing(seconds(3600)).await;
    let token = tokens.clone().lifetime(seconds(5)).mint("alice");
    let alice = reader.connect("/").token(&token).await;
    alice.expect("auth:expired").await;
    reader.expect_disconnect(Disconnect::TransportClose).await;
}
