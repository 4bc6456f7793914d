//! The bits of ids: all of them from the system, which is asked for those of sixteen at once.
//!
//! A new client needs two ids, and asking the system is a system call.
//!
//! # Invariants
//!
//! - No bit is given out twice, and what has been given out is not kept.
//!
//! # Not here
//!
//! Keys, which are made once and ask the system themselves.

use std::cell::RefCell;

/// The bytes of one id: 20 characters of base64url.
pub(crate) const ID_BYTES: usize = 15;

/// As many ids as the system fills without being interrupted: it promises 256 bytes.
const IDS: usize = 16;

/// What a thread has been given and has not given out.
struct Pool {
    ids: [[u8; ID_BYTES]; IDS],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            ids: [[0; ID_BYTES]; IDS],
            left: 0,
        })
    };
}

/// The bits of one id.
///
/// # Errors
///
/// If the system has no randomness.
pub(crate) fn id() -> Result<[u8; ID_BYTES], getrandom::Error> {
    POOL.with_borrow_mut(Pool::take)
}

impl Pool {
    fn take(&mut self) -> Result<[u8; ID_BYTES], getrandom::Error> {
        if self.left == 0 {
            getrandom::fill(self.ids.as_flattened_mut())?;
            self.left = IDS;
        }
        self.left -= 1;
        Ok(std::mem::take(&mut self.ids[self.left]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice_on_any_thread() {
        let made = || (0..10_000).map(|_| id().unwrap()).collect::<Vec<_>>();
        let other = std::thread::spawn(made);
        let ids: HashSet<_> = made().into_iter().chain(other.join().unwrap()).collect();
        assert_eq!(ids.len(), 20_000);
    }

    #[test]
    fn neighbours_have_no_byte_in_common_more_often_than_by_chance() {
        let ids: Vec<_> = (0..10_000).map(|_| id().unwrap()).collect();
        let equal = ids.windows(2).flat_map(|pair| pair[0].iter().zip(&pair[1]));
        let equal = equal.filter(|(one, other)| one == other).count();
        // One in 256 of 149,985: 586, and six times the deviation of 24 on either side.
        assert!((440..732).contains(&equal), "{equal}");
    }

    #[test]
    fn what_was_given_out_is_not_kept() {
        let mut pool = Pool {
            ids: [[0; ID_BYTES]; IDS],
            left: 0,
        };
        for _ in 0..IDS {
            assert_ne!(pool.take().unwrap(), [0; ID_BYTES]);
        }
        assert_eq!(pool.ids, [[0; ID_BYTES]; IDS]);
    }
}
