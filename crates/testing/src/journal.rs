//! What happened on the server, in order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::wire::PATIENCE;

/// Lines that handlers write and tests read. Clones share them.
///
/// ```
/// use portcullis::{DisconnectReason, Server};
/// use portcullis_testing::{Journal, TestServer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let journal = Journal::default();
/// let notes = journal.clone();
/// let builder = Server::builder().namespace("/", |r| {
///     r.public().on_disconnect(move |reason: DisconnectReason| {
///         notes.note(reason.as_str());
///         std::future::ready(())
///     });
/// });
/// let server = TestServer::start(builder).await;
/// let client = server.connect("/").await;
/// client.disconnect().await;
/// journal.wait_for("client namespace disconnect").await;
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Pages>);

#[derive(Debug, Default)]
struct Pages {
    lines: Mutex<Vec<String>>,
    written: Notify,
}

impl Journal {
    /// Writes a line.
    pub fn note(&self, line: impl Into<String>) {
        self.0.lines.lock().push(line.into());
        self.0.written.notify_waiters();
    }

    /// Everything so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.lock().clone()
    }

    /// How often `line` is there.
    #[must_use]
    pub fn count(&self, line: &str) -> usize {
        let lines = self.0.lines.lock();
        lines.iter().filter(|have| *have == line).count()
    }

    /// Waits until `line` is there, at most [`PATIENCE`].
    pub async fn wait_for(&self, line: &str) {
        self.wait_for_count(line, 1).await;
    }

    /// Waits until `line` is there so many times, at most [`PATIENCE`].
    pub async fn wait_for_count(&self, line: &str, count: usize) {
        let waiting = async {
            loop {
                let written = self.0.written.notified();
                tokio::pin!(written);
                written.as_mut().enable();
                if self.count(line) >= count {
                    return;
                }
                written.await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let lines = self.lines();
            panic!("{line:?} was not noted {count} times in {PATIENCE:?}, but: {lines:#?}");
        }
    }
}
