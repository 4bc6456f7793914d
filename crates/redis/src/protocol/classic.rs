//! A node among those of `@socket.io/redis-adapter`.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use portcullis::adapter::{Envelope, Flags, Target};
use portcullis::socketio::ids::{NamespacePath, Room};
use portcullis::socketio::payload::Payload;

use super::{Ask, Context, Member, Via, answering};
use crate::connection::queue::Outgoing;
use crate::connection::subscriptions::Subscription;
use crate::identity;
use crate::requests::Requests;
use crate::wire::Answer;
use crate::wire::channel::{ClassicChannels, rooms_of_name};
use crate::wire::classic::{self, Broadcast, Request, RequestBody};

/// This node in one namespace.
#[derive(Debug)]
pub(crate) struct Classic {
    context: Weak<Context>,
    namespace: NamespacePath,
    uid: String,
    channels: ClassicChannels,
    requests: Arc<Requests>,
    own_rooms_only: bool,
    can_peek: bool,
}

impl Classic {
    pub(crate) fn new(context: &Arc<Context>, namespace: NamespacePath) -> Self {
        let uid = identity::classic_uid();
        Self {
            context: Arc::downgrade(context),
            channels: ClassicChannels::new(&context.options.prefix, &namespace, &uid),
            namespace,
            uid,
            requests: Arc::default(),
            own_rooms_only: context.options.own_rooms_only,
            can_peek: !context.options.has_own_parser,
        }
    }

    fn receive_broadcast(&self, context: &Context, room: Option<&str>, payload: &Bytes) {
        if let Some(name) = room {
            let (text, number) = rooms_of_name(name);
            let has_room = |room: &Room| context.node.has_room(&self.namespace, room);
            if !has_room(&text) && !number.as_ref().is_some_and(has_room) {
                return;
            }
        }
        if self.can_peek && classic::is_own_broadcast(payload, &self.uid) {
            return;
        }
        match classic::decode_broadcast(payload, &*context.options.parser) {
            Ok(broadcast) => self.apply_broadcast(context, broadcast),
            Err(error) => context.poison.found("broadcast", error),
        }
    }

    fn apply_broadcast(&self, context: &Context, broadcast: Broadcast) {
        if broadcast.sender == self.uid || self.namespace != broadcast.namespace.as_str() {
            return;
        }
        let envelope = Envelope::Broadcast {
            payload: Arc::new(broadcast.payload),
            target: broadcast.target,
            flags: broadcast.flags,
        };
        context.node.apply(&self.namespace, envelope);
    }

    fn receive_request(self: Arc<Self>, context: &Arc<Context>, payload: &Bytes) {
        match classic::decode_request(payload, &*context.options.parser) {
            Ok(request) => self.handle_request(context, request),
            Err(error) => context.poison.found("request", error),
        }
    }

    fn handle_request(self: Arc<Self>, context: &Arc<Context>, request: Request) {
        let Request {
            sender,
            request_id,
            body,
        } = request;
        let is_own = sender.as_ref() == Some(&self.uid)
            || request_id
                .as_ref()
                .is_some_and(|id| self.requests.contains(id));
        if is_own {
            return;
        }
        let (node, namespace) = (&context.node, &self.namespace);
        let respond = |answer: &Answer| {
            if let Some(id) = &request_id {
                self.respond(context, sender.as_deref(), id, answer);
            }
        };
        // The old form of a change names one socket, and wants an answer of the node that has it.
        let done = |is_here: bool| {
            if is_here {
                respond(&Answer::Done);
            }
        };
        match body {
            RequestBody::SocketIds(rooms) => {
                let target = rooms.map(|rooms| Target::new(rooms, []));
                let sockets = answering::sockets(context, namespace, target.as_ref());
                let ids = sockets.iter().map(|socket| socket.id.to_string());
                respond(&Answer::SocketIds(ids.collect()));
            }
            RequestBody::AllRooms => respond(&Answer::Rooms(node.rooms(namespace))),
            RequestBody::Fetch(target) => {
                let sockets = answering::sockets(context, namespace, target.as_ref());
                respond(&Answer::Sockets(sockets));
            }
            RequestBody::Join(target, rooms) => {
                let is_here = self.is_here(context, &target);
                node.apply(namespace, Envelope::Join { target, rooms });
                done(is_here);
            }
            RequestBody::Leave(target, rooms) => {
                let is_here = self.is_here(context, &target);
                node.apply(namespace, Envelope::Leave { target, rooms });
                done(is_here);
            }
            RequestBody::Disconnect(target, close) => {
                let is_here = self.is_here(context, &target);
                node.apply(namespace, Envelope::Disconnect { target, close });
                done(is_here);
            }
            RequestBody::ServerSide(payload) => {
                self.server_side(context, request_id, payload);
            }
            RequestBody::BroadcastWithAck {
                payload,
                target,
                timeout,
            } => {
                let Some(id) = request_id else { return };
                let member = Arc::clone(&self);
                let respond = move |context: &Context, answer| {
                    member.respond(context, sender.as_deref(), &id, &answer);
                };
                let event = (&payload, target.as_ref());
                answering::broadcast_with_ack(context, &self.namespace, event, timeout, respond);
            }
        }
    }

