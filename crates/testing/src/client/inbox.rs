//! What has arrived for one socket, until a test asks for it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{AckId, SocketId};
use tokio::sync::Notify;

use super::Event;
use crate::Refused;

/// How many events and acks may wait to be asked for; more are counted and dropped, and said where
/// an expectation fails.
const MAX_WAITING: usize = 65_536;

/// Why a socket is no longer connected, as its client sees it. The words are those of stock
/// clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// `io server disconnect`: the server made the socket leave its namespace.
    ByServer,
    /// `io client disconnect`: the test did.
    ByClient,
    /// `transport close`: the connection ended.
    TransportClose,
    /// `parse error`: the server sent something that is not Socket.IO.
    ParseError,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByServer => "io server disconnect",
            Self::ByClient => "io client disconnect",
            Self::TransportClose => "transport close",
            Self::ParseError => "parse error",
        })
    }
}

/// Shared by a client and the task that reads for it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) answer: Option<Result<SocketId, Refused>>,
    pub(super) events: VecDeque<Event>,
    pub(super) acks: VecDeque<(AckId, Args)>,
    pub(super) ended: Option<Disconnect>,
    dropped: usize,
}

impl State {
    pub(super) fn push_event(&mut self, event: Event) {
        if self.events.len() < MAX_WAITING {
            self.events.push_back(event);
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn push_ack(&mut self, id: AckId, args: Args) {
        if self.acks.len() < MAX_WAITING {
            self.acks.push_back((id, args));
        } else {
            self.dropped += 1;
        }
    }

    /// Takes the earliest event of this name.
    pub(super) fn take_event(&mut self, name: &str) -> Option<Event> {
        let place = self.events.iter().position(|event| event.name == name)?;
        self.events.remove(place)
    }

    /// Takes the ack with this id.
    pub(super) fn take_ack(&mut self, id: AckId) -> Option<Args> {
        let place = self.acks.iter().position(|(had, _)| *had == id)?;
        self.acks.remove(place).map(|(_, args)| args)
    }
}

impl Inbox {
    /// Changes what is in it, and tells who waits.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    /// Takes something as soon as it is there; nothing if it is not within `patience`, or cannot
    /// come any more.
    pub(super) async fn wait<T>(
        &self,
        patience: Duration,
        mut take: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                {
                    let mut state = self.state.lock();
                    let taken = take(&mut state);
                    if taken.is_some() || state.ended.is_some() {
                        return taken;
                    }
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(patience, waiting).await;
        waited.ok().flatten()
    }

    pub(super) fn ended(&self) -> Option<Disconnect> {
        self.state.lock().ended
    }
}

/// What came instead of what was expected.
impl fmt::Display for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        if state.events.is_empty() && state.ended.is_none() {
            return f.write_str("nothing came instead");
        }
        f.write_str("instead came:")?;
        for event in &state.events {
            write!(f, "\n  {event:?}")?;
        }
        if state.dropped > 0 {
            write!(f, "\n  and {} more, which were dropped", state.dropped)?;
        }
        match state.ended {
            Some(reason) => write!(f, "\n  the end of the socket: {reason}"),
            None => Ok(()),
        }
    }
}
