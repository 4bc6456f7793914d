//! rust_socketio against our server, over each of its transports.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use portcullis_interop_rust_socketio::{Server, mint, sign};
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

const WAIT: Duration = Duration::from_secs(5);
const EVENTS: [&str; 5] = ["open", "close", "error", "echo", "said"];
const NAMESPACES: [&str; 3] = ["/", "/admin", "/tenant-42"];
const TRANSPORTS: [fn() -> TransportType; 3] = [
    || TransportType::Polling,
    || TransportType::Websocket,
    || TransportType::WebsocketUpgrade,
];

/// One client, and what it has heard.
struct Peer {
    client: Client,
    heard: Receiver<(Event, Payload)>,
}

impl Peer {
    async fn new(server: &Server, transport: TransportType, namespace: &str, auth: Value) -> Self {
        let (tell, heard) = channel(64);
        let mut builder = ClientBuilder::new(server.url.clone())
            .namespace(namespace)
            .auth(auth)
            .transport_type(transport)
            .reconnect(false);
        for event in EVENTS {
            let tell = tell.clone();
            builder = builder.on(event, move |payload, _| {
                let tell = tell.clone();
                // The receiver is gone when the test has seen enough.
                async move { drop(tell.send((Event::from(event), payload)).await) }.boxed()
            });
        }
        let client = bounded(builder.connect())
            .await
            .expect("the transport opens");
        Self { client, heard }
    }

    async fn connected(server: &Server, transport: TransportType, namespace: &str) -> Self {
        let mut peer = Self::new(server, transport, namespace, json!({ "token": mint() })).await;
        assert_eq!(peer.next().await.0, Event::Connect);
        peer
    }

    async fn next(&mut self) -> (Event, Payload) {
        bounded(self.heard.recv()).await.expect("the client lives")
    }

    async fn emit(&self, event: &str, args: Payload) {
        self.client
            .emit(event, args)
            .await
            .expect("the event is sent");
    }

    /// Emits, and gives the arguments of the ack.
    async fn ask(&self, event: &str, args: Payload) -> Payload {
        let (tell, mut answer) = channel(1);
        let note = move |payload, _| {
            let tell = tell.clone();
            async move { drop(tell.send(payload).await) }.boxed()
        };
        self.client
            .emit_with_ack(event, args, WAIT, note)
            .await
            .expect("the event is sent");
        bounded(answer.recv()).await.expect("the ack comes")
    }
}

async fn bounded<T>(future: impl Future<Output = T>) -> T {
    timeout(WAIT, future).await.expect("it happens in time")
}

fn text(values: impl IntoIterator<Item = Value>) -> Payload {
    Payload::Text(values.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_token_is_connected_in_every_namespace() {
    let server = Server::start();
    for transport in TRANSPORTS {
        for namespace in NAMESPACES {
            let peer = Peer::connected(&server, transport(), namespace).await;
            let who = peer.ask("whoami", text([])).await;
            let expected = json!({ "namespace": namespace, "sub": "42", "username": "alice" });
            assert_eq!(who, text([json!([expected])]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_good_token_is_refused_in_every_namespace() {
    let server = Server::start();
    let expired = sign(&json!({ "sub": "42", "username": "alice", "exp": 1 }));
    let cases = [
        (json!({}), "TOKEN_MISSING"),
        (json!({ "token": "let me in" }), "TOKEN_INVALID"),
        (json!({ "token": expired }), "TOKEN_EXPIRED"),
    ];
    for transport in TRANSPORTS {
        for namespace in NAMESPACES {
            for (auth, code) in &cases {
                let mut peer = Peer::new(&server, transport(), namespace, auth.clone()).await;
                let (event, payload) = peer.next().await;
                assert_eq!(event, Event::Error);
                let said = format!("{payload:?}").replace('\\', "");
                assert!(said.contains(r#""message":"Unauthorized""#), "{said}");
                assert!(said.contains(code), "{said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_acks_carry_values() {
    let server = Server::start();
    for transport in TRANSPORTS {
        let mut peer = Peer::connected(&server, transport(), "/").await;
        let values = [
            json!(1),
            json!("é🦀"),
            json!({ "nested": [null, { "a": -0.5 }] }),
        ];
        peer.emit("echo", text(values.clone())).await;
        assert_eq!(
            peer.next().await,
            (Event::from("echo"), text(values.clone()))
        );
        let answer = peer.ask("echo", text(values.clone())).await;
        assert_eq!(answer, text([json!(values)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_carry_bytes() {
    let server = Server::start();
    for transport in TRANSPORTS {
        let mut peer = Peer::connected(&server, transport(), "/").await;
        let bytes = Payload::from(vec![0_u8, 1, 127, 128, 254, 255]);
        peer.emit("echo", bytes.clone()).await;
        assert_eq!(peer.next().await, (Event::from("echo"), bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_hears_what_is_said_in_it() {
    let server = Server::start();
    for transport in TRANSPORTS {
        let mut alice = Peer::connected(&server, transport(), "/").await;
        let mut bob = Peer::connected(&server, transport(), "/").await;
        let mut carol = Peer::connected(&server, transport(), "/").await;
        for peer in [&alice, &bob] {
            let rooms = peer.ask("join", text([json!("rust")])).await;
            assert_eq!(rooms, text([json!([["rust"]])]));
        }
        let said = alice
            .ask("say", text([json!("rust"), json!("hello")]))
            .await;
        assert_eq!(said, text([json!(["ok"])]));
        let (event, Payload::Text(heard)) = bob.next().await else {
            panic!("what is said is text");
        };
        assert_eq!(event, Event::from("said"));
        assert_eq!(heard[0]["text"], "hello");
        for peer in [&mut alice, &mut carol] {
            peer.ask("echo", text([json!("fence")])).await;
            assert!(peer.heard.try_recv().is_err(), "only bob hears it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_thrown_out_knows_it() {
    let server = Server::start();
    for transport in TRANSPORTS {
        let mut peer = Peer::connected(&server, transport(), "/").await;
        peer.emit("kick", text([json!(false)])).await;
        assert_eq!(peer.next().await.0, Event::Close);
    }
}
