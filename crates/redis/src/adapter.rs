//! The seam of the framework, put on a bus.
//!
//! # Invariants
//!
//! - No call of the framework waits for Redis, but questions, and joining, flushing and leaving.
//!
//! # Not here
//!
//! Which namespaces and rooms are open (`namespaces`); what is said about them (`protocol`).

mod namespaces;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use portcullis::adapter::{
    Adapter, AdapterError, Answers, BusGap, Envelope, Health, LocalNode, SocketDescription, Target,
};
use portcullis::revocation::RevocationStore;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use self::namespaces::Namespaces;
use crate::connection::Receive;
use crate::options::{Options, Redis};
use crate::protocol::asking::{self, Asked};
use crate::protocol::{self, Ask, Context, Member, Via};
use crate::revocations::{Names, Revocations, Store};
use crate::start::{self, StartError};
use crate::tasks::Tasks;
use crate::wire::channel;

/// A node of a running cluster.
#[derive(Debug)]
pub(crate) struct Running {
    context: Arc<Context>,
    namespaces: Arc<Namespaces>,
    revocations: Arc<Revocations>,
}

/// Where messages go when they arrive.
#[derive(Debug)]
struct Receiver {
    prefix: String,
    node: Arc<dyn LocalNode>,
    namespaces: Arc<Namespaces>,
    revocations: Arc<Revocations>,
}

impl Running {
    fn new(options: &Options, node: Arc<dyn LocalNode>) -> Result<Self, AdapterError> {
        let namespaces = Arc::new(Namespaces::default());
        let names = Names::new(&options.prefix, options.mode.is_sharded());
        let revocations = Revocations::new(names);
        let receiver = Receiver {
            prefix: options.prefix.clone(),
            node: Arc::clone(&node),
            namespaces: Arc::clone(&namespaces),
            revocations: Arc::clone(&revocations),
        };
        let bus = start::bus(options, Arc::new(receiver), false).map_err(AdapterError::new)?;
        let context = Arc::new(Context {
            options: options.clone(),
            node,
            bus,
            tasks: Tasks::current(),
            poison: Default::default(),
        });
        Ok(Self {
            context,
            namespaces,
            revocations,
        })
    }

    /// Connects, as what happens at start says.
    async fn join(&self) -> Result<(), AdapterError> {
        let bus = &self.context.bus;
        let at_start = self.context.options.at_start;
        start::join(bus, at_start)
            .await
            .map_err(AdapterError::new)?;
        for member in self.namespaces.members() {
            member
                .hello()
                .into_iter()
                .for_each(|hello| bus.publish(hello));
        }
        Ok(())
    }

    async fn leave(&self) {
        let bus = &self.context.bus;
        for member in self.namespaces.members() {
            member
                .goodbye()
                .into_iter()
                .for_each(|goodbye| bus.publish(goodbye));
        }
        bus.close().await;
        self.context.tasks.stop().await;
    }

    fn member(&self, namespace: &NamespacePath) -> Option<Arc<dyn Member>> {
        self.namespaces.member(namespace)
    }

    /// This node in a namespace that it does not serve, which emitters may address.
    fn stranger(&self, namespace: &NamespacePath) -> Arc<dyn Member> {
        protocol::new_member(&self.context, namespace.clone())
    }

    /// A room has come or gone, or a socket.
    fn count_room(&self, namespace: &NamespacePath, room: &Room, is_socket: bool, change: i64) {
        let namespaces = &self.namespaces;
        namespaces.count_room(&self.context, namespace, (room, is_socket), change);
    }

    async fn ask(&self, namespace: &NamespacePath, ask: Ask, timeout: Duration) -> Asked {
        if let Some(member) = self.member(namespace) {
            return asking::ask(&self.context, &*member, &ask, timeout).await;
        }
        let stranger = self.stranger(namespace);
        asking::ask_unheard(&self.context, &*stranger, &ask, timeout).await
    }

    async fn server_count(&self, namespace: &NamespacePath) -> Result<usize, AdapterError> {
        if let Some(member) = self.member(namespace) {
            let others = self.context.bus.count_others(member.count_channel());
            return Ok(1 + others.await.map_err(AdapterError::new)?);
        }
        let stranger = self.stranger(namespace);
        let counted = asking::count_unheard(&self.context, &*stranger).await;
        counted.ok_or_else(|| AdapterError::new("the nodes cannot be counted now"))
    }

    fn short(&self, timeout: Duration) -> Duration {
        timeout.min(self.context.options.requests_timeout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.context.tasks.abort();
    }
}

impl Receive for Receiver {
    fn message(&self, channel: &str, payload: Bytes) {
        if self.revocations.receive(channel, &payload) {
            return;
        }
        let found = match channel::split(&self.prefix, channel) {
            Some((namespace, rest)) => Some((namespace, Via::Main(rest))),
            None => channel.strip_prefix(self.prefix.as_str()).and_then(|rest| {
                let request = channel::split("-request", rest)
                    .filter(|(_, rest)| rest.is_none())
                    .map(|(namespace, _)| (namespace, Via::Request));
                let response = || {
                    channel::split("-response", rest)
                        .map(|(namespace, rest)| (namespace, Via::Response(rest)))
                };
                request.or_else(response)
            }),
        };
        if let Some((namespace, via)) = found
            && let Some(member) = self.namespaces.member(namespace)
        {
            member.receive(via, payload);
        }
    }

