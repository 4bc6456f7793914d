//! Whom a connection belongs to: one subject, for as long as any of its sockets has one.
//!
//! ```text
//!  CONNECT ─▶ authenticated ─▶ claim ─▶ nobody's, or the same subject's ─▶ Hold ─▶ socket
//!                                └──▶ another subject's ─▶ TOKEN_CLAIMS
//!  later poll, POST, upgrade ─▶ other credentials than before? ─▶ the same subject? ─▶ in, or 403
//!                                                            └─▶ nobody's yet: in
//! ```
//!
//! # Invariants
//!
//! - Credentials are compared by a keyed hash and never kept.
//! - Sockets that were joined with one and the same token share one place for their identity, so
//!   that a refresh changes it for all of them at once.
//! - When the last socket that has a subject is gone the connection belongs to nobody again: who is
//!   refused by `on_connect` may try as somebody else. What was accepted for one subject is
//!   forgotten before the connection belongs to another.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use portcullis_socketio::ids::Room;
use smallvec::SmallVec;

use super::later::Later;
use crate::auth::{CurrentIdentity, ExpiryPlan, Identity, Print, RefusalCode};

/// Whom one connection belongs to.
#[derive(Debug)]
pub(super) struct Bond {
    /// What the first request showed.
    first: Option<Print>,
    /// The room of its sockets, where connections are counted.
    room: Option<Room>,
    /// Its sockets need not be of one subject.
    allows_several: bool,
    state: Mutex<State>,
    /// Few connections ever need it.
    later: OnceLock<Box<Later>>,
}

#[derive(Debug, Default)]
struct State {
    /// Where its identities are, and how many sockets hold each. None is without a holder: an
    /// application may keep a socket, and its identity, for longer than it lasts.
    places: SmallVec<[(Arc<CurrentIdentity>, usize); 1]>,
}

impl State {
    /// One of the identities that say whose the connection is.
    fn bound(&self) -> Option<Identity> {
        let mut identities = self.places.iter().map(|(place, _)| place.get());
        identities.find(|identity| identity.subject().is_some())
    }
}

/// When an identity is taken on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    pub(super) now: Instant,
}

impl Bond {
    pub(super) fn new(first: Option<Print>, room: Option<Room>, allows_several: bool) -> Arc<Self> {
        Arc::new(Self {
            first,
            room,
            allows_several,
            state: Mutex::default(),
            later: OnceLock::new(),
        })
    }

    /// The room of the connection's sockets, where connections are counted.
    pub(super) const fn room(&self) -> Option<&Room> {
        self.room.as_ref()
    }

    /// Takes an identity on, unless the connection belongs to another subject.
    pub(super) fn claim(
        self: &Arc<Self>,
        identity: &Identity,
        plan: &ExpiryPlan,
        moment: Moment,
    ) -> Result<Hold, RefusalCode> {
        let mut state = self.state.lock();
        if !self.allows_several && identity.subject().is_some() {
            match state.bound() {
                Some(bound) if !bound.is_same_subject(identity) => {
                    metrics::counter!("portcullis_other_subjects_total", "where" => "connect")
                        .increment(1);
                    return Err(RefusalCode::TokenClaims);
                }
                Some(_) => {}
                // Sockets without a subject may have outlived the last that had one.
                None => self.forget_later(),
            }
        }
        let mut places = state.places.iter_mut();
        let place = if let Some((place, holders)) = places.find(|(place, _)| place.is_of(identity))
        {
            *holders += 1;
            Arc::clone(place)
        } else {
            let identity = identity.clone();
            let place = CurrentIdentity::new(identity, plan, moment.wall, moment.now);
            let place = Arc::new(place);
            state.places.push((Arc::clone(&place), 1));
            place
        };
        Ok(Hold {
            bond: Arc::clone(self),
            place,
        })
    }

    /// Whether a later request that shows this needs no look: it was judged already, or there is
    /// nobody whose it could not be. Looking then would let strangers try tokens.
    pub(super) fn lets_pass(&self, print: Print) -> bool {
        if self.first == Some(print) {
            return true;
        }
        if self.allows_several {
            return true;
        }
        let state = self.state.lock();
        let accepted = || self.later.get().and_then(|later| later.accepted());
        state.bound().is_none() || accepted() == Some(print)
    }

    fn forget_later(&self) {
        if let Some(later) = self.later.get() {
            later.forget();
        }
    }

    /// What the connection has spent on later requests that need a look.
    pub(super) fn later(&self) -> &Later {
        self.later.get_or_init(Box::default)
    }

    /// Judges a later request of a client that turned out to have this identity.
    pub(super) fn admits(&self, print: Print, identity: &Identity) -> bool {
        if self.allows_several {
            return true;
        }
        // Locked until it is written down, so that it is accepted for this subject and no other.
        let state = self.state.lock();
        let Some(bound) = state.bound() else {
            // Nobody's yet: what counts at its CONNECT is the first request.
            return true;
        };
        let is_same = bound.is_same_subject(identity);
        if is_same {
            self.later().accept(print);
        }
        is_same
    }
}

/// One socket's part in the connection's subject.
#[derive(Debug)]
pub(super) struct Hold {
    bond: Arc<Bond>,
    place: Arc<CurrentIdentity>,
}

