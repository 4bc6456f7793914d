//! What a server in production is told, in one place: who may come in, from where, how much of
//! everything, and which cluster it is a node of.
//!
//! ```text
//! export JWT_SECRET=$(openssl rand -base64 33) SITE=https://chat.example.com
//! cargo run --package examples --example cluster
//! ```

use std::error::Error;
use std::time::Duration;

use portcullis::adapter::{Adapter, InMemory};
use portcullis::auth::jwt::Jwt;
use portcullis::gateway::{Data, EventError, RateLimit, Registrar, User};
use portcullis::handshake::Cors;
use portcullis::{Server, ServerBuilder, Socket, shutdown_signal};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Claims {
    sub: String,
}

fn news(r: &mut Registrar) {
    r.on("publish", publish);
}

/// Reaches everyone, on every node.
async fn publish(
    socket: Socket,
    user: User<Claims>,
    Data(headline): Data<String>,
) -> Result<(), EventError> {
    let published = socket.server().emit("published", &(&user.sub, headline));
    published.map_err(EventError::unexpected)
}

pub(crate) fn server(jwt: Jwt<Claims>, site: &str, cluster: impl Adapter) -> ServerBuilder {
    Server::builder()
        // Tokens for this service alone, by one issuer, that do not live for ever.
        .authenticate(
            jwt.audience("news")
                .issuer("https://login.example.com")
                .max_lifetime(Duration::from_secs(24 * 3600)),
        )
        // Pages of this site may poll; those of others may not read what comes.
        .cors(Cors::origins([site]))
        .max_connections(50_000)
        .max_payload(64 * 1024)
        // For each socket: 20 events a second, and 50 at once.
        .guard(RateLimit::per_socket(20).burst(50))
        .cluster(cluster)
        .namespace("/news", news)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (secret, site) = (std::env::var("JWT_SECRET")?, std::env::var("SITE")?);
    // The one line that makes it a node of a cluster: another adapter.
    let cluster = InMemory::default();
    let server = server(Jwt::hs256(secret), &site, cluster).build().await?;
    server.serve("0.0.0.0:3000", shutdown_signal()).await?;
    Ok(())
}
