//! Promises about cost and safety that a compiler or a counter can check.

use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::adapter::{Envelope, SocketDescription, Target};
use portcullis::auth::Identity;
use portcullis::handshake::Handshake;
use portcullis::session::{Frame, SessionHandle};
use portcullis::socketio::args::Args;
use portcullis::{BroadcastOperator, Emitter, Server, Socket, SocketService};
use portcullis_testing::wire::Http;
use portcullis_testing::{MemoryBus, TestServer};
use serde::{Serialize, Serializer};

use crate::support::{Wire, public};

/// A payload that counts how often it is serialised.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_str("payload")
    }
}

#[tokio::test]
async fn a_broadcast_is_serialised_once_for_a_hundred_sockets_and_another_node() {
    let bus = MemoryBus::default();
    let (adapter, _near) = bus.node();
    let server = TestServer::start(public(|_| {}).cluster(adapter)).await;
    let (adapter, _far) = bus.node();
    let other = TestServer::start(public(|_| {}).cluster(adapter)).await;
    let mut clients = vec![other.client_in_memory().await];
    for _ in 0..100 {
        clients.push(server.client_in_memory().await);
    }
    let mut polling: Http = server.http_in_memory();
    let session = polling.join().await;

    let payload = Counted::default();
    let emitter = server.server().emitter("/").unwrap();
    emitter.emit("news", &(&payload,)).unwrap();
    for client in &mut clients {
        assert_eq!(client.event().await, r#"["news","payload"]"#);
    }
    assert_eq!(
        polling.get(&session).await.text(),
        r#"42["news","payload"]"#
    );
    assert_eq!(payload.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_emit_to_nobody_is_serialised_once_too() {
    let server = TestServer::start(public(|_| {})).await;
    let payload = Counted::default();
    let nobody = server.server().emitter("/").unwrap().to("nobody");
    nobody.emit("news", &(&payload,)).unwrap();
    assert_eq!(payload.0.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_shared_is_a_pointer_wide() {
    let pointer = size_of::<usize>();
    for size in [
        size_of::<Socket>(),
        size_of::<Option<Socket>>(),
        size_of::<Identity>(),
        size_of::<Frame>(),
        size_of::<SessionHandle>(),
        size_of::<Server>(),
    ] {
        assert_eq!(size, pointer);
    }
    assert!(size_of::<SocketService>() <= 2 * pointer);
    assert!(size_of::<Handshake>() <= 3 * pointer);
    assert!(size_of::<Emitter>() <= 4 * pointer);
    assert!(size_of::<Args>() <= 5 * pointer);
}

#[test]
fn what_handlers_hold_may_cross_threads() {
    const fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Socket>();
    crosses::<Server>();
    crosses::<SocketService>();
    crosses::<Emitter>();
    crosses::<BroadcastOperator>();
    crosses::<Identity>();
    crosses::<Handshake>();
    crosses::<Args>();
    crosses::<Frame>();
    crosses::<SessionHandle>();
    crosses::<Envelope>();
    crosses::<Target>();
    crosses::<SocketDescription>();
}

/// A future that is moved from thread to thread must be `Send`, and this does not compile if one
/// is not.
#[test]
fn futures_of_the_public_face_may_be_spawned() {
    const fn spawns<T: Send>(_: &T) {}
    fn check(socket: &Socket, emitter: &Emitter, operator: &BroadcastOperator, server: &Server) {
        spawns(&socket.emit_with_ack("x", &1));
        spawns(&operator.emit_with_ack("x", &1));
        spawns(&operator.fetch_sockets());
        spawns(&emitter.all_rooms());
        spawns(&emitter.server_count());
        spawns(&server.close());
        spawns(&Server::builder().build());
    }
    let _ = check;
}
