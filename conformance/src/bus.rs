//! How a server reaches the other nodes of its cluster.

use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use portcullis::adapter::{Adapter, InMemory};
use portcullis::socketio::value::Value;
use portcullis_redis::{AtStart, Mode, Parser, ParserError, Redis};

/// How deep a message of the application's own codec may nest.
const MAX_DEPTH: usize = 72;

/// The options of every clustered server.
#[derive(Debug, Args)]
pub(crate) struct Bus {
    /// The Redis that joins the nodes; without it, the cluster has one.
    #[arg(long)]
    redis: Option<String>,
    /// What the names of all channels start with.
    #[arg(long, default_value = "socket.io")]
    key: String,
    /// Which of Node's formats is spoken.
    #[arg(long, value_enum, default_value = "classic")]
    mode: ModeName,
    /// Answers go to the asking node alone, not to all.
    #[arg(long)]
    specific_response: bool,
    /// The codec of broadcasts and acks on the classic wire.
    #[arg(long, value_enum, default_value = "msgpack")]
    parser: ParserName,
    /// Serves alone while there is no Redis, instead of giving up after 10 s.
    #[arg(long)]
    degrade: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    Classic,
    ShardedDynamic,
    ShardedDynamicPrivate,
    ShardedStatic,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Classic => Self::Classic,
            ModeName::ShardedDynamic => Self::ShardedDynamic,
            ModeName::ShardedDynamicPrivate => Self::ShardedDynamicPrivate,
            ModeName::ShardedStatic => Self::ShardedStatic,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ParserName {
    Msgpack,
    Json,
}

/// A codec of the application's own: text, as `JSON.stringify` and `JSON.parse` would be in Node.
#[derive(Debug)]
struct Json;

impl Parser for Json {
    fn encode(&self, value: &Value) -> Vec<u8> {
        // A value has no keys but text, so that nothing in it can fail.
        serde_json::to_vec(value).unwrap_or_default()
    }

    fn decode(&self, bytes: &Bytes) -> Result<Value, ParserError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ParserError::new())?;
        Value::from_json(text, MAX_DEPTH).map_err(|_| ParserError::new())
    }
}

impl Bus {
    /// The cluster that the options describe, if they do.
    pub(crate) fn redis(&self) -> Option<Redis> {
        let url = self.redis.as_ref()?;
        let redis = Redis::new(url)
            .prefix(&self.key)
            .mode(self.mode.into())
            .specific_response(self.specific_response);
        let redis = match self.parser {
            ParserName::Msgpack => redis,
            ParserName::Json => redis.parser(Json),
        };
        Some(if self.degrade {
            redis.at_start(AtStart::Degrade)
        } else {
            redis
        })
    }

    /// The adapter that the options describe.
    pub(crate) fn adapter(&self) -> Arc<dyn Adapter> {
        match self.redis() {
            Some(redis) => Arc::new(redis),
            None => Arc::new(InMemory::default()),
        }
    }
}
