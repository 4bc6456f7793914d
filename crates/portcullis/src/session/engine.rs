//! All sessions of one engine: opening them, finding them, ending them together.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_engineio::{SessionId, Timing};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::connection::{Connection, Ending, Limits};
use super::delivery::{Delivery, IfSlow};
use super::frame::Frame;
use super::outbox::OutboxLimits;
use super::polling::{MAILBOX, PollingTransport};
use super::registry::Registry;
use super::shard::Shard;
use super::stream::Opened;
use super::websocket_transport::WebSocketTransport;
use super::wheel::{Visit, Wheel};
use super::{Session, SessionHandle, SessionHandler, Transport, flusher, turn};
use crate::clock;
use crate::pace::Bucket;
use crate::tasks::Tasks;

/// How often a drain ends sessions, and how many of them at least: a hundred a second.
const DRAIN_TICK: Duration = Duration::from_millis(100);
const DRAIN_LEAST: usize = 10;

/// What the sessions of one engine have in common.
#[derive(Debug, Clone)]
pub(crate) struct CoreOptions {
    pub(crate) timing: Timing,
    pub(crate) outbox: OutboxLimits,
    pub(crate) upgrade_timeout: Duration,
    /// How long a session may live before the handler says that it is joined.
    pub(crate) join_timeout: Option<Duration>,
    /// The largest message and the largest polling body, in bytes.
    pub(crate) max_payload: usize,
    /// The most packets in one polling body.
    pub(crate) max_packets: usize,
}

impl CoreOptions {
    /// What an engine is usually told.
    pub(crate) fn usual() -> Self {
        Self {
            timing: Timing {
                ping_interval: Duration::from_secs(25),
                ping_timeout: Duration::from_secs(20),
            },
            outbox: OutboxLimits {
                max_bytes: 1024 * 1024,
                max_frames: 4096,
                if_slow: IfSlow::default(),
            },
            upgrade_timeout: Duration::from_secs(10),
            join_timeout: Some(Duration::from_secs(10)),
            max_payload: 1_000_000,
            max_packets: 1000,
        }
    }
}

/// The sessions of one engine. Whoever can open one keeps it, and so does each of them; what pings
/// and flushes them ends with it.
pub(crate) struct Core {
    options: CoreOptions,
    registry: Registry,
    shards: Box<[Arc<Shard>]>,
    next_shard: AtomicUsize,
    stopping: AtomicBool,
    /// Heard by those who have ended already, and are on their way out.
    shut: CancellationToken,
    tasks: Tasks,
}

/// Keeps a session findable, and its heartbeat running, until it is dropped.
pub(crate) struct Registration {
    core: Arc<Core>,
    connection: Arc<Connection>,
    visit: Visit,
    #[expect(dead_code, reason = "held for its drop")]
    place: Held,
}

/// What counts for as long as it is kept.
pub(crate) type Held = Box<dyn Any + Send + Sync>;

/// The places that a session takes, each given back by its drop.
#[derive(Debug)]
pub(crate) struct Places {
    /// Until the session has ended.
    pub(crate) session: Held,
    /// Until it has joined a namespace, or has ended without.
    pub(crate) pending: Held,
}

impl Core {
    /// Starts the tasks of `shards` shards; they end with `tasks`, and with the last of those who
    /// keep the core.
    pub(crate) fn start(options: CoreOptions, shards: usize, tasks: Tasks) -> Arc<Self> {
        let limits = Limits {
            timing: options.timing,
            outbox: options.outbox,
        };
        // Twice a tick, so that there is a whole turn of the wheel between early and late.
        let (tick, origin) = (limits.tick() / 2, clock::instant());
        let shards: Box<[_]> = (0..shards.max(1))
            .map(|_| Arc::new(Shard::new(limits, Wheel::new(tick, origin))))
            .collect();
        for shard in &shards {
            tasks.spawn_service(flusher::run(Arc::clone(shard)));
            tasks.spawn_service(beat(Arc::clone(shard), tick));
        }
        Arc::new(Self {
            options,
            registry: Registry::new(),
            shards,
            next_shard: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            shut: CancellationToken::new(),
            tasks,
        })
    }

    pub(crate) const fn options(&self) -> &CoreOptions {
        &self.options
    }

    pub(crate) const fn max_payload(&self) -> usize {
        self.options.max_payload
    }

    pub(crate) const fn max_packets(&self) -> usize {
        self.options.max_packets
    }

