//! Everything that the macros write, where no crate is called `portcullis`.
//!
//! # Not here
//!
//! A path of several names (`tests/it/macros/renamed.rs` of `portcullis`).

use futures_util::stream::{self, Stream};
use gate::gateway::{Data, EventError};
use gate::{DisconnectReason, Emitter, Socket};
use portcullis_testing::TestServer;

#[derive(Debug, thiserror::Error, EventError)]
#[event(crate = "gate")]
enum Failed {
    #[error("the text is empty")]
    Empty,
    #[error("broken")]
    #[event(internal)]
    Broken,
}

struct Chat;

#[gate::gateway(public, crate = "gate")]
impl Chat {
    #[on_init]
    fn start(&self, emitter: Emitter) -> Result<(), gate::EmitError> {
        emitter.emit("nobody is here", &())
    }

    #[on_connect]
    async fn join(&self, socket: Socket) {
        socket.join("lobby");
    }

    #[subscribe("say")]
    async fn say(&self, Data(text): Data<String>) -> Result<usize, Failed> {
        match text.as_str() {
            "" => Err(Failed::Empty),
            "break" => Err(Failed::Broken),
            text => Ok(text.len()),
        }
    }

    #[subscribe("count")]
    fn count(&self) -> impl Stream<Item = u32> {
        stream::iter([7])
    }

    #[on_disconnect]
    fn left(&self, _reason: DisconnectReason) {}
}

#[tokio::test]
async fn a_gateway_works_where_the_dependency_was_renamed() {
    let server = TestServer::start(gate::Server::builder().gateway(Chat)).await;
    let client = server.connect("/").await;
    assert_eq!(client.emit_with_ack("say", &"three").await, 5);
    assert_eq!(client.emit_with_ack("count", &()).await, 7);
    let failed = client.emit_with_ack("say", &"").await;
    assert!(format!("{failed:?}").contains("EMPTY"), "{failed:?}");
}
