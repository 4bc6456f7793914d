//! What happens to a connection when its token expires.
//!
//! ```text
//!        exp − before            exp                 exp + grace
//!  ──────────┼────────────────────┼──────────────────────┼────▶
//!      auth:expiring                  auth:refresh until here    auth:expired, the end
//! ```
//!
//! # Invariants
//!
//! - A date is turned into a moment of the runtime's clock once, when the identity is taken on. A
//!   wall clock that is set later neither frees nor ends anybody, except at [`HORIZON`]s.
//! - Every date is clamped: what lies beyond the horizon is looked at again there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What happens to a connection when its token expires.
///
/// In each case a client may send `auth:refresh` with a fresh token of the same issuer and subject,
/// and goes on with that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// It ends this long after `exp`. The default, with [`Expiry::GRACE`].
    Disconnect {
        /// How long a refresh may still come.
        grace: Duration,
    },
    /// The client hears `auth:expiring` this long before `exp`, and the connection ends
    /// [`Expiry::GRACE`] after `exp` if it has not refreshed by then.
    Notify {
        /// How long before.
        before: Duration,
    },
    /// Nothing: who was admitted once stays until it leaves.
    Ignore,
}

impl Expiry {
    /// How long after `exp` a connection ends where nothing else is said: as long as a token is
    /// accepted after `exp` for the difference between clocks.
    pub const GRACE: Duration = Duration::from_secs(5);

    /// The longest `grace` and the longest `before` that can be configured.
    pub const MAX: Duration = Duration::from_secs(24 * 3600);
}

impl Default for Expiry {
    fn default() -> Self {
        Self::Disconnect { grace: Self::GRACE }
    }
}

/// How the end of an expired connection looks to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExpiryEnding {
    /// The transport closes: the client reports `transport close`, comes back by itself, and asks
    /// its `auth` function for a token. With the old token it is refused with `TOKEN_EXPIRED`, and
    /// stays away.
    #[default]
    CloseTransport,
    /// A DISCONNECT packet, then the transport closes: the client reports `io server disconnect`,
    /// and stays away until the application calls `connect()`.
    Disconnect,
}

/// Beyond this a moment is looked at again instead of waited for.
const HORIZON: Duration = Duration::from_secs(24 * 3600);

/// The two options together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpiryPlan {
    pub(crate) expiry: Expiry,
    pub(crate) ending: ExpiryEnding,
}

/// When to warn and when to end, on the runtime's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    warn_at: Option<Moment>,
    end_at: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    at: Instant,
    /// It lies beyond the horizon: there, the dates are compared again.
    is_horizon: bool,
}

/// What has fallen due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Warning,
    End,
}

impl ExpiryPlan {
    pub(crate) fn schedule(
        &self,
        expires_at: Option<u64>,
        wall: SystemTime,
        now: Instant,
    ) -> Schedule {
        let Some(expires_at) = expires_at else {
            return Schedule::default();
        };
        let expires_at = Duration::from_secs(expires_at);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let moment = |date: Duration| {
            let wait = date.saturating_sub(wall);
            let at = now.checked_add(wait.min(HORIZON))?;
            let is_horizon = wait > HORIZON;
            Some(Moment { at, is_horizon })
        };
        match self.expiry {
            Expiry::Ignore => Schedule::default(),
            Expiry::Disconnect { grace } => Schedule {
                warn_at: None,
                end_at: moment(expires_at.saturating_add(grace)),
            },
            Expiry::Notify { before } => Schedule {
                warn_at: moment(expires_at.saturating_sub(before)),
                end_at: moment(expires_at.saturating_add(Expiry::GRACE)),
            },
        }
    }
}

impl Schedule {
    pub(crate) fn next(&self) -> Option<Instant> {
        let moments = [self.warn_at, self.end_at];
        moments.into_iter().flatten().map(|moment| moment.at).min()
    }

