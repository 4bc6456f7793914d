//! The crate under another name, as for those who rename it or use it through a crate of their own.

use futures_util::stream::{self, Stream};
use portcullis_testing::TestServer;

use crate::support::Wire as _;

/// What a crate of one's own could export.
mod company {
    pub(super) use portcullis as gate;
}

use company::gate;
use gate::gateway::{Data, EventError};
use gate::{DisconnectReason, Emitter, Socket};

#[derive(Debug, thiserror::Error, EventError)]
#[event(crate = "company::gate")]
enum Failed {
    #[error("the text is empty")]
    Empty,
    #[error("broken")]
    #[event(internal)]
    Broken,
}

struct Chat;

#[gate::gateway(public, crate = "company::gate")]
impl Chat {
    #[on_init]
    fn start(&self, emitter: Emitter) -> Result<(), gate::EmitError> {
        emitter.emit("nobody is here", &())
    }

    #[gate::gateway::on_connect]
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
async fn a_gateway_works_where_the_crate_has_another_name() {
    let server = TestServer::start(gate::Server::builder().gateway(Chat)).await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["say","three"]"#).await, "[5]");
    assert_eq!(
        client.ask(r#"["say",""]"#).await,
        r#"[{"status":"error","code":"EMPTY","message":"the text is empty"}]"#
    );
    assert_eq!(client.ask(r#"["count"]"#).await, "[7]");
}
