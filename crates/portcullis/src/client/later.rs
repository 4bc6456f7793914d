//! How often one connection may show other credentials than before.
//!
//! ```text
//!  other credentials ─▶ their turn ─▶ within the pace? ─▶ verified ─▶ the same subject? ─▶ in
//!                       one a time          │ no                          │ no
//!                                           └──────────▶ 403 ◀────────────┘
//!                                                         │ for the fourth time
//!                                                         └─▶ the connection is closed
//! ```
//!
//! # Invariants
//!
//! - One verification is under way at a time: behind it, the next request may show what is known.
//! - Whoever has been refused too often is refused without a look.
//!
//! # Not here
//!
//! Which requests need a look (`bond`), and the look itself (`gate`).

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{CONNECTS, MAX_REFUSALS};
use crate::auth::Print;
use crate::pace::Bucket;

/// What one connection has spent of its chances, and what came of them.
#[derive(Debug)]
pub(super) struct Later {
    turn: Semaphore,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    refusals: u8,
    pace: Bucket,
    /// The latest other credentials that turned out to be of the same subject.
    accepted: Option<Print>,
}

impl Default for Later {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            spent: Mutex::default(),
        }
    }
}

impl Later {
    /// Waits until no other request is being judged, and until what is returned is dropped no other
    /// is.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.acquire().await.ok()
    }

    /// Whether one more request may be judged. It costs what a CONNECT costs, and has its pace.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut spent = self.spent.lock();
        spent.refusals <= MAX_REFUSALS && spent.pace.take(CONNECTS, now).is_ok()
    }

    /// What was accepted last, and need not be judged again.
    pub(super) fn accepted(&self) -> Option<Print> {
        self.spent.lock().accepted
    }

    pub(super) fn accept(&self, print: Print) {
        self.spent.lock().accepted = Some(print);
    }

    /// The connection is nobody's any more: nothing is accepted unseen.
    pub(super) fn forget(&self) {
        self.spent.lock().accepted = None;
    }

    /// Counts a refusal; says whether with this one there are too many.
    pub(super) fn refuse(&self) -> bool {
        let mut spent = self.spent.lock();
        spent.refusals = spent.refusals.saturating_add(1);
        spent.refusals == MAX_REFUSALS + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_refused_too_often_is_not_judged_again() {
        let (later, now) = (Later::default(), Instant::now());
        let refusals = (0..6).map(|_| (later.take(now), later.refuse()));
        let (yes, no) = (true, false);
        let expected = [
            (yes, no),
            (yes, no),
            (yes, no),
            (yes, yes),
            (no, no),
            (no, no),
        ];
        assert_eq!(refusals.collect::<Vec<_>>(), expected);
    }
}
