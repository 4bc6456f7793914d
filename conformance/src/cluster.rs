//! One node of a cluster, steered by its clients.
//!
//! ```text
//!  client ── op(name, argument, ack) ─▶ operations ─▶ the framework's cluster operations
//!         ◀──── {ok} or {error} ──────┘                        │
//!  other nodes ── server-side events ─▶ listening ─▶ received ◀─┘
//! ```

mod listening;
pub(crate) mod operations;

use std::sync::Arc;

use clap::Args;
use portcullis::engineio::Transports;
use portcullis::gateway::{Ack, EventHandler as _, Registrar};
use portcullis::socketio::args::Args as EventArgs;
use portcullis::socketio::value::Value;
use portcullis::{Drain, Server, Socket, shutdown_signal};

use crate::Failure;
use crate::bus::Bus;
use crate::serve::Port;
use listening::{Listening, Received};

/// So many operations of one client may be under way, in no order, as in Node: a client may ask
/// another thing while other nodes are waited for.
const CONCURRENCY: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    port: Port,
    #[command(flatten)]
    bus: Bus,
    /// How the node calls itself when another asks; its port by default.
    #[arg(long)]
    name: Option<String>,
    /// Answers probes on this port of 127.0.0.1 too.
    #[arg(long)]
    management: Option<u16>,
    /// Offers WebSocket alone.
    #[arg(long)]
    websocket_only: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let listener = options.port.bind().await?;
    let port = listener.local_addr()?.port();
    let name = options.name.unwrap_or_else(|| port.to_string());
    let received = Arc::new(Received::default());
    let adapter = Listening::new(options.bus.adapter(), name, Arc::clone(&received));
    let mut builder = Server::builder()
        .drain(Drain::at_once())
        .cluster(adapter)
        .namespace("/", |r| register(r, &received))
        .namespace("/admin", |r| register(r, &received));
    if options.websocket_only {
        builder = builder.transports(Transports {
            polling: false,
            websocket: true,
        });
    }
    if let Some(port) = options.management {
        builder = builder.management(port);
    }
    let server = builder.build().await?;
    crate::serve::announce(&listener)?;
    server.serve_on(listener, shutdown_signal()).await;
    Ok(())
}

fn register(r: &mut Registrar, received: &Arc<Received>) {
    let echo = async |args: EventArgs, ack: Ack| {
        let value: Value = args.get(0).unwrap_or_default();
        let _ = ack.send(&value);
    };
    let received = Arc::clone(received);
    let op = move |socket: Socket, args: EventArgs, ack: Ack| {
        let received = Arc::clone(&received);
        async move {
            let result = operations::perform(&received, &socket, &args).await;
            // Who has been disconnected by its own operation is not waiting for an answer.
            let _ = ack.send(&operations::answer(result));
        }
    };
    r.public();
    r.on("echo", echo.concurrency(CONCURRENCY));
    r.on("op", op.concurrency(CONCURRENCY));
}
