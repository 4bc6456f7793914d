//! Identity after the handshake: how it ends, is renewed and taken back, and whom it addresses.

mod bad_tokens;
mod binding;
mod expiry;
mod jwks;
mod races;
mod refresh;
mod revocation;
mod users;

use std::time::Duration;

use portcullis::gateway::{Data, Reply, User};
use portcullis::{Server, ServerBuilder, Socket};
use portcullis_testing::{Journal, TestClock, TestTokens};
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    role: Option<String>,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server whose clock stands still, with `/` and `/chat`, which say who somebody is.
fn server(clock: &TestClock, tokens: &TestTokens) -> ServerBuilder {
    let mut builder = Server::builder()
        .clock(clock.clone())
        .authenticate(tokens.jwt::<Claims>());
    for namespace in ["/", "/chat"] {
        builder = builder.namespace(namespace, |r| {
            r.on("whoami", async |user: User<Claims>, socket: Socket| {
                let identity = socket.identity().unwrap();
                let issued_at = identity.issued_at();
                Reply((user.sub.clone(), user.role.clone(), issued_at))
            });
            r.on("join", async |socket: Socket, Data(room): Data<String>| {
                socket.join(room);
            });
        });
    }
    builder
}

/// The same, with `/watched`, which notes why sockets leave.
fn watched(clock: &TestClock, tokens: &TestTokens, journal: &Journal) -> ServerBuilder {
    let journal = journal.clone();
    server(clock, tokens).namespace("/watched", move |r| {
        r.on_disconnect(move |reason: portcullis::DisconnectReason| {
            let journal = journal.clone();
            async move { journal.note(reason.as_str()) }
        });
    })
}

fn clock_and_tokens() -> (TestClock, TestTokens) {
    let clock = TestClock::new();
    let tokens = TestTokens::new().clock(&clock);
    (clock, tokens)
}
