//! The revocations that this node knows, found by what a token says of itself.
//!
//! ```text
//!  jti ─▶ tokens   ─┐
//!  sid ─▶ sessions ─┼─▶ entries, one per issuer ─▶ of this issuer or of any? issued before?
//!  sub ─▶ users    ─┘
//! ```
//!
//! # Invariants
//!
//! - Looking up allocates nothing.
//! - An entry is never replaced by a weaker one: of two for the same name the later date counts.
//! - What has expired revokes nothing, whether it was removed yet or not. It is removed some time
//!   later, or at once where there is no room: the clock may be ahead, and be set back.
//! - What has expired takes no room from what is in force.

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{FORGOTTEN_AFTER, Revocation, Revoked};

/// The most revocations that a node holds.
const MAX_ENTRIES: usize = 1_000_000;

/// A full set is searched for expired ones this often, in seconds.
const PRUNE_EVERY: u64 = 60;

/// What a token says of itself, as far as it can be revoked by that.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
    pub(crate) token_id: Option<&'a str>,
    pub(crate) session_id: Option<&'a str>,
    pub(crate) issued_at: Option<u64>,
}

type Names = HashMap<Box<str>, SmallVec<[Entry; 1]>, RandomState>;

/// See the module.
#[derive(Default)]
pub(super) struct Set {
    tokens: Names,
    sessions: Names,
    users: Names,
    len: usize,
    /// How many there were when the expired ones were last removed.
    pruned_at: usize,
    /// When all of them had to go for want of room, in seconds since 1970.
    emptied_on: u64,
}

/// What came of adding a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It revokes something that was not revoked before.
    Changed,
    /// It says nothing new.
    Known,
    /// There is no room for it.
    Full,
}

struct Entry {
    issuer: Option<Box<str>>,
    /// Tokens issued before this are revoked; of single tokens and sessions all are.
    before: u64,
    until: u64,
}

impl Set {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds a resolved revocation.
    pub(super) fn add(&mut self, revocation: &Revocation, now: u64) -> Added {
        let until = revocation.kept_until.unwrap_or(u64::MAX);
        if until < forgotten_until(now) {
            return Added::Known;
        }
        let before = match revocation.what {
            Revoked::User(_) => revocation.issued_before.unwrap_or(u64::MAX),
            Revoked::Token(_) | Revoked::Session(_) => u64::MAX,
        };
        if let Some(entry) = self.find(revocation) {
            let is_new = entry.until < now && until >= now;
            let changed = is_new || before > entry.before;
            entry.before = entry.before.max(before);
            entry.until = entry.until.max(until);
            return if changed {
                Added::Changed
            } else {
                Added::Known
            };
        }
        let is_expired = until < now;
        if is_expired && self.len >= MAX_ENTRIES / 2 {
            return Added::Known;
        }
        if !self.make_room(now) {
            return Added::Full;
        }
        let entry = Entry {
            issuer: revocation.issuer.as_deref().map(Box::from),
            before,
            until,
        };
        let (names, name) = self.names(revocation);
        names.entry(name.into()).or_default().push(entry);
        self.len += 1;
        if is_expired {
            Added::Known
        } else {
            Added::Changed
        }
    }

