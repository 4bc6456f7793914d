//! Messages for which no master of the cluster is known.
//!
//! # Invariants
//!
//! - What waits here is bounded and counted like what waits for a link, and lost like that too.

use std::sync::Arc;
use std::time::SystemTime;

use portcullis::adapter::{BusGap, GapCause};

use crate::connection::Receive;
use crate::connection::queue::{Lost, PublishQueue, QueueLimits};

/// What waits for a master to be known, or for another one.
pub(super) struct Homeless {
    pub(super) queue: PublishQueue,
    receive: Arc<dyn Receive>,
}

impl Homeless {
    pub(super) fn new(limits: QueueLimits, receive: Arc<dyn Receive>) -> Self {
        Self {
            queue: PublishQueue::new(limits),
            receive,
        }
    }

    /// What could not wait for a master is known in full once masters are.
    pub(super) fn report_dropped(&self) {
        if let Some(dropped) = self.queue.take_dropped() {
            self.report(GapCause::QueueFull, dropped);
        }
    }

    /// Nobody looks for masters any more: what waits is lost.
    pub(super) fn close(&self) {
        self.report_dropped();
        if let Some(lost) = Lost::of(&self.queue.take_all()) {
            let messages = lost.count;
            tracing::warn!(messages, "messages were not published before closing");
            metrics::counter!("portcullis_redis_publish_lost_total").increment(messages);
            self.report(GapCause::PublishFailed, lost);
        }
    }

    fn report(&self, cause: GapCause, lost: Lost) {
        let gap = BusGap::new(cause, lost.since, SystemTime::now(), Some(lost.count));
        self.receive.gap(gap);
    }
}
