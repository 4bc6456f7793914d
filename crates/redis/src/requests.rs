//! Questions that this node has asked, and what has been answered so far.
//!
//! ```text
//!  open ─▶ Pending ◀─ take(response) … ─▶ is_complete? ─▶ the one who asked
//!             └── dropped when nobody waits any more: late answers find nothing
//! ```
//!
//! # Invariants
//!
//! - The table holds only what somebody waits for.
//! - What a flood of answers can make it keep is bounded.
//!
//! # Not here
//!
//! Waiting, and who has to answer (`protocol`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use portcullis::adapter::SocketDescription;
use portcullis::socketio::ids::Room;
use portcullis::socketio::value::Value;
use tokio::sync::Notify;

use crate::wire::{Answer, Response};

/// The most items that the answers to one question may bring.
const MAX_ITEMS: usize = 1_000_000;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Sockets,
    Rooms,
    ServerSide,
    Acks,
}

/// What the answers to one question have brought.
#[derive(Debug)]
pub(crate) struct Gathered {
    question: Question,
    /// How many nodes have answered.
    pub(crate) nodes: usize,
    /// Which, where the wire says so.
    pub(crate) senders: HashSet<String>,
    /// How many sockets were asked, of the nodes that have answered.
    pub(crate) clients: u64,
    pub(crate) sockets: Vec<SocketDescription>,
    pub(crate) rooms: Vec<Room>,
    /// What servers said, or sockets; nothing for an answer without arguments.
    pub(crate) values: Vec<Option<Value>>,
}

impl Gathered {
    fn new(question: Question) -> Self {
        Self {
            question,
            nodes: 0,
            senders: HashSet::new(),
            clients: 0,
            sockets: Vec::new(),
            rooms: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds an answer, if it is one to this question.
    pub(crate) fn take(&mut self, response: Response) -> bool {
        let kept = self.sockets.len() + self.rooms.len() + self.values.len();
        if kept.max(self.senders.len()) > MAX_ITEMS {
            return false;
        }
        let is_repeated = response
            .sender
            .as_ref()
            .is_some_and(|sender| self.senders.contains(sender));
        if is_repeated && !matches!(response.answer, Answer::Ack(_)) {
            return false;
        }
        let is_node = match (self.question, response.answer) {
            (Question::Sockets, Answer::Sockets(sockets)) => {
                self.sockets.extend(sockets);
                true
            }
            (Question::Rooms, Answer::Rooms(rooms)) => {
                self.rooms.extend(rooms);
                true
            }
            // An answer without what was asked for counts all the same.
            (Question::Sockets | Question::Rooms, Answer::Done) => true,
            (Question::ServerSide, Answer::ServerSide(value)) => {
                self.values.push(value);
                true
            }
            (Question::Acks, Answer::ClientCount(count)) => {
                self.clients = self.clients.saturating_add(count);
                true
            }
            (Question::Acks, Answer::Ack(value)) => {
                self.values.push(value);
                return true;
            }
            _ => false,
        };
        if is_node {
            self.nodes += 1;
            self.senders.extend(response.sender);
        }
        is_node
    }

    /// What has come so far; nothing is left behind.
    pub(crate) fn take_all(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.question))
    }

    /// Whether so many nodes have said all.
    pub(crate) fn is_complete(&self, nodes: usize) -> bool {
        self.nodes >= nodes && !self.lacks_acks()
    }

    /// Whether a socket that was asked has not answered.
    pub(crate) fn lacks_acks(&self) -> bool {
        self.question == Question::Acks && (self.values.len() as u64) < self.clients
    }
}

/// A question that somebody waits for.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) gathered: Mutex<Gathered>,
    pub(crate) changed: Notify,
}

/// The questions of one node in one namespace, by the names that they have on the wire.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<HashMap<String, Weak<Pending>>>);

impl Requests {
    /// Opens a question; it is forgotten when what is returned is dropped.
    pub(crate) fn open(self: &Arc<Self>, id: String, question: Question) -> Open {
        let pending = Arc::new(Pending {
            gathered: Mutex::new(Gathered::new(question)),
            changed: Notify::new(),
        });
        self.0.lock().insert(id.clone(), Arc::downgrade(&pending));
        Open {
            requests: Arc::clone(self),
            id,
            pending,
        }
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Whether a question is one of this node's own.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.lock().contains_key(id)
    }

    /// Hands an answer to whom it concerns; says whether there was anyone.
    pub(crate) fn take(&self, response: Response) -> bool {
        let pending = self
            .0
            .lock()
            .get(&response.request_id)
            .and_then(Weak::upgrade);
        let Some(pending) = pending else { return false };
        let is_taken = pending.gathered.lock().take(response);
        pending.changed.notify_waiters();
        is_taken
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A question that is open for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Open {
    requests: Arc<Requests>,
    pub(crate) id: String,
    pub(crate) pending: Arc<Pending>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.requests.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(answer: Answer) -> Response {
        Response {
            request_id: "a".to_owned(),
            sender: None,
            answer,
        }
    }

    #[test]
    fn an_answer_after_its_question_was_dropped_finds_nobody() {
        let requests = Arc::new(Requests::default());
        let open = requests.open("a".to_owned(), Question::Rooms);
        assert!(requests.contains("a"));
        assert!(requests.take(response(Answer::Rooms(vec![Room::from("x")]))));
        drop(open);
        assert_eq!(requests.len(), 0);
        assert!(!requests.take(response(Answer::Rooms(Vec::new()))));
    }

    #[test]
    fn an_answer_to_another_question_does_not_count() {
        let requests = Arc::new(Requests::default());
        let open = requests.open("a".to_owned(), Question::Rooms);
        assert!(!requests.take(response(Answer::ClientCount(1))));
        assert!(!open.pending.gathered.lock().is_complete(1));
        assert!(requests.take(response(Answer::Done)));
        assert!(open.pending.gathered.lock().is_complete(1));
    }

    #[test]
    fn a_node_that_answers_twice_counts_once() {
        let mut gathered = Gathered::new(Question::Rooms);
        let from = |sender: &str| Response {
            sender: Some(sender.to_owned()),
            ..response(Answer::Rooms(vec![Room::from("x")]))
        };
        assert!(gathered.take(from("a")));
        assert!(!gathered.take(from("a")));
        assert_eq!((gathered.nodes, gathered.rooms.len()), (1, 1));
        assert!(gathered.take(from("b")));
        assert_eq!(gathered.nodes, 2);
    }

    #[test]
    fn acks_are_complete_in_whatever_order_they_and_their_number_come() {
        let mut gathered = Gathered::new(Question::Acks);
        gathered.take(response(Answer::Ack(None)));
        assert!(!gathered.is_complete(1));
        gathered.take(response(Answer::ClientCount(2)));
        assert!(!gathered.is_complete(1));
        assert!(gathered.lacks_acks());
        gathered.take(response(Answer::Ack(Some(Value::Integer(1)))));
        assert!(gathered.is_complete(1));
        assert!(!gathered.is_complete(2));
    }
}
