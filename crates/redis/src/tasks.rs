//! The tasks of one adapter, so that closing can wait for them.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one adapter; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopped: CancellationToken,
    /// Whoever emits need not be within the runtime.
    runtime: Handle,
}

impl Tasks {
    /// Tasks of the runtime that this is called in.
    pub(crate) fn current() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stopped: CancellationToken::new(),
            runtime: Handle::current(),
        }
    }

    /// Other tasks of the same runtime.
    pub(crate) fn others(&self) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stopped: CancellationToken::new(),
            runtime: self.runtime.clone(),
        }
    }

    /// Runs `task` until it ends or [`Self::stop`] is called.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        let task = async move {
            stopped.run_until_cancelled_owned(task).await;
        };
        self.tracker.spawn_on(task, &self.runtime);
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
