//! How a server reaches the other nodes of its cluster.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use portcullis::adapter::{Adapter, InMemory};

use crate::Failure;

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
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    Classic,
    ShardedDynamic,
    ShardedDynamicPrivate,
    ShardedStatic,
}

impl Bus {
    /// The adapter that the options describe.
    pub(crate) fn adapter(&self) -> Result<Arc<dyn Adapter>, Failure> {
        let Some(url) = &self.redis else {
            return Ok(Arc::new(InMemory::default()));
        };
        Err(format!(
            "no redis yet: {url} {} {:?} {}",
            self.key, self.mode, self.specific_response
        )
        .into())
    }
}