impl Hold {
    pub(super) const fn place(&self) -> &Arc<CurrentIdentity> {
        &self.place
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.bond.state.lock();
        state.places.retain(|(place, holders)| {
            *holders -= usize::from(Arc::ptr_eq(place, &self.place));
            *holders > 0
        });
        if state.places.is_empty() {
            self.bond.forget_later();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn identity(subject: &str) -> Identity {
        Identity::new(()).with_subject(subject)
    }

    fn claim(bond: &Arc<Bond>, identity: &Identity) -> Result<Hold, RefusalCode> {
        let moment = Moment {
            wall: SystemTime::UNIX_EPOCH,
            now: Instant::now(),
        };
        bond.claim(identity, &ExpiryPlan::default(), moment)
    }

    #[test]
    fn a_connection_has_one_subject_until_its_last_holder_is_gone() {
        let bond = Bond::new(None, None, false);
        let first = claim(&bond, &identity("alice")).unwrap();
        let second = claim(&bond, &identity("alice")).unwrap();
        assert_eq!(
            claim(&bond, &identity("bob")).err(),
            Some(RefusalCode::TokenClaims)
        );
        drop(first);
        assert!(claim(&bond, &identity("bob")).is_err());
        drop(second);
        assert!(claim(&bond, &identity("bob")).is_ok());
    }

    #[test]
    fn what_was_accepted_for_one_subject_is_not_for_the_next() {
        let print = |text: &str| Print::of(text.as_bytes()).unwrap();
        let bond = Bond::new(Some(print("first")), None, false);
        let _nobody = claim(&bond, &Identity::new(())).unwrap();
        let alice = claim(&bond, &identity("alice")).unwrap();
        assert!(bond.admits(print("alice"), &identity("alice")));
        assert!(bond.lets_pass(print("alice")));
        drop(alice);
        let _bob = claim(&bond, &identity("bob")).unwrap();
        assert!(!bond.lets_pass(print("alice")));
        assert!(!bond.admits(print("alice"), &identity("alice")));
    }

    #[test]
    fn an_identity_that_is_kept_for_longer_binds_nobody() {
        let bond = Bond::new(None, None, false);
        let _nobody = claim(&bond, &Identity::new(())).unwrap();
        let held = claim(&bond, &identity("alice")).unwrap();
        let kept = Arc::clone(held.place());
        drop(held);
        assert_eq!(kept.get().subject(), Some("alice"));
        assert!(claim(&bond, &identity("bob")).is_ok());
    }

    #[test]
    fn a_connection_of_several_subjects_is_bound_to_none() {
        let bond = Bond::new(None, None, true);
        let _alice = claim(&bond, &identity("alice")).unwrap();
        let _bob = claim(&bond, &identity("bob")).unwrap();
        assert!(bond.lets_pass(Print::of(b"carol").unwrap()));
    }

    #[test]
    fn a_subject_of_another_issuer_is_another_subject() {
        let bond = Bond::new(None, None, false);
        let _held = claim(&bond, &identity("alice").with_issuer("a")).unwrap();
        assert!(claim(&bond, &identity("alice").with_issuer("b")).is_err());
        assert!(claim(&bond, &identity("alice")).is_err());
    }

    #[test]
    fn the_same_token_has_one_place_and_another_token_its_own() {
        let bond = Bond::new(None, None, false);
        let made_of = |token: &str| identity("alice").with_credential(token);
        let first = claim(&bond, &made_of("first")).unwrap();
        let same = claim(&bond, &made_of("first")).unwrap();
        assert!(Arc::ptr_eq(first.place(), same.place()));
        let others = [
            made_of("other").with_issued_at(2),
            made_of("first").with_issued_at(2),
            identity("alice").with_issued_at(2),
            identity("alice").with_issued_at(2),
        ];
        let others = others.map(|other| claim(&bond, &other).unwrap());
        for (index, other) in others.iter().enumerate() {
            let earlier = others.iter().take(index).chain([&first]);
            for one in earlier {
                assert!(!Arc::ptr_eq(one.place(), other.place()));
            }
        }
        let (plan, later) = (
            ExpiryPlan::default(),
            Instant::now() + Duration::from_secs(1),
        );
        let renewed = identity("alice").with_issued_at(3);
        first
            .place()
            .swap(renewed, &plan, SystemTime::UNIX_EPOCH, later);
        assert_eq!(same.place().get().issued_at(), Some(3));
        for other in others {
            assert_eq!(other.place().get().issued_at(), Some(2));
        }
    }

    #[test]
    fn later_credentials_are_remembered_only_when_they_are_of_the_same_subject() {
        let print = |text: &str| Print::of(text.as_bytes()).unwrap();
        let (first, alice, bob) = (print("first"), print("alice"), print("bob"));
        let bond = Bond::new(Some(first), None, false);
        assert!(bond.lets_pass(first));
        assert!(bond.lets_pass(bob), "it is nobody's yet");
        let held = claim(&bond, &identity("alice")).unwrap();
        assert!(!bond.lets_pass(alice));
        assert!(bond.admits(alice, &identity("alice")));
        assert!(bond.lets_pass(alice));
        assert!(!bond.admits(bob, &identity("bob")));
        assert!(!bond.lets_pass(bob));
        drop(held);
        assert!(bond.lets_pass(bob), "it is nobody's again");
    }
}
