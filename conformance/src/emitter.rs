//! An emitter outside of the cluster: does what each line of its standard input says.
//!
//! ```text
//!  ["emit", {"to": "room", "event": "news", "args": [1]}]  ─▶ published ─▶  {"ok": null}
//! ```
//!
//! The names and arguments are those of `conformance cluster`, as far as an emitter can do them. A
//! map `{"$base64": "…"}` stands for bytes. It ends with its input.

use std::io::Write as _;

use clap::Args;
use portcullis::socketio::args::Args as EventArgs;
use portcullis::socketio::value::Value;
use portcullis_redis::{RedisEmitError, RedisEmitter, RedisOperator};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::Failure;
use crate::bus::Bus;
use crate::cluster::operations::{Answer, Argument, Failed, answer, rooms};

/// How deep the arguments of an event may nest.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bus: Bus,
    /// Whose sockets are reached.
    #[arg(long, default_value = "/")]
    namespace: String,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let redis = options.bus.redis().ok_or("an emitter needs --redis")?;
    let emitter = RedisEmitter::connect(redis).await?;
    let namespace = emitter.of(&options.namespace)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let result = perform(&namespace, &line).await;
        tell(&answer(result.map(|()| Value::Null)))?;
    }
    emitter.close().await;
    Ok(())
}

fn tell(answer: &Answer) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

async fn perform(emitter: &RedisEmitter, line: &str) -> Result<(), Failed> {
    let said = Value::from_json(line, MAX_DEPTH).map_err(|error| because(&error))?;
    let (name, argument): (String, Argument) =
        with_bytes(said).to().map_err(|error| because(&error))?;
    published(emitter, &name, argument)
        .await
        .map_err(|error| because(&error))
}

async fn published(
    emitter: &RedisEmitter,
    name: &str,
    mut argument: Argument,
) -> Result<(), RedisEmitError> {
    let operator = operator(emitter, &mut argument);
    let args = EventArgs::from_values(argument.args);
    match name {
        "emit" => operator.emit(&argument.event, &args).await,
        "sockets-join" => operator.sockets_join(rooms(argument.rooms)).await,
        "sockets-leave" => operator.sockets_leave(rooms(argument.rooms)).await,
        "disconnect-sockets" => operator.disconnect_sockets(argument.close).await,
        _ => emitter.server_side_emit(&argument.event, &args).await,
    }
}

fn operator(emitter: &RedisEmitter, argument: &mut Argument) -> RedisOperator {
    let mut operator = emitter.all();
    for room in rooms(argument.to.take()) {
        operator = operator.to(room);
    }
    for room in rooms(argument.except.take()) {
        operator = operator.except(room);
    }
    if argument.volatile {
        operator = operator.volatile();
    }
    operator
}

fn because(error: &dyn std::error::Error) -> Failed {
    Failed::because(error.to_string())
}

/// The value with bytes where JSON has none.
fn with_bytes(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(with_bytes).collect()),
        Value::Map(entries) => match &entries[..] {
            [(key, Value::String(text))] if key == "$base64" => bytes_of(text),
            _ => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, with_bytes(value)))
                    .collect(),
            ),
        },
        other => other,
    }
}

/// What is not base64 is no bytes.
fn bytes_of(text: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    Value::Bytes(bytes.unwrap_or_default().into())
}
