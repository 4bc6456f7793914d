//! The events of every namespace.

use std::sync::Arc;
use std::time::Duration;

use portcullis::gateway::{Ack, Data, Registrar, User};
use portcullis::handshake::Handshake;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::Room;
use portcullis::socketio::value::Value;
use portcullis::{AckError, DisconnectReason, Socket};
use serde::Serialize;

use super::counters::Counters;
use super::steered::{Claims, wait};
use crate::client_suite::describe;

pub(super) fn register(r: &mut Registrar, counters: &Arc<Counters>) {
    hooks(r, counters);
    let handled = Arc::clone(counters);
    r.event_middleware(move |_, event, _| {
        if event.as_str() != "counters" {
            Counters::count(&handled.handled);
        }
        std::future::ready(Ok(()))
    });
    let asked = Arc::clone(counters);
    r.on("counters", move |ack: Ack| {
        let snapshot = asked.snapshot();
        async move { answer(&ack, &snapshot) }
    });
    simple(r);
    rooms(r);
    asking(r);
    endings(r);
}

fn hooks(r: &mut Registrar, counters: &Arc<Counters>) {
    let connected = Arc::clone(counters);
    r.on_connect(move |socket: Socket, handshake: Handshake| {
        Counters::count(&connected.connected);
        async move {
            let auth = handshake.auth_value();
            if let Some(steer) = auth.get("connect") {
                wait(steer).await;
                if let Some(close) = steer.get("kick").and_then(Value::as_bool) {
                    socket.disconnect(close);
                }
            }
        }
    });
    let disconnected = Arc::clone(counters);
    r.on_disconnect(move |reason: DisconnectReason| {
        Counters::count(&disconnected.disconnected);
        disconnected.count_reason(reason.as_str());
        std::future::ready(())
    });
}

fn simple(r: &mut Registrar) {
    r.on(
        "whoami",
        async |socket: Socket, user: Option<User<Claims>>, ack: Ack| {
            let text = |text: &str| Value::from(text);
            let fields = [
                ("namespace", text(socket.namespace())),
                (
                    "sub",
                    user.as_ref().map_or(Value::Null, |user| text(&user.sub)),
                ),
                (
                    "username",
                    user.as_ref()
                        .map_or(Value::Null, |user| text(&user.username)),
                ),
            ];
            answer(&ack, &object(fields));
        },
    );
    r.on("echo", async |socket: Socket, args: Args, ack: Ack| {
        if ack.is_requested() {
            answer(&ack, &args);
        } else {
            emit(&socket, "echo", &args);
        }
    });
    r.on("slow", async |args: Args, ack: Ack| {
        let (ms, value) = args.parse::<(u64, Value)>().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(ms.min(60_000))).await;
        answer(&ack, &value);
    });
    r.on("panic", async || {
        #[expect(clippy::panic, reason = "the client asked for it")]
        if true {
            panic!("the client asked for a panic");
        }
    });
    r.on(
        "volatile",
        async |socket: Socket, Data(count): Data<u64>| {
            for number in 0..count.min(10_000) {
                let _ = socket.volatile().emit("v", &number);
            }
            emit(&socket, "v-end", &());
        },
    );
    r.on("plain", async |socket: Socket, Data(count): Data<usize>| {
        let text = "x".repeat(count.min(10_000_000));
        let _ = socket.compress(false).emit("plain", &text);
    });
    r.on("handshake", async |handshake: Handshake, ack: Ack| {
        answer(&ack, &describe(&handshake));
    });
}

fn rooms(r: &mut Registrar) {
    r.on(
        "join",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            socket.join(room);
            answer(&ack, &(room_names(&socket),));
        },
    );
    r.on(
        "leave",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            socket.leave(room);
            answer(&ack, &(room_names(&socket),));
        },
    );
    r.on("rooms", async |socket: Socket, ack: Ack| {
        answer(&ack, &(room_names(&socket),));
    });
    r.on("say", async |socket: Socket, args: Args, ack: Ack| {
        let (room, text) = args.parse::<(String, String)>().unwrap_or_default();
        let _ = socket.to(room).emit("said", &said(&socket, &text));
        answer(&ack, "ok");
    });
    r.on(
        "say-except",
        async |socket: Socket, args: Args, ack: Ack| {
            let parsed = args.parse::<(String, String, String)>();
            let (room, except, text) = parsed.unwrap_or_default();
            let _ = socket
                .to(room)
                .except(except)
                .emit("said", &said(&socket, &text));
            answer(&ack, "ok");
        },
    );
    r.on(
        "say-all",
        async |socket: Socket, Data(text): Data<String>, ack: Ack| {
            let _ = socket.server().emit("said", &said(&socket, &text));
            answer(&ack, "ok");
        },
    );
}

fn asking(r: &mut Registrar) {
    r.on(
        "ask",
        async |socket: Socket, Data(event): Data<String>, ack: Ack| {
            let asked = socket.timeout(Duration::from_secs(2));
            let result = match asked.emit_with_ack(&event, "ping").await {
                Ok(args) => object([("ok", args.get(0).unwrap_or_default())]),
                Err(error) => object([("error", Value::from(error.to_string()))]),
            };
            answer(&ack, &result);
        },
    );
    r.on(
        "ask-room",
        async |socket: Socket, Data(room): Data<String>, ack: Ack| {
            let asked = socket.within(room).timeout(Duration::from_millis(500));
            let result = match asked.emit_with_ack("question", "ping").await {
                Ok(responses) => object([("answers", firsts(&responses))]),
                Err(AckError::Timeout { responses }) => object([
                    ("error", Value::from("operation has timed out")),
                    ("answers", firsts(&responses)),
                ]),
                Err(error) => object([("error", Value::from(error.to_string()))]),
            };
            answer(&ack, &result);
        },
    );
}

fn endings(r: &mut Registrar) {
    r.on(
        "kick",
        async |socket: Socket, Data(close): Data<bool>, ack: Ack| {
            answer(&ack, "ok");
            socket.disconnect(close);
        },
    );
    r.on("kick-room", async |socket: Socket, args: Args| {
        let (room, close) = args.parse::<(String, bool)>().unwrap_or_default();
        let _ = socket.within(room).disconnect_sockets(close);
    });
}

fn said(socket: &Socket, text: &str) -> Value {
    object([
        ("from", Value::from(socket.id().as_str())),
        ("text", Value::from(text)),
    ])
}

/// The names of a socket's rooms, without its own id and those that the framework joins.
fn room_names(socket: &Socket) -> Vec<String> {
    let own = Room::from(socket.id());
    let rooms = socket.rooms().into_iter().filter(|room| *room != own);
    let mut names: Vec<_> = rooms.map(|room| room.to_string()).collect();
    names.sort();
    names
}

fn firsts(responses: &[Args]) -> Value {
    Value::Array(
        responses
            .iter()
            .map(|args| args.get(0).unwrap_or_default())
            .collect(),
    )
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn answer<T: Serialize + ?Sized>(ack: &Ack, value: &T) {
    // A client that has left in the meantime is not waiting for an answer.
    let _ = ack.send(value);
}

fn emit<T: Serialize + ?Sized>(socket: &Socket, event: &str, args: &T) {
    let _ = socket.emit(event, args);
}
