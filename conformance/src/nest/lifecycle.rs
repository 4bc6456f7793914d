//! How a socket comes and goes, and what is kept of it meanwhile.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use portcullis::gateway;
use portcullis::gateway::{Data, Emit, EventError, Extension};
use portcullis::handshake::Handshake;
use portcullis::socketio::value::Value;
use portcullis::{DisconnectReason, ServerBuilder, Socket};
use tokio::time::sleep;

/// Why the sockets of this process left, by the label in their `auth`.
#[derive(Default)]
struct Departures(Mutex<HashMap<String, Vec<String>>>);

impl Departures {
    fn note(&self, socket: &Socket, reason: DisconnectReason) {
        let auth = socket.handshake().auth_value();
        if let Some(label) = auth.get("label").and_then(Value::as_str) {
            let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let of_label = reasons.entry(label.to_owned()).or_default();
            of_label.push(reason.to_string());
        }
    }

    fn of(&self, label: &str) -> Vec<String> {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.get(label).cloned().unwrap_or_default()
    }
}

pub(super) fn add_to(builder: ServerBuilder) -> ServerBuilder {
    let departures = Arc::new(Departures::default());
    builder
        .gateway(Lifecycle {
            departures: Arc::clone(&departures),
            inits: AtomicU32::new(0),
        })
        .gateway(Hook { departures })
        .gateway(Order)
        .gateway(Counting)
        .gateway(Farewell)
}

struct Lifecycle {
    departures: Arc<Departures>,
    inits: AtomicU32,
}

#[gateway(namespace = "/lifecycle", public)]
impl Lifecycle {
    #[on_init]
    fn init(&self) {
        self.inits.fetch_add(1, Ordering::Relaxed);
    }

    #[on_connect]
    fn welcome(&self, socket: Socket) {
        let _ = socket.emit("welcome", &self.inits.load(Ordering::Relaxed));
    }

    #[on_disconnect]
    fn note(&self, socket: Socket, reason: DisconnectReason) {
        self.departures.note(&socket, reason);
    }

    #[subscribe("kick")]
    fn kick(&self, socket: Socket, Data(close): Data<bool>) {
        socket.disconnect(close);
    }

    #[subscribe("kick-and-answer")]
    fn kick_and_answer(&self, socket: Socket, Data(close): Data<bool>) -> &'static str {
        socket.disconnect(close);
        "too late"
    }

    #[subscribe("kick-and-fail")]
    fn kick_and_fail(&self, socket: Socket, Data(close): Data<bool>) -> Result<(), EventError> {
        socket.disconnect(close);
        Err(EventError::new("LATE", "too late"))
    }

    #[subscribe("emit-and-kick")]
    fn emit_and_kick(&self, socket: Socket, Data(close): Data<bool>) {
        let _ = socket.emit("farewell", "in time");
        socket.disconnect(close);
    }

    #[subscribe("echo")]
    fn echo(&self, Data(data): Data<Value>) -> Value {
        data
    }

    #[subscribe("reasons")]
    fn reasons(&self, Data(label): Data<String>) -> Vec<String> {
        self.departures.of(&label)
    }
}

/// Says that the connection hook has come to its end.
struct Ready;

/// A gateway whose connection hook does what `auth.hook` says.
struct Hook {
    departures: Arc<Departures>,
}

#[gateway(namespace = "/hook", public)]
impl Hook {
    #[on_connect]
    async fn enter(&self, socket: Socket, handshake: Handshake) -> Result<(), EventError> {
        let unauthorized = EventError::new("UNAUTHORIZED", "Unauthorized");
        let auth = handshake.auth_value();
        match auth.get("hook").and_then(Value::as_str) {
            Some("throws") => return Err(unauthorized),
            Some("rejects") => {
                tokio::task::yield_now().await;
                return Err(unauthorized);
            }
            Some("kicks") => socket.disconnect(true),
            Some("kicks later") => {
                sleep(Duration::from_millis(200)).await;
                socket.disconnect(true);
            }
            Some("waits") => sleep(Duration::from_millis(200)).await,
            _ => {}
        }
        socket.insert(Ready);
        Ok(())
    }

    #[on_disconnect]
    fn note(&self, socket: Socket, reason: DisconnectReason) {
        self.departures.note(&socket, reason);
    }

    #[subscribe("is-ready")]
    fn is_ready(&self, ready: Option<Extension<Ready>>) -> bool {
        ready.is_some()
    }
}

/// Handlers that take their time.
struct Order;

#[gateway(namespace = "/order", public)]
impl Order {
    #[subscribe("after")]
    async fn after(&self, Data(milliseconds): Data<u64>) -> Emit<u64> {
        sleep(Duration::from_millis(milliseconds.min(1_000))).await;
        Emit("done", milliseconds)
    }

    #[subscribe("ticks")]
    fn ticks(&self, Data(milliseconds): Data<u64>) -> impl Stream<Item = Emit<u32>> {
        let pause = Duration::from_millis(milliseconds.min(1_000));
        stream::iter(0..3).then(move |count| async move {
            sleep(pause).await;
            Emit("tick", count)
        })
    }

    #[subscribe("at-once")]
    fn at_once(&self) -> &'static str {
        "now"
    }
}

/// What a connection has counted.
#[derive(Default)]
struct Count(AtomicU32);

struct Counting;

#[gateway(namespace = "/state", public)]
impl Counting {
    #[on_connect]
    fn start(&self, socket: Socket) {
        socket.insert(Count::default());
    }

    #[subscribe("count")]
    fn count(&self, count: Extension<Count>) -> u32 {
        count.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A disconnect hook that is not done at once.
struct Farewell;

#[gateway(namespace = "/farewell", public)]
impl Farewell {
    #[on_disconnect]
    async fn part(&self, reason: DisconnectReason) {
        say(&format!("farewell begins: {reason}"));
        sleep(Duration::from_millis(300)).await;
        say(&format!("farewell is done: {reason}"));
    }
}

fn say(line: &str) {
    // With a broken standard output there is nobody left to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
