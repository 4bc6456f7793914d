//! The seam of the framework, put on a bus.
//!
//! # Invariants
//!
//! - A namespace is one member of the cluster, however often it is opened and closed.
//! - No call of the framework waits for Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use portcullis::adapter::{
    Adapter, AdapterError, Answers, BusGap, Envelope, Health, LocalNode, SocketDescription, Target,
};
use portcullis::revocation::RevocationStore;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use crate::connection::Receive;
use crate::connection::subscriptions::Subscription;
use crate::options::{Options, Redis};
use crate::protocol::asking::{self, Asked};
use crate::protocol::classic::Classic;
use crate::protocol::sharded::Sharded;
use crate::protocol::{Ask, Context, Member, Via};
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

/// The namespaces that this node serves.
#[derive(Debug, Default)]
struct Namespaces {
    open: RwLock<HashMap<NamespacePath, Opened>>,
}

/// A namespace that was opened more often than closed, or the other way round for a moment.
#[derive(Debug, Default)]
struct Opened {
    count: i64,
    member: Option<Arc<dyn Member>>,
    rooms: Arc<Mutex<Rooms>>,
}

/// How many rooms and sockets here want to hear a channel: two may have the same one, such as the
/// rooms `7` and `"7"`.
type Rooms = HashMap<Subscription, i64>;

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

    fn count_namespace(&self, namespace: &NamespacePath, change: i64) {
        let mut open = self.namespaces.open.write();
        let opened = open.entry(namespace.clone()).or_default();
        opened.count += change;
        let bus = &self.context.bus;
        if opened.count > 0 && opened.member.is_none() {
            let member = self.new_member(namespace.clone());
            member
                .subscriptions()
                .into_iter()
                .for_each(|wanted| bus.subscribe(wanted));
            if bus.health().is_up() {
                member
                    .hello()
                    .into_iter()
                    .for_each(|hello| bus.publish(hello));
            }
            opened.member = Some(member);
        } else if opened.count <= 0
            && let Some(member) = opened.member.take()
        {
            member
                .goodbye()
                .into_iter()
                .for_each(|goodbye| bus.publish(goodbye));
            for subscription in member.subscriptions() {
                bus.unsubscribe(&subscription);
            }
        }
        let is_over = opened.is_over();
        if is_over {
            open.remove(namespace);
        }
    }

    fn new_member(&self, namespace: NamespacePath) -> Arc<dyn Member> {
        if self.context.options.mode.is_sharded() {
            Arc::new(Sharded::new(&self.context, namespace))
        } else {
            Arc::new(Classic::new(&self.context, namespace))
        }
    }

    /// A room has come or gone; openings and closings may be heard in any order.
    fn count_room(&self, namespace: &NamespacePath, room: &Room, is_socket: bool, change: i64) {
        let watches_rooms = self.context.options.watches_rooms();
        if watches_rooms && self.is_last_room(namespace, room, is_socket, change) {
            self.namespaces.forget(namespace);
        }
    }

    /// Counts, and says whether nothing is left that counts.
    fn is_last_room(
        &self,
        namespace: &NamespacePath,
        room: &Room,
        is_socket: bool,
        change: i64,
    ) -> bool {
        let (member, rooms) = self.namespaces.rooms(namespace);
        let is_open = member.is_some();
        // The last room may be closed after its namespace; its channel is the same for any member.
        let member = member.unwrap_or_else(|| self.new_member(namespace.clone()));
        let wanted = member.room_subscription(room, is_socket);
        let Some(subscription) = wanted else {
            return !is_open;
        };
        // Locked until the bus knows: of two changes, the later one must be told later.
        let mut rooms = rooms.lock();
        let count = rooms.entry(subscription.clone()).or_insert(0);
        *count += change;
        let count = *count;
        if count == 0 {
            rooms.remove(&subscription);
        }
        if count > 0 {
            self.context.bus.subscribe(subscription);
        } else {
            self.context.bus.unsubscribe(&subscription);
        }
        rooms.is_empty()
    }

    async fn ask(&self, namespace: &NamespacePath, ask: Ask, timeout: Duration) -> Option<Asked> {
        let member = self.member(namespace)?;
        Some(asking::ask(&self.context, &*member, &ask, timeout).await)
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

impl Opened {
    fn is_over(&self) -> bool {
        // Whoever counts a room just now has another hold on them.
        self.count == 0 && self.rooms.lock().is_empty() && Arc::strong_count(&self.rooms) == 1
    }
}

impl Namespaces {
    /// The member of a namespace, if it is open, and the rooms of which it is counted who is in.
    fn rooms(&self, namespace: &NamespacePath) -> (Option<Arc<dyn Member>>, Arc<Mutex<Rooms>>) {
        if let Some(opened) = self.open.read().get(namespace) {
            return (opened.member.clone(), Arc::clone(&opened.rooms));
        }
        let mut open = self.open.write();
        let opened = open.entry(namespace.clone()).or_default();
        (opened.member.clone(), Arc::clone(&opened.rooms))
    }

    /// Forgets a namespace that is neither open nor has rooms.
    fn forget(&self, namespace: &NamespacePath) {
        let mut open = self.open.write();
        if open.get(namespace).is_some_and(Opened::is_over) {
            open.remove(namespace);
        }
    }

    fn member(&self, namespace: &str) -> Option<Arc<dyn Member>> {
        self.open.read().get(namespace)?.member.clone()
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        let open = self.open.read();
        let members = open.values().filter_map(|opened| opened.member.clone());
        members.collect()
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
                running.count_namespace(namespace, 1);
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
            running.count_namespace(namespace, 1);
        }
    }

    fn namespace_closed(&self, namespace: &NamespacePath) {
        if let Some(running) = self.running() {
            running.count_namespace(namespace, -1);
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
        // Emitters may address a namespace that this node does not serve.
        let member = running
            .member(namespace)
            .unwrap_or_else(|| running.new_member(namespace.clone()));
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
            let member = self
                .running()
                .and_then(|running| Some((running, running.member(&namespace)?)));
            let Some((running, member)) = member else {
                return Ok(0);
            };
            let count = running.context.bus.count(member.count_channel()).await;
            count.map_err(AdapterError::new)
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
        self.running()?.ask(namespace, ask, timeout).await
    }

    async fn ask_shortly(
        &self,
        namespace: &NamespacePath,
        ask: Ask,
        timeout: Duration,
    ) -> Option<Asked> {
        let running = self.running()?;
        running.ask(namespace, ask, running.short(timeout)).await
    }
}

fn answers<T>(asked: Option<Asked>, items: impl FnOnce(&mut Asked) -> Vec<T>) -> Answers<T> {
    let Some(mut asked) = asked else {
        return Answers::default();
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
