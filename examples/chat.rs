//! A chat that only people with a token may enter.
//!
//! ```text
//! export PORTCULLIS_JWT_SECRET=$(openssl rand -hex 32)
//! cargo run --release -- token --sub alice --claim aud=chat
//! cargo run --package examples --example chat
//! ```
//!
//! ```js
//! const socket = io("http://localhost:3000/chat", { auth: { token } });
//! socket.on("said", (name, text) => console.log(name, text));
//! await socket.emitWithAck("join", "tea");
//! await socket.emitWithAck("say", { room: "tea", text: "Hello!" });
//! ```

use std::error::Error;

use portcullis::auth::jwt::Jwt;
use portcullis::gateway::{Data, EventError, User};
use portcullis::{
    DisconnectReason, EmitError, Server, ServerBuilder, Socket, gateway, shutdown_signal,
};
use serde::Deserialize;

/// What a token must say.
#[derive(Deserialize)]
pub(crate) struct Claims {
    sub: String,
}

#[derive(Deserialize)]
struct Say {
    room: String,
    text: String,
}

/// What can go wrong, and what the client is told of it.
#[derive(Debug, thiserror::Error, EventError)]
enum ChatError {
    #[error("Join the room first")]
    NotAMember,
    #[error("nothing can be emitted")]
    #[event(internal)]
    Emit(#[from] EmitError),
}

struct Chat;

#[gateway(namespace = "/chat")]
impl Chat {
    /// Runs before the client hears that it is connected; an error would refuse it.
    #[on_connect]
    async fn welcome(&self, socket: Socket, user: User<Claims>) -> Result<(), ChatError> {
        Ok(socket.emit("welcome", &user.sub)?)
    }

    /// What is returned answers the client's ack.
    #[subscribe("join")]
    async fn join(&self, socket: Socket, Data(room): Data<String>) -> bool {
        socket.join(&room);
        socket.is_in(room)
    }

    /// An error answers it too, as `{ status: "error", code, message }`.
    #[subscribe("say")]
    async fn say(
        &self,
        socket: Socket,
        user: User<Claims>,
        Data(Say { room, text }): Data<Say>,
    ) -> Result<&'static str, ChatError> {
        if !socket.is_in(&room) {
            return Err(ChatError::NotAMember);
        }
        socket.to(room).emit("said", &(&user.sub, text))?;
        Ok("delivered")
    }

    /// Runs once for everyone who came in, whatever the reason of the end.
    #[on_disconnect]
    async fn farewell(&self, socket: Socket, user: User<Claims>, reason: DisconnectReason) {
        // A server that is closing has nobody left to tell.
        let _ = socket.server().emit("left", &(&user.sub, reason.as_str()));
    }
}

pub(crate) fn server(jwt: Jwt<Claims>) -> ServerBuilder {
    Server::builder()
        .authenticate(jwt.audience("chat"))
        .gateway(Chat)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("PORTCULLIS_JWT_SECRET")?;
    let server = server(Jwt::hs256(secret)).build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}
