//! Echo, ack and broadcast, with or without tokens.

use std::path::PathBuf;

use clap::Args;
use portcullis::auth::jwt::Jwt;
use portcullis::gateway::{Ack, Data, Registrar};
use portcullis::handshake::Handshake;
use portcullis::socketio::args::Args as EventArgs;
use portcullis::socketio::value::Value;
use portcullis::{Drain, Server, Socket, shutdown_signal};
use serde::Deserialize;

use crate::Failure;
use crate::bus::Bus;
use crate::serve::Port;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    port: Port,
    #[command(flatten)]
    bus: Bus,
    /// Connecting needs a token signed with this secret (HS256).
    #[arg(long)]
    jwt_secret: Option<String>,
    /// Connecting needs a token signed with the private half of this key, in PEM (RS256).
    #[arg(long, value_name = "FILE", conflicts_with = "jwt_secret")]
    jwt_public_key: Option<PathBuf>,
}

/// What a token must say.
#[derive(Debug, Deserialize)]
struct Claims {
    #[expect(
        dead_code,
        reason = "kept for each connection, as an application would"
    )]
    #[serde(default)]
    sub: Option<String>,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let is_public = options.jwt_secret.is_none() && options.jwt_public_key.is_none();
    let mut builder = Server::builder()
        .drain(Drain::at_once())
        .namespace("/", |r| {
            if is_public {
                r.public();
            }
            register(r);
        });
    if let Some(secret) = options.jwt_secret {
        builder = builder.authenticate(Jwt::<Claims>::hs256(secret));
    }
    if let Some(file) = options.jwt_public_key {
        builder = builder.authenticate(Jwt::<Claims>::rs256_pem(std::fs::read(file)?));
    }
    if let Some(redis) = options.bus.redis() {
        builder = builder.cluster(redis);
    }
    let server = builder.build().await?;
    let listener = options.port.listen().await?;
    server.serve_on(listener, shutdown_signal()).await;
    Ok(())
}

fn register(r: &mut Registrar) {
    r.on_connect(async |socket: Socket, handshake: Handshake| {
        socket.join("room");
        if let Some(group) = handshake.auth_value().get("group").and_then(Value::as_i64) {
            socket.join(format!("g{group}"));
        }
    });
    r.on("echo", async |socket: Socket, args: EventArgs| {
        let _ = socket.emit("echo", &args);
    });
    r.on("ack", async |args: EventArgs, ack: Ack| {
        let _ = ack.send(&args);
    });
    r.on("bcast", async |socket: Socket, args: EventArgs| {
        let _ = socket.within("room").emit("m", &args);
    });
    r.on(
        "gcast",
        async |socket: Socket, Data(group): Data<u64>, args: EventArgs| {
            let value: Value = args.get(1).unwrap_or_default();
            let _ = socket.within(format!("g{group}")).emit("m", &value);
        },
    );
}
