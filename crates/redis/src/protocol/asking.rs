//! A question to the other nodes, from the first count to the last answer.
//!
//! ```text
//!  publish the question ─┬▶ wait ─┬─ all have answered ─▶ complete
//!  count subscribers ────┘        ├─ some are gone ─────▶ partial, at once
//!                                 └─ time is up ────────▶ partial
//! ```
//!
//! Redis drops the subscriptions of a node that died, so counting again while answers are missing
//! tells a dead node from a slow one. Where the wire has names, the channel of each node tells
//! which of those that have answered died since.
//!
//! A node hears answers in the namespaces that it serves. It enters no other to hear them: it would
//! be counted there, and whoever asks meanwhile would wait for what it cannot answer. So it asks
//! there without hearing, and all who serve the namespace are missing, as soon as they are counted.
//!
//! # Invariants
//!
//! - A question that does something, such as an event that wants acks, waits in the queue like
//!   everything else, in order, whether anybody can be counted or not. One that only wants to know
//!   is not asked when nobody is there, or when nobody knows how many are.
//! - Nothing takes longer than the timeout.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ask, Context, Member};
use crate::requests::{Gathered, Open};

/// The longest that answers are waited for: what a timer of Node's can hold, and any clock can add.
const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX.unsigned_abs() as u64);

/// How often subscribers are counted again while answers are missing.
const RECOUNT: Duration = Duration::from_millis(500);

/// The most nodes of which it is looked up whether they live, each time.
const MAX_NAMED: usize = 64;

/// What the other nodes answered.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) gathered: Gathered,
    /// How many nodes did not answer.
    pub(crate) missing_nodes: usize,
    /// Which, where the wire says so.
    pub(crate) missing: Vec<String>,
}

/// Asks, and waits at most `timeout`, and never longer than 24 days.
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
    let timeout = timeout.min(MAX_TIMEOUT);
    let deadline = Instant::now() + timeout;
    let open = member.requests().open(member.request_id(), ask.question());
    let question = member.question(&open.id, ask, timeout);
    let Some(question) = question else {
        let expected = count(context, member, deadline).await;
        return finish(&open, member, expected.unwrap_or(1));
    };
    let later = if ask.does_something() {
        context.bus.publish(question);
        None
    } else {
        Some(question)
    };
    let counted = count(context, member, deadline).await;
    if let Some(question) = later {
        match counted {
            Some(0) => return finish(&open, member, 0),
            Some(_) => context.bus.publish(question),
            // Saying that all have answered would be a lie.
            None => return finish(&open, member, 1),
        }
    }
    let expected = wait(context, member, &open, counted, deadline).await;
    finish(&open, member, expected)
}

/// Asks in a namespace that this node does not serve: what does something is done there, and all
/// who serve it are missing.
///
/// # Cancel safety
///
/// Once polled, what does something is on its way.
pub(crate) async fn ask_unheard(
    context: &Context,
    member: &dyn Member,
    ask: &Ask,
    timeout: Duration,
) -> Asked {
    let timeout = timeout.min(MAX_TIMEOUT);
    let deadline = Instant::now() + timeout;
    let open = member.requests().open(member.request_id(), ask.question());
    if ask.does_something()
        && let Some(question) = member.question(&open.id, ask, timeout)
    {
        context.bus.publish(question);
    }
    let counting = count_unheard(context, member);
    let counted = tokio::time::timeout_at(deadline, counting).await;
    // Saying that there is nobody would be a lie.
    finish(&open, member, counted.ok().flatten().unwrap_or(1))
}

/// How many nodes serve a namespace that this one does not, if that is known.
pub(crate) async fn count_unheard(context: &Context, member: &dyn Member) -> Option<usize> {
    let counted = context.bus.count_unheard(member.count_channel());
    counted.await.ok()
}

/// How many other nodes there are, if that is known in time.
async fn count(context: &Context, member: &dyn Member, deadline: Instant) -> Option<usize> {
    let others = context.bus.count_others(member.count_channel());
    let others = tokio::time::timeout_at(deadline, others).await;
    others.ok()?.ok()
}

/// Waits for the answers of so many nodes; says how many there should have been.
async fn wait(
    context: &Context,
    member: &dyn Member,
    open: &Open,
    expected: Option<usize>,
    deadline: Instant,
) -> usize {
    let mut nodes = Nodes {
        expected,
        alive: expected,
    };
    let recounting = nodes.recount(context, member, open, deadline);
    tokio::pin!(recounting);
    loop {
        let changed = open.pending.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let is_complete = |nodes| open.pending.gathered.lock().is_complete(nodes);
        if nodes.alive.is_some_and(is_complete) {
            break;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => break,
            // That may take time, in which the last answer may come.
            recounted = &mut recounting => {
                nodes = recounted;
                recounting.set(nodes.recount(context, member, open, deadline));
            }
        }
    }
    // Nobody knows how many there are: at least one more than have answered.
    let answered = || open.pending.gathered.lock().nodes + 1;
    nodes.expected.unwrap_or_else(answered)
}

/// How many other nodes there are, as far as that is known.
#[derive(Clone, Copy)]
struct Nodes {
    /// That should answer.
    expected: Option<usize>,
    /// That can still answer.
    alive: Option<usize>,
}

impl Nodes {
    /// Counts them a little later.
    async fn recount(
        mut self,
        context: &Context,
        member: &dyn Member,
        open: &Open,
        deadline: Instant,
    ) -> Self {
        tokio::time::sleep(RECOUNT).await;
        if let Some(count) = count(context, member, deadline).await {
            // Who has come since was not asked.
            self.alive = Some(self.alive.map_or(count, |alive| alive.min(count)));
            self.expected = self.expected.or(self.alive);
        }
        let has_lost = self.alive < self.expected;
        lose_dead(context, member, open, has_lost, deadline).await;
        self
    }
}

/// Finds out which nodes have died since they answered, where they have names.
async fn lose_dead(
    context: &Context,
    member: &dyn Member,
    open: &Open,
    has_lost: bool,
    deadline: Instant,
) {
    let names = open.pending.gathered.lock().living(has_lost);
    let asked = names.into_iter().take(MAX_NAMED).filter_map(|name| {
        let channel = member.channel_of(&name)?;
        Some(async move { (name, context.bus.count(&channel).await) })
    });
    let counted = futures_util::future::join_all(asked);
    let counted = tokio::time::timeout_at(deadline, counted).await;
    for (name, count) in counted.unwrap_or_default() {
        if matches!(count, Ok(0)) {
            open.pending.gathered.lock().lose(&name);
        }
    }
}

fn finish(open: &Open, member: &dyn Member, expected: usize) -> Asked {
    let gathered = open.pending.gathered.lock().take_all();
    let silent = expected.saturating_sub(gathered.nodes);
    let missing_nodes = silent + gathered.debtors();
    let missing = match missing_nodes {
        0 => Vec::new(),
        count => member.missing(&gathered.finished(), count),
    };
    Asked {
        gathered,
        missing_nodes,
        missing,
    }
}