    fn names<'r>(&mut self, revocation: &'r Revocation) -> (&mut Names, &'r str) {
        match &revocation.what {
            Revoked::Token(id) => (&mut self.tokens, id),
            Revoked::Session(id) => (&mut self.sessions, id),
            Revoked::User(subject) => (&mut self.users, subject),
        }
    }

    fn find(&mut self, revocation: &Revocation) -> Option<&mut Entry> {
        let (names, name) = self.names(revocation);
        let mut entries = names.get_mut(name)?.iter_mut();
        entries.find(|entry| entry.issuer.as_deref() == revocation.issuer.as_deref())
    }

    /// Whether there is room for one more, if need be by removing what has expired.
    fn make_room(&mut self, now: u64) -> bool {
        let is_full = self.len >= MAX_ENTRIES;
        let is_due = now >= self.emptied_on.saturating_add(PRUNE_EVERY);
        if is_full && is_due {
            self.prune(now);
            self.emptied_on = now;
        } else if self.len > 2 * self.pruned_at + 1024 {
            self.prune(forgotten_until(now));
        }
        self.len < MAX_ENTRIES
    }

    /// Removes what had expired by `date`.
    fn prune(&mut self, date: u64) {
        let mut len = 0;
        for names in [&mut self.tokens, &mut self.sessions, &mut self.users] {
            names.retain(|_, entries| {
                entries.retain(|entry| entry.until >= date);
                len += entries.len();
                !entries.is_empty()
            });
        }
        self.len = len;
        self.pruned_at = len;
    }

    /// Whether any revocation is about a token that says this, and is in force.
    pub(super) fn contains(&self, facts: &Facts<'_>, now: u64) -> bool {
        // A token that does not say when it was issued may be older than anything.
        let issued_at = facts.issued_at.unwrap_or(0);
        let lookups = [
            (&self.tokens, facts.token_id),
            (&self.sessions, facts.session_id),
            (&self.users, facts.subject),
        ];
        lookups.into_iter().any(|(names, name)| {
            let entries = name.and_then(|name| names.get(name));
            entries.is_some_and(|entries| {
                entries.iter().any(|entry| {
                    let is_of_issuer =
                        entry.issuer.is_none() || entry.issuer.as_deref() == facts.issuer;
                    is_of_issuer && issued_at < entry.before && entry.until >= now
                })
            })
        })
    }

    /// Everything that has not expired.
    pub(super) fn held(&self, now: u64) -> Vec<Revocation> {
        let mut held = Vec::with_capacity(self.len);
        collect(&self.tokens, Revoked::Token, now, &mut held);
        collect(&self.sessions, Revoked::Session, now, &mut held);
        collect(&self.users, Revoked::User, now, &mut held);
        held
    }
}

/// What had expired by this date is forgotten by now.
const fn forgotten_until(now: u64) -> u64 {
    now.saturating_sub(FORGOTTEN_AFTER.as_secs())
}