    fn gap(&self, gap: BusGap) {
        self.node.report_gap(gap);
    }
}

impl Redis {
    fn running(&self) -> Option<&Arc<Running>> {
        self.running.get()
    }
}

impl Adapter for Redis {
    fn start(
        &self,
        node: Arc<dyn LocalNode>,
        namespaces: Vec<NamespacePath>,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async move {
            let running = Arc::new(Running::new(&self.options, node)?);
            if self.running.set(Arc::clone(&running)).is_err() {
                return Err(AdapterError::new(StartError::Twice));
            }
            for namespace in &namespaces {
                running.namespaces.count(&running.context, namespace, 1);
            }
            running.join().await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(running) = self.running() {
                running.leave().await;
            }
        })
    }

    fn health(&self) -> Health {
        match self.running() {
            Some(running) => running.context.bus.health(),
            None => Health::Down {
                reason: "not started".to_owned(),
                since: Duration::ZERO,
            },
        }
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(running) = self.running() {
                running.context.bus.flush().await;
            }
        })
    }

    fn revocations(&self) -> Option<Arc<dyn RevocationStore>> {
        let running = self.running()?;
        Some(Arc::new(Store {
            revocations: Arc::clone(&running.revocations),
            context: Arc::clone(&running.context),
        }))
    }

    fn name(&self) -> &'static str {
        "redis"
    }

    fn namespace_opened(&self, namespace: &NamespacePath) {
        if let Some(running) = self.running() {
            running.namespaces.count(&running.context, namespace, 1);
        }
    }

    fn namespace_closed(&self, namespace: &NamespacePath) {
        if let Some(running) = self.running() {
            running.namespaces.count(&running.context, namespace, -1);
        }
    }

    fn room_opened(&self, namespace: &NamespacePath, room: &Room) {
        if let Some(running) = self.running() {
            running.count_room(namespace, room, false, 1);
        }
    }

    fn room_closed(&self, namespace: &NamespacePath, room: &Room) {
        if let Some(running) = self.running() {
            running.count_room(namespace, room, false, -1);
        }
    }

    fn socket_opened(&self, namespace: &NamespacePath, id: &SocketId) {
        if let Some(running) = self.running() {
            running.count_room(namespace, &Room::from(id), true, 1);
        }
    }

    fn socket_closed(&self, namespace: &NamespacePath, id: &SocketId) {
        if let Some(running) = self.running() {
            running.count_room(namespace, &Room::from(id), true, -1);
        }
    }

    fn publish(&self, namespace: &NamespacePath, envelope: Envelope) {
        let Some(running) = self.running() else {
            return;
        };
        let member = running
            .member(namespace)
            .unwrap_or_else(|| running.stranger(namespace));
        if let Some(message) = member.envelope(&envelope) {
            running.context.bus.publish(message);
        }
    }

    fn server_count(
        &self,
        namespace: &NamespacePath,
    ) -> BoxFuture<'_, Result<usize, AdapterError>> {
        let namespace = namespace.clone();
        Box::pin(async move {
            let Some(running) = self.running() else {
                return Err(AdapterError::new("the adapter was not started"));
            };
            running.server_count(&namespace).await
        })
    }

    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        let namespace = namespace.clone();
        Box::pin(async move {
            let ask = Ask::Acks(payload, target);
            answers(self.ask(&namespace, ask, timeout).await, |asked| {
                args(&mut asked.gathered.values)
            })
        })
    }

    fn fetch_sockets(
        &self,
        namespace: &NamespacePath,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<SocketDescription>> {
        let namespace = namespace.clone();
        Box::pin(async move {
            let ask = Ask::Sockets(target);
            answers(self.ask_shortly(&namespace, ask, timeout).await, |asked| {
                std::mem::take(&mut asked.gathered.sockets)
            })
        })
    }

    fn all_rooms(
        &self,
        namespace: &NamespacePath,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Room>> {
        let namespace = namespace.clone();
        Box::pin(async move {
            if self.options.mode.is_sharded() {
                // That wire has no such question, but every socket tells its rooms.
                let everyone = Target::default();
                let fetched = self.fetch_sockets(&namespace, everyone, timeout).await;
                let rooms = fetched.items.into_iter().flat_map(|socket| socket.rooms);
                return Answers::partial(rooms.collect(), fetched.missing_nodes, fetched.missing);
            }
            let asked = self.ask_shortly(&namespace, Ask::Rooms, timeout).await;
            answers(asked, |asked| std::mem::take(&mut asked.gathered.rooms))
        })
    }

    fn server_side_emit_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        let namespace = namespace.clone();
        Box::pin(async move {
            let ask = Ask::ServerSide(payload);
            answers(self.ask(&namespace, ask, timeout).await, |asked| {
                args(&mut asked.gathered.values)
            })
        })
    }
}

impl Redis {
    async fn ask(&self, namespace: &NamespacePath, ask: Ask, timeout: Duration) -> Option<Asked> {
        Some(self.running()?.ask(namespace, ask, timeout).await)
    }

    async fn ask_shortly(
        &self,
        namespace: &NamespacePath,
        ask: Ask,
        timeout: Duration,
    ) -> Option<Asked> {
        let running = self.running()?;
        let timeout = running.short(timeout);
        Some(running.ask(namespace, ask, timeout).await)
    }
}

fn answers<T>(asked: Option<Asked>, items: impl FnOnce(&mut Asked) -> Vec<T>) -> Answers<T> {
    let Some(mut asked) = asked else {
        // It was not started, and nobody knows who is there.
        return Answers::partial(Vec::new(), 1, Vec::new());
    };
    let items = items(&mut asked);
    Answers::partial(items, asked.missing_nodes, asked.missing)
}

/// What each answer says: one value, or nothing.
fn args(values: &mut Vec<Option<Value>>) -> Vec<Args> {
    let values = std::mem::take(values).into_iter();
    values
        .map(|value| Args::from_values(value.into_iter().collect()))
        .collect()
}
