//! How a socket comes and goes, and what is kept of it meanwhile.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis::gateway::{Data, Emit, EventError, Registrar, Reply};
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
    let noted = Arc::clone(&departures);
    builder
        .namespace("/lifecycle", |r| lifecycle(r, &departures))
        .namespace("/hook", |r| hook(r, noted))
        .namespace("/order", order)
        .namespace("/state", state)
        .namespace("/farewell", farewell)
}

fn lifecycle(r: &mut Registrar, departures: &Arc<Departures>) {
    r.public();
    let inits = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&inits);
    r.on_init(move || {
        inits.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    });
    r.on_connect(move |socket: Socket| {
        let _ = socket.emit("welcome", &seen.load(Ordering::Relaxed));
        std::future::ready(())
    });
    let noted = Arc::clone(departures);
    r.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        noted.note(&socket, reason);
        std::future::ready(())
    });
    r.on("kick", async |socket: Socket, Data(close): Data<bool>| {
        socket.disconnect(close);
    });
    r.on(
        "kick-and-answer",
        async |socket: Socket, Data(close): Data<bool>| {
            socket.disconnect(close);
            Reply("too late")
        },
    );
    r.on("echo", async |Data(data): Data<Value>| Reply(data));
    let told = Arc::clone(departures);
    r.on("reasons", move |Data(label): Data<String>| {
        std::future::ready(Reply(told.of(&label)))
    });
}

/// Says that the connection hook has come to its end.
struct Ready;

/// A gateway whose connection hook does what `auth.hook` says.
fn hook(r: &mut Registrar, departures: Arc<Departures>) {
    r.public();
    r.on_connect(async |socket: Socket, handshake: Handshake| {
        let auth = handshake.auth_value();
        match auth.get("hook").and_then(Value::as_str) {
            Some("throws") => return Err(unauthorized()),
            Some("rejects") => {
                tokio::task::yield_now().await;
                return Err(unauthorized());
            }
            Some("kicks") => socket.disconnect(true),
            Some("kicks later") => {
                sleep(Duration::from_millis(20)).await;
                socket.disconnect(true);
            }
            Some("waits") => sleep(Duration::from_millis(100)).await,
            _ => {}
        }
        socket.insert(Ready);
        Ok(())
    });
    r.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        departures.note(&socket, reason);
        std::future::ready(())
    });
    r.on("is-ready", async |socket: Socket| {
        Reply(socket.get::<Ready>().is_some())
    });
}

fn unauthorized() -> EventError {
    EventError::new("UNAUTHORIZED", "Unauthorized")
}

/// Handlers that take their time.
fn order(r: &mut Registrar) {
    r.public();
    r.on("after", async |Data(milliseconds): Data<u64>| {
        sleep(Duration::from_millis(milliseconds.min(1_000))).await;
        Emit("done", milliseconds)
    });
}

/// What a connection has counted.
#[derive(Default)]
struct Count(AtomicU32);

fn state(r: &mut Registrar) {
    r.public();
    r.on_connect(async |socket: Socket| {
        socket.insert(Count::default());
    });
    r.on(
        "count",
        async |count: portcullis::gateway::Extension<Count>| {
            Reply(count.0.fetch_add(1, Ordering::Relaxed) + 1)
        },
    );
}

/// A disconnect hook that is not done at once.
fn farewell(r: &mut Registrar) {
    r.public();
    r.on_disconnect(async |reason: DisconnectReason| {
        say(&format!("farewell begins: {reason}"));
        sleep(Duration::from_millis(300)).await;
        say(&format!("farewell is done: {reason}"));
    });
}

fn say(line: &str) {
    // With a broken standard output there is nobody left to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
