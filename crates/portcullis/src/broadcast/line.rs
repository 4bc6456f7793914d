//! Events from other servers, handled in the order in which they came.
//!
//! ```text
//!  namespace ─▶ idle? ─▶ a task handles it, and what comes meanwhile, one after the other
//!       └───── busy ───▶ queue (1,024 events) ─▶ full: dropped and counted
//! ```
//!
//! # Invariants
//!
//! - A namespace without events in flight has no queue and no task.
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

type Waiting = HashMap<NamespacePath, VecDeque<BoxFuture<'static, ()>>, RandomState>;

/// The events from other servers that are handled or wait to be.
#[derive(Clone, Default)]
pub(crate) struct ServerSideLine(Arc<Mutex<Waiting>>);

impl ServerSideLine {
    /// Handles an event behind those of its namespace that came before.
    pub(crate) fn push(
        &self,
        namespace: &NamespacePath,
        handling: BoxFuture<'static, ()>,
        tasks: &Tasks,
    ) {
        {
            let mut waiting = self.0.lock();
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

    async fn drain(self, namespace: NamespacePath) {
        while let Some(next) = self.next(&namespace) {
            next.await;
        }
    }

    fn next(&self, namespace: &NamespacePath) -> Option<BoxFuture<'static, ()>> {
        let mut waiting = self.0.lock();
        let next = waiting.get_mut(namespace).and_then(VecDeque::pop_front);
        if next.is_none() {
            waiting.remove(namespace);
        }
        next
    }
}

impl std::fmt::Debug for ServerSideLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerSideLine({})", self.0.lock().len())
    }
}
