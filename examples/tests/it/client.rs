//! A client that blocks, and a server in the background.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis::Shutdown;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tungstenite::{Message, WebSocket};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Stopped = std::pin::Pin<Box<dyn Future<Output = Shutdown> + Send>>;

/// An example that runs on a thread of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(serve: impl AsyncFnOnce(TcpListener, Stopped) + Send + 'static) -> Self {
        let (told, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            Runtime::new().unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async {
                    let _ = stopped.await;
                    Shutdown::at_once()
                };
                serve(listener, Box::pin(stopped)).await;
            });
        });
        Self {
            address: address.recv_timeout(PATIENCE).unwrap(),
            stop,
            thread,
        }
    }

    /// Asks the example to stop, which it must do by itself.
    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// A Socket.IO client on a WebSocket, with its packets in plain sight.
pub(crate) struct Client(WebSocket<TcpStream>);

impl Client {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let mut client = Self(socket);
        let open = client.recv();
        assert!(open.starts_with(r#"0{"sid":"#), "{open}");
        client
    }

    /// Asks to join a namespace; the answer.
    pub(crate) fn join(&mut self, namespace: &str, auth: &str) -> String {
        self.send(&format!("40{}{auth}", prefix(namespace)));
        self.recv()
    }

    /// Sends an event, and takes the answer to it.
    pub(crate) fn ask(&mut self, namespace: &str, event: &str) -> String {
        let prefix = prefix(namespace);
        self.send(&format!("42{prefix}7{event}"));
        let answer = self.recv();
        let answer = answer.strip_prefix(&format!("43{prefix}7"));
        answer.expect("an answer comes next").to_owned()
    }

    pub(crate) fn recv(&mut self) -> String {
        match self.0.read().unwrap() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, packet: &str) {
        self.0.send(Message::text(packet)).unwrap();
    }
}

/// What stands before the arguments in packets of a namespace.
fn prefix(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        _ => format!("{namespace},"),
    }
}

/// One HTTP request on a connection of its own; the whole answer.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let len = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {len}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
