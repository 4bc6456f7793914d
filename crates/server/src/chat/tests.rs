//! The chat, as its clients see it.

use std::sync::Arc;

use portcullis::Server;
use portcullis_testing::{Disconnect, TestClient, TestServer, TestTokens};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Chat, OtherNodes, Presence};
use crate::token::Claims;

/// A chat with two people in the lobby, and what keeps them informed until it is dropped.
struct Stage {
    alice: TestClient,
    bob: TestClient,
    _server: TestServer,
    _keeping: JoinSet<()>,
}

async fn alice_and_bob() -> Stage {
    let tokens = TestTokens::new();
    let builder = Server::builder();
    let emitter = builder.emitter("/").unwrap();
    let presence = Arc::new(Presence::new(emitter, "n1".to_owned()));
    let builder = builder
        .authenticate(tokens.jwt::<Claims>())
        .gateway(Chat::new(Arc::clone(&presence)))
        .gateway(OtherNodes(Arc::clone(&presence)));
    let server = TestServer::start(builder).await;
    let mut keeping = JoinSet::new();
    keeping.spawn(async move { presence.keep().await });
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let welcome: Value = alice.expect("welcome").await.get(0).unwrap();
    assert_eq!(
        (&welcome["name"], &welcome["node"]),
        (&json!("alice"), &json!("n1"))
    );
    assert_eq!(
        names(&welcome),
        ("lobby".to_owned(), vec!["alice@n1".to_owned()])
    );
    let bob = server.connect("/").token(&tokens.mint("bob")).await;
    let welcome: Value = bob.expect("welcome").await.get(0).unwrap();
    assert_eq!(names(&welcome), room("lobby", &["alice", "bob"]));
    Stage {
        alice,
        bob,
        _server: server,
        _keeping: keeping,
    }
}

/// The room of a list, and who is in it, each with the node.
fn names(list: &Value) -> (String, Vec<String>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let members = list["members"].as_array().unwrap().iter();
    let member = |member: &Value| format!("{}@{}", text(&member["name"]), text(&member["node"]));
    (text(&list["room"]), members.map(member).collect())
}

fn room(name: &str, members: &[&str]) -> (String, Vec<String>) {
    let members = members.iter().map(|name| format!("{name}@n1"));
    (name.to_owned(), members.collect())
}

#[tokio::test]
async fn what_is_said_in_a_room_reaches_who_is_in_it_under_the_speakers_name() {
    let Stage { alice, bob, .. } = &alice_and_bob().await;
    let tea = json!({ "room": "tea" });
    let joined: Value = alice.emit_with_ack("join", &tea).await.get(0).unwrap();
    assert_eq!(names(&joined), room("tea", &["alice"]));
    let joined: Value = bob.emit_with_ack("join", &tea).await.get(0).unwrap();
    assert_eq!(names(&joined), room("tea", &["alice", "bob"]));

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
    let Stage { alice, .. } = &alice_and_bob().await;
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
    let Stage { alice, bob, .. } = &alice_and_bob().await;
    heard(alice, &["alice", "bob"]).await;
    bob.emit("kick", &()).await;
    bob.expect_disconnect(Disconnect::ByServer).await;
    heard(alice, &["alice"]).await;
}

/// Waits until somebody hears that these, and nobody else, are in the lobby.
async fn heard(client: &TestClient, members: &[&str]) {
    loop {
        let list: Value = client.expect("presence").await.get(0).unwrap();
        if names(&list) == room("lobby", members) {
            return;
        }
    }
}
