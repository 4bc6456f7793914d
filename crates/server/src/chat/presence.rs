//! Who is in which room, on every node of the cluster, as the people in it see it.
//!
//! ```text
//!  comes, goes ─▶ changed(room) ─▶ in doubt ─▶ keep ─▶ fetch_sockets ─▶ presence, to those here
//!                     │                          ▲
//!                     └─ server-side event ──────┘ on every other node
//! ```
//!
//! # Invariants
//!
//! - Nobody keeps a list of who is where: the sockets of the cluster are asked, and each carries
//!   its name and its node as its data.
//! - A list with a higher version was asked for later. The last that a room hears is true, because
//!   a change is noted once it has happened.
//! - A node that died without a word is missed after 5 s at the latest.
//!
//! # Not here
//!
//! Delivery: whom an emit reaches is decided by the framework's rooms, and so is membership.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis::gateway::{Gateway, Registrar};
use portcullis::socketio::args::Args;
use portcullis::socketio::payload::EncodeError;
use portcullis::{Emitter, Socket};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::message::RoomName;

/// What one node tells the others: that a room has changed.
const CHANGED: &str = "presence";

/// How long the other nodes are waited for. Who does not answer is not shown.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often everything is asked anew, for what nobody has told.
const REFRESH: Duration = Duration::from_secs(5);

/// How long after `on_connect` a socket is looked at again: it is let in as that returns.
const LET_IN: Duration = Duration::from_millis(5);

/// So many rooms may be in doubt; what is beyond comes with the next refresh.
const MAX_IN_DOUBT: usize = 10_000;

/// A person, on one node. Two sockets of a person there are one member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Member {
    name: String,
    node: String,
}

/// Who is in a room: the answer to `join`, and the event `presence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct RoomMembers {
    pub(super) room: RoomName,
    pub(super) members: BTreeSet<Member>,
    /// Of two lists from one node, the higher is the later.
    pub(super) version: u64,
}

/// Keeps the people on this node informed.
#[derive(Debug)]
pub(crate) struct Presence {
    emitter: Emitter,
    node: String,
    version: AtomicU64,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    in_doubt: BTreeMap<RoomName, Doubt>,
    /// Sockets that are still connecting, and the room that they wait to be seen in.
    newcomers: Vec<(Socket, RoomName)>,
    /// What was last told of each room that has somebody here.
    told: HashMap<RoomName, BTreeSet<Member>>,
}

/// Why a room is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    /// It is time. Only what is new is told.
    Refresh,
    /// It has changed: somebody may have heard an older list, so it is told in any case.
    Changed,
}

/// Listens to the other nodes, beside the chat in its namespace.
#[derive(Debug)]
pub(crate) struct OtherNodes(pub(crate) Arc<Presence>);

impl Gateway for OtherNodes {
    fn namespace(&self) -> Cow<'static, str> {
        self.0.emitter.namespace().as_str().to_owned().into()
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar) {
        registrar.on_server_side(CHANGED, move |args: Args| {
            if let Ok(room) = args.get::<RoomName>(0) {
                self.0.doubt(room, Doubt::Changed);
            }
            std::future::ready(None)
        });
    }
}

