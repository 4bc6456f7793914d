//! `auth:refresh`: a fresh token for a connection that stays.

use std::sync::Arc;

use portcullis::auth::{Attempt, Identity, Token};
use portcullis::gateway::{Reply, User};
use portcullis::{Server, ServerBuilder};
use portcullis_testing::{Disconnect, TestServer};
use serde_json::{Value, json};

use super::{clock_and_tokens, seconds, server};

#[tokio::test(start_paused = true)]
async fn a_refresh_keeps_a_connection_and_changes_who_every_extractor_sees() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens))
        .await
        .patience(seconds(300));
    let first = tokens.clone().lifetime(seconds(10));
    let token = first.mint_with("alice", &json!({ "role": "guest" }));
    let alice = server.connect("/").token(&token).await;
    let beside = alice.connect("/chat").token(&token).await;
    let longer = tokens.clone().lifetime(seconds(100));
    let fresh = longer.mint_with("alice", &json!({ "role": "admin", "iat": 1_893_499_199 }));
    let answer = alice.emit_with_ack("auth:refresh", fresh.expose()).await;
    let expected = json!({ "status": "ok", "exp": 1_893_499_300 });
    assert_eq!(answer.get::<Value>(0).unwrap(), expected);
    for client in [&alice, &beside] {
        let who = client.emit_with_ack("whoami", &()).await;
        assert_eq!(who, ("alice", "admin", 1_893_499_199));
    }
    alice.expect_nothing(seconds(60)).await;
    assert!(alice.is_connected());
    alice.expect("auth:expired").await;
    alice.expect_disconnect(Disconnect::TransportClose).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_joined_with_another_token_keeps_its_own() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens))
        .await
        .patience(seconds(300));
    // Tokens with ids, and tokens of one second that differ in nothing but their role.
    for has_ids in [true, false] {
        for [first, second] in [["guest", "admin"], ["admin", "guest"]] {
            let mint = |role: &str, id: &str| {
                let mut claims = json!({ "role": role });
                if has_ids {
                    claims["jti"] = json!(id);
                }
                tokens.mint_with("alice", &claims)
            };
            let alice = server.connect("/").token(&mint(first, "1")).await;
            let beside = alice.connect("/chat").token(&mint(second, "2")).await;
            for (client, role) in [(&alice, first), (&beside, second)] {
                let who = client.emit_with_ack("whoami", &()).await;
                assert_eq!(who.get::<Value>(1).unwrap(), json!(role));
            }
            let fresh = mint("fresh", "3");
            alice.emit_with_ack("auth:refresh", fresh.expose()).await;
            for (client, role) in [(&alice, "fresh"), (&beside, second)] {
                let who = client.emit_with_ack("whoami", &()).await;
                assert_eq!(who.get::<Value>(1).unwrap(), json!(role));
            }
        }
    }
}

/// A server with `/` and `/chat`, which say what they were told of a client.
fn server_of(authenticate: impl Fn(&Attempt) -> Identity + Send + Sync + 'static) -> ServerBuilder {
    let builder = Server::builder().authenticate_with(move |attempt: Arc<Attempt>| {
        std::future::ready(Ok(authenticate(&attempt)))
    });
    ["/", "/chat"].into_iter().fold(builder, |builder, path| {
        builder.namespace(path, |r| {
            r.on("rights", async |user: User<String>| Reply((*user).clone()));
        })
    })
}

#[tokio::test]
async fn an_authenticator_that_decides_by_namespace_is_taken_at_its_word() {
    let server = TestServer::start(server_of(|attempt| {
        Identity::new(format!("of {}", attempt.namespace().as_str())).with_subject("alice")
    }))
    .await;
    let first = server.connect("/").await;
    let second = first.connect("/chat").await;
    assert_eq!(first.emit_with_ack("rights", &()).await, "of /");
    assert_eq!(second.emit_with_ack("rights", &()).await, "of /chat");
}

#[tokio::test]
async fn identities_of_any_authenticator_are_renewed_together_if_they_say_of_what_they_are() {
    for says_so in [true, false] {
        let server = TestServer::start(server_of(move |attempt| {
            let auth = attempt.auth();
            let token = auth.get("token").and_then(|token| token.as_str()).unwrap();
            let identity = Identity::new(token.to_owned()).with_subject("alice");
            if says_so {
                identity.with_credential(token)
            } else {
                identity
            }
        }))
        .await;
        let old = Token::from("old".to_owned());
        let first = server.connect("/").token(&old).await;
        let second = first.connect("/chat").token(&old).await;
        first.emit_with_ack("auth:refresh", "new").await;
        assert_eq!(first.emit_with_ack("rights", &()).await, "new");
        let expected = if says_so { "new" } else { "old" };
        assert_eq!(second.emit_with_ack("rights", &()).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_not_of_the_same_subject_is_refused_and_the_old_token_holds_on() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens))
        .await
        .patience(seconds(300));
    let issued = tokens.clone().claim("iss", "a").lifetime(seconds(30));
    let alice = server.connect("/").token(&issued.mint("alice")).await;
    let foreign = portcullis_testing::TestTokens::with_secret("x".repeat(40)).clock(&clock);
    for (token, code) in [
        (tokens.clone().claim("iss", "a").mint("bob"), "TOKEN_CLAIMS"),
        (
            tokens.clone().claim("iss", "b").mint("alice"),
            "TOKEN_CLAIMS",
        ),
        (foreign.mint("alice"), "TOKEN_INVALID"),
    ] {
        let answer = alice.emit_with_ack("auth:refresh", token.expose()).await;
        let expected = json!({ "status": "error", "code": code, "message": "Unauthorized" });
        assert_eq!(answer.get::<Value>(0).unwrap(), expected);
        let who = alice.emit_with_ack("whoami", &()).await;
        assert_eq!(who.get::<Value>(0).unwrap(), json!("alice"));
    }
    alice.expect("auth:expired").await;
}

#[tokio::test]
async fn guessing_at_refreshes_ends_the_connection_as_guessing_at_the_gate_does() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    for argument in [json!("x.y.z"), json!(7), json!({ "token": null })] {
        let answer = alice.emit_with_ack("auth:refresh", &argument).await;
        assert_eq!(answer.get::<Value>(0).unwrap()["status"], json!("error"));
    }
    alice.emit("auth:refresh", "x.y.z").await;
    alice.expect_disconnect(Disconnect::TransportClose).await;
}

#[tokio::test]
async fn a_refresh_without_an_ack_works_and_one_in_a_public_namespace_is_an_event() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).namespace("/open", |r| {
        r.public();
        r.on("auth:refresh", async || Reply("an event like any other"));
    });
    let server = TestServer::start(builder).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let fresh = tokens.mint_with("alice", &json!({ "role": "admin" }));
    alice
        .emit("auth:refresh", &json!({ "token": fresh.expose() }))
        .await;
    let who = alice.emit_with_ack("whoami", &()).await;
    assert_eq!(who.get::<Value>(1).unwrap(), json!("admin"));

    let reader = server.connect("/open").await;
    let answer = reader.emit_with_ack("auth:refresh", "x").await;
    assert_eq!(answer, "an event like any other");
}