    fn is_here(&self, context: &Context, target: &Target) -> bool {
        let has = |room| context.node.has_room(&self.namespace, room);
        target.rooms().iter().any(has)
    }

    fn server_side(&self, context: &Arc<Context>, request_id: Option<String>, payload: Payload) {
        let Some(id) = request_id else {
            let payload = Arc::new(payload);
            let envelope = Envelope::ServerSideEmit { payload };
            context.node.apply(&self.namespace, envelope);
            return;
        };
        // On the channel of all, whatever is configured: Node's adapter does so.
        let channel = self.channels.response.clone();
        answering::server_side(
            context,
            &self.namespace,
            &payload,
            move |context, answer| {
                context.bus.publish(Outgoing {
                    channel,
                    payload: classic::encode_response(&*context.options.parser, &id, &answer),
                    is_sharded: false,
                });
            },
        );
    }

    fn respond(&self, context: &Context, sender: Option<&str>, request_id: &str, answer: &Answer) {
        let channel = match sender {
            Some(uid) if context.options.specific_response => self.channels.response_of(uid),
            _ => self.channels.response.clone(),
        };
        context.bus.publish(Outgoing {
            channel,
            payload: classic::encode_response(&*context.options.parser, request_id, answer),
            is_sharded: false,
        });
    }

    fn receive_response(&self, context: &Context, payload: &Bytes) {
        if self.requests.is_empty() {
            // An answer to somebody else's question.
            return;
        }
        match classic::decode_response(payload, &*context.options.parser) {
            Ok(response) => _ = self.requests.take(response),
            Err(error) => context.poison.found("response", error),
        }
    }

    fn request(&self, payload: Vec<u8>) -> Outgoing {
        Outgoing {
            channel: self.channels.request.clone(),
            payload,
            is_sharded: false,
        }
    }
}

impl Member for Classic {
    fn subscriptions(&self) -> Vec<Subscription> {
        let channels = &self.channels;
        let all = if self.own_rooms_only {
            Subscription::Channel(channels.broadcast.as_str().into())
        } else {
            Subscription::Pattern(channels.pattern.as_str().into())
        };
        let channel = |name: &String| Subscription::Channel(name.as_str().into());
        vec![
            all,
            channel(&channels.request),
            channel(&channels.response),
            channel(&channels.own_response),
        ]
    }

    fn room_subscription(&self, room: &Room, _is_socket: bool) -> Option<Subscription> {
        let channel = self.channels.of_rooms(std::slice::from_ref(room));
        self.own_rooms_only
            .then(|| Subscription::Channel(channel.into()))
    }

    fn count_channel(&self) -> &str {
        &self.channels.request
    }

    /// The answers carry no sender.
    fn channel_of(&self, _node: &str) -> Option<String> {
        None
    }

    fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    fn request_id(&self) -> String {
        identity::classic_request_id()
    }

    fn question(&self, request_id: &str, ask: &Ask, timeout: Duration) -> Option<Outgoing> {
        let payload = match ask {
            Ask::Sockets(target) => {
                classic::encode_fetch(&self.uid, request_id, target).into_bytes()
            }
            Ask::Rooms => classic::encode_all_rooms(&self.uid, request_id).into_bytes(),
            Ask::ServerSide(payload) => {
                classic::encode_server_side(&self.uid, request_id, payload).into_bytes()
            }
            Ask::Acks(payload, target) => classic::encode_broadcast_with_ack(
                &*self.context.upgrade()?.options.parser,
                (&self.uid, request_id),
                &self.namespace,
                payload,
                target,
                timeout,
            ),
        };
        Some(self.request(payload))
    }

    fn envelope(&self, envelope: &Envelope) -> Option<Outgoing> {
        if let Envelope::Broadcast {
            payload,
            target,
            flags,
        } = envelope
        {
            let context = self.context.upgrade()?;
            return Some(Outgoing {
                channel: self.channels.of_rooms(target.rooms()),
                payload: self.encode(&context, payload, target, *flags),
                is_sharded: false,
            });
        }
        let request = classic::encode_envelope(Some(&self.uid), envelope)?;
        Some(self.request(request.into_bytes()))
    }

    /// Nodes are counted, not known.
    fn hello(&self) -> Option<Outgoing> {
        None
    }

    fn goodbye(&self) -> Option<Outgoing> {
        None
    }

    /// The answers carry no sender.
    fn missing(&self, _finished: &HashSet<String>, _count: usize) -> Vec<String> {
        Vec::new()
    }

    fn receive(self: Arc<Self>, via: Via<'_>, payload: Bytes) {
        let Some(context) = self.context.upgrade() else {
            return;
        };
        match via {
            Via::Main(room) => self.receive_broadcast(&context, room, &payload),
            Via::Request => self.receive_request(&context, &payload),
            Via::Response(None) => self.receive_response(&context, &payload),
            Via::Response(Some(uid)) if uid == self.uid => {
                self.receive_response(&context, &payload);
            }
            Via::Response(Some(_)) => {}
        }
    }
}

impl Classic {
    fn encode(
        &self,
        context: &Context,
        payload: &Payload,
        target: &Target,
        flags: Flags,
    ) -> Vec<u8> {
        let parser = &*context.options.parser;
        classic::encode_broadcast(parser, &self.uid, &self.namespace, payload, target, flags)
    }
}
