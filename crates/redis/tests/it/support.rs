//! What the tests share: Redis servers, nodes that are joined through them, and clients.
//!
//! The clients are those of the kit.

pub(crate) mod gaps;
pub(crate) mod ledger;
pub(crate) mod proxy;
pub(crate) mod redis_cluster;
pub(crate) mod redis_server;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis::gateway::{Data, Registrar, Reply};
use portcullis::socketio::ids::{Room, SocketId};
use portcullis::socketio::value::Value;
use portcullis::{Emitter, Server, ServerBuilder, Socket};
use portcullis_redis::Redis;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use portcullis_testing::Journal;
use portcullis_testing::Witness;
pub(crate) use portcullis_testing::wire::{Client, patiently};
pub(crate) use redis_server::RedisServer;

/// Waits until something is so, and says how long that took.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    patiently(async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    started.elapsed()
}

/// One node of a test's cluster.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) emitter: Emitter,
    stopping: CancellationToken,
    serving: JoinSet<()>,
}

impl Node {
    /// A node with the handlers that most tests want.
    pub(crate) async fn join(redis: Redis) -> Self {
        Self::join_with(redis, |_| {}).await
    }

    pub(crate) async fn join_with(redis: Redis, register: impl FnOnce(&mut Registrar)) -> Self {
        Self::serve(builder(register).cluster(redis)).await
    }

    pub(crate) async fn serve(builder: ServerBuilder) -> Self {
        let server = builder.build().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(
            server
                .clone()
                .serve_on(listener, stopping.clone().cancelled_owned()),
        );
        Self {
            emitter: server.emitter("/").unwrap(),
            server,
            address,
            stopping,
            serving,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address, "/").await
    }

    /// Stops the node, and waits until it has stopped.
    pub(crate) async fn stop(&mut self) {
        self.stopping.cancel();
        patiently(self.serving.join_next()).await.unwrap().unwrap();
    }
}

/// A session's id or a payload that was logged fails the test, unless it fails already.
impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(Witness::of_process().leaks(), Vec::<String>::new());
        }
    }
}

/// A server with the public namespaces `/` and `/chat`, before a witness that hears what the
/// process logs and counts.
pub(crate) fn builder(register: impl FnOnce(&mut Registrar)) -> ServerBuilder {
    let common = |r: &mut Registrar| {
        r.public().on("sync", async || {});
        r.on("join", async |socket: Socket, Data(room): Data<Value>| {
            socket.join(room_of(&room));
        });
        r.on("leave", async |socket: Socket, Data(room): Data<Value>| {
            socket.leave(room_of(&room));
        });
        r.on("rooms", async |socket: Socket| {
            Reply(named(&socket.rooms()))
        });
    };
    Witness::of_process();
    Server::builder()
        .namespace("/", |r| {
            common(r);
            register(r);
        })
        .namespace("/chat", common)
}

pub(crate) fn room_of(value: &Value) -> Room {
    match value {
        Value::String(name) => Room::from(name),
        other => Room::from(other.as_i64().unwrap()),
    }
}

/// The rooms besides the sockets' own, in order: text first.
pub(crate) fn named(rooms: &[Room]) -> Vec<Room> {
    let is_own = |room: &Room| SocketId::parse(&room.to_string()).is_ok();
    let mut named = rooms.to_vec();
    named.retain(|room| !is_own(room));
    named.sort();
    named
}

pub(crate) async fn enter(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        assert_eq!(client.ask(&format!(r#"["join",{room}]"#)).await, "[]");
    }
}

/// Waits until everything that `node` has published before has been applied by every client's
/// node: a broadcast of its own comes last.
pub(crate) async fn heard(node: &Node, clients: &mut [&mut Client]) -> Vec<Vec<String>> {
    let mark = format!("mark-{}", SocketId::from_random(rand15()).as_str());
    node.emitter.emit("mark", &mark).unwrap();
    let end = format!(r#"42["mark","{mark}"]"#);
    let mut all = Vec::new();
    for client in clients {
        let mut packets = Vec::new();
        loop {
            match client.recv().await.expect("the connection lives") {
                packet if packet == end => break,
                packet => packets.push(packet),
            }
        }
        all.push(packets);
    }
    all
}

fn rand15() -> [u8; 15] {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let mut bytes = [0; 15];
    bytes
        .iter_mut()
        .zip(nanos.to_le_bytes())
        .for_each(|(to, from)| *to = from);
    bytes
}
