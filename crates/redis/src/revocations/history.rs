//! Which version of the set is applied on this node, and how it came there.
//!
//! ```text
//!  restart(a)   a                       the set is read
//!  advance(a→b) a ─▶ b                  a message: what made b of a is applied
//!  advance(c→d) a ─▶ b      (c ─▶ d)    one too early is kept until the one before it comes
//!  advance(b→c) a ─▶ b ─▶ c ─▶ d
//! ```
//!
//! # Invariants
//!
//! - A version is reached only by reading the set, or by a change of a version that was reached.
//! - Bounded, whatever arrives.

use std::collections::VecDeque;

/// The name of one state of the set: random, so that two histories never share one. Empty before
/// anything was kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Version(Box<str>);

impl Version {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(crate::identity::sharded_id().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// One change of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: Version,
    pub(crate) to: Version,
}

/// So many changes are remembered: those that came too early, and those that were made.
const REMEMBERED: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The last versions that were reached; the known one is the last. Empty if none is known.
    reached: VecDeque<Version>,
    /// How many were forgotten at the front.
    forgotten: u64,
    /// Changes of versions that were not reached yet.
    early: VecDeque<Change>,
}

impl History {
    /// The set is being read, and was `version` when that began.
    pub(super) fn restart(&mut self, version: Version) {
        self.forget();
        self.reach(version);
        self.follow();
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.forgotten += self.reached.len() as u64;
        self.reached.clear();
    }

    /// What made up `change` is applied.
    pub(super) fn advance(&mut self, change: Change) {
        if self.early.len() == REMEMBERED {
            self.early.pop_front();
        }
        self.early.push_back(change);
        self.follow();
    }

    fn follow(&mut self) {
        while let Some(known) = self.reached.back()
            && let Some(at) = self.early.iter().position(|change| change.from == *known)
            && let Some(change) = self.early.remove(at)
        {
            self.reach(change.to);
        }
    }

    fn reach(&mut self, version: Version) {
        if self.reached.len() == REMEMBERED {
            self.reached.pop_front();
            self.forgotten += 1;
        }
        self.reached.push_back(version);
    }

    /// Where in its history the node is, for [`Self::has_reached`].
    pub(super) fn position(&self) -> u64 {
        self.forgotten + (self.reached.len() as u64).saturating_sub(1)
    }

    /// Whether `version` was the known one at `position`, or became it later.
    pub(super) fn has_reached(&self, version: &Version, position: u64) -> bool {
        let positions = self.forgotten..;
        let mut reached = positions.zip(&self.reached);
        reached.any(|(at, known)| at >= position && known == version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: &str, to: &str) -> Change {
        Change {
            from: from.into(),
            to: to.into(),
        }
    }

    fn known(history: &History) -> Option<&str> {
        history.reached.back().map(Version::as_str)
    }

    #[test]
    fn changes_lead_on_in_whatever_order_they_arrive() {
        let mut history = History::default();
        history.advance(change("b", "c"));
        assert_eq!(known(&history), None);
        history.restart("a".into());
        assert_eq!(known(&history), Some("a"));
        history.advance(change("c", "d"));
        history.advance(change("a", "b"));
        assert_eq!(known(&history), Some("d"));
    }

    #[test]
    fn a_change_of_another_history_leads_nowhere() {
        let mut history = History::default();
        history.restart("a".into());
        history.advance(change("x", "y"));
        assert_eq!(known(&history), Some("a"));
        history.forget();
        history.advance(change("a", "b"));
        assert_eq!(known(&history), None);
    }

    #[test]
    fn a_version_counts_from_when_it_was_asked_for() {
        let mut history = History::default();
        history.restart("a".into());
        history.advance(change("a", "b"));
        let position = history.position();
        history.advance(change("b", "c"));
        assert!(history.has_reached(&"b".into(), position));
        assert!(history.has_reached(&"c".into(), position));
        // It was passed before: whoever is at it now has lost what came after.
        assert!(!history.has_reached(&"a".into(), position));
        history.restart("a".into());
        assert!(history.has_reached(&"a".into(), history.position()));
    }

    #[test]
    fn a_flood_of_changes_is_bounded() {
        let mut history = History::default();
        history.restart("0".into());
        for number in 0..1000_u32 {
            history.advance(change(&number.to_string(), &(number + 1).to_string()));
            history.advance(change(&format!("x{number}"), "y"));
        }
        assert_eq!(known(&history), Some("1000"));
        assert!(history.reached.len() <= REMEMBERED && history.early.len() <= REMEMBERED);
        assert_eq!(history.position(), 1000);
    }
}
