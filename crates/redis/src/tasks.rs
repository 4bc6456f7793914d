//! The tasks of one adapter, so that closing can wait for them.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one adapter; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopped: CancellationToken,
}

impl Tasks {
    /// Runs `task` until it ends or [`Self::stop`] is called.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        self.tracker.spawn(async move {
            stopped.run_until_cancelled_owned(task).await;
        });
    }

    /// Ends what runs, and waits for it.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        self.finished().await;
    }

    /// Ready when all tasks have ended.
    pub(crate) async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends what runs.
    pub(crate) fn abort(&self) {
        self.stopped.cancel();
    }
}
