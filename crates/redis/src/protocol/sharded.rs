//! A node among those of Node's sharded adapter.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis::adapter::Envelope;
use portcullis::socketio::ids::{NamespacePath, Room, SocketId};

use super::{Ask, Context, Member, Via, answering};
use crate::connection::queue::Outgoing;
use crate::connection::subscriptions::Subscription;
use crate::identity::{self, EMITTER};
use crate::options::Mode;
use crate::requests::Requests;
use crate::wire::Answer;
use crate::wire::channel::{room_channel, rooms_of_name};
use crate::wire::sharded::{self, Body, Message, Speaker};

/// The most nodes whose names are kept.
const MAX_PEERS: usize = 10_000;

/// This node in one namespace.
#[derive(Debug)]
pub(crate) struct Sharded {
    context: Weak<Context>,
    namespace: NamespacePath,
    uid: String,
    channel: String,
    own_channel: String,
    mode: Mode,
    /// How messages of this node end.
    endings: [Vec<u8>; 2],
    requests: Arc<Requests>,
    /// The other nodes that have said something, and when.
    peers: Mutex<HashMap<String, Instant>>,
}

impl Sharded {
    pub(crate) fn new(context: &Arc<Context>, namespace: NamespacePath) -> Self {
        let uid = identity::sharded_id();
        let channel = format!("{}#{namespace}#", context.options.prefix);
        let speaker = Speaker {
            uid: &uid,
            namespace: &namespace,
        };
        Self {
            context: Arc::downgrade(context),
            endings: speaker.endings(),
            own_channel: format!("{channel}{uid}#"),
            channel,
            namespace,
            uid,
            mode: context.options.mode,
            requests: Arc::default(),
            peers: Mutex::default(),
        }
    }

    fn speaker(&self) -> Speaker<'_> {
        Speaker {
            uid: &self.uid,
            namespace: &self.namespace,
        }
    }

    fn outgoing(&self, payload: Vec<u8>) -> Outgoing {
        Outgoing {
            channel: self.channel.clone(),
            payload,
            is_sharded: true,
        }
    }

    /// Whether there can be anybody here for a message on the channel of `name`.
    fn concerns(&self, context: &Context, name: &str) -> bool {
        let (text, number) = rooms_of_name(name);
        let has_room = |room: &Room| context.node.has_room(&self.namespace, room);
        has_room(&text) || number.as_ref().is_some_and(has_room)
    }

    fn handle(self: Arc<Self>, context: &Arc<Context>, message: Message) {
        if message.sender == self.uid || self.namespace != message.namespace.as_str() {
            return;
        }
        self.note_peer(&message);
        let (node, namespace, sender) = (&context.node, &self.namespace, message.sender);
        match message.body {
            Body::Hello => context.bus.publish(self.outgoing(self.speaker().here())),
            Body::Here | Body::Goodbye => {}
            Body::Broadcast(payload, target, flags) => {
                let payload = Arc::new(payload);
                let envelope = Envelope::Broadcast {
                    payload,
                    target,
                    flags,
                };
                node.apply(namespace, envelope);
            }
            Body::BroadcastWithAck {
                payload,
                target,
                request_id,
                timeout,
            } => {
                let member = Arc::clone(&self);
                let respond = move |context: &Context, answer| {
                    member.respond(context, &sender, &request_id, &answer);
                };
                let event = (&payload, target.as_ref());
                answering::broadcast_with_ack(context, namespace, event, timeout, respond);
            }
            Body::Join(target, rooms) => node.apply(namespace, Envelope::Join { target, rooms }),
            Body::Leave(target, rooms) => node.apply(namespace, Envelope::Leave { target, rooms }),
            Body::Disconnect(target, close) => {
                node.apply(namespace, Envelope::Disconnect { target, close });
            }
            Body::Fetch(target, request_id) => {
                let sockets = answering::sockets(context, namespace, target.as_ref());
                self.respond(context, &sender, &request_id, &Answer::Sockets(sockets));
            }
            Body::ServerSide(payload, None) => {
                let payload = Arc::new(payload);
                node.apply(namespace, Envelope::ServerSideEmit { payload });
            }
            Body::ServerSide(payload, Some(request_id)) => {
                let member = Arc::clone(&self);
                answering::server_side(context, namespace, &payload, move |context, answer| {
                    member.respond(context, &sender, &request_id, &answer);
                });
            }
            Body::Response(response) => _ = self.requests.take(response),
        }
    }

    fn respond(&self, context: &Context, asker: &str, request_id: &str, answer: &Answer) {
        if let Some(payload) = self.speaker().response(request_id, answer) {
            context.bus.publish(Outgoing {
                channel: self.channel_of_node(asker),
                payload,
                is_sharded: true,
            });
        }
    }

    fn channel_of_node(&self, uid: &str) -> String {
        format!("{}{uid}#", self.channel)
    }

    fn note_peer(&self, message: &Message) {
        if message.sender == EMITTER {
            return;
        }
        let mut peers = self.peers.lock();
        if message.body == Body::Goodbye {
            peers.remove(&message.sender);
        } else if let Some(seen) = peers.get_mut(&message.sender) {
            *seen = Instant::now();
        } else if peers.len() < MAX_PEERS {
            peers.insert(message.sender.clone(), Instant::now());
        }
    }
}

