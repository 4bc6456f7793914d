//! What a handler passes on with `?`, and what is made without a server.

use std::time::Duration;

use portcullis::auth::UserId;
use portcullis::gateway::{Data, EventError, RawArgs, Reply, User};
use portcullis::namespace::NamespaceError;
use portcullis::{BuildError, Server, ServerBuilder, Socket};
use portcullis_testing::{TestServer, TestTokens};
use serde_json::{Value, json};

use crate::support::public;

fn careless() -> ServerBuilder {
    public(|r| {
        r.on("reserved", async |socket: Socket| {
            socket.emit("disconnect", &())?;
            Ok::<_, EventError>(())
        });
        r.on("unanswered", async |socket: Socket| {
            let asking = socket.timeout(Duration::from_millis(10));
            asking.emit_with_ack("well?", &()).await?;
            Ok::<_, EventError>(())
        });
        r.on("raw", async |args: RawArgs| {
            Ok::<_, EventError>(Reply(args.get::<u8>(1)?))
        });
        r.on("data", async |Data(number): Data<u8>| Reply(number));
    })
}

#[tokio::test]
async fn an_emit_and_an_ack_that_fail_are_internal_and_keep_their_cause() {
    let server = TestServer::start(careless().map_error(|error, _| {
        let is_ours = error.cause::<portcullis::EmitError>().is_some()
            || error.cause::<portcullis::AckError>().is_some();
        EventError::new("SEEN", format!("{} {is_ours}", error.code()))
    }))
    .await;
    let client = server.connect("/").await;
    for event in ["reserved", "unanswered"] {
        let told: Value = client.emit_with_ack(event, &()).await.get(0).unwrap();
        assert_eq!(told["message"], "INTERNAL true", "{event}");
    }
}

#[tokio::test]
async fn details_name_the_argument_only_where_a_handler_takes_several() {
    let server = TestServer::start(careless()).await;
    let client = server.connect("/").await;
    let told: Value = client.emit_with_ack("raw", &(1, "x")).await.get(0).unwrap();
    assert_eq!(told["code"], "VALIDATION");
    assert_eq!(told["details"][0]["argument"], 1);
    let told: Value = client.emit_with_ack("data", &"x").await.get(0).unwrap();
    let message = "invalid type: string, expected u8";
    assert_eq!(told["details"], json!([{ "path": "", "message": message }]));
}

#[tokio::test]
async fn a_socket_does_not_tell_the_room_of_its_user_and_others_can_find_it_there() {
    let tokens = TestTokens::new();
    let builder = Server::builder()
        .authenticate(tokens.jwt::<Value>())
        .namespace("/", |r| {
            r.on_connect(async |socket: Socket| socket.join("lobby"));
            r.on("rooms", async |socket: Socket| {
                Reply(socket.rooms() == [socket.id().into(), "lobby".into()])
            });
        });
    let server = TestServer::start(builder).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    assert_eq!(alice.emit_with_ack("rooms", &()).await, true);

    let room = UserId::from("alice").room();
    let emitter = server.emitter("/");
    assert!(!emitter.all_rooms().await.unwrap().items.contains(&room));
    let found = emitter.to("lobby").fetch_sockets().await.unwrap().items;
    assert!(found[0].rooms().contains(&room));
}

#[test]
fn a_user_is_made_of_claims_alone() {
    let user = User::new(String::from("alice"));
    assert_eq!(user.as_str(), "alice");
    assert!(!format!("{user:?}").contains("alice"));
}

#[test]
fn a_name_that_is_no_namespace_ends_the_building_of_a_server() {
    fn build() -> Result<(), BuildError> {
        Server::builder().emitter("/a,b")?;
        Ok(())
    }
    assert!(matches!(
        build(),
        Err(BuildError::Namespace(NamespaceError::Forbidden { .. }))
    ));
}
