//! What a client is told of the application's errors.

use std::fmt;

use portcullis::gateway::{Data, EventContext, EventError};
use portcullis::{Server, gateway};
use portcullis_testing::TestServer;

use crate::support::Wire as _;

#[derive(Debug, thiserror::Error)]
#[error("{0} leaks")]
struct StoreError(&'static str);

#[derive(Debug, thiserror::Error, EventError)]
enum ChatError {
    #[error("join the room first")]
    NotMember,
    #[error("room {room} has {limit} members, of {total}")]
    #[event(code = "FULL", message = "this room is full")]
    RoomFull {
        room: String,
        #[event(details)]
        limit: usize,
        #[event(details)]
        r#type: &'static str,
        total: usize,
    },
    #[error("the store failed")]
    #[event(internal)]
    Store(#[from] StoreError),
    #[error(transparent)]
    #[event(transparent)]
    Quota(#[from] QuotaError),
}

#[derive(Debug, thiserror::Error, EventError)]
#[error("{left} left of {total}")]
#[event(code = "QUOTA")]
struct QuotaError {
    #[event(details)]
    left: u32,
    total: u32,
}

#[derive(Debug, thiserror::Error, EventError)]
#[error("not {0:?}")]
struct Unwanted<T: fmt::Debug>(T);

#[derive(Debug, thiserror::Error, EventError)]
enum PassedOn {
    #[error(transparent)]
    #[event(transparent)]
    Chat(ChatError),
}

/// A detail that cannot be serialised.
#[derive(Debug, thiserror::Error, EventError)]
#[error("odd")]
struct Odd {
    #[event(details)]
    map: std::collections::HashMap<Vec<u8>, u8>,
}

fn room_full() -> ChatError {
    ChatError::RoomFull {
        room: "tea".to_owned(),
        limit: 10,
        r#type: "small",
        total: 12,
    }
}

#[test]
fn a_variant_has_its_name_as_code_and_its_display_as_message_unless_it_says_so() {
    let error = EventError::from(ChatError::NotMember);
    assert_eq!(
        (error.code(), error.message()),
        ("NOT_MEMBER", "join the room first")
    );
    assert!(error.details().is_none());
    let error = EventError::from(room_full());
    assert_eq!(
        (error.code(), error.message()),
        ("FULL", "this room is full")
    );
    let error = EventError::from(Unwanted(vec![1]));
    assert_eq!((error.code(), error.message()), ("UNWANTED", "not [1]"));
}

#[test]
fn the_error_is_the_cause_of_what_is_told() {
    let error = EventError::from(room_full());
    match error.cause::<ChatError>() {
        Some(ChatError::RoomFull { room, total, .. }) => assert_eq!((&**room, *total), ("tea", 12)),
        other => panic!("{other:?}"),
    }
    let error = EventError::from(PassedOn::Chat(ChatError::NotMember));
    assert!(error.cause::<PassedOn>().is_none());
    assert!(matches!(error.cause(), Some(ChatError::NotMember)));
}

#[test]
fn a_detail_that_cannot_be_told_makes_an_internal_error() {
    let map = [(vec![1], 1)].into();
    assert!(EventError::from(Odd { map }).is_internal());
}

struct Chat;

#[gateway(public)]
impl Chat {
    #[subscribe("fail")]
    async fn fail(&self, Data(how): Data<String>) -> Result<u8, ChatError> {
        match how.as_str() {
            "member" => Err(ChatError::NotMember),
            "full" => Err(room_full()),
            "quota" => Err(QuotaError { left: 1, total: 9 })?,
            "store" => Err(StoreError("a secret"))?,
            _ => Ok(1),
        }
    }
}

#[tokio::test]
async fn a_client_is_told_what_its_variant_says() {
    let mapped = |error: EventError, _: &EventContext<'_>| match error.cause() {
        Some(ChatError::NotMember) => EventError::new("MAPPED", error.message().to_owned()),
        _ => error,
    };
    let builder = Server::builder().map_error(mapped).gateway(Chat);
    let server = TestServer::start(builder).await;
    let mut client = server.client_in_memory().await;
    for (how, told) in [
        ("not at all", "[1]"),
        (
            "member",
            r#"[{"status":"error","code":"MAPPED","message":"join the room first"}]"#,
        ),
        (
            "full",
            concat!(
                r#"[{"status":"error","code":"FULL","message":"this room is full","#,
                r#""details":{"limit":10,"type":"small"}}]"#
            ),
        ),
        (
            "quota",
            r#"[{"status":"error","code":"QUOTA","message":"1 left of 9","details":{"left":1}}]"#,
        ),
    ] {
        assert_eq!(
            client.ask(&format!(r#"["fail","{how}"]"#)).await,
            told,
            "{how}"
        );
    }
    let told = client.ask(r#"["fail","store"]"#).await;
    assert!(
        told.starts_with(r#"[{"status":"error","code":"INTERNAL""#),
        "{told}"
    );
    assert!(
        told.contains("correlationId") && !told.contains("secret"),
        "{told}"
    );
}
