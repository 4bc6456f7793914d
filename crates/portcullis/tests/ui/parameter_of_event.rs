use portcullis::gateway::Data;
use portcullis::{DisconnectReason, Socket, gateway};

#[derive(serde::Deserialize)]
struct Say;

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("say")]
    async fn say(&self, socket: Socket, say: Say, text: Data<String>) {
        drop((socket, say, text));
    }

    #[subscribe("left")]
    async fn left(&self, Data(_text): Data<String>, _reason: DisconnectReason) {}
}

fn main() {}
