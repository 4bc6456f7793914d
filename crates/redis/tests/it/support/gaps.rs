//! The gaps that a node was told of.

use std::sync::Arc;

use parking_lot::Mutex;
use portcullis::adapter::{BusGap, GapCause};
use portcullis_redis::Redis;

use super::{Node, builder, until};

/// The gaps that a node was told of; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaps(Arc<Mutex<Vec<BusGap>>>);

impl Gaps {
    /// What hears of them.
    pub(crate) fn listener(&self) -> impl Fn(BusGap) + Send + Sync + 'static {
        let told = self.clone();
        move |gap| told.0.lock().push(gap)
    }

    pub(crate) fn all(&self) -> Vec<BusGap> {
        self.0.lock().clone()
    }

    pub(crate) fn of(&self, cause: GapCause) -> Vec<BusGap> {
        let mut gaps = self.all();
        gaps.retain(|gap| gap.cause == cause);
        gaps
    }

    /// Waits until there is one.
    pub(crate) async fn wait_for(&self, cause: GapCause) -> BusGap {
        self.wait_for_count(cause, 1).await;
        self.of(cause)[0]
    }

    pub(crate) async fn wait_for_count(&self, cause: GapCause, count: usize) {
        until(async || self.of(cause).len() >= count).await;
    }
}

/// A node, and the gaps that it is told of.
pub(crate) async fn joined(redis: Redis) -> (Node, Gaps) {
    let gaps = Gaps::default();
    let builder = builder(|_| {}).cluster(redis).on_bus_gap(gaps.listener());
    (Node::serve(builder).await, gaps)
}
