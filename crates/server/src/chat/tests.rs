//! The chat, as its clients see it.

use std::sync::Arc;

use portcullis::Server;
use portcullis_testing::{Disconnect, Received, TestClient, TestServer, TestTokens};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Chat, Presence};
use crate::token::Claims;

/// Two people in the lobby, who are kept informed of each other.
struct Lobby {
    alice: TestClient,
    bob: TestClient,
    _server: TestServer,
    _keeping: JoinSet<()>,
}

impl Lobby {
    async fn open() -> Self {
        let tokens = TestTokens::new();
        let builder = Server::builder();
        let emitter = builder.emitter("/").unwrap();
        let presence = Arc::new(Presence::new(emitter, "here".to_owned()));
        let builder = builder
            .authenticate(tokens.jwt::<Claims>())
            .gateway(Chat::new(Arc::clone(&presence)));
        let server = TestServer::start(builder).await;
        let mut keeping = JoinSet::new();
        keeping.spawn(async move { presence.keep().await });
        let alice = server.connect("/").token(&tokens.mint("alice")).await;
        assert_eq!(names(&alice.expect("welcome").await), ["alice"]);
        let bob = server.connect("/").token(&tokens.mint("bob")).await;
        assert_eq!(names(&bob.expect("welcome").await), ["alice", "bob"]);
        Self {
            alice,
            bob,
            _server: server,
            _keeping: keeping,
        }
    }
}

/// Who is on a list.
fn names(list: &Received) -> Vec<String> {
    let list: Value = list.get(0).unwrap();
    let members = list["members"].as_array().unwrap();
    let name = |member: &Value| member["name"].as_str().unwrap().to_owned();
    members.iter().map(name).collect()
}

#[tokio::test]
async fn what_is_said_in_a_room_reaches_who_is_in_it_under_the_speakers_name() {
    let Lobby { alice, bob, .. } = &Lobby::open().await;
    let tea = json!({ "room": "tea" });
    assert_eq!(names(&alice.emit_with_ack("join", &tea).await), ["alice"]);
    let joined = bob.emit_with_ack("join", &tea).await;
    assert_eq!(names(&joined), ["alice", "bob"]);

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
    let Lobby { alice, .. } = &Lobby::open().await;
    let long = "x".repeat(2_001);
    for (event, asked, path) in [
        ("join", json!({ "room": "" }), "room"),
        ("leave", json!({ "room": "x".repeat(65) }), "room"),
        ("say", json!({ "room": "lobby", "text": "" }), "text"),
        ("say", json!({ "room": "lobby", "text": long }), "text"),
        ("join", json!({ "room": 7 }), "room"),
    ] {
        let refused: Value = alice.emit_with_ack(event, &asked).await.get(0).unwrap();
        assert_eq!(refused["code"], "VALIDATION", "{refused}");
        assert_eq!(refused["details"][0]["path"], path, "{refused}");
    }
}

#[tokio::test]
async fn who_is_kicked_has_gone_and_the_others_hear_of_it() {
    let Lobby { alice, bob, .. } = &Lobby::open().await;
    while names(&alice.expect("presence").await) != ["alice", "bob"] {}
    bob.emit("kick", &()).await;
    bob.expect_disconnect(Disconnect::ByServer).await;
    while names(&alice.expect("presence").await) != ["alice"] {}
}
