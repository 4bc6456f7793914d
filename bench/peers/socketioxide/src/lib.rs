//! The peer socketioxide, behind the contract of `conformance bench`.
//!
//! ```text
//! bench-peer-socketioxide --port N                     with mimalloc: the cheaper in CPU
//! bench-peer-socketioxide-default-allocator --port N   the smaller in memory
//!
//!  bcast, gcast ──▶ handler ──▶ queue ──▶ one task ──▶ room
//! ```
//!
//! Every socket joins `room`, and `g<k>` when its connect payload carries `"group": k`.
//! There is no `--jwt-secret`: this peer runs without authentication, which is to its advantage.
//!
//! # Invariants
//!
//! - Broadcasts leave in the order in which they were asked for. socketioxide spawns a task for
//!   each event, and tasks overtake each other; only what a handler does before its future is
//!   spawned happens in order. So handlers queue, and one task broadcasts.

use std::net::Ipv4Addr;

use axum::serve::ListenerExt;
use serde::Deserialize;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Why the server ended.
pub type Failure = Box<dyn std::error::Error>;

/// More than any load of the benchmark leaves waiting.
const QUEUE_LEN: usize = 65_536;

/// The connect payload, as far as this server looks at it.
#[derive(Debug, Deserialize)]
struct Connect {
    group: Option<u64>,
}

/// A value for everyone in a room.
#[derive(Debug)]
struct Broadcast {
    room: String,
    value: Value,
}

/// Serves until the process is told to end.
#[expect(
    clippy::disallowed_methods,
    reason = "the ban is the project's, whose own task set this peer does not have"
)]
#[tokio::main]
pub async fn run() -> Result<(), Failure> {
    let port = port(std::env::args().skip(1))?;
    let (layer, io) = SocketIo::new_layer();
    let (queue, mut broadcasts) = mpsc::channel(QUEUE_LEN);
    io.ns(
        "/",
        async move |socket: SocketRef, TryData(payload): TryData<Connect>| {
            on_connect(&socket, payload.ok(), &queue);
        },
    );
    tokio::spawn(async move {
        while let Some(Broadcast { room, value }) = broadcasts.recv().await {
            // A socket whose buffer is full misses the event; the load generator will see.
            io.to(room).emit("m", &value).await.ok();
        }
    });

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on {}", listener.local_addr()?);
    // A failure to set the option would only make this peer slower; there is nobody to tell.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));

    let mut terminate = signal(SignalKind::terminate())?;
    let server = axum::serve(listener, axum::Router::new().layer(layer));
    tokio::select! {
        served = server.into_future() => served?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn on_connect(socket: &SocketRef, payload: Option<Connect>, queue: &mpsc::Sender<Broadcast>) {
    socket.join("room");
    if let Some(Connect { group: Some(group) }) = payload {
        socket.join(format!("g{group}"));
    }

    socket.on(
        "echo",
        async |socket: SocketRef, Data(value): Data<Value>| {
            socket.emit("echo", &value).ok();
        },
    );
    socket.on("ack", async |Data(value): Data<Value>, ack: AckSender| {
        ack.send(&value).ok();
    });
    let everyone = queue.clone();
    socket.on("bcast", move |Data(value): Data<Value>| {
        let room = "room".to_owned();
        everyone.try_send(Broadcast { room, value }).ok();
        std::future::ready(())
    });
    let group = queue.clone();
    socket.on("gcast", move |Data((key, value)): Data<(u64, Value)>| {
        let room = format!("g{key}");
        group.try_send(Broadcast { room, value }).ok();
        std::future::ready(())
    });
}

/// The value of `--port`, the one option there is.
fn port(mut args: impl Iterator<Item = String>) -> Result<u16, Failure> {
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some("--port"), Some(port), None) => Ok(port.parse()?),
        _ => Err("usage: bench-peer-socketioxide --port N".into()),
    }
}
