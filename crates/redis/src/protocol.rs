//! What a node does in one namespace, on either wire.
//!
//! ```text
//!  adapter ─ envelope, question ─▶ Member ─▶ Outgoing ─▶ bus
//!  bus ─▶ channel, payload ─▶ Member ─▶ LocalNode, or Requests ─▶ whoever asked
//! ```
//!
//! # Invariants
//!
//! - What this node said itself is dropped when it comes back, before it is decoded where possible.
//! - Nothing that arrives is done by half: it is decoded whole, or dropped and counted.

mod answering;
pub(crate) mod asking;
pub(crate) mod classic;
pub(crate) mod poison;
pub(crate) mod sharded;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis::adapter::{Envelope, LocalNode, Target};
use portcullis::socketio::ids::{NamespacePath, Room};
use portcullis::socketio::payload::Payload;

use self::classic::Classic;
use self::poison::Poison;
use self::sharded::Sharded;
use crate::connection::Bus;
use crate::connection::queue::Outgoing;
use crate::connection::subscriptions::Subscription;
use crate::options::Options;
use crate::requests::{Question, Requests};
use crate::tasks::Tasks;

/// What every member has.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) node: Arc<dyn LocalNode>,
    pub(crate) bus: Bus,
    pub(crate) tasks: Tasks,
    pub(crate) poison: Poison,
}

/// What is asked of the other nodes.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Sockets(Target),
    Rooms,
    ServerSide(Arc<Payload>),
    Acks(Arc<Payload>, Target),
}

impl Ask {
    /// Whether more comes of it than an answer.
    pub(crate) const fn does_something(&self) -> bool {
        match self {
            Self::ServerSide(_) | Self::Acks(..) => true,
            Self::Sockets(_) | Self::Rooms => false,
        }
    }

    pub(crate) const fn question(&self) -> Question {
        match self {
            Self::Sockets(_) => Question::Sockets,
            Self::Rooms => Question::Rooms,
            Self::ServerSide(_) => Question::ServerSide,
            Self::Acks(..) => Question::Acks,
        }
    }
}

/// Which kind of channel a message came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via<'a> {
    /// `{prefix}#{namespace}#`, and what follows.
    Main(Option<&'a str>),
    /// `{prefix}-request#{namespace}#`.
    Request,
    /// `{prefix}-response#{namespace}#`, and what follows.
    Response(Option<&'a str>),
}

/// This node in a namespace, on the wire that the options name.
pub(crate) fn new_member(context: &Arc<Context>, namespace: NamespacePath) -> Arc<dyn Member> {
    if context.options.mode.is_sharded() {
        Arc::new(Sharded::new(context, namespace))
    } else {
        Arc::new(Classic::new(context, namespace))
    }
}

/// This node in one namespace.
pub(crate) trait Member: fmt::Debug + Send + Sync + 'static {
    /// What it must hear, besides rooms.
    fn subscriptions(&self) -> Vec<Subscription>;

    /// What it must hear because the room has members here.
    fn room_subscription(&self, room: &Room, is_socket: bool) -> Option<Subscription>;

    /// The channel that every node of the namespace subscribes to once.
    fn count_channel(&self) -> &str;

    /// The channel that the node of this name alone subscribes to, where the wire has names.
    fn channel_of(&self, node: &str) -> Option<String>;

    fn requests(&self) -> &Arc<Requests>;

    /// A new name for a question.
    fn request_id(&self) -> String;

    /// A question as a message, if the wire has one for it.
    fn question(&self, request_id: &str, ask: &Ask, timeout: Duration) -> Option<Outgoing>;

    /// An envelope as a message.
    fn envelope(&self, envelope: &Envelope) -> Option<Outgoing>;

    /// Says that this node is here, where the wire has a message for it.
    fn hello(&self) -> Option<Outgoing>;

    /// Says that this node leaves.
    fn goodbye(&self) -> Option<Outgoing>;

    /// The names of nodes that have not said all, where the wire has them.
    fn missing(&self, finished: &HashSet<String>, count: usize) -> Vec<String>;

    /// A message has arrived.
    fn receive(self: Arc<Self>, via: Via<'_>, payload: Bytes);
}
