//! A chat that only people with a token may enter.
//!
//! ```text
//! export JWT_SECRET=$(openssl rand -base64 33)
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
use portcullis::gateway::{Data, EventError, Registrar, Reply, User};
use portcullis::{DisconnectReason, EmitError, Server, ServerBuilder, Socket, shutdown_signal};
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

fn chat(r: &mut Registrar) {
    r.on_connect(welcome)
        .on("join", join)
        .on("say", say)
        .on_disconnect(farewell);
}

/// Runs before the client hears that it is connected; an error would refuse it.
async fn welcome(socket: Socket, user: User<Claims>) -> Result<(), EventError> {
    socket
        .emit("welcome", &user.sub)
        .map_err(|_| EventError::internal())
}

/// What is returned answers the client's ack.
async fn join(socket: Socket, Data(room): Data<String>) -> Reply<bool> {
    socket.join(&room);
    Reply(socket.is_in(room))
}

/// An error answers it too, as `{ status: "error", code, message }`.
async fn say(
    socket: Socket,
    user: User<Claims>,
    Data(Say { room, text }): Data<Say>,
) -> Result<Reply<&'static str>, EventError> {
    if !socket.is_in(&room) {
        return Err(EventError::new("NOT_A_MEMBER", "Join the room first"));
    }
    let said: Result<(), EmitError> = socket.to(room).emit("said", &(&user.sub, text));
    said.map_err(|_| EventError::internal())?;
    Ok(Reply("delivered"))
}

/// Runs once for everyone who came in, whatever the reason of the end.
async fn farewell(socket: Socket, user: User<Claims>, reason: DisconnectReason) {
    // A server that is closing has nobody left to tell.
    let _ = socket.server().emit("left", &(&user.sub, reason.as_str()));
}

pub(crate) fn server(jwt: Jwt<Claims>) -> ServerBuilder {
    Server::builder()
        .authenticate(jwt.audience("chat"))
        .namespace("/chat", chat)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("JWT_SECRET")?;
    let server = server(Jwt::hs256(secret)).build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}
