//! Every task of a server, so that shutdown can wait for them.
//!
//! # Invariants
//!
//! - Nothing is spawned past this module: clippy bans `tokio::spawn`.
//! - Services end when the server stops, and are not waited for: what runs for ever, and what
//!   others chose the length of. Tasks are waited for.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one server; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopped: CancellationToken,
}

impl Tasks {
    /// Runs `task` to its end; [`Self::finished`] waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Runs `service` until [`Self::stop_services`].
    pub(crate) fn spawn_service(&self, service: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        // Not tracked: shutdown must not wait for it.
        drop(spawn_untracked(async move {
            stopped.run_until_cancelled_owned(service).await;
        }));
    }

    /// Ready when all tasks have ended.
    pub(crate) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) fn stop_services(&self) {
        self.stopped.cancel();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where services are spawned; they end with the server"
)]
fn spawn_untracked(
    service: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(service)
}
