//! The answers that clients owe.
//!
//! An entry lives in the namespace from the emit until the answer, the timeout, or the end of
//! whoever waits. A broadcast has one entry for all its recipients.
//!
//! # Invariants
//!
//! - Only a socket that was asked can answer, and only once.
//! - Dropping the waiting future removes the entry.
//! - The table is not locked while somebody else's code runs.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{AckId, SocketId};
use tokio::sync::oneshot;

use super::socket::SocketInner;

type Entries = HashMap<AckId, Entry, RandomState>;

/// The acks outstanding in one namespace.
#[derive(Debug, Default)]
pub(crate) struct AckTable(Mutex<Entries>);

#[derive(Debug)]
enum Entry {
    One {
        socket: SocketId,
        answer: oneshot::Sender<Args>,
    },
    Many {
        missing: HashSet<SocketId, RandomState>,
        answers: Sink,
        done: Option<oneshot::Sender<()>>,
    },
}

/// Where the answers to a broadcast go.
enum Sink {
    Keep(Vec<Args>),
    /// Its lock is held while it is called, so that it hears one answer at a time; the table's is
    /// not.
    Call(Arc<Mutex<Callback>>),
}

type Callback = Box<dyn FnMut(Args) + Send>;

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep(_) => "Keep",
            Self::Call(_) => "Call",
        })
    }
}

impl AckTable {
    /// Expects one answer from `socket`, which has reserved it.
    pub(crate) fn expect_one<'a>(&'a self, id: AckId, socket: &'a Arc<SocketInner>) -> Answer<'a> {
        let (answer, receiver) = oneshot::channel();
        let entry = Entry::One {
            socket: *socket.id(),
            answer,
        };
        self.0.lock().insert(id, entry);
        Answer {
            table: self,
            id,
            socket,
            receiver,
        }
    }

    /// Expects an answer from each of `sockets`.
    pub(crate) fn expect_many(
        &self,
        id: AckId,
        sockets: impl IntoIterator<Item = SocketId>,
    ) -> Collected<'_> {
        let missing: HashSet<_, _> = sockets.into_iter().collect();
        let (done, receiver) = oneshot::channel();
        let done = if missing.is_empty() {
            // Nobody to wait for: a dropped sender is a finished collection.
            None
        } else {
            Some(done)
        };
        let entry = Entry::Many {
            missing,
            answers: Sink::Keep(Vec::new()),
            done,
        };
        self.0.lock().insert(id, entry);
        Collected {
            table: self,
            id,
            receiver,
        }
    }

    /// Hands each answer of `sockets` to `answer`, until [`Self::forget`]. What comes back ends
    /// when all have answered.
    pub(crate) fn expect_each(
        &self,
        id: AckId,
        sockets: impl IntoIterator<Item = SocketId>,
        answer: Callback,
    ) -> oneshot::Receiver<()> {
        let missing: HashSet<_, _> = sockets.into_iter().collect();
        let (done, receiver) = oneshot::channel();
        let entry = Entry::Many {
            done: (!missing.is_empty()).then_some(done),
            missing,
            answers: Sink::Call(Arc::new(Mutex::new(answer))),
        };
        self.0.lock().insert(id, entry);
        receiver
    }

    /// Nobody waits for the answers under `id` any longer.
    pub(crate) fn forget(&self, id: AckId) {
        self.remove(id);
    }

    /// Takes the answer of `socket`; one that nobody waits for is ignored.
    pub(crate) fn resolve(&self, id: AckId, socket: &SocketId, args: Args) {
        let mut entries = self.0.lock();
        let mut called = None;
        match entries.get_mut(&id) {
            Some(Entry::One { socket: asked, .. }) if asked == socket => {
                if let Some(Entry::One { answer, .. }) = entries.remove(&id) {
                    let _ = answer.send(args);
                }
            }
            Some(Entry::Many {
                missing,
                answers,
                done,
            }) => {
                if missing.remove(socket) {
                    match answers {
                        Sink::Keep(answers) => answers.push(args),
                        Sink::Call(answer) => called = Some((Arc::clone(answer), args)),
                    }
                }
                if missing.is_empty() {
                    *done = None;
                }
            }
            _ => metrics::counter!("portcullis_unexpected_acks_total").increment(1),
        }
        drop(entries);
        if let Some((answer, args)) = called {
            (*answer.lock())(args);
        }
    }

    /// A socket left that owed these: nobody waits for it any longer.
    pub(crate) fn forget_all(&self, owed: &[AckId]) {
        if !owed.is_empty() {
            let mut entries = self.0.lock();
            for id in owed {
                entries.remove(id);
            }
        }
    }

    fn remove(&self, id: AckId) -> Option<Entry> {
        let mut entries = self.0.lock();
        let entry = entries.remove(&id);
        if entries.capacity() > entries.len() * 4 + 64 {
            entries.shrink_to_fit();
        }
        entry
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// The answer of one socket; `None` if it left first.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    table: &'a AckTable,
    id: AckId,
    socket: &'a Arc<SocketInner>,
    receiver: oneshot::Receiver<Args>,
}