fn collect(names: &Names, kind: fn(String) -> Revoked, now: u64, held: &mut Vec<Revocation>) {
    for (name, entries) in names {
        for entry in entries.iter().filter(|entry| entry.until >= now) {
            let what = kind(name.to_string());
            let before = matches!(what, Revoked::User(_)).then_some(entry.before);
            let issuer = entry.issuer.as_deref().map(str::to_owned);
            held.push(Revocation::stored(what, issuer, before, entry.until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn set(revocations: &[Revocation]) -> Set {
        let mut set = Set::default();
        for revocation in revocations {
            assert_ne!(set.add(revocation, NOW), Added::Full);
        }
        set
    }

    fn user(name: &str, issuer: Option<&str>, before: u64) -> Revocation {
        let what = Revoked::User(name.to_owned());
        Revocation::stored(what, issuer.map(str::to_owned), Some(before), NOW + 100)
    }

    fn token(id: &str, issuer: Option<&str>) -> Revocation {
        let what = Revoked::Token(id.to_owned());
        Revocation::stored(what, issuer.map(str::to_owned), None, NOW + 100)
    }

    #[test]
    fn a_users_tokens_are_revoked_up_to_a_date_and_those_without_a_date_are_too() {
        let set = set(&[user("alice", None, NOW)]);
        let alice = |issued_at| Facts {
            subject: Some("alice"),
            issued_at,
            ..Facts::default()
        };
        assert!(set.contains(&alice(Some(NOW - 1)), NOW));
        assert!(!set.contains(&alice(Some(NOW)), NOW));
        assert!(set.contains(&alice(None), NOW));
        let bob = Facts {
            subject: Some("bob"),
            ..alice(None)
        };
        assert!(!set.contains(&bob, NOW));
    }

    #[test]
    fn a_revocation_of_one_issuer_says_nothing_about_another() {
        let set = set(&[token("t", Some("a")), token("u", None)]);
        let of = |issuer, token_id| Facts {
            issuer,
            token_id: Some(token_id),
            ..Facts::default()
        };
        assert!(set.contains(&of(Some("a"), "t"), NOW));
        assert!(!set.contains(&of(Some("b"), "t"), NOW));
        assert!(!set.contains(&of(None, "t"), NOW));
        assert!(set.contains(&of(Some("b"), "u"), NOW));
        assert!(set.contains(&of(None, "u"), NOW));
    }

    #[test]
    fn the_names_of_tokens_sessions_and_users_are_kept_apart() {
        let set = set(&[token("x", None)]);
        let other = Facts {
            subject: Some("x"),
            session_id: Some("x"),
            ..Facts::default()
        };
        assert!(!set.contains(&other, NOW));
    }

    #[test]
    fn a_weaker_revocation_does_not_replace_a_stronger_one() {
        let set = set(&[user("alice", None, NOW), user("alice", None, NOW - 50)]);
        assert_eq!(set.len(), 1);
        let alice = Facts {
            subject: Some("alice"),
            issued_at: Some(NOW - 10),
            ..Facts::default()
        };
        assert!(set.contains(&alice, NOW));
    }

    #[test]
    fn what_has_expired_is_forgotten_when_there_are_many() {
        let mut set = Set::default();
        for number in 0..5000 {
            let added = set.add(&token(&number.to_string(), None), NOW);
            assert_eq!(added, Added::Changed);
        }
        let late = Revocation::stored(Revoked::Token("late".into()), None, None, NOW + 9000);
        assert_eq!(set.add(&late, NOW + 5000), Added::Changed);
        for number in 0..5000 {
            let revocation = Revocation::stored(
                Revoked::Token(format!("more {number}")),
                None,
                None,
                NOW + 9000,
            );
            assert_eq!(set.add(&revocation, NOW + 5000), Added::Changed);
        }
        assert!(set.len() < 7000, "{}", set.len());
        assert_eq!(set.held(NOW + 5000).len(), 5001);
    }

    #[test]
    fn a_clock_that_was_ahead_has_made_nothing_forgotten() {
        let hour = FORGOTTEN_AFTER.as_secs();
        let mut set = set(&[token("before", None)]);
        let ahead = NOW + hour;
        assert_eq!(set.add(&token("meanwhile", None), ahead), Added::Known);
        for number in 0..5000 {
            let what = Revoked::Token(number.to_string());
            let revocation = Revocation::stored(what, None, None, ahead + 100);
            set.add(&revocation, ahead);
        }
        let facts = |token_id| Facts {
            token_id: Some(token_id),
            ..Facts::default()
        };
        for id in ["before", "meanwhile"] {
            assert!(!set.contains(&facts(id), ahead), "{id}");
            assert!(set.contains(&facts(id), NOW), "{id}");
        }
    }

    #[test]
    fn what_is_held_makes_the_same_set_again() {
        let first = set(&[
            user("alice", Some("a"), 7),
            token("t", None),
            Revocation::stored(Revoked::Session("s".into()), None, None, NOW + 1),
        ]);
        let second = set(&first.held(NOW));
        assert_eq!(first.held(NOW).len(), 3);
        for revocation in second.held(NOW) {
            assert!(first.held(NOW).contains(&revocation));
        }
    }

    #[test]
    fn what_says_nothing_new_is_known_and_what_has_expired_is_new_again() {
        let mut set = set(&[user("alice", None, NOW)]);
        assert_eq!(set.add(&user("alice", None, NOW), NOW), Added::Known);
        assert_eq!(set.add(&user("alice", None, NOW - 9), NOW), Added::Known);
        assert_eq!(set.add(&user("alice", None, NOW + 1), NOW), Added::Changed);
        let facts = Facts {
            subject: Some("alice"),
            ..Facts::default()
        };
        assert!(set.contains(&facts, NOW + 100));
        assert!(!set.contains(&facts, NOW + 101));
        let again = Revocation::stored(Revoked::User("alice".into()), None, Some(1), NOW + 200);
        assert_eq!(set.add(&again, NOW + 101), Added::Changed);
        assert!(set.contains(&facts, NOW + 101));
    }

    #[test]
    fn a_full_set_takes_what_it_holds_already_and_has_room_again_when_something_expires() {
        let mut set = Set::default();
        for number in 0..MAX_ENTRIES {
            assert_eq!(
                set.add(&token(&number.to_string(), None), NOW),
                Added::Changed
            );
        }
        assert_eq!(set.add(&token("one more", None), NOW), Added::Full);
        assert_eq!(set.add(&token("7", None), NOW), Added::Known);
        let past = Revocation::stored(Revoked::Token("past".into()), None, None, NOW - 1);
        assert_eq!(set.add(&past, NOW), Added::Known);
        let later = Revocation::stored(Revoked::Token("later".into()), None, None, NOW + 300);
        assert_eq!(set.add(&later, NOW + 101), Added::Changed);
        assert_eq!(set.len(), 1);
    }
}
