//! Hears every server-side event, whatever its name, and answers with the name of the node.
//!
//! ```text
//!  another node ─▶ adapter ─▶ Ear ─▶ Received, and the node itself
//! ```
//!
//! The framework calls the listeners of an event by its name; this server has to hear all of them.
//! So it stands between its adapter and its node, where every adapter could stand.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use portcullis::adapter::{
    Adapter, AdapterError, Answers, BusGap, Envelope, Health, LocalNode, SocketDescription, Target,
};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

/// So many events are kept for each namespace; then the oldest go.
const MAX_KEPT: usize = 10_000;

/// The server-side events that this node received.
#[derive(Debug, Default)]
pub(super) struct Received(Mutex<HashMap<NamespacePath, VecDeque<Value>>>);

impl Received {
    /// The events of a namespace, each as `[event, ...args]`, in the order in which they came.
    pub(super) fn of(&self, namespace: &NamespacePath) -> Value {
        let kept = self.0.lock();
        let events = kept.get(namespace).into_iter().flatten();
        Value::Array(events.cloned().collect())
    }

    fn keep(&self, namespace: &NamespacePath, event: Vec<Value>) {
        let mut kept = self.0.lock();
        let events = kept.entry(namespace.clone()).or_default();
        if events.len() == MAX_KEPT {
            events.pop_front();
        }
        events.push_back(Value::Array(event));
    }
}

/// An adapter whose node is listened to.
#[derive(Debug)]
pub(super) struct Listening {
    adapter: Arc<dyn Adapter>,
    name: Value,
    received: Arc<Received>,
}

impl Listening {
    pub(super) fn new(adapter: Arc<dyn Adapter>, name: String, received: Arc<Received>) -> Self {
        Self {
            adapter,
            name: Value::from(name),
            received,
        }
    }
}

/// The node as the adapter sees it.
#[derive(Debug)]
struct Ear {
    node: Arc<dyn LocalNode>,
    name: Value,
    received: Arc<Received>,
}

impl LocalNode for Ear {
    fn apply(&self, namespace: &NamespacePath, envelope: Envelope) {
        if let Envelope::ServerSideEmit { payload } = &envelope {
            self.received.keep(namespace, payload.values());
        }
        self.node.apply(namespace, envelope);
    }

    fn server_side_event(
        &self,
        namespace: &NamespacePath,
        args: Args,
    ) -> BoxFuture<'static, Option<Args>> {
        let event = args.values().unwrap_or_default();
        self.received.keep(namespace, event);
        let name = Args::from_values(vec![self.name.clone()]);
        Box::pin(std::future::ready(Some(name)))
    }

    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: &Payload,
        target: &Target,
        timeout: Duration,
        answer: Box<dyn FnMut(Args) + Send>,
    ) -> usize {
        self.node
            .broadcast_with_ack(namespace, payload, target, timeout, answer)
    }

    fn fetch_sockets(&self, namespace: &NamespacePath, target: &Target) -> Vec<SocketDescription> {
        self.node.fetch_sockets(namespace, target)
    }

    fn rooms(&self, namespace: &NamespacePath) -> Vec<Room> {
        self.node.rooms(namespace)
    }

    fn has_room(&self, namespace: &NamespacePath, room: &Room) -> bool {
        self.node.has_room(namespace, room)
    }

    fn report_gap(&self, gap: BusGap) {
        self.node.report_gap(gap);
    }
}

impl Adapter for Listening {
    fn start(
        &self,
        node: Arc<dyn LocalNode>,
        namespaces: Vec<NamespacePath>,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        let ear = Ear {
            node,
            name: self.name.clone(),
            received: Arc::clone(&self.received),
        };
        self.adapter.start(Arc::new(ear), namespaces)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.adapter.close()
    }

    fn health(&self) -> Health {
        self.adapter.health()
    }

    fn name(&self) -> &'static str {
        self.adapter.name()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.adapter.flush()
    }

    fn namespace_opened(&self, namespace: &NamespacePath) {
        self.adapter.namespace_opened(namespace);
    }

    fn namespace_closed(&self, namespace: &NamespacePath) {
        self.adapter.namespace_closed(namespace);
    }

    fn room_opened(&self, namespace: &NamespacePath, room: &Room) {
        self.adapter.room_opened(namespace, room);
    }

    fn room_closed(&self, namespace: &NamespacePath, room: &Room) {
        self.adapter.room_closed(namespace, room);
    }

    fn socket_opened(&self, namespace: &NamespacePath, id: &SocketId) {
        self.adapter.socket_opened(namespace, id);
    }

    fn socket_closed(&self, namespace: &NamespacePath, id: &SocketId) {
        self.adapter.socket_closed(namespace, id);
    }

    fn publish(&self, namespace: &NamespacePath, envelope: Envelope) {
        self.adapter.publish(namespace, envelope);
    }

    fn server_count(
        &self,
        namespace: &NamespacePath,
    ) -> BoxFuture<'_, Result<usize, AdapterError>> {
        self.adapter.server_count(namespace)
    }

    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        self.adapter
            .broadcast_with_ack(namespace, payload, target, timeout)
    }

    fn fetch_sockets(
        &self,
        namespace: &NamespacePath,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<SocketDescription>> {
        self.adapter.fetch_sockets(namespace, target, timeout)
    }

    fn all_rooms(
        &self,
        namespace: &NamespacePath,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Room>> {
        self.adapter.all_rooms(namespace, timeout)
    }

    fn server_side_emit_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        self.adapter
            .server_side_emit_with_ack(namespace, payload, timeout)
    }
}
