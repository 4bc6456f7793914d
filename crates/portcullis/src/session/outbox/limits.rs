//! How much may wait on one connection.
//!
//! # Invariants
//!
//! - What waits is at most `max_bytes`, one giant, and the reserve of the protocol.
//! - Only one giant waits at a time, whoever sends it.

use super::super::delivery::{Delivery, IfSlow};
use super::Pushed;

/// So many words of the protocol may wait behind as many events as may, and so many bytes of them.
pub(super) const RESERVED_FRAMES: usize = 64;
const RESERVED_BYTES: usize = 64 * 1024;

/// The bounds of one outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutboxLimits {
    /// Default: 1 MiB.
    pub(crate) max_bytes: usize,
    /// Default: 4,096.
    pub(crate) max_frames: usize,
    /// What becomes of events beyond them. Default: the peer is disconnected.
    pub(crate) if_slow: IfSlow,
}

/// How much waits. One frame that is larger by itself than all that may wait, a giant, is not
/// counted in bytes: no peer could ever be quick enough for it, and what stands behind it is not to
/// suffer from that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
    pub(crate) has_giant: bool,
}

impl Waiting {
    /// One frame more, of `len` bytes.
    pub(crate) const fn add(&mut self, len: usize, limits: &OutboxLimits) {
        self.frames += 1;
        if limits.is_giant(len) {
            self.has_giant = true;
        } else {
            self.bytes += len;
        }
    }
}

impl OutboxLimits {
    /// Whether a frame of `len` bytes may wait behind others.
    pub(crate) const fn admit(&self, waiting: Waiting, len: usize) -> bool {
        let fits =
            waiting.bytes + len <= self.max_bytes || (self.is_giant(len) && !waiting.has_giant);
        waiting.frames == 0 || (waiting.frames < self.max_frames && fits)
    }

    /// The same, with the room that is kept for what the protocol itself has to say.
    pub(super) const fn admit_reserved(&self, waiting: Waiting, len: usize) -> bool {
        !self.is_giant(len)
            && waiting.frames < self.max_frames.saturating_add(RESERVED_FRAMES)
            && waiting.bytes + len <= self.max_bytes.saturating_add(RESERVED_BYTES)
    }

    pub(super) const fn is_giant(&self, len: usize) -> bool {
        len > self.max_bytes
    }

    /// What becomes of a frame that they do not admit.
    pub(crate) fn refuse(&self, delivery: Delivery) -> Pushed {
        match delivery.if_slow(self.if_slow) {
            IfSlow::Disconnect => Pushed::Overflow,
            IfSlow::Drop if delivery.is_volatile() => Pushed::Dropped,
            IfSlow::Drop => Pushed::Lost,
        }
    }
}
