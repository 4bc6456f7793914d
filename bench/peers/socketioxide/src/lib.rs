//! The peer socketioxide, behind the contract of `conformance bench`.
//!
//! ```text
//! bench-peer-socketioxide --port N [--redis URL]       with mimalloc: the cheaper in CPU
//! bench-peer-socketioxide-default-allocator --port N   the smaller in memory
//!
//!  bcast, gcast ──▶ handler ──▶ queue ──▶ one task ──▶ room
//! ```
//!
//! With `--binary`, what `bcast` carries is an attachment. Every socket joins `room`, and `g<k>`
//! when its connect payload carries `"group": k`.
//! There is no `--jwt-secret`: this peer runs without authentication, which is to its advantage.
//!
//! # Invariants
//!
//! - Broadcasts leave in the order in which they were asked for. socketioxide spawns a task for
//!   each event, and tasks overtake each other; only what a handler does before its future is
//!   spawned happens in order. So handlers queue, and one task broadcasts. Over Redis that task
//!   waits for each PUBLISH, because the adapter's `emit` does.

use std::net::Ipv4Addr;

use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::layer::SocketIoLayer;
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};
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

/// What is broadcast. serde_json's values hold no bytes.
#[derive(Debug)]
enum Payload {
    Json(Value),
    Binary(Bytes),
}

/// A value for everyone in a room.
#[derive(Debug)]
struct Broadcast {
    room: String,
    value: Payload,
}

/// What was typed.
#[derive(Debug, Default)]
struct Options {
    port: u16,
    redis: Option<String>,
    /// What `bcast` carries is an attachment.
    is_binary: bool,
}

/// Serves until the process is told to end, on a runtime that is made as ours is.
///
/// # Errors
///
/// If there is no runtime, the port is taken, or Redis does not answer.
pub fn run() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .global_queue_interval(2)
        .build()?
        .block_on(serve_as_asked())
}

async fn serve_as_asked() -> Result<(), Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    let is_binary = options.is_binary;
    let (queue, broadcasts) = mpsc::channel(QUEUE_LEN);
    match options.redis {
        None => {
            let (layer, io) = SocketIo::new_layer();
            io.ns(
                "/",
                async move |socket: SocketRef, TryData(payload): TryData<Connect>| {
                    on_connect(&socket, payload.ok(), &queue, is_binary);
                },
            );
            serve(options.port, layer, io, broadcasts).await
        }
        Some(url) => {
            let client = redis::Client::open(format!("{url}?protocol=resp3"))?;
            let adapter = RedisAdapterCtr::new_with_redis(&client).await?;
            let (layer, io) = SocketIo::builder()
                .with_adapter::<RedisAdapter<_>>(adapter)
                .build_layer();
            io.ns(
                "/",
                async move |socket: SocketRef<RedisAdapter<_>>,
                            TryData(payload): TryData<Connect>| {
                    on_connect(&socket, payload.ok(), &queue, is_binary);
                },
            )
            .await?;
            serve(options.port, layer, io, broadcasts).await
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban is the project's, whose own task set this peer does not have"
)]
async fn serve<A: Adapter>(
    port: u16,
    layer: SocketIoLayer<A>,
    io: SocketIo<A>,
    mut broadcasts: mpsc::Receiver<Broadcast>,
) -> Result<(), Failure> {
    tokio::spawn(async move {
        while let Some(Broadcast { room, value }) = broadcasts.recv().await {
            // A socket whose buffer is full misses the event; the load generator will see.
            match value {
                Payload::Json(value) => io.to(room).emit("m", &value).await.ok(),
                Payload::Binary(bytes) => io.to(room).emit("m", &bytes).await.ok(),
            };
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

fn on_connect<A: Adapter>(
    socket: &SocketRef<A>,
    payload: Option<Connect>,
    queue: &mpsc::Sender<Broadcast>,
    is_binary: bool,
) {
    socket.join("room");
    if let Some(Connect { group: Some(group) }) = payload {
        socket.join(format!("g{group}"));
    }

    socket.on(
        "echo",
        async |socket: SocketRef<A>, Data(value): Data<Value>| {
            socket.emit("echo", &value).ok();
        },
    );
    socket.on(
        "ack",
        async |Data(value): Data<Value>, ack: AckSender<A>| {
            ack.send(&value).ok();
        },
    );
    let everyone = queue.clone();
    let say = move |value: Payload| {
        let room = "room".to_owned();
        everyone.try_send(Broadcast { room, value }).ok();
        std::future::ready(())
    };
    if is_binary {
        socket.on("bcast", move |Data(bytes): Data<Bytes>| {
            say(Payload::Binary(bytes))
        });
    } else {
        socket.on("bcast", move |Data(value): Data<Value>| {
            say(Payload::Json(value))
        });
    }
    let group = queue.clone();
    socket.on("gcast", move |Data((key, value)): Data<(u64, Value)>| {
        let (room, value) = (format!("g{key}"), Payload::Json(value));
        group.try_send(Broadcast { room, value }).ok();
        std::future::ready(())
    });
}

impl Options {
    /// Reads `--port`, `--redis` and `--binary`, the options there are.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(name) = args.next() {
            if name == "--binary" {
                options.is_binary = true;
                continue;
            }
            match (name.as_str(), args.next()) {
                ("--port", Some(port)) => options.port = port.parse()?,
                ("--redis", Some(url)) => options.redis = Some(url),
                _ => {
                    let usage = "bench-peer-socketioxide --port N [--redis URL] [--binary]";
                    return Err(format!("usage: {usage}").into());
                }
            }
        }
        Ok(options)
    }
}
