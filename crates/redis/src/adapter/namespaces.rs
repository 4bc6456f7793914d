//! Which namespaces and rooms are open here, and what is subscribed to because of that.
//!
//! ```text
//!  namespace opened ─▶ count 1 ─▶ Member ─▶ its channels
//!  room opened ──────▶ count of the room's channel ─▶ 1: subscribe, 0: unsubscribe
//! ```
//!
//! # Invariants
//!
//! - A namespace is one member of the cluster, however often it is opened and closed.
//! - Openings and closings may be heard in any order; counts may be negative for a moment.
//! - A channel is subscribed to while any room or socket here wants to hear it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use portcullis::socketio::ids::{NamespacePath, Room};

use crate::connection::subscriptions::Subscription;
use crate::protocol::{self, Context, Member};

/// The namespaces that this node serves.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    open: RwLock<HashMap<NamespacePath, Opened>>,
}

/// A namespace that was opened more often than closed, or the other way round for a moment.
#[derive(Debug, Default)]
struct Opened {
    count: i64,
    member: Option<Arc<dyn Member>>,
    rooms: Mutex<Rooms>,
}

/// How many rooms and sockets here want to hear a channel: two may have the same one, such as the
/// rooms `7` and `"7"`.
type Rooms = HashMap<Subscription, i64>;

impl Namespaces {
    /// This node in a namespace, if that is open.
    pub(super) fn member(&self, namespace: &str) -> Option<Arc<dyn Member>> {
        self.open.read().get(namespace)?.member.clone()
    }

    pub(super) fn members(&self) -> Vec<Arc<dyn Member>> {
        let open = self.open.read();
        let members = open.values().filter_map(|opened| opened.member.clone());
        members.collect()
    }

    /// A namespace was opened once more, or once less.
    pub(super) fn count(&self, context: &Arc<Context>, namespace: &NamespacePath, change: i64) {
        let mut open = self.open.write();
        let opened = open.entry(namespace.clone()).or_default();
        opened.count += change;
        if opened.count > 0 && opened.member.is_none() {
            let member = protocol::new_member(context, namespace.clone());
            enter(context, &*member);
            opened.member = Some(member);
        } else if opened.count <= 0
            && let Some(member) = opened.member.take()
        {
            leave(context, &*member);
        }
        let is_over = opened.is_over();
        if is_over {
            open.remove(namespace);
        }
    }

    /// A room has come or gone, which is said to be one of a single socket or not.
    pub(super) fn count_room(
        &self,
        context: &Arc<Context>,
        namespace: &NamespacePath,
        room: (&Room, bool),
        change: i64,
    ) {
        if !context.options.watches_rooms() {
            return;
        }
        let (room, is_socket) = room;
        // The last room may be closed after its namespace; its channel is the same for any member.
        let member = self
            .member(namespace)
            .unwrap_or_else(|| protocol::new_member(context, namespace.clone()));
        if let Some(subscription) = member.room_subscription(room, is_socket)
            && self.is_last_room(context, namespace, subscription, change)
        {
            self.forget(namespace);
        }
    }

    /// Counts, and says whether nothing is left that counts.
    fn is_last_room(
        &self,
        context: &Context,
        namespace: &NamespacePath,
        subscription: Subscription,
        change: i64,
    ) -> bool {
        // Locked until it is counted: nobody forgets a namespace meanwhile.
        if let Some(opened) = self.open.read().get(namespace) {
            return opened.is_last_room(context, subscription, change);
        }
        let mut open = self.open.write();
        let opened = open.entry(namespace.clone()).or_default();
        opened.is_last_room(context, subscription, change)
    }

    /// Forgets a namespace that is neither open nor has rooms.
    fn forget(&self, namespace: &NamespacePath) {
        let mut open = self.open.write();
        if open.get(namespace).is_some_and(Opened::is_over) {
            open.remove(namespace);
        }
    }
}

impl Opened {
    fn is_last_room(&self, context: &Context, subscription: Subscription, change: i64) -> bool {
        // Locked until the bus knows: of two changes, the later one must be told later.
        let mut rooms = self.rooms.lock();
        let count = rooms.entry(subscription.clone()).or_insert(0);
        *count += change;
        let count = *count;
        if count == 0 {
            rooms.remove(&subscription);
        }
        if count > 0 {
            context.bus.subscribe(subscription);
        } else {
            context.bus.unsubscribe(&subscription);
        }
        self.count == 0 && rooms.is_empty()
    }

    fn is_over(&self) -> bool {
        self.count == 0 && self.rooms.lock().is_empty()
    }
}

fn enter(context: &Context, member: &dyn Member) {
    let bus = &context.bus;
    let subscriptions = member.subscriptions().into_iter();
    subscriptions.for_each(|wanted| bus.subscribe(wanted));
    if bus.health().is_up() {
        let hello = member.hello().into_iter();
        hello.for_each(|hello| bus.publish(hello));
    }
}

fn leave(context: &Context, member: &dyn Member) {
    let bus = &context.bus;
    let goodbye = member.goodbye().into_iter();
    goodbye.for_each(|goodbye| bus.publish(goodbye));
    for subscription in member.subscriptions() {
        bus.unsubscribe(&subscription);
    }
}
