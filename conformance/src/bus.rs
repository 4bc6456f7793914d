//! How a server reaches the other nodes of its cluster.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use portcullis::adapter::{Adapter, InMemory};
use portcullis_redis::{AtStart, Mode, Redis};

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

impl Bus {
    /// The cluster that the options describe, if they do.
    pub(crate) fn redis(&self) -> Option<Redis> {
        let url = self.redis.as_ref()?;
        let redis = Redis::new(url)
            .prefix(&self.key)
            .mode(self.mode.into())
            .specific_response(self.specific_response);
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
