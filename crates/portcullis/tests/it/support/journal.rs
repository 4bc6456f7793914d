//! What happened on the server, in order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::patiently;

/// Lines that handlers write and tests read; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Pages>);

#[derive(Debug, Default)]
struct Pages {
    lines: Mutex<Vec<String>>,
    written: Notify,
}

impl Journal {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lines.lock().push(line.into());
        self.0.written.notify_waiters();
    }

    /// Everything so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lines.lock().clone()
    }

    /// How often `line` is there.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.0
            .lines
            .lock()
            .iter()
            .filter(|have| *have == line)
            .count()
    }

    /// Waits until `line` is there.
    pub(crate) async fn wait_for(&self, line: &str) {
        self.wait_for_count(line, 1).await;
    }

    /// Waits until `line` is there so many times.
    pub(crate) async fn wait_for_count(&self, line: &str, count: usize) {
        patiently(async {
            loop {
                let written = self.0.written.notified();
                tokio::pin!(written);
                written.as_mut().enable();
                if self.count(line) >= count {
                    return;
                }
                written.await;
            }
        })
        .await;
    }
}
