//! The chat, as its clients see it.

use std::sync::Arc;

use portcullis::Server;
use portcullis_testing::{Disconnect, TestClient, TestServer, TestTokens};
use serde_json::{Value, json};

use super::{Chat, Presence};
use crate::token::Claims;

/// Two people in the lobby.
async fn alice_and_bob() -> (TestServer, TestClient, TestClient) {
    let tokens = TestTokens::new();
    let builder = Server::builder();
    let emitter = builder.emitter("/").unwrap();
    let presence = Arc::new(Presence::new(emitter, "0".to_owned()));
    let builder = builder
        .authenticate(tokens.jwt::<Claims>())
        .gateway(Chat::new(presence));
    let server = TestServer::start(builder).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let welcome = json!({ "name": "alice", "room": "lobby", "members": ["alice"] });
    assert_eq!(alice.expect("welcome").await, welcome);
    let bob = server.connect("/").token(&tokens.mint("bob")).await;
    let welcome = json!({ "name": "bob", "room": "lobby", "members": ["alice", "bob"] });
    assert_eq!(bob.expect("welcome").await, welcome);
    (server, alice, bob)
}

#[tokio::test]
async fn what_is_said_in_a_room_reaches_who_is_in_it_under_the_speakers_name() {
    let (_server, alice, bob) = alice_and_bob().await;
    let tea = json!({ "room": "tea" });
    let joined = alice.emit_with_ack("join", &tea).await;
    assert_eq!(joined, json!({ "room": "tea", "members": ["alice"] }));
    let joined = bob.emit_with_ack("join", &tea).await;
    assert_eq!(
        joined,
        json!({ "room": "tea", "members": ["alice", "bob"] })
    );

    let say = json!({ "room": "tea", "text": "Hello!" });
    let said: Value = alice.emit_with_ack("say", &say).await.get(0).unwrap();
    let heard = json!({
        "id": said["id"],
        "room": "tea",
        "from": "alice",
        "text": "Hello!",
        "at": said["at"],
    });
    assert_eq!(bob.expect("message").await, heard);

    assert_eq!(bob.emit_with_ack("leave", &tea).await, tea);
    let refused: Value = bob.emit_with_ack("say", &say).await.get(0).unwrap();
    assert_eq!(refused["code"], "NOT_A_MEMBER");
}

#[tokio::test]
async fn what_is_not_a_room_or_a_text_is_refused_with_its_place() {
    let (_server, alice, _bob) = alice_and_bob().await;
    for (event, asked, path) in [
        ("join", json!({ "room": "" }), "room"),
        ("leave", json!({ "room": "x".repeat(65) }), "room"),
        ("say", json!({ "room": "lobby", "text": "" }), "text"),
        (
            "say",
            json!({ "room": "lobby", "text": "x".repeat(2_001) }),
            "text",
        ),
        ("join", json!({ "room": 7 }), "room"),
    ] {
        let refused: Value = alice.emit_with_ack(event, &asked).await.get(0).unwrap();
        assert_eq!(refused["code"], "VALIDATION", "{refused}");
        assert_eq!(refused["details"][0]["path"], path, "{refused}");
    }
}

#[tokio::test]
async fn who_is_kicked_has_gone_and_the_others_hear_of_it() {
    let (_server, alice, bob) = alice_and_bob().await;
    let together = json!({ "room": "lobby", "members": ["alice", "bob"] });
    while alice.expect("presence").await != together {}
    bob.emit("kick", &()).await;
    bob.expect_disconnect(Disconnect::ByServer).await;
    let alone = json!({ "room": "lobby", "members": ["alice"] });
    assert_eq!(alice.expect("presence").await, alone);
}