impl Presence {
    /// The presence of those who are connected to `node`, within the emitter's namespace.
    pub(crate) fn new(emitter: Emitter, node: String) -> Self {
        Self {
            emitter,
            node,
            version: AtomicU64::new(0),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// What this node is called.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Lets every node know who a socket is.
    pub(super) fn introduce(&self, socket: &Socket, name: &str) -> Result<(), EncodeError> {
        socket.set_data(&Member {
            name: name.to_owned(),
            node: self.node.clone(),
        })
    }

    /// A socket that is still connecting has joined a room.
    pub(super) fn arrives(&self, socket: &Socket, room: &RoomName) {
        let newcomer = (socket.clone(), room.clone());
        self.state.lock().newcomers.push(newcomer);
        self.changed(room);
    }

    /// Somebody here has come to a room, or gone.
    pub(super) fn changed(&self, room: &RoomName) {
        self.doubt(room.clone(), Doubt::Changed);
        if let Err(error) = self.emitter.server_side_emit(CHANGED, room) {
            tracing::warn!(%error, "other nodes were not told of a change");
        }
    }

    fn doubt(&self, room: RoomName, doubt: Doubt) {
        let mut state = self.state.lock();
        if state.in_doubt.len() < MAX_IN_DOUBT {
            let known = state.in_doubt.entry(room).or_insert(doubt);
            *known = doubt.max(*known);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Who is in a room, as far as the nodes answer.
    pub(super) async fn members(&self, room: &RoomName) -> RoomMembers {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let everyone = self.emitter.to(room.delivery()).timeout(ASK_TIMEOUT);
        let mut members = BTreeSet::new();
        match everyone.fetch_sockets().await {
            Ok(fetched) => {
                let sockets = fetched.items.iter();
                members.extend(sockets.filter_map(|socket| socket.data::<Member>().ok()));
            }
            Err(error) => tracing::warn!(%error, "the members of a room are not known"),
        }
        let newcomers = self.newcomers(room).into_iter();
        members.extend(newcomers.filter_map(|socket| socket.data::<Member>().ok()));
        RoomMembers {
            room: room.clone(),
            members,
            version,
        }
    }

    fn newcomers(&self, room: &RoomName) -> Vec<Socket> {
        let state = self.state.lock();
        let here = state.newcomers.iter().filter(|(_, waits)| waits == room);
        here.map(|(socket, _)| socket.clone()).collect()
    }

    /// Tells rooms who is in them, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                _ = refresh.tick() => self.doubt_all(),
            }
            while let Some((room, doubt)) = self.next_in_doubt() {
                self.tell(room, doubt).await;
            }
            self.let_in().await;
        }
    }

    fn doubt_all(&self) {
        let rooms: Vec<RoomName> = self.state.lock().told.keys().cloned().collect();
        for room in rooms {
            self.doubt(room, Doubt::Refresh);
        }
    }

    fn next_in_doubt(&self) -> Option<(RoomName, Doubt)> {
        self.state.lock().in_doubt.pop_first()
    }

    /// Tells those who are here, if anybody is.
    async fn tell(&self, room: RoomName, doubt: Doubt) {
        let here = self.emitter.to(room.delivery()).local();
        let is_empty = here
            .fetch_sockets()
            .await
            .is_ok_and(|found| found.items.is_empty());
        if is_empty && self.newcomers(&room).is_empty() {
            self.state.lock().told.remove(&room);
            return;
        }
        let list = self.members(&room).await;
        let told = self.state.lock().told.insert(room, list.members.clone());
        if doubt == Doubt::Refresh && told.as_ref() == Some(&list.members) {
            return;
        }
        // To each of these by itself: that is held until it is connected, and not lost.
        for newcomer in self.newcomers(&list.room) {
            // One that was refused meanwhile is let go of soon.
            let _ = newcomer.emit("presence", &list);
        }
        if let Err(error) = here.emit("presence", &list) {
            tracing::warn!(%error, "presence was not told");
        }
    }

    /// Lets go of newcomers that have come in, or never will: every node sees it now.
    async fn let_in(&self) {
        if self.state.lock().newcomers.is_empty() {
            return;
        }
        sleep(LET_IN).await;
        let settled: Vec<RoomName> = {
            let mut state = self.state.lock();
            let is_settled = |(socket, room): &mut (Socket, RoomName)| {
                // Its rooms are left as it ends.
                socket.is_connected() || !socket.is_in(room.delivery())
            };
            let settled = state.newcomers.extract_if(.., is_settled);
            settled.map(|(_, room)| room).collect()
        };
        settled.iter().for_each(|room| self.changed(room));
        self.wake.notify_one();
    }
}
