//! Taking back what was given, on one node and on several.

use std::time::SystemTime;

use portcullis::adapter::InMemory;
use portcullis::revocation::{Revocation, RevokeError, WhileUnread};
use portcullis_testing::{Disconnect, Journal, TestCluster, TestServer};
use serde_json::json;

use super::{clock_and_tokens, seconds, server, watched};

#[tokio::test]
async fn who_is_revoked_is_disconnected_and_does_not_come_back() {
    let (clock, tokens) = clock_and_tokens();
    for what in ["token", "session", "user"] {
        let journal = Journal::default();
        let server = TestServer::start(watched(&clock, &tokens, &journal)).await;
        let claims = json!({ "jti": "t-1", "sid": "s-1" });
        let token = tokens.mint_with("alice", &claims);
        let alice = server.connect("/watched").token(&token).await;
        let beside = alice.connect("/").token(&token).await;
        let claims = json!({ "jti": "t-2", "sid": "s-2" });
        let bob = server
            .connect("/")
            .token(&tokens.mint_with("bob", &claims))
            .await;
        let revocation = match what {
            "token" => Revocation::token("t-1"),
            "session" => Revocation::session("s-1"),
            _ => Revocation::user("alice").issued_before(SystemTime::now() + seconds(1 << 32)),
        };
        server.server().revoke(revocation).await.unwrap();
        assert_eq!(
            alice.expect("auth:revoked").await,
            json!({ "code": "TOKEN_REVOKED" })
        );
        alice.expect_disconnect(Disconnect::ByServer).await;
        beside.expect_disconnect(Disconnect::ByServer).await;
        journal.wait_for("token revoked").await;
        for namespace in ["/", "/chat", "/watched"] {
            let refused = server.connect(namespace).token(&token).refused().await;
            assert_eq!(refused.code(), Some("TOKEN_REVOKED"), "{what}");
        }
        assert!(bob.is_connected());
        bob.emit_with_ack("whoami", &()).await;
    }
}

#[tokio::test]
async fn a_users_later_tokens_are_good() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    let old = tokens.mint("alice");
    server
        .server()
        .revoke(Revocation::user("alice"))
        .await
        .unwrap();
    // The clock shows a whole second: what is issued in it is not before it.
    server.connect("/").token(&old).await;
    clock.advance(seconds(2));
    server
        .server()
        .revoke(Revocation::user("alice"))
        .await
        .unwrap();
    let refused = server.connect("/").token(&old).refused().await;
    assert_eq!(refused.code(), Some("TOKEN_REVOKED"));
    clock.advance(seconds(1));
    server.connect("/").token(&tokens.mint("alice")).await;
}

#[tokio::test]
async fn a_revoked_token_is_no_refresh() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let fresh = tokens.mint_with("alice", &json!({ "jti": "gone" }));
    server
        .server()
        .revoke(Revocation::token("gone"))
        .await
        .unwrap();
    let answer = alice.emit_with_ack("auth:refresh", fresh.expose()).await;
    let answer: serde_json::Value = answer.get(0).unwrap();
    assert_eq!(answer["code"], "TOKEN_REVOKED");
}

#[tokio::test]
async fn a_revocation_of_one_issuer_leaves_the_others_alone() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    let of = |issuer| {
        tokens
            .clone()
            .claim("iss", issuer)
            .claim("jti", "1")
            .mint("alice")
    };
    let revocation = Revocation::token("1").issuer("a");
    server.server().revoke(revocation).await.unwrap();
    assert!(server.connect("/").token(&of("a")).outcome().await.is_err());
    server.connect("/").token(&of("b")).await;
}

#[tokio::test]
async fn what_names_nothing_is_not_revoked_and_a_server_that_does_not_run_says_so() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens);
    let revocations = builder.revocations();
    let early = revocations.revoke(Revocation::token("1")).await;
    assert!(matches!(early, Err(RevokeError::NotServing)));
    let _server = TestServer::start(builder).await;
    for revocation in [
        Revocation::token(""),
        Revocation::user("x".repeat(1025)),
        Revocation::session("s").issuer(""),
    ] {
        let result = revocations.revoke(revocation).await;
        assert!(matches!(result, Err(RevokeError::Name)));
    }
    assert!(revocations.is_empty());
}

#[tokio::test]
async fn a_revocation_holds_on_every_node_and_on_one_that_comes_later_or_was_away() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(3, |_| server(&clock, &tokens)).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    let alice = cluster.server(1).connect("/").token(&token).await;
    let away = cluster.server(2).connect("/").token(&token).await;
    cluster.node(2).cut();
    cluster
        .server(0)
        .server()
        .revoke(Revocation::token("1"))
        .await
        .unwrap();
    alice.expect_disconnect(Disconnect::ByServer).await;
    for node in [0, 1] {
        let refused = cluster
            .server(node)
            .connect("/")
            .token(&token)
            .refused()
            .await;
        assert_eq!(refused.code(), Some("TOKEN_REVOKED"));
    }
    assert!(away.is_connected());
    cluster.node(2).heal();
    away.expect_disconnect(Disconnect::ByServer).await;
    let refused = cluster.server(2).connect("/").token(&token).refused().await;
    assert_eq!(refused.code(), Some("TOKEN_REVOKED"));
}

#[tokio::test(start_paused = true)]
async fn while_the_set_is_unread_the_connected_stay_and_nobody_new_is_admitted() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |node| {
        let builder = server(&clock, &tokens).verify_timeout(seconds(2));
        match node {
            0 => builder,
            _ => builder.while_revocations_are_unread(WhileUnread::Admit),
        }
    })
    .await;
    let token = tokens.mint("alice");
    let alice = cluster.server(0).connect("/").token(&token).await;
    for node in [0, 1] {
        cluster.node(node).cut();
    }
    assert!(!cluster.server(0).server().auth_readiness().is_ready());
    let trying = cluster.server(0).connect("/").token(&token);
    let refused = tokio::time::timeout(seconds(6), trying.refused())
        .await
        .unwrap();
    assert_eq!(refused.code(), Some("AUTH_UNAVAILABLE"));
    cluster.server(1).connect("/").token(&token).await;
    assert!(cluster.server(1).server().auth_readiness().is_ready());
    alice.emit_with_ack("whoami", &()).await;
    cluster.node(0).heal();
    cluster.server(0).connect("/").token(&token).await;
}

#[tokio::test]
async fn what_a_node_revoked_while_it_was_alone_is_written_back() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| server(&clock, &tokens)).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    let alice = cluster.server(1).connect("/").token(&token).await;
    cluster.node(0).cut();
    let result = cluster
        .server(0)
        .server()
        .revoke(Revocation::token("1"))
        .await;
    assert!(matches!(result, Err(RevokeError::Store(_))));
    assert!(alice.is_connected());
    cluster.node(0).heal();
    alice.expect_disconnect(Disconnect::ByServer).await;
}

#[tokio::test]
async fn ten_thousand_tries_with_a_revoked_token_admit_nobody() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).cluster(InMemory::default());
    let server = TestServer::start(builder).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    server
        .server()
        .revoke(Revocation::token("1"))
        .await
        .unwrap();
    for _ in 0..10_000 {
        let outcome = server.connect("/").token(&token).outcome().await;
        assert_eq!(outcome.unwrap_err().code(), Some("TOKEN_REVOKED"));
    }
}
