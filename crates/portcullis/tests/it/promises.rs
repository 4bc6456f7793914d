//! Promises about cost and safety that a compiler, a counter or the wire can check.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portcullis::adapter::{Envelope, SocketDescription, Target};
use portcullis::auth::Identity;
use portcullis::handshake::Handshake;
use portcullis::session::{Frame, SessionHandle};
use portcullis::socketio::args::Args;
use portcullis::{BroadcastOperator, Emitter, Server, Socket, SocketService};
use portcullis_testing::wire::{Http, PATIENCE, WEBSOCKET, upgrade_request};
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

/// A thread's own client, up to the answer to its handshake.
fn open_session(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&upgrade_request(WEBSOCKET, &[])).unwrap();
    let (mut opened, mut buffer) = (Vec::new(), [0; 4096]);
    // The head does not end so, and the open packet does.
    while !opened.ends_with(b"}") {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server ended the connection");
        opened.extend_from_slice(&buffer[..len]);
    }
    stream
}

/// The frames that the first read brings after a CONNECT. It is tried without a pause, so that it
/// comes between two writes if there are two.
fn first_read(address: SocketAddr) -> Vec<String> {
    let mut stream = open_session(address);
    stream.set_nonblocking(true).unwrap();
    // `40`, masked with zeros.
    let connect = [0x81, 0x82, 0, 0, 0, 0, b'4', b'0'];
    stream.write_all(&connect).unwrap();
    let (start, mut buffer) = (Instant::now(), [0; 4096]);
    let len = loop {
        match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(start.elapsed() < PATIENCE, "no answer to a CONNECT");
            }
            read => break read.unwrap(),
        }
    };
    let (mut frames, mut rest) = (Vec::new(), &buffer[..len]);
    while let [0x81, len, tail @ ..] = rest {
        let (text, next) = tail.split_at(usize::from(*len));
        frames.push(String::from_utf8(text.to_vec()).unwrap());
        rest = next;
    }
    assert!(rest.is_empty(), "half a frame: {rest:?}");
    frames
}

#[tokio::test]
async fn what_on_connect_emits_leaves_in_one_segment_with_the_connect_reply() {
    for waits in [false, true] {
        let server = TestServer::start(public(move |r| {
            r.on_connect(move |socket: Socket| async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                socket.emit("first", &1).unwrap();
                socket.emit("second", &2).unwrap();
            });
        }))
        .await;
        let address = server.address();
        for _ in 0..10 {
            let reading = tokio::task::spawn_blocking(move || first_read(address));
            let frames = reading.await.unwrap();
            assert_eq!(frames.len(), 3, "{frames:?}");
            assert!(frames[0].starts_with(r#"40{"sid":""#), "{frames:?}");
            assert_eq!(frames[1..], [r#"42["first",1]"#, r#"42["second",2]"#]);
        }
    }
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
