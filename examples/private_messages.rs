//! Messages to a person, on whatever tabs and devices that person is connected.
//!
//! ```text
//! export PORTCULLIS_JWT_SECRET=$(openssl rand -hex 32)
//! cargo run --release -- token --sub alice
//! cargo run --package examples --example private_messages
//! ```
//!
//! ```js
//! const socket = io("http://localhost:3000", { auth: { token } });
//! socket.on("message", ({ from, text }, seen) => { show(from, text); seen(); });
//! const devices = await socket.emitWithAck("tell", { to: "bob", text: "Tea?" });
//! ```

use std::error::Error;
use std::time::Duration;

use portcullis::auth::jwt::Jwt;
use portcullis::gateway::{Data, EventError, Registrar, Reply, User};
use portcullis::{AckError, Server, ServerBuilder, Socket, shutdown_signal};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(crate) struct Claims {
    sub: String,
}

#[derive(Deserialize)]
struct Tell {
    to: String,
    text: String,
}

#[derive(Serialize)]
struct Message<'a> {
    from: &'a str,
    to: &'a str,
    text: &'a str,
}

/// The room of a person. The prefix keeps names apart from the ids of sockets, which are rooms too.
fn room_of(name: &str) -> String {
    format!("user:{name}")
}

fn messages(r: &mut Registrar) {
    r.on_connect(async |socket: Socket, user: User<Claims>| socket.join(room_of(&user.sub)));
    r.on("tell", tell);
}

/// Answers with the number of devices on which the message has been seen, on all nodes.
async fn tell(
    socket: Socket,
    user: User<Claims>,
    Data(Tell { to, text }): Data<Tell>,
) -> Result<Reply<usize>, EventError> {
    let message = Message {
        from: &user.sub,
        to: &to,
        text: &text,
    };
    // This tab knows what it has sent; the others of the same person should show it too.
    let own_tabs = socket.to(room_of(&user.sub));
    own_tabs
        .emit("sent", &message)
        .map_err(EventError::unexpected)?;

    let devices = socket.server().to(room_of(&to));
    let seen = devices.timeout(Duration::from_secs(5));
    match seen.emit_with_ack("message", &message).await {
        Ok(seen) if seen.is_empty() => Err(EventError::new("AWAY", "Nobody is there")),
        Ok(seen) => Ok(Reply(seen.len())),
        // A phone in a tunnel does not answer; that is no reason to forget the others.
        Err(AckError::Timeout { responses }) => Ok(Reply(responses.len())),
        Err(error) => Err(EventError::unexpected(error)),
    }
}

pub(crate) fn server(jwt: Jwt<Claims>) -> ServerBuilder {
    Server::builder().authenticate(jwt).namespace("/", messages)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("PORTCULLIS_JWT_SECRET")?;
    let server = server(Jwt::hs256(secret)).build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}
