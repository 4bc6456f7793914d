//! Who flushes what, and when: many frames, few system calls.
//!
//! Within a *turn* (one poll of a session's task, or one broadcast from elsewhere) connections
//! that got something to send are only noted. When the turn ends, few of them are written at once,
//! which is the shortest way; many are handed to the flushers of their shards, each woken once.
//!
//! # Invariants
//!
//! - A session's own connection is never noted: its task flushes it when its turn ends.
//! - A turn within a turn is part of it.
//!
//! # Not here
//!
//! The flusher's loop (`flusher`), the write itself (`outbox`).

use std::cell::RefCell;
use std::sync::Arc;

use super::connection::Connection;

/// Up to so many connections are written by the emitter itself. For more, the flusher waits until
/// the events that arrived together have been handled, and what they say leaves together.
const INLINE_MAX: usize = 4;

#[derive(Default)]
struct Turn {
    depth: usize,
    /// The connection whose task runs, by address; 0 if none.
    own: usize,
    noted: Vec<Arc<Connection>>,
}

thread_local! {
    static TURN: RefCell<Turn> = RefCell::new(Turn::default());
}

/// Runs `work`; whatever it queues leaves when the outermost turn on this thread ends.
pub(crate) fn turn<R>(work: impl FnOnce() -> R) -> R {
    run(0, work)
}

/// Runs a session's turn: its own connection is left to the caller to flush.
pub(crate) fn session_turn<R>(own: &Arc<Connection>, work: impl FnOnce() -> R) -> R {
    run(address(own), work)
}

/// Notes that `connection` has something to flush.
pub(crate) fn note(connection: &Arc<Connection>) {
    let outside = TURN.with_borrow_mut(|turn| {
        if turn.depth == 0 {
            return true;
        }
        if turn.own != address(connection) {
            turn.noted.push(Arc::clone(connection));
        }
        false
    });
    if outside {
        connection.flush_inline();
    }
}

fn run<R>(own: usize, work: impl FnOnce() -> R) -> R {
    TURN.with_borrow_mut(|turn| {
        turn.depth += 1;
        if turn.depth == 1 {
            turn.own = own;
        }
    });
    // Ends the turn on every way out, a panic included.
    let _end = End;
    work()
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        let mut noted = TURN.with_borrow_mut(|turn| {
            turn.depth -= 1;
            if turn.depth > 0 {
                return Vec::new();
            }
            turn.own = 0;
            std::mem::take(&mut turn.noted)
        });
        if noted.is_empty() {
            return;
        }
        if noted.len() <= INLINE_MAX {
            for connection in noted.drain(..) {
                connection.flush_inline();
            }
        } else {
            super::shard::hand_over(&mut noted);
        }
        give_back(noted);
    }
}

/// Keeps the buffer for the next turn, unless a huge broadcast made it huge.
fn give_back(noted: Vec<Arc<Connection>>) {
    if noted.capacity() <= 4096 {
        TURN.with_borrow_mut(|turn| {
            if turn.noted.capacity() < noted.capacity() && turn.noted.is_empty() {
                turn.noted = noted;
            }
        });
    }
}

fn address(connection: &Arc<Connection>) -> usize {
    Arc::as_ptr(connection) as usize
}
