//! What a client may have its node do, by name.
//!
//! | names                                     | reach                             |
//! |-------------------------------------------|-----------------------------------|
//! | `join`, `leave`, `rooms`, `set-data`      | the socket that asks              |
//! | `emit`, `emit-with-ack`, `fetch-sockets`, | the sockets that `to` and         |
//! | `sockets-join`, `sockets-leave`,          | `except` name, wherever they are  |
//! | `disconnect-sockets`                      |                                   |
//! | `all-rooms`, `server-count`,              | the nodes                         |
//! | `server-side-emit`, `…-with-ack`          |                                   |
//! | `received`                                | this node                         |
//!
//! An answer that lacks a node is an error that carries what did come, and how many are missing.

use std::time::Duration;

use portcullis::adapter::Answers;
use portcullis::broadcast::RemoteSocket;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::Room;
use portcullis::socketio::value::Value;
use portcullis::{AckError, BroadcastOperator, EmitError, Socket};
use serde::{Deserialize, Serialize};

use super::listening::Received;

/// How long the other nodes are waited for when the client does not say.
const DEFAULT_TIMEOUT_MS: u64 = 5_000;

/// How long a join may wait for a cluster that is out of reach.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why an operation has no value.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Failed {
    error: String,
    /// What came all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<Value>,
    /// How many nodes did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<usize>,
}

impl From<EmitError> for Failed {
    fn from(error: EmitError) -> Self {
        Self::because(error.to_string())
    }
}

impl Failed {
    pub(crate) fn because(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            ..Self::default()
        }
    }
}

/// `{ok}` or `{error}`, as it stands in the ack.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Done { ok: Value },
    Failed(Failed),
}

pub(crate) fn answer(result: Result<Value, Failed>) -> Answer {
    result.map_or_else(Answer::Failed, |ok| Answer::Done { ok })
}

/// What an operation is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Argument {
    pub(crate) to: Option<OneOrMany>,
    pub(crate) except: Option<OneOrMany>,
    pub(crate) rooms: Option<OneOrMany>,
    local: bool,
    pub(crate) volatile: bool,
    #[serde(rename = "self")]
    includes_caller: Option<bool>,
    pub(crate) event: String,
    pub(crate) args: Vec<Value>,
    timeout: Option<u64>,
    pub(crate) close: bool,
}

/// One room, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(Room),
    Many(Vec<Room>),
}

/// The rooms, whether one was named or a list.
pub(crate) fn rooms(rooms: Option<OneOrMany>) -> Vec<Room> {
    match rooms {
        None => Vec::new(),
        Some(OneOrMany::One(room)) => vec![room],
        Some(OneOrMany::Many(rooms)) => rooms,
    }
}

impl Argument {
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.unwrap_or(DEFAULT_TIMEOUT_MS))
    }

    /// Whom the operation is for.
    fn operator(&mut self, socket: &Socket) -> BroadcastOperator {
        let mut operator = match self.includes_caller {
            Some(false) => socket.broadcast(),
            None | Some(true) => socket.server().all(),
        };
        for room in rooms(self.to.take()) {
            operator = operator.to(room);
        }
        for room in rooms(self.except.take()) {
            operator = operator.except(room);
        }
        if self.local {
            operator = operator.local();
        }
        if self.volatile {
            operator = operator.volatile();
        }
        operator.timeout(self.timeout())
    }
}

/// Does what the arguments of `op` say: a name, and mostly an argument.
pub(super) async fn perform(
    received: &Received,
    socket: &Socket,
    args: &Args,
) -> Result<Value, Failed> {
    let name: String = args
        .get(0)
        .map_err(|error| Failed::because(error.to_string()))?;
    if name == "set-data" {
        let data: Value = args.get(1).unwrap_or_default();
        return socket
            .set_data(&data)
            .map(|()| Value::Null)
            .map_err(|error| Failed::because(error.to_string()));
    }
    let argument: Option<Argument> = args
        .get(1)
        .map_err(|error| Failed::because(error.to_string()))?;
    let argument = argument.unwrap_or_default();
    match name.as_str() {
        "join" | "leave" | "rooms" => {
            let value = own_rooms(socket, &name, argument);
            if name == "join" {
                // Done means that the other nodes reach the room too, if there is a cluster.
                let emitter = socket.server();
                let _ = tokio::time::timeout(JOIN_TIMEOUT, emitter.flush()).await;
            }
            Ok(value)
        }
        "emit" | "sockets-join" | "sockets-leave" | "disconnect-sockets" => {
            tell(socket, &name, argument)?;
            Ok(Value::Null)
        }
        "emit-with-ack" => ask_clients(socket, argument).await,
        "fetch-sockets" => fetch_sockets(socket, argument).await,
        "all-rooms" | "server-count" | "server-side-emit" | "server-side-emit-with-ack" => {
            nodes(socket, &name, argument).await
        }
        "received" => Ok(received.of(socket.namespace())),
        _ => Err(Failed::because(format!("no such operation: {name}"))),
    }
}