/// Where an envelope goes: a broadcast to one room has a channel of its own in some modes.
pub(crate) fn channel_of(mode: Mode, namespace_channel: &str, envelope: &Envelope) -> String {
    if let Envelope::Broadcast { target, .. } = envelope
        && let [room] = target.rooms()
    {
        let has_channel = match mode {
            Mode::ShardedDynamicPrivate => true,
            Mode::ShardedDynamic => !looks_private(room),
            Mode::ShardedStatic | Mode::Classic => false,
        };
        if has_channel {
            return room_channel(namespace_channel, room);
        }
    }
    namespace_channel.to_owned()
}

/// Whether Node takes a room for that of a single socket.
fn looks_private(room: &Room) -> bool {
    match room {
        // As JavaScript counts characters.
        Room::Text(name) => name.encode_utf16().count() == SocketId::LEN,
        Room::Number(_) => false,
    }
}

impl Member for Sharded {
    fn subscriptions(&self) -> Vec<Subscription> {
        [&self.channel, &self.own_channel]
            .map(|name| Subscription::Sharded(name.as_str().into()))
            .into()
    }

    fn room_subscription(&self, room: &Room, is_socket: bool) -> Option<Subscription> {
        let wanted = match self.mode {
            Mode::ShardedDynamicPrivate => true,
            Mode::ShardedDynamic => !is_socket,
            Mode::ShardedStatic | Mode::Classic => false,
        };
        let channel = room_channel(&self.channel, room);
        // A room that is named like this node shares its channel, which must stay when it goes.
        (wanted && channel != self.own_channel).then(|| Subscription::Sharded(channel.into()))
    }

    fn count_channel(&self) -> &str {
        &self.channel
    }

    fn channel_of(&self, node: &str) -> Option<String> {
        Some(self.channel_of_node(node))
    }

    fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    fn request_id(&self) -> String {
        identity::sharded_id()
    }

    fn question(&self, request_id: &str, ask: &Ask, timeout: Duration) -> Option<Outgoing> {
        let speaker = self.speaker();
        Some(self.outgoing(match ask {
            Ask::Sockets(target) => speaker.fetch(request_id, target),
            Ask::ServerSide(payload) => speaker.server_side(request_id, payload),
            Ask::Acks(payload, target) => {
                speaker.broadcast_with_ack(request_id, payload, target, timeout)
            }
            // The wire has no such question.
            Ask::Rooms => return None,
        }))
    }

    fn envelope(&self, envelope: &Envelope) -> Option<Outgoing> {
        Some(Outgoing {
            channel: channel_of(self.mode, &self.channel, envelope),
            payload: self.speaker().envelope(envelope)?,
            is_sharded: true,
        })
    }

    fn hello(&self) -> Option<Outgoing> {
        Some(self.outgoing(self.speaker().hello()))
    }

    fn goodbye(&self) -> Option<Outgoing> {
        Some(self.outgoing(self.speaker().goodbye()))
    }

    /// Those that were heard of and have not said all, the latest first: of the others some may
    /// have died without a word.
    fn missing(&self, finished: &HashSet<String>, count: usize) -> Vec<String> {
        let peers = self.peers.lock();
        let mut silent: Vec<_> = peers
            .iter()
            .filter(|(uid, _)| !finished.contains(*uid))
            .collect();
        silent.sort_by_key(|(_, seen)| std::cmp::Reverse(**seen));
        let names = silent.into_iter().take(count);
        names.map(|(uid, _)| uid.clone()).collect()
    }

    fn receive(self: Arc<Self>, via: Via<'_>, payload: Bytes) {
        let Some(context) = self.context.upgrade() else {
            return;
        };
        let Via::Main(name) = via else { return };
        let is_own = self.endings.iter().any(|end| payload.ends_with(end));
        if is_own {
            return;
        }
        let concerns = name.is_none_or(|name| name == self.uid || self.concerns(&context, name));
        if !concerns {
            return;
        }
        match sharded::decode(&payload) {
            Ok(message) => self.handle(&context, message),
            Err(error) => context.poison.found("sharded", error),
        }
    }
}
