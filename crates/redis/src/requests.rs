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
//! - A node that died having answered neither owes acks nor stands for one that lives, where the
//!   wire says whose answer is whose.
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
    /// What each has said, where the wire says which.
    senders: HashMap<String, Said>,
    /// How many of the nodes that have answered died since.
    gone: usize,
    /// How many sockets were asked, of the nodes that have answered.
    clients: u64,
    /// How many acks died with their nodes.
    excused: u64,
    pub(crate) sockets: Vec<SocketDescription>,
    pub(crate) rooms: Vec<Room>,
    /// What servers said, or sockets; nothing for an answer without arguments.
    pub(crate) values: Vec<Option<Value>>,
}

/// What one node has said.
#[derive(Debug, Default)]
struct Said {
    has_answered: bool,
    /// How many of its sockets were asked.
    clients: u64,
    acks: u64,
    is_gone: bool,
}

impl Said {
    const fn owed(&self) -> u64 {
        self.clients.saturating_sub(self.acks)
    }
}

impl Gathered {
    fn new(question: Question) -> Self {
        Self {
            question,
            nodes: 0,
            senders: HashMap::new(),
            gone: 0,
            clients: 0,
            excused: 0,
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
        let Response { sender, answer, .. } = response;
        let said = sender.as_ref().and_then(|name| self.senders.get(name));
        let is_repeated = said.is_some_and(|said| said.has_answered);
        if is_repeated && !matches!(answer, Answer::Ack(_)) {
            return false;
        }
        let mut asked = 0;
        let is_node = match (self.question, answer) {
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
                asked = count;
                true
            }
            (Question::Acks, Answer::Ack(value)) => {
                self.values.push(value);
                self.note_ack(sender);
                return true;
            }
            _ => false,
        };
        if is_node {
            self.nodes += 1;
            if let Some(name) = sender {
                let said = self.senders.entry(name).or_default();
                said.has_answered = true;
                said.clients = asked;
            }
        }
        is_node
    }

    fn note_ack(&mut self, sender: Option<String>) {
        let Some(name) = sender else { return };
        let said = self.senders.entry(name).or_default();
        if said.is_gone && said.owed() > 0 {
            // It was under way when its node died.
            self.excused = self.excused.saturating_sub(1);
        }
        said.acks = said.acks.saturating_add(1);
    }

    /// The names of nodes that have answered, and as far as is known live: of all, or of those
    /// whose sockets owe acks.
    pub(crate) fn living(&self, of_all: bool) -> Vec<String> {
        let is_asked_for =
            |said: &Said| said.has_answered && !said.is_gone && (of_all || said.owed() > 0);
        let senders = self.senders.iter();
        senders
            .filter(|(_, said)| is_asked_for(said))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A node that has answered is dead: its acks are not waited for, and it is none of those that
    /// live.
    pub(crate) fn lose(&mut self, name: &str) {
        if let Some(said) = self.senders.get_mut(name)
            && said.has_answered
            && !said.is_gone
        {
            said.is_gone = true;
            self.gone += 1;
            self.excused = self.excused.saturating_add(said.owed());
        }
    }

    /// The names of nodes that have said all.
    pub(crate) fn finished(&self) -> HashSet<String> {
        let senders = self.senders.iter();
        senders
            .filter(|(_, said)| said.has_answered && said.owed() == 0)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// How many nodes have answered, and lack acks.
    pub(crate) fn debtors(&self) -> usize {
        let is_debtor = |said: &&Said| said.has_answered && said.owed() > 0;
        let named = self.senders.values().filter(is_debtor).count();
        // Where the wire has no names, at least one.
        named.max(usize::from(self.lacks_acks()))
    }

    /// What has come so far; nothing is left behind.
    pub(crate) fn take_all(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.question))
    }

    /// Whether so many nodes that live have said all.
    pub(crate) fn is_complete(&self, living: usize) -> bool {
        let acks = (self.values.len() as u64).saturating_add(self.excused);
        let awaits_acks = self.question == Question::Acks && acks < self.clients;
        self.nodes.saturating_sub(self.gone) >= living && !awaits_acks
    }

    /// Whether a socket that was asked has not answered.
    fn lacks_acks(&self) -> bool {
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
        assert_eq!(gathered.debtors(), 1);
        gathered.take(response(Answer::Ack(Some(Value::Integer(1)))));
        assert!(gathered.is_complete(1));
        assert!(!gathered.is_complete(2));
        assert_eq!(gathered.debtors(), 0);
    }

    #[test]
    fn a_node_that_died_having_answered_owes_nothing_and_stands_for_nobody() {
        let mut gathered = Gathered::new(Question::Acks);
        let from = |sender: &str, answer| Response {
            sender: Some(sender.to_owned()),
            ..response(answer)
        };
        gathered.take(from("dead", Answer::Ack(None)));
        assert!(gathered.living(true).is_empty(), "it has not answered");
        gathered.take(from("dead", Answer::ClientCount(3)));
        assert_eq!(gathered.living(false), ["dead"]);
        gathered.lose("dead");
        gathered.lose("dead");
        gathered.lose("unknown");
        assert!(gathered.living(true).is_empty());
        assert!(gathered.is_complete(0));
        assert!(!gathered.is_complete(1), "another one lives");
        gathered.take(from("alive", Answer::ClientCount(1)));
        assert!(!gathered.is_complete(1));
        // It was under way, and is no answer of the other one.
        gathered.take(from("dead", Answer::Ack(None)));
        assert!(!gathered.is_complete(1));
        gathered.take(from("alive", Answer::Ack(None)));
        assert!(gathered.is_complete(1));
        assert_eq!(gathered.debtors(), 1);
        assert_eq!(gathered.finished(), HashSet::from(["alive".to_owned()]));
    }
}