impl Future for Answer<'_> {
    type Output = Option<Args>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.table.remove(self.id);
        self.socket.release_ack(self.id);
    }
}

/// The answers of many sockets, complete once the future is ready.
#[derive(Debug)]
pub(crate) struct Collected<'a> {
    table: &'a AckTable,
    id: AckId,
    receiver: oneshot::Receiver<()>,
}

impl Collected<'_> {
    /// Takes the answers that have come so far.
    pub(crate) fn take(&mut self) -> Vec<Args> {
        match self.table.0.lock().get_mut(&self.id) {
            Some(Entry::Many {
                answers: Sink::Keep(answers),
                ..
            }) => std::mem::take(answers),
            _ => Vec::new(),
        }
    }
}

impl Future for Collected<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.receiver).poll(cx).map(|_| ())
    }
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.table.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seed: u8) -> SocketId {
        SocketId::from_random([seed; 15])
    }

    #[tokio::test]
    async fn a_collection_is_complete_when_everyone_answered() {
        let table = AckTable::default();
        let mut collected = table.expect_many(AckId::from(7), [id(1), id(2)]);
        table.resolve(AckId::from(7), &id(1), Args::empty());
        table.resolve(AckId::from(7), &id(1), Args::empty());
        table.resolve(AckId::from(7), &id(3), Args::empty());
        assert_eq!(
            collected.take().len(),
            1,
            "once each, and only those who were asked"
        );
        table.resolve(AckId::from(7), &id(2), Args::empty());
        (&mut collected).await;
        assert_eq!(collected.take().len(), 1);
        drop(collected);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn socket_io_37aad11_what_nobody_waits_for_any_longer_is_forgotten() {
        let table = AckTable::default();
        drop(table.expect_many(AckId::from(7), [id(1), id(2)]));
        let _done = table.expect_each(AckId::from(8), [id(1)], Box::new(|_| {}));
        table.forget(AckId::from(8));
        assert_eq!(table.len(), 0);
        table.resolve(AckId::from(7), &id(1), Args::empty());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn whoever_is_called_with_an_answer_may_use_the_table() {
        let table = Arc::new(AckTable::default());
        let inner = Arc::clone(&table);
        let answer = Box::new(move |_| inner.forget(AckId::from(7)));
        table.expect_each(AckId::from(7), [id(1), id(2)], answer);
        table.resolve(AckId::from(7), &id(1), Args::empty());
        assert_eq!(table.len(), 0);
    }

    #[tokio::test]
    async fn nobody_to_ask_is_an_empty_answer_at_once() {
        let table = AckTable::default();
        let mut collected = table.expect_many(AckId::from(0), []);
        (&mut collected).await;
        assert!(collected.take().is_empty());
    }
}