    pub(crate) fn find(&self, id: &SessionId) -> Option<Arc<Connection>> {
        self.registry.get(id)
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        self.registry.len()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Opens a session that polls; `None` if the id is taken.
    pub(crate) fn open_polling(
        self: &Arc<Self>,
        id: SessionId,
        places: Places,
        handler: impl FnOnce(SessionHandle) -> Box<dyn SessionHandler>,
    ) -> Option<()> {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let registration = self.register(id, places, None)?;
        registration.connection.set_mailbox(Some(sender));
        let machine = portcullis_engineio::Session::polling(self.options.upgrade_timeout);
        let transport = Transport::Polling(Box::new(PollingTransport::new(mailbox)));
        self.run(registration, machine, transport, handler);
        Some(())
    }

    /// Opens a session that is a WebSocket from the start, and sends `open` on it; `None` if the
    /// id is taken.
    pub(crate) fn open_websocket(
        self: &Arc<Self>,
        id: SessionId,
        places: Places,
        upgraded: Opened,
        base64: bool,
        open: &str,
        handler: impl FnOnce(SessionHandle) -> Box<dyn SessionHandler>,
    ) -> Option<()> {
        let Opened {
            stream,
            read_ahead,
            held,
        } = upgraded;
        let max_payload = self.options.max_payload;
        let websocket = WebSocketTransport::new(stream, read_ahead, max_payload, base64);
        // What was held back is no frame, but goes where frames go.
        let response = (!held.is_empty()).then(|| Frame::from_wire(held));
        let registration = self.register(id, places, response.as_ref())?;
        let connection = &registration.connection;
        // Queued before there is a sink, so that all of it leaves with whatever the first turn
        // adds.
        connection.send(&Frame::text(open), Delivery::Protocol);
        connection.with_outbox(|outbox| outbox.set_sink(websocket.sink()));
        let machine = portcullis_engineio::Session::websocket();
        self.run(
            registration,
            machine,
            Transport::WebSocket(websocket),
            handler,
        );
        Some(())
    }

    /// Makes a session that can be found, and ended; whatever becomes of it, `first` leaves first.
    fn register(
        self: &Arc<Self>,
        id: SessionId,
        places: Places,
        first: Option<&Frame>,
    ) -> Option<Registration> {
        let next = self.next_shard.fetch_add(1, Ordering::Relaxed);
        let shard = Arc::clone(&self.shards[next % self.shards.len()]);
        let connection = Arc::new(Connection::new(
            id.clone(),
            shard,
            self.options.join_timeout,
            Some(places.pending),
            clock::instant(),
        ));
        if let Some(first) = first {
            connection.send(first, Delivery::Protocol);
        }
        if !self.registry.insert(id, Arc::clone(&connection)) {
            return None;
        }
        let visit = connection
            .shard()
            .insert(&connection, connection.first_visit());
        connection.placed(visit);
        // Looked at after the session can be found: `shut_down` either sees it or was seen here.
        if self.is_stopping() {
            connection.end(Ending::Shutdown);
        }
        Some(Registration {
            core: Arc::clone(self),
            connection,
            visit,
            place: places.session,
        })
    }

    fn run(
        self: &Arc<Self>,
        registration: Registration,
        machine: portcullis_engineio::Session,
        transport: Transport,
        handler: impl FnOnce(SessionHandle) -> Box<dyn SessionHandler>,
    ) {
        metrics::counter!("portcullis_sessions_opened_total").increment(1);
        let connection = Arc::clone(&registration.connection);
        let handler = handler(SessionHandle::new(Arc::clone(&connection)));
        self.tasks.spawn(Session {
            core: Arc::clone(self),
            connection,
            registration: Some(registration),
            machine,
            handler,
            is_handler_done: false,
            transport,
            timer: None,
            ending: None,
            grace: None,
            idle: Bucket::default(),
        });
    }

    /// Whether the engine has been told to stop: what opens now ends at once.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ready once the engine ends its sessions at once: those who have ended before, and have yet
    /// to take what they were promised, are in the way then.
    pub(crate) fn hurry(&self) -> WaitForCancellationFutureOwned {
        self.shut.clone().cancelled_owned()
    }

    /// Lets no new session in, and ends those that are here one after the other, in random order,
    /// over about `window`; ready when they have ended, or have had their time.
    pub(crate) async fn drain(&self, window: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        let mut connections: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| shard.connections())
            .collect();
        shuffle(&mut connections);
        let planned = window.as_millis() / DRAIN_TICK.as_millis();
        let share = connections
            .len()
            .div_ceil(usize::try_from(planned).unwrap_or(0).max(1));
        let mut ticks = tokio::time::interval(DRAIN_TICK);
        for batch in connections.chunks(share.max(DRAIN_LEAST)) {
            ticks.tick().await;
            for connection in batch {
                connection.end(Ending::Drain);
            }
        }
        drop(connections);
        let last = clock::instant() + super::DRAIN_GRACE + DRAIN_TICK;
        while self.len() > 0 && clock::instant() < last {
            tokio::time::sleep(DRAIN_TICK / 10).await;
        }
    }

    /// Ends every session at once, and those that are still on their way in.
    pub(crate) fn shut_down(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            for connection in shard.connections() {
                connection.end(Ending::Shutdown);
            }
        }
        self.shut.cancel();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.tasks.stop_services();
    }
}

/// Puts items into a random order: clients that came together, such as those of one balancer or one
/// page, do not leave together.
fn shuffle<T>(items: &mut [T]) {
    let mut seed = [0; 8];
    // Without randomness the order is the one in which they came, and the pace is the same.
    if getrandom::fill(&mut seed).is_err() {
        return;
    }
    let mut state = u64::from_le_bytes(seed) | 1;
    for last in (1..items.len()).rev() {
        // Xorshift: it need not be hard to guess, only spread.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (last as u64 + 1)).unwrap_or(last);
        items.swap(last, other);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // It joins nothing any more.
        self.connection.joined();
        self.connection.shard().remove(self.visit);
        self.core.registry.remove(self.connection.id());
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("sessions", &self.len())
            .finish_non_exhaustive()
    }
}

/// Turns one shard's wheel until the task is dropped.
async fn beat(shard: Arc<Shard>, tick: Duration) {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        turn(|| shard.tick(clock::instant()));
    }
}
