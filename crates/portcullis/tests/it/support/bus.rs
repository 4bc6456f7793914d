//! A cluster within one process: an adapter written from outside the crate, as any other would be.
//!
//! ```text
//!  node "a" ─▶ Adapter ─▶ bus ─▶ LocalNode of "b", "c", …
//! ```
//!
//! # Invariants
//!
//! - What one node publishes, the others apply at once, in order, and it does not come back.
//! - A node that was muted applies and answers nothing, as one whose network is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use portcullis::adapter::{
    Adapter, AdapterError, Answers, Envelope, Health, LocalNode, SocketDescription, Target,
};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room};
use portcullis::socketio::payload::Payload;
use tokio::sync::mpsc;

use super::Journal;

/// The nodes of a cluster; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<Vec<Arc<Station>>>>);

/// One node's place on the bus.
#[derive(Debug, Default)]
pub(crate) struct Station {
    node: OnceLock<Arc<dyn LocalNode>>,
    namespaces: Mutex<Vec<NamespacePath>>,
    muted: AtomicBool,
    is_cut_off: AtomicBool,
    health: Mutex<Option<Health>>,
    /// What the framework told the adapter.
    pub(crate) journal: Journal,
}

impl Station {
    pub(crate) fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }

    /// What the adapter says of itself from now on.
    pub(crate) fn report(&self, health: Health) {
        *self.health.lock() = Some(health);
    }

    /// The cluster is not there when the node wants to join it.
    pub(crate) fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub(crate) fn node(&self) -> &dyn LocalNode {
        &**self.node.get().expect("the server is built")
    }

    fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }
}

/// The adapter of one node.
#[derive(Debug)]
pub(crate) struct BusAdapter {
    bus: Bus,
    own: Arc<Station>,
}

impl Bus {
    /// A new node: what goes to its builder, and what the test looks at.
    pub(crate) fn node(&self) -> (BusAdapter, Arc<Station>) {
        let own = Arc::new(Station::default());
        let adapter = BusAdapter {
            bus: self.clone(),
            own: Arc::clone(&own),
        };
        (adapter, own)
    }
}

impl BusAdapter {
    fn others(&self) -> Vec<Arc<Station>> {
        let mut stations = self.bus.0.lock().clone();
        stations.retain(|station| !Arc::ptr_eq(station, &self.own));
        stations
    }

    /// Asks every other node something that it answers at once.
    fn ask<T>(&self, question: impl Fn(&dyn LocalNode) -> Vec<T>) -> Answers<T> {
        let (muted, others): (Vec<_>, Vec<_>) = self
            .others()
            .into_iter()
            .partition(|station| station.is_muted());
        let items = others.iter().flat_map(|station| question(station.node()));
        Answers::partial(items.collect(), muted.len(), Vec::new())
    }

    fn tell(&self, what: &str, namespace: &NamespacePath, room: Option<&Room>) {
        let room = room.map(|room| serde_json::to_string(room).unwrap());
        let room = room.unwrap_or_default();
        let line = format!("{what} {namespace} {room}");
        self.own.journal.note(line.trim_end());
    }
}

impl Adapter for BusAdapter {
    fn start(&self, node: Arc<dyn LocalNode>) -> BoxFuture<'_, Result<(), AdapterError>> {
        if self.own.is_cut_off.load(Ordering::Relaxed) {
            let error = AdapterError::new("nobody is there");
            return std::future::ready(Err(error)).boxed();
        }
        assert!(self.own.node.set(node).is_ok(), "started once");
        self.bus.0.lock().push(Arc::clone(&self.own));
        self.own.journal.note("start");
        std::future::ready(Ok(())).boxed()
    }

    fn health(&self) -> Health {
        self.own.health.lock().clone().unwrap_or(Health::Up)
    }

    fn name(&self) -> &'static str {
        "bus"
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus
            .0
            .lock()
            .retain(|station| !Arc::ptr_eq(station, &self.own));
        self.own.journal.note("close");
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
            if !station.is_muted() {
                station.node().apply(namespace, envelope.clone());
            }
        }
    }

    fn server_count(
        &self,
        namespace: &NamespacePath,
    ) -> BoxFuture<'_, Result<usize, AdapterError>> {
        let stations = self.bus.0.lock();
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
        let (sender, mut receiver) = mpsc::channel(64);
        let (mut expected, mut missing) = (0, 0);
        for station in self.others() {
            if station.is_muted() {
                missing += 1;
                continue;
            }
            let sender = sender.clone();
            let answer = move |args| sender.try_send(args).expect("there is room");
            let answer = Box::new(answer);
            expected += station
                .node()
                .broadcast_with_ack(namespace, &payload, &target, timeout, answer);
        }
        async move {
            let mut items = Vec::new();
            let collect = async {
                while items.len() < expected {
                    items.extend(receiver.recv().await);
                }
            };
            let in_time = tokio::time::timeout(timeout, collect).await.is_ok();
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