    pub(crate) fn due(
        &mut self,
        plan: &ExpiryPlan,
        expires_at: Option<u64>,
        wall: SystemTime,
        now: Instant,
    ) -> Due {
        let has_come = |moment: &Moment| moment.at <= now;
        let reached = [self.warn_at, self.end_at];
        let at_horizon = |moment: &Moment| has_come(moment) && moment.is_horizon;
        if reached.iter().flatten().any(at_horizon) {
            let had_warned = self.warn_at.is_none();
            *self = plan.schedule(expires_at, wall, now);
            if had_warned {
                self.warn_at = None;
            }
        }
        if self.end_at.as_ref().is_some_and(has_come) {
            return Due::End;
        }
        if self.warn_at.as_ref().is_some_and(has_come) {
            self.warn_at = None;
            return Due::Warning;
        }
        Due::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXP: u64 = 2_000_000_000;

    fn plan(expiry: Expiry) -> ExpiryPlan {
        ExpiryPlan {
            expiry,
            ..ExpiryPlan::default()
        }
    }

    fn wall(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_ends_when_its_grace_is_over_and_not_before() {
        let start = Instant::now();
        let plan = plan(Expiry::Disconnect { grace: seconds(5) });
        let mut schedule = plan.schedule(Some(EXP), wall(EXP - 60), start);
        let mut at = |after| schedule.due(&plan, Some(EXP), wall(EXP - 60), start + seconds(after));
        assert_eq!(at(64), Due::Nothing);
        assert_eq!(at(65), Due::End);
        assert_eq!(schedule.next(), Some(start + seconds(65)));
    }

    #[test]
    fn a_warning_falls_due_once_and_the_end_after_it() {
        let start = Instant::now();
        let plan = plan(Expiry::Notify {
            before: seconds(20),
        });
        let mut schedule = plan.schedule(Some(EXP), wall(EXP - 60), start);
        let mut at = |after| schedule.due(&plan, Some(EXP), wall(EXP - 60), start + seconds(after));
        assert_eq!(at(39), Due::Nothing);
        assert_eq!(at(40), Due::Warning);
        assert_eq!(at(41), Due::Nothing);
        assert_eq!(at(65), Due::End);
    }

    #[test]
    fn no_date_makes_a_clock_overflow() {
        let now = Instant::now();
        for expiry in [
            Expiry::Disconnect {
                grace: Duration::MAX,
            },
            Expiry::Notify {
                before: Duration::MAX,
            },
        ] {
            let plan = plan(expiry);
            for expires_at in [0, 1, EXP, u64::MAX] {
                for wall in [UNIX_EPOCH, wall(EXP)] {
                    let mut schedule = plan.schedule(Some(expires_at), wall, now);
                    schedule.due(&plan, Some(expires_at), wall, now);
                }
            }
        }
    }

    #[test]
    fn what_is_too_far_away_is_looked_at_again_at_the_horizon() {
        let start = Instant::now();
        let plan = plan(Expiry::Disconnect { grace: seconds(0) });
        let far = EXP + 3 * HORIZON.as_secs();
        let mut schedule = plan.schedule(Some(far), wall(EXP), start);
        assert_eq!(schedule.next(), Some(start + HORIZON));
        let due = schedule.due(
            &plan,
            Some(far),
            wall(EXP + HORIZON.as_secs()),
            start + HORIZON,
        );
        assert_eq!(due, Due::Nothing);
        assert_eq!(schedule.next(), Some(start + 2 * HORIZON));
        // The wall clock was set forward meanwhile.
        let due = schedule.due(&plan, Some(far), wall(far), start + 2 * HORIZON);
        assert_eq!(due, Due::End);
    }

    #[test]
    fn an_ignored_expiry_never_falls_due_nor_does_one_without_a_date() {
        let now = Instant::now();
        let ignored = plan(Expiry::Ignore).schedule(Some(EXP), wall(EXP + 100), now);
        assert_eq!(ignored.next(), None);
        let undated = plan(Expiry::default()).schedule(None, wall(EXP), now);
        assert_eq!(undated.next(), None);
    }
}
