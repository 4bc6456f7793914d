//! This node as the rest of the cluster sees it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_core::future::BoxFuture;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::{NamespacePath, Room, SocketId};
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;

use super::line::ServerSideLine;
use super::operations::{apply_here, describe, rooms_here};
use crate::adapter::{Adapter, BusGap, Envelope, LocalNode, SocketDescription, Target};
use crate::namespace::{Namespace, Namespaces, Socket, Watcher, frames};
use crate::session::{Delivery, turn};
use crate::tasks::Tasks;

/// Hears of gaps.
pub(crate) type GapHook = Arc<dyn Fn(BusGap) + Send + Sync>;

/// What an adapter may do to this node.
pub(crate) struct NodeState {
    /// The adapter owns this, and is told of what the namespaces do: they must not own each other.
    pub(crate) namespaces: Weak<Namespaces>,
    pub(crate) tasks: Tasks,
    pub(crate) on_gap: Option<GapHook>,
    pub(crate) line: ServerSideLine,
}

impl fmt::Debug for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeState")
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

impl NodeState {
    fn namespace(&self, path: &NamespacePath) -> Option<Arc<Namespace>> {
        self.namespaces.upgrade()?.get(path)
    }
}

impl LocalNode for NodeState {
    fn apply(&self, path: &NamespacePath, envelope: Envelope) {
        let Some(namespace) = self.namespace(path) else {
            return;
        };
        if let Envelope::ServerSideEmit { payload } = &envelope {
            let handled = handle(&namespace, payload.values());
            let handling = Box::pin(async move { drop(handled.await) });
            self.line.push(path, handling, &self.tasks);
        } else {
            apply_here(&namespace, &envelope);
        }
    }

    fn broadcast_with_ack(
        &self,
        path: &NamespacePath,
        payload: &Payload,
        target: &Target,
        timeout: Duration,
        answer: Box<dyn FnMut(Args) + Send>,
    ) -> usize {
        let Some(namespace) = self.namespace(path) else {
            return 0;
        };
        let id = namespace.next_ack();
        let frame = frames::event(&namespace, payload, Some(id)).finish();
        let sockets = namespace.collect(target);
        super::show_outgoing(&namespace, payload, || &sockets);
        let ids = sockets.iter().map(Socket::id);
        let all_answered = namespace.acks().expect_each(id, ids, answer);
        turn(|| {
            for socket in &sockets {
                // Who has left meanwhile will not answer, which the asking node finds out.
                let _ = socket.inner().send(&frame, Delivery::Event(None));
            }
        });
        let count = sockets.len();
        // A service: shutdown does not wait for a time that another node chose.
        self.tasks.spawn_service(async move {
            let _ = tokio::time::timeout(timeout, all_answered).await;
            namespace.acks().forget(id);
        });
        count
    }

    fn fetch_sockets(&self, path: &NamespacePath, target: &Target) -> Vec<SocketDescription> {
        let namespace = self.namespace(path);
        namespace.map_or_else(Vec::new, |namespace| {
            namespace.collect(target).iter().map(describe).collect()
        })
    }

    fn rooms(&self, path: &NamespacePath) -> Vec<Room> {
        self.namespace(path)
            .map_or_else(Vec::new, |namespace| rooms_here(&namespace))
    }

    fn has_room(&self, path: &NamespacePath, room: &Room) -> bool {
        self.namespace(path)
            .is_some_and(|namespace| namespace.has_room(room))
    }

    fn report_gap(&self, gap: BusGap) {
        metrics::counter!("portcullis_bus_gaps_total", "cause" => gap.cause.as_str()).increment(1);
        tracing::warn!(
            cause = gap.cause.as_str(),
            seconds = gap.duration().as_secs_f64(),
            lost = gap.lost,
            "messages between nodes may have been lost"
        );
        let Some(hook) = &self.on_gap else { return };
        if catch_unwind(AssertUnwindSafe(|| hook(gap))).is_err() {
            tracing::error!("the hook for gaps panicked");
            metrics::counter!("portcullis_panics_total", "place" => "gap").increment(1);
        }
    }

    fn server_side_event(
        &self,
        path: &NamespacePath,
        args: Args,
    ) -> BoxFuture<'static, Option<Args>> {
        let Some(namespace) = self.namespace(path) else {
            return Box::pin(std::future::ready(None));
        };
        let Some(place) = self.line.place(path) else {
            return Box::pin(std::future::ready(None));
        };
        let handled = handle(&namespace, args.values().unwrap_or_default());
        Box::pin(async move {
            let answer = handled.await;
            drop(place);
            answer
        })
    }
}

/// Hands an event of another server, its name and arguments, to the listener here.
fn handle(namespace: &Namespace, event: Vec<Value>) -> BoxFuture<'static, Option<Args>> {
    let mut values = event.into_iter();
    let Some(Value::String(event)) = values.next() else {
        return Box::pin(std::future::ready(None));
    };
    let args = Args::from_values(values.collect());
    let limit = namespace.limits().handler_timeout;
    let handling = namespace
        .dispatch()
        .server_side_event(event.as_str().into(), args);
    // Another server waits for the answer, or other events do, and not for ever.
    Box::pin(async move {
        let answer = tokio::time::timeout(limit, handling).await;
        answer.ok().flatten()
    })
}

/// Tells the adapter what comes and goes on this node.
#[derive(Debug)]
pub(crate) struct AdapterWatcher(pub(crate) Arc<dyn Adapter>);

impl Watcher for AdapterWatcher {
    fn namespace_opened(&self, namespace: &NamespacePath) {
        self.0.namespace_opened(namespace);
    }

    fn namespace_closed(&self, namespace: &NamespacePath) {
        self.0.namespace_closed(namespace);
    }

    fn room_opened(&self, namespace: &NamespacePath, room: &Room) {
        self.0.room_opened(namespace, room);
    }

    fn room_closed(&self, namespace: &NamespacePath, room: &Room) {
        self.0.room_closed(namespace, room);
    }

    fn socket_opened(&self, namespace: &NamespacePath, id: &SocketId) {
        self.0.socket_opened(namespace, id);
    }

    fn socket_closed(&self, namespace: &NamespacePath, id: &SocketId) {
        self.0.socket_closed(namespace, id);
    }
}