fn own_rooms(socket: &Socket, name: &str, argument: Argument) -> Value {
    match name {
        "join" => rooms(argument.rooms)
            .into_iter()
            .for_each(|room| socket.join(room)),
        "leave" => rooms(argument.rooms)
            .into_iter()
            .for_each(|room| socket.leave(room)),
        _ => return sorted(socket.rooms()),
    }
    Value::Null
}

fn tell(socket: &Socket, name: &str, mut argument: Argument) -> Result<(), EmitError> {
    let operator = argument.operator(socket);
    match name {
        "emit" => operator.emit(&argument.event, &Args::from_values(argument.args)),
        "sockets-join" => operator.sockets_join(rooms(argument.rooms)),
        "sockets-leave" => operator.sockets_leave(rooms(argument.rooms)),
        _ => operator.disconnect_sockets(argument.close),
    }
}

async fn ask_clients(socket: &Socket, mut argument: Argument) -> Result<Value, Failed> {
    let operator = argument.operator(socket);
    let args = Args::from_values(argument.args);
    match operator.emit_with_ack(&argument.event, &args).await {
        Ok(responses) => Ok(firsts(&responses)),
        Err(AckError::Timeout { responses }) => Err(Failed {
            responses: Some(firsts(&responses)),
            ..Failed::because("operation has timed out")
        }),
        Err(error) => Err(Failed::because(error.to_string())),
    }
}

async fn fetch_sockets(socket: &Socket, mut argument: Argument) -> Result<Value, Failed> {
    let mut fetched = argument.operator(socket).fetch_sockets().await?;
    fetched.items.sort_by_key(RemoteSocket::id);
    let described = Value::Array(fetched.items.iter().map(describe).collect());
    complete(&fetched, described)
}

async fn nodes(socket: &Socket, name: &str, argument: Argument) -> Result<Value, Failed> {
    let emitter = socket.server();
    match name {
        "all-rooms" => {
            let all = emitter.all_rooms().await?;
            complete(&all, sorted(all.items.clone()))
        }
        "server-count" => {
            let count = emitter.server_count().await?;
            Ok(Value::from(i64::try_from(count).unwrap_or(i64::MAX)))
        }
        "server-side-emit" => {
            emitter.server_side_emit(&argument.event, &Args::from_values(argument.args))?;
            Ok(Value::Null)
        }
        _ => {
            let timeout = argument.timeout();
            let args = Args::from_values(argument.args);
            let answers = emitter
                .server_side_emit_with_ack(&argument.event, &args, timeout)
                .await?;
            complete(&answers, firsts(&answers.items))
        }
    }
}

/// The value, unless nodes are missing.
fn complete<T>(answers: &Answers<T>, value: Value) -> Result<Value, Failed> {
    if answers.is_complete() {
        return Ok(value);
    }
    Err(Failed {
        error: format!(
            "timeout reached: {} nodes did not answer",
            answers.missing_nodes
        ),
        responses: Some(value),
        missing: Some(answers.missing_nodes),
    })
}

fn describe(socket: &RemoteSocket) -> Value {
    let address = socket.handshake().get("address").cloned();
    let fields = [
        ("id", Value::from(socket.id().as_str())),
        ("rooms", sorted(socket.rooms().to_vec())),
        ("data", socket.data().unwrap_or_default()),
        ("address", address.unwrap_or_default()),
    ];
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn firsts(responses: &[Args]) -> Value {
    let first = |args: &Args| args.get(0).unwrap_or_default();
    Value::Array(responses.iter().map(first).collect())
}

/// By their names, as JavaScript sorts.
fn sorted(mut rooms: Vec<Room>) -> Value {
    rooms.sort_by_key(ToString::to_string);
    let value = |room| match room {
        Room::Text(text) => Value::from(&*text),
        Room::Number(number) => Value::from(number),
    };
    Value::Array(rooms.into_iter().map(value).collect())
}
