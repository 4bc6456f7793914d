//! Some of what a server in production is told, in one place: who may come in, from where, how much
//! of everything, and which cluster it is a node of. The rest depends on what stands before it:
//! proxies, rates of handshakes, a management listener.
//!
//! ```text
//! export PORTCULLIS_JWT_SECRET=$(openssl rand -hex 32) SITE=https://chat.example.com
//! export REDIS_URL=redis://localhost:6379
//! cargo run --release -- token --sub alice --claim aud=news --claim iss=https://login.example.com
//! cargo run --package examples --example cluster
//! ```

use std::error::Error;
use std::time::Duration;

use portcullis::adapter::Adapter;
use portcullis::auth::jwt::Jwt;
use portcullis::gateway::{Data, RateLimit, User};
use portcullis::handshake::Cors;
use portcullis::{EmitError, Emitter, Server, ServerBuilder, gateway, shutdown_signal};
use portcullis_redis::Redis;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Claims {
    sub: String,
}

struct News {
    everyone: Emitter,
}

#[gateway(namespace = "/news")]
impl News {
    /// Reaches everyone, on every node.
    #[subscribe("publish")]
    fn publish(&self, user: User<Claims>, Data(headline): Data<String>) -> Result<(), EmitError> {
        self.everyone.emit("published", &(&user.sub, headline))
    }
}

pub(crate) fn server(
    jwt: Jwt<Claims>,
    site: &str,
    cluster: impl Adapter,
) -> Result<ServerBuilder, Box<dyn Error>> {
    let builder = Server::builder();
    let everyone = builder.emitter("/news")?;
    Ok(builder
        // Tokens for this service alone, by one issuer, that do not live for ever.
        .authenticate(
            jwt.audience("news")
                .issuer("https://login.example.com")
                .max_lifetime(Duration::from_secs(24 * 3600)),
        )
        // Pages of this site may connect, and read what comes; those of others may neither.
        .cors(Cors::origins([site]))
        .max_sessions(50_000)
        .max_payload(64 * 1024)
        // For each socket: 20 events a second, and 50 at once.
        .guard(RateLimit::per_socket(20).burst(50))
        .cluster(cluster)
        .gateway(News { everyone }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (secret, site) = (
        std::env::var("PORTCULLIS_JWT_SECRET")?,
        std::env::var("SITE")?,
    );
    let redis = Redis::new(std::env::var("REDIS_URL")?).prefix("news");
    let server = server(Jwt::hs256(secret), &site, redis)?.build().await?;
    server.serve("0.0.0.0:3000", shutdown_signal()).await?;
    Ok(())
}
