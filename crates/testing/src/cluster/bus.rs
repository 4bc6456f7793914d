//! A network within the process: an adapter written from outside the framework, as any other is.
//!
//! ```text
//!  node "a" ─▶ Adapter ─▶ bus ─▶ LocalNode of "b", "c", …
//! ```
//!
//! # Invariants
//!
//! - What one node publishes, the others apply at once, in order, and it does not come back.
//! - A node that was cut off applies and answers nothing, as one whose network is gone.

mod revocations;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use portcullis::adapter::{
    Adapter, AdapterError, Answers, Envelope, Health, LocalNode, SocketDescription, Target,
};
use portcullis::revocation::{LocalRevocations, Revocation, RevocationStore};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room};
use portcullis::socketio::payload::Payload;
use tokio::sync::Notify;

use crate::Journal;

/// A network for the nodes of a cluster, within the process. Clones are the same network.
///
/// ```
/// use portcullis::Server;
/// use portcullis_testing::MemoryBus;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let bus = MemoryBus::default();
/// let (adapter, node) = bus.node();
/// let builder = Server::builder().namespace("/", |r| { r.public(); });
/// builder.cluster(adapter).build().await.unwrap();
/// node.told().wait_for("namespace opened /").await;
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryBus {
    stations: Arc<Mutex<Vec<Arc<Station>>>>,
    revoked: Arc<Mutex<Vec<Revocation>>>,
}

/// One node's place on the bus.
#[derive(Debug, Default)]
struct Station {
    node: OnceLock<Arc<dyn LocalNode>>,
    namespaces: Mutex<Vec<NamespacePath>>,
    is_cut_off: AtomicBool,
    cannot_start: AtomicBool,
    health: Mutex<Option<Health>>,
    told: Journal,
    revocations: Held,
    /// Its network is back.
    healed: Notify,
}

/// What a server holds of what is revoked. The server keeps the store, and the store this: they
/// must not own each other.
#[derive(Debug, Default)]
struct Held(OnceLock<Weak<dyn LocalRevocations>>);

impl Held {
    /// Hands it back if it is set already.
    fn set(&self, local: Arc<dyn LocalRevocations>) -> Result<(), Arc<dyn LocalRevocations>> {
        self.0.set(Arc::downgrade(&local)).map_err(|_| local)
    }

    fn get(&self) -> Option<Arc<dyn LocalRevocations>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

impl Station {
    fn node(&self) -> &dyn LocalNode {
        &**self.node.get().expect("the server is built")
    }

    fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }
}

/// A node of a [`MemoryBus`], as the test sees it. Clones are the same node.
#[derive(Debug, Clone)]
pub struct BusNode(Arc<Station>, MemoryBus);

impl BusNode {
    /// Takes the node's network away: nothing reaches it, and it answers nothing. What it
    /// publishes still leaves.
    pub fn cut(&self) {
        self.0.is_cut_off.store(true, Ordering::Relaxed);
    }

    /// Gives it back. What was missed stays so, except revocations: those are kept for it, and it
    /// hands over what it holds itself.
    pub fn heal(&self) {
        self.0.is_cut_off.store(false, Ordering::Relaxed);
        if let Some(local) = self.0.revocations.get() {
            let held = local.held();
            let mut kept = self.1.revoked.lock();
            kept.retain(|revocation| !held.contains(revocation));
            kept.extend(held);
        }
        for station in self.1.stations.lock().iter() {
            revocations::read(&self.1, station);
        }
        self.0.healed.notify_waiters();
    }

    /// Lets the adapter fail when its server is built, as if no cluster were there.
    pub fn fail_to_start(&self) {
        self.0.cannot_start.store(true, Ordering::Relaxed);
    }

    /// Lets the adapter say this of its cluster from now on; before, it says that all is well.
    pub fn report(&self, health: Health) {
        *self.0.health.lock() = Some(health);
    }

    /// What the framework told the adapter, a line each: `start`, `close`, `publish /chat`,
    /// `namespace opened /chat`, `room opened /chat "lobby"`, and the closings of both.
    #[must_use]
    pub fn told(&self) -> &Journal {
        &self.0.told
    }

    /// The node as the rest of its cluster sees it.
    ///
    /// # Panics
    ///
    /// If its server has not been built.
    #[must_use]
    pub fn local(&self) -> &dyn LocalNode {
        self.0.node()
    }
}

/// The adapter of one node, for [`ServerBuilder::cluster`](portcullis::ServerBuilder::cluster).
#[derive(Debug)]
pub struct MemoryAdapter {
    bus: MemoryBus,
    own: Arc<Station>,
}

impl MemoryBus {
    /// A new node: what goes to its builder, and what the test keeps.
    #[must_use]
    pub fn node(&self) -> (MemoryAdapter, BusNode) {
        let own = Arc::new(Station::default());
        let adapter = MemoryAdapter {
            bus: self.clone(),
            own: Arc::clone(&own),
        };
        (adapter, BusNode(own, self.clone()))
    }
}

impl MemoryAdapter {
    fn others(&self) -> Vec<Arc<Station>> {
        let mut stations = self.bus.stations.lock().clone();
        stations.retain(|station| !Arc::ptr_eq(station, &self.own));
        stations
    }

    /// Asks every other node something that it answers at once.
    fn ask<T>(&self, question: impl Fn(&dyn LocalNode) -> Vec<T>) -> Answers<T> {
        let (cut_off, others): (Vec<_>, Vec<_>) = self
            .others()
            .into_iter()
            .partition(|station| station.is_cut_off());
        let items = others.iter().flat_map(|station| question(station.node()));
        Answers::partial(items.collect(), cut_off.len(), Vec::new())
    }

