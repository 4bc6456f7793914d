//! Events from other servers, handled in the order in which they came.
//!
//! ```text
//!  namespace ─▶ idle? ─▶ a task handles it, and what comes meanwhile, one after the other
//!       └───── busy ───▶ queue (1,024 events) ─▶ full: dropped and counted
//!
//!  an answer is wanted ─▶ handled at once, 1,024 of a namespace ─▶ more: dropped and counted
//! ```
//!
//! Those whose senders wait for an answer do not stand in line: a handler that hangs would take the
//! time of all of them. They may overtake those that came before, and each other.
//!
//! # Invariants
//!
//! - A namespace without events in flight has no queue, no task and no count.
//! - A handler that hangs holds up its own namespace until its timeout, and never the end of the
//!   server: these tasks are not waited for.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures_core::future::BoxFuture;
use hashbrown::HashMap;
use parking_lot::Mutex;
use portcullis_socketio::ids::NamespacePath;

use crate::tasks::Tasks;

/// So many events of one namespace may wait.
const MAX_WAITING: usize = 1024;

/// So many events of one namespace may be handled at the same time for those who want an answer.
const MAX_ASKED: usize = 1024;

type Waiting = HashMap<NamespacePath, VecDeque<BoxFuture<'static, ()>>, RandomState>;

/// The events from other servers that are handled or wait to be.
#[derive(Clone, Default)]
pub(crate) struct ServerSideLine(Arc<Lines>);

#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    /// How many are handled for those who want an answer.
    asked: Mutex<HashMap<NamespacePath, usize, RandomState>>,
}

/// The place of an event whose sender wants an answer, for as long as this is kept.
pub(super) struct Place {
    lines: Arc<Lines>,
    namespace: NamespacePath,
}

impl ServerSideLine {
    /// Handles an event behind those of its namespace that came before.
    pub(crate) fn push(
        &self,
        namespace: &NamespacePath,
        handling: BoxFuture<'static, ()>,
        tasks: &Tasks,
    ) {
        {
            let mut waiting = self.0.waiting.lock();
            if let Some(queue) = waiting.get_mut(namespace) {
                if queue.len() < MAX_WAITING {
                    queue.push_back(handling);
                } else {
                    metrics::counter!("portcullis_server_side_events_dropped_total").increment(1);
                }
                return;
            }
            waiting.insert(namespace.clone(), VecDeque::from([handling]));
        }
        tasks.spawn_service(self.clone().drain(namespace.clone()));
    }

    /// A place for an event whose sender wants an answer, if there is one.
    pub(super) fn place(&self, namespace: &NamespacePath) -> Option<Place> {
        let mut asked = self.0.asked.lock();
        let count = asked.entry(namespace.clone()).or_insert(0);
        if *count >= MAX_ASKED {
            metrics::counter!("portcullis_server_side_events_dropped_total").increment(1);
            return None;
        }
        *count += 1;
        Some(Place {
            lines: Arc::clone(&self.0),
            namespace: namespace.clone(),
        })
    }

    async fn drain(self, namespace: NamespacePath) {
        while let Some(next) = self.next(&namespace) {
            next.await;
        }
    }

    fn next(&self, namespace: &NamespacePath) -> Option<BoxFuture<'static, ()>> {
        let mut waiting = self.0.waiting.lock();
        let next = waiting.get_mut(namespace).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(namespace);
        }
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut asked = self.lines.asked.lock();
        let is_last = asked.get_mut(&self.namespace).is_some_and(|count| {
            *count -= 1;
            *count == 0
        });
        if is_last {
            asked.remove(&self.namespace);
        }
    }
}

impl std::fmt::Debug for ServerSideLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerSideLine({})", self.0.waiting.lock().len())
    }
}
