//! What a test is told that fails: where it expected something, and what came instead.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use portcullis::{Server, Socket};
use portcullis_testing::{Disconnect, TestServer};

async fn server() -> TestServer {
    let builder = Server::builder().namespace("/chat", |r| {
        r.public().on("silence", async |socket: Socket| {
            socket.emit("said", &("alice", 7)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    TestServer::start(builder)
        .await
        .patience(Duration::from_secs(1))
}

/// The text with which `expectation` fails, without the place that it begins with.
async fn failure<T>(expectation: impl Future<Output = T>) -> String {
    let outcome = AssertUnwindSafe(expectation).catch_unwind().await;
    let panic: Box<dyn Any + Send> = outcome.err().expect("the expectation fails");
    let text = panic.downcast_ref::<String>().expect("a text");
    let (place, rest) = text.split_once(": ").unwrap();
    assert!(place.contains("failures.rs:"), "{text}");
    rest.to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_come_is_missed_and_what_came_is_told() {
    let server = server().await;
    let client = server.connect("/chat").await;
    assert_eq!(
        failure(client.expect("welcome")).await,
        r#"the client of /chat expected "welcome" within 1s; nothing came instead"#
    );
    assert_eq!(
        failure(client.emit_with_ack("silence", &())).await,
        "the client of /chat expected an ack of \"silence\" within 1s; instead came:\n  \
         \"said\" [\"alice\", 7]"
    );
    assert_eq!(
        failure(client.expect_disconnect(Disconnect::ByServer)).await,
        "the client of /chat expected its end, io server disconnect within 1s; instead came:\n  \
         \"said\" [\"alice\", 7]"
    );
    assert_eq!(
        failure(client.expect_nothing(Duration::from_secs(1))).await,
        "the client of /chat expected nothing, but there came \"said\" [\"alice\", 7]"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_once_the_socket_has_ended() {
    let server = server().await;
    let client = server.connect("/chat").await;
    server
        .emitter("/chat")
        .all()
        .disconnect_sockets(true)
        .unwrap();
    client.expect_disconnect(Disconnect::ByServer).await;
    let start = tokio::time::Instant::now();
    assert_eq!(
        failure(client.next_event()).await,
        "the client of /chat expected an event within 1s; instead came:\n  \
         the end of the socket: io server disconnect"
    );
    assert!(start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_come_in_or_should_not_have_is_told() {
    let server = server().await;
    assert_eq!(
        failure(server.connect("/").into_future()).await,
        "the client could not connect to /: Invalid namespace"
    );
    assert_eq!(
        failure(server.connect("/chat").refused()).await,
        "the client could connect to /chat"
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_with_other_members_is_told() {
    let server = server().await;
    let client = server.connect("/chat").await;
    let told = failure(server.room("/chat", "tea").expect_members(&[&client])).await;
    let (id, rest) = (client.id(), "were not");
    assert_eq!(
        told,
        format!("the members of room tea in /chat {rest} [SocketId({id})] within 1s, but []")
    );
}