    fn tell(&self, what: &str, namespace: &NamespacePath, room: Option<&Room>) {
        let room = room.map(|room| serde_json::to_string(room).unwrap());
        let room = room.unwrap_or_default();
        let line = format!("{what} {namespace} {room}");
        self.own.told.note(line.trim_end());
    }
}

/// Acks of one broadcast.
#[derive(Debug, Default)]
struct Arrived {
    answers: Mutex<Vec<Args>>,
    one_more: Notify,
}

impl Arrived {
    fn push(&self, args: Args) {
        self.answers.lock().push(args);
        self.one_more.notify_one();
    }

    async fn wait_for(&self, count: usize) {
        while self.answers.lock().len() < count {
            self.one_more.notified().await;
        }
    }
}

impl Adapter for MemoryAdapter {
    fn revocations(&self) -> Option<Arc<dyn RevocationStore>> {
        Some(Arc::new(revocations::BusRevocations {
            bus: self.bus.clone(),
            own: Arc::clone(&self.own),
        }))
    }

    fn start(
        &self,
        node: Arc<dyn LocalNode>,
        namespaces: Vec<NamespacePath>,
    ) -> BoxFuture<'_, Result<(), AdapterError>> {
        if self.own.cannot_start.load(Ordering::Relaxed) {
            let error = AdapterError::new("nobody is there");
            return std::future::ready(Err(error)).boxed();
        }
        assert!(self.own.node.set(node).is_ok(), "started once");
        self.bus.stations.lock().push(Arc::clone(&self.own));
        self.own.told.note("start");
        for namespace in &namespaces {
            self.namespace_opened(namespace);
        }
        std::future::ready(Ok(())).boxed()
    }

    fn health(&self) -> Health {
        self.own.health.lock().clone().unwrap_or(Health::Up)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus
            .stations
            .lock()
            .retain(|station| !Arc::ptr_eq(station, &self.own));
        self.own.told.note("close");
        std::future::ready(()).boxed()
    }

    fn namespace_opened(&self, namespace: &NamespacePath) {
        self.own.namespaces.lock().push(namespace.clone());
        self.tell("namespace opened", namespace, None);
    }

    fn namespace_closed(&self, namespace: &NamespacePath) {
        self.own.namespaces.lock().retain(|name| name != namespace);
        self.tell("namespace closed", namespace, None);
    }

    fn room_opened(&self, namespace: &NamespacePath, room: &Room) {
        self.tell("room opened", namespace, Some(room));
    }

    fn room_closed(&self, namespace: &NamespacePath, room: &Room) {
        self.tell("room closed", namespace, Some(room));
    }

    fn publish(&self, namespace: &NamespacePath, envelope: Envelope) {
        self.tell("publish", namespace, None);
        for station in self.others() {
            if !station.is_cut_off() {
                station.node().apply(namespace, envelope.clone());
            }
        }
    }

    fn server_count(
        &self,
        namespace: &NamespacePath,
    ) -> BoxFuture<'_, Result<usize, AdapterError>> {
        let stations = self.bus.stations.lock();
        let has_namespace = |station: &&Arc<Station>| station.namespaces.lock().contains(namespace);
        let count = stations.iter().filter(has_namespace).count();
        std::future::ready(Ok(count)).boxed()
    }

    fn broadcast_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        target: Target,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        let arrived = Arc::<Arrived>::default();
        let (mut expected, mut missing) = (0, 0);
        for station in self.others() {
            if station.is_cut_off() {
                missing += 1;
                continue;
            }
            let arrived = Arc::clone(&arrived);
            let answer = Box::new(move |args| arrived.push(args));
            expected += station
                .node()
                .broadcast_with_ack(namespace, &payload, &target, timeout, answer);
        }
        async move {
            let all = arrived.wait_for(expected);
            let in_time = tokio::time::timeout(timeout, all).await.is_ok();
            let items = std::mem::take(&mut *arrived.answers.lock());
            Answers::partial(items, missing + usize::from(!in_time), Vec::new())
        }
        .boxed()
    }

    fn fetch_sockets(
        &self,
        namespace: &NamespacePath,
        target: Target,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<SocketDescription>> {
        let answers = self.ask(|node| node.fetch_sockets(namespace, &target));
        std::future::ready(answers).boxed()
    }

    fn all_rooms(
        &self,
        namespace: &NamespacePath,
        _timeout: Duration,
    ) -> BoxFuture<'_, Answers<Room>> {
        let answers = self.ask(|node| node.rooms(namespace));
        std::future::ready(answers).boxed()
    }

    fn server_side_emit_with_ack(
        &self,
        namespace: &NamespacePath,
        payload: Arc<Payload>,
        timeout: Duration,
    ) -> BoxFuture<'_, Answers<Args>> {
        let args = || Args::from_values(payload.values());
        let asked: Vec<_> = self
            .others()
            .iter()
            .map(|station| station.node().server_side_event(namespace, args()))
            .collect();
        async move {
            let mut answers = Answers::default();
            for answer in asked {
                match tokio::time::timeout(timeout, answer).await {
                    Ok(Some(args)) => answers.items.push(args),
                    Ok(None) | Err(_) => answers.missing_nodes += 1,
                }
            }
            answers
        }
        .boxed()
    }
}
