//! Telling credentials apart without keeping them.
//!
//! # Invariants
//!
//! - A print is a keyed hash. The key is this process's own and leaves it nowhere, so that a print
//!   tells nobody anything of what it was made of, be that easy to guess.
//! - Without randomness there are no prints, and what has none is the same as nothing.

use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::hmac;

/// So much of the hash is kept: enough against guessing with a key that nobody knows.
const LEN_BYTES: usize = 16;

static KEY: LazyLock<Option<hmac::Key>> = LazyLock::new(|| {
    let mut key = [0; 32];
    getrandom::fill(&mut key).ok()?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &key))
});

/// A keyed hash of what somebody shows to say who they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print([u8; LEN_BYTES]);

impl Print {
    /// The print of one credential.
    pub(crate) fn of(credential: &[u8]) -> Option<Self> {
        Self::of_each(|visit| visit(credential))
    }

    /// The print of all that `show` visits, in that order; `None` if that is nothing.
    pub(crate) fn of_each(show: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Option<Self> {
        let key = KEY.as_ref()?;
        let mut context = None;
        show(&mut |value| {
            let context = context.get_or_insert_with(|| hmac::Context::with_key(key));
            // With their lengths, so that two values are not one.
            context.update(&value.len().to_le_bytes());
            context.update(value);
        });
        let tag = context?.sign();
        tag.as_ref().first_chunk().copied().map(Self)
    }
}

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Print(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_are_equal_for_equal_credentials_and_for_no_others() {
        let of_two = |one: &'static [u8], two: &'static [u8]| {
            Print::of_each(|visit| {
                visit(one);
                visit(two);
            })
        };
        assert_eq!(Print::of(b"ab"), Print::of(b"ab"));
        assert_ne!(Print::of(b"ab"), Print::of(b"abc"));
        assert_ne!(of_two(b"a", b"bc"), of_two(b"ab", b"c"));
        assert_ne!(of_two(b"ab", b""), Print::of(b"ab"));
        assert_eq!(Print::of_each(|_| ()), None);
        assert!(Print::of(b"").is_some());
    }
}
