//! The pieces of the hot paths, each by itself, for counting their instructions and allocations.
//!
//! There with the feature `micro` only, and for `benches/micro.rs` only: no part of the interface.
//! Each function prepares what it needs and then does its work as often as it is told, so that two
//! runs with different counts tell what one unit of work costs.
//!
//! # Not here
//!
//! Counting, and the budgets (`xtask`, `benches/budgets.txt`).

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};

use portcullis_engineio::{SessionId, Timing};
use portcullis_socketio::args::Args;
use portcullis_socketio::codec::{Codec, Decoder, Limits as CodecLimits};
use portcullis_socketio::ids::{NamespacePath, SocketId};
use portcullis_socketio::packet::Packet;
use portcullis_socketio::payload::Payload;

use crate::adapter::{InMemory, Target};
use crate::auth::jwt::Jwt;
use crate::broadcast::AdapterWatcher;
use crate::gateway::{Ack, Everywhere, Registrar, assemble};
use crate::handshake::{Handshake, Headers, RequestFacts};
use crate::namespace::{
    ClusterSlot, Incoming, Namespace, NamespaceLimits, Params, SocketInner, SocketParts, Started,
    frames,
};
use crate::session::Delivery;
use crate::session::micro::{self as session, Shard};

#[cfg(test)]
mod tests;

/// 64 bytes of JSON, as the benchmark sends them.
const PAYLOAD: &str = r#"{"at":"00000000001234567890","pad":"-------","seq":"0000000042"}"#;

const TIMING: Timing = Timing {
    ping_interval: Duration::from_secs(25),
    ping_timeout: Duration::from_secs(20),
};

/// A namespace and what its sockets share.
struct World {
    namespace: Arc<Namespace>,
    shard: Arc<Shard>,
    request: Arc<RequestFacts>,
    made: u64,
}

impl World {
    fn new() -> Self {
        let mut registrar = Registrar::new("micro");
        registrar.public();
        registrar.on("ack", async |args: Args, ack: Ack| {
            let _ = ack.send(&args);
        });
        let router = assemble(vec![registrar], &Everywhere::default());
        let limits = NamespaceLimits {
            rooms_per_socket: 1_000,
            acks_per_socket: 1_000,
            handler_timeout: Duration::from_secs(30),
        };
        Self {
            namespace: Arc::new(Namespace::new(
                NamespacePath::root(),
                Codec::Json,
                Arc::new(router),
                Params::default(),
                limits,
                Arc::new(AdapterWatcher(Arc::new(InMemory))),
                ClusterSlot::default(),
            )),
            shard: session::shard(TIMING),
            request: Arc::new(RequestFacts {
                url: "/socket.io/?EIO=4&transport=websocket".into(),
                headers: Headers::default(),
                address: Some(SocketAddr::from(([127, 0, 0, 1], 9))),
                secure: false,
                issued: SystemTime::UNIX_EPOCH,
            }),
            made: 0,
        }
    }

    /// A socket that has been let in.
    fn socket(&mut self) -> Arc<SocketInner> {
        self.made += 1;
        let mut random = [0; 15];
        random[..8].copy_from_slice(&self.made.to_le_bytes());
        let id = SessionId::from_random(random);
        let socket = Arc::new(SocketInner::new(SocketParts {
            id: SocketId::from_random(random),
            namespace: Arc::clone(&self.namespace),
            connection: session::connection(id, &self.shard),
            handshake: Handshake::new(Arc::clone(&self.request), None),
            identity: None,
        }));
        self.namespace.insert(&socket);
        socket.accept();
        socket.connection().take_frames();
        socket
    }
}

/// An event is serialised, encoded and framed.
pub fn encode_frame(rounds: usize) {
    let world = World::new();
    for round in 0..rounds {
        let payload = Payload::event("m", &(PAYLOAD, round)).expect("text can be sent");
        black_box(frames::event(&world.namespace, &payload, None).finish());
    }
}

/// A finished frame is put into the outboxes of a room of 1,000, and taken out.
pub fn enqueue_1000(rounds: usize) {
    let mut world = World::new();
    let sockets: Vec<_> = (0..1_000).map(|_| world.socket()).collect();
    for socket in &sockets {
        socket.join(&"room".into());
    }
    let payload = Payload::event("m", PAYLOAD).expect("text can be sent");
    let frame = frames::event(&world.namespace, &payload, None).finish();
    let target = Target::new(["room".into()], []);
    for _ in 0..rounds {
        assert_eq!(
            world
                .namespace
                .deliver(&frame, &target, Delivery::Event(None)),
            1_000
        );
        for socket in &sockets {
            black_box(socket.connection().take_frames());
        }
    }
}

/// 10,000 sockets join a room, are walked over, and leave it.
pub fn rooms_10000(rounds: usize) {
    let mut world = World::new();
    let sockets: Vec<_> = (0..10_000).map(|_| world.socket()).collect();
    let (room, target) = ("room".into(), Target::new(["room".into()], []));
    for _ in 0..rounds {
        for socket in &sockets {
            socket.join(&room);
        }
        let mut count = 0;
        world.namespace.for_each(&target, |_| count += 1);
        assert_eq!(count, sockets.len());
        for socket in &sockets {
            socket.leave(&room);
        }
    }
}

/// An event with ack is decoded and handled, and its answer is encoded, framed and queued.
pub fn event_with_ack(rounds: usize) {
    let mut world = World::new();
    let socket = world.socket();
    let mut decoder = Decoder::new(Codec::Json);
    let limits = CodecLimits::new();
    let text = format!(r#"2100000["ack",{PAYLOAD}]"#);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..rounds {
        let packet = decoder.handle_text(&text, &limits);
        let Ok(Some(Packet::Event {
            ack, event, args, ..
        })) = packet
        else {
            unreachable!("it is an event");
        };
        let incoming = Incoming { event, args, ack };
        let dispatch = world.namespace.dispatch();
        let started = dispatch.event(&Arc::clone(&socket).into(), incoming, &mut cx);
        assert!(matches!(started, Started::Done));
        assert_eq!(socket.connection().take_frames().len(), 1);
    }
}

/// Frames of a client are found, unmasked and checked.
pub fn read_frame(rounds: usize) {
    session::read_frame(rounds, &format!(r#"42100000["ack",{PAYLOAD}]"#));
}

/// A token with HS256 is verified.
pub fn verify_hs256(rounds: usize) {
    #[derive(serde::Deserialize)]
    struct Claims {
        #[expect(dead_code, reason = "claims are read to be kept")]
        sub: String,
    }
    // {"sub":"alice","iat":1600000000,"exp":4102444800}
    let secret = "0123456789abcdef0123456789abcdef";
    let token = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiJhbGljZSIsImlhdCI6MTYwMDAwMDAwMCwiZXhwIjo0MTAyNDQ0ODAwfQ.",
        "VTkIY7aCIRCDx5yedzWk2CqhzzbR8vxBHjUT3M02QGc",
    );
    let jwt = Jwt::<Claims>::hs256(secret);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for _ in 0..rounds {
        assert!(jwt.verify(black_box(token), now).is_ok());
    }
}

/// A wheel with 18,000 connections turns once around, and every connection is put back.
pub fn wheel_18000(rounds: usize) {
    session::wheel_18000(rounds, Instant::now());
}
