//! A question to the other nodes, from the first count to the last answer.
//!
//! ```text
//!  count subscribers ─▶ publish the question ─▶ wait ─┬─ all have answered ─▶ complete
//!                                                     ├─ some are gone ─────▶ partial, at once
//!                                                     └─ time is up ────────▶ partial
//! ```
//!
//! Redis drops the subscriptions of a node that died, so counting again while answers are missing
//! tells a dead node from a slow one.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ask, Context, Member};
use crate::requests::{Gathered, Open};

/// How often subscribers are counted again while answers are missing.
const RECOUNT: Duration = Duration::from_millis(500);

/// What the other nodes answered.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) gathered: Gathered,
    /// How many nodes did not answer.
    pub(crate) missing_nodes: usize,
    /// Which, where the wire says so.
    pub(crate) missing: Vec<String>,
}

/// Asks, and waits at most `timeout`.
///
/// # Cancel safety
///
/// Dropping the future forgets the question; late answers find nobody.
pub(crate) async fn ask(
    context: &Context,
    member: &dyn Member,
    ask: &Ask,
    timeout: Duration,
) -> Asked {
    let deadline = Instant::now() + timeout;
    let open = member.requests().open(member.request_id(), ask.question());
    let Ok(count) = context.bus.count(member.count_channel()).await else {
        // Nobody knows how many there are; saying that all have answered would be a lie.
        return finish(&open, member, 1);
    };
    let expected = count.saturating_sub(1);
    if expected == 0 {
        return finish(&open, member, 0);
    }
    let Some(question) = member.question(&open.id, ask, timeout) else {
        return finish(&open, member, expected);
    };
    context.bus.publish(question);
    wait(context, member, &open, expected, deadline).await;
    finish(&open, member, expected)
}

async fn wait(
    context: &Context,
    member: &dyn Member,
    open: &Open,
    expected: usize,
    deadline: Instant,
) {
    let mut alive = expected;
    let mut recount_at = Instant::now() + RECOUNT;
    loop {
        let changed = open.pending.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if open.pending.gathered.lock().is_complete(alive) {
            return;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => return,
            () = tokio::time::sleep_until(recount_at) => {
                recount_at = Instant::now() + RECOUNT;
                let count = context.bus.count(member.count_channel());
                if let Ok(Ok(count)) = tokio::time::timeout_at(deadline, count).await {
                    // Who has come since was not asked.
                    alive = alive.min(count.saturating_sub(1));
                }
            }
        }
    }
}

fn finish(open: &Open, member: &dyn Member, expected: usize) -> Asked {
    let gathered = open.pending.gathered.lock().take_all();
    let mut missing_nodes = expected.saturating_sub(gathered.nodes);
    if missing_nodes == 0 && gathered.lacks_acks() {
        // Some node has sockets that have not answered.
        missing_nodes = 1;
    }
    let missing = match missing_nodes {
        0 => Vec::new(),
        count => member.missing(&gathered.senders, count),
    };
    Asked {
        gathered,
        missing_nodes,
        missing,
    }
}
