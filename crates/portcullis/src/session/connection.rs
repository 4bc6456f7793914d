//! The one part of a session that others share: its outbox, its heartbeat, and its end.
//!
//! Not a TCP connection: it lives as long as its session, over many polls and an upgrade.
//!
//! Emitters push frames here, the wheel looks here whether to ping, and whoever wants the session
//! to end leaves the reason here. Everything else belongs to the session's task.
//!
//! ```text
//!   emitters ── send ──▶ ┌────────────┐ ◀── beat ── wheel
//!                        │ Connection │
//!   flusher ── flush ──▶ └────────────┘ ◀── end ─── anybody
//!                              │ wakes
//!                              ▼
//!                        session's task
//! ```
//!
//! # Invariants
//!
//! - One lock, a leaf: nothing else is locked while it is held, and no system call made.
//! - The first ending wins, unless the server stops, or a peer is too slow for its drain; others
//!   are forgotten.
//! - Of the alarm's entries in the wheel only the latest counts; the others are recognised by their
//!   number when they come up, and dropped.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_engineio::{Beat, Heartbeat, SessionId, Timing};
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::delivery::Delivery;
use super::engine::Held;
use super::frame::Frame;
use super::outbox::{Batch, Flushed, Outbox, OutboxLimits, Pushed, Sink, Written};
use super::polling::Request;
use super::shard::Shard;
use super::wheel::Visit;
use super::{turn, wheel};

/// So often one flush starts over because more came, before the flusher takes over.
const MAX_FLUSH_ROUNDS: usize = 4;

/// Why a session is to end, said from outside its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No pong in time.
    PingTimeout,
    /// The outbox overflowed.
    SlowConsumer,
    /// No namespace was joined in time.
    Unjoined,
    /// The layer above is done with it; what is queued leaves first.
    Requested,
    /// The same, of a peer that broke the rules or whose credentials are worth nothing any more: a
    /// WebSocket is owed no patience then.
    Expelled,
    /// The server is about to stop; what runs and what is queued may end first.
    Drain,
    /// The server stops; what is queued is dropped.
    Shutdown,
    /// Writing failed.
    WriteFailed,
}

/// What all connections of an engine have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) timing: Timing,
    pub(crate) outbox: OutboxLimits,
}

impl Limits {
    pub(crate) fn tick(&self) -> Duration {
        wheel::tick_for(self.timing.ping_interval, self.timing.ping_timeout)
    }

    /// When to look at what is due at `deadline`: from one tick before it on, so that neither the
    /// wheel's coarseness nor a late wake-up makes it late.
    fn visit_for(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.tick()).unwrap_or(deadline)
    }
}

/// The shared part of one session. What every delivery touches comes first and close together:
/// in a broadcast to many, no near cache has any line of it.
#[repr(C)]
pub(crate) struct Connection {
    shard: Arc<Shard>,
    state: Mutex<State>,
    id: SessionId,
    /// Set when the alarm has rung, until the layer above has heard it.
    has_rung: AtomicBool,
}

#[repr(C)]
struct State {
    outbox: Outbox,
    heartbeat: Heartbeat,
    ending: Option<Ending>,
    /// There until a namespace has been joined.
    joining: Option<Box<Joining>>,
    /// How the HTTP requests of a polling session reach its task.
    mailbox: Option<mpsc::Sender<Request>>,
    alarm: Alarm,
    /// What the layer above wants to find again.
    above: Option<Arc<dyn Any + Send + Sync>>,
}

/// What a session that has not joined a namespace lives by.
struct Joining {
    /// Until when it must have joined one.
    deadline: Option<Instant>,
    #[expect(dead_code, reason = "held for its drop")]
    place: Option<Held>,
}

/// When the layer above wants to be woken.
#[derive(Debug, Default)]
struct Alarm {
    at: Option<Instant>,
    /// The connection's place in its shard, with the number of the latest entry in the wheel.
    place: Option<Visit>,
    /// When that entry comes up, if it is still there.
    entry_at: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(
        id: SessionId,
        shard: Arc<Shard>,
        join_timeout: Option<Duration>,
        pending: Option<Held>,
        now: Instant,
    ) -> Self {
        let heartbeat = Heartbeat::new(&shard.limits().timing, now);
        Self {
            id,
            shard,
            state: Mutex::new(State {
                outbox: Outbox::new(),
                heartbeat,
                ending: None,
                joining: Some(Box::new(Joining {
                    deadline: join_timeout.map(|timeout| now + timeout),
                    place: pending,
                })),
                mailbox: None,
                alarm: Alarm::default(),
                above: None,
            }),
            has_rung: AtomicBool::new(false),
        }
    }

    /// The connection has this place in its shard.
    pub(super) fn placed(&self, place: Visit) {
        self.state.lock().alarm.place = Some(place);
    }

    /// Wakes the session's task at `at`, and not at the time that was set before.
    pub(crate) fn set_alarm(&self, at: Option<Instant>) {
        let entry = self.state.lock().alarm.set(at);
        if let Some((visit, at)) = entry {
            self.shard.look(visit, at);
        }
    }

    /// The wheel has come to an entry of the alarm; says when to look again.
    pub(super) fn ring(&self, number: u32, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let alarm = &mut state.alarm;
        if alarm.place.is_none_or(|place| place.alarm != number) {
            return None;
        }
        alarm.entry_at = alarm.at.filter(|at| *at > now);
        if alarm.entry_at.is_some() {
            return alarm.entry_at;
        }
        if alarm.at.take().is_some() {
            self.has_rung.store(true, Ordering::Release);
            state.outbox.wake();
        }
        None
    }

    /// Whether the alarm has rung since this was last asked.
    pub(crate) fn take_rung(&self) -> bool {
        // Asked in every turn: a load is cheaper than an exchange.
        self.has_rung.load(Ordering::Acquire) && self.has_rung.swap(false, Ordering::AcqRel)
    }

    /// Keeps something for the layer above.
    pub(crate) fn keep_above(&self, above: Arc<dyn Any + Send + Sync>) {
        self.state.lock().above = Some(above);
    }

    /// What the layer above has kept here.
    pub(crate) fn above(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.state.lock().above.clone()
    }

    pub(crate) const fn id(&self) -> &SessionId {
        &self.id
    }

    pub(crate) const fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    fn limits(&self) -> &Limits {
        self.shard.limits()
    }

    pub(crate) fn outbox_limits(&self) -> &OutboxLimits {
        &self.limits().outbox
    }

    /// Queues a frame, to leave when the current turn ends, or before, if what the turn says is
    /// more than may wait.
    pub(crate) fn send(self: &Arc<Self>, frame: &Frame, delivery: Delivery) -> Pushed {
        loop {
            match self.try_send(frame, delivery) {
                Pushed::Full => self.make_room(),
                pushed => return pushed,
            }
        }
    }

    /// As [`Self::send`], without writing: it may be [`Pushed::Full`], and then nothing has
    /// happened.
    pub(crate) fn try_send(self: &Arc<Self>, frame: &Frame, delivery: Delivery) -> Pushed {
        let pushed = self.push(frame, delivery);
        match pushed {
            Pushed::MustFlush => turn::note(self),
            Pushed::Queued | Pushed::Full | Pushed::Gone => {}
            lost => lost.count(),
        }
        pushed
    }

    /// Writes what waits, or lets go on whoever is at it.
    #[cold]
    fn make_room(self: &Arc<Self>) {
        match self.begin_flush() {
            Some(batch) => self.flush_within_turn(batch),
            // Its writes do not block, and it needs no lock that the caller could have.
            None => std::thread::yield_now(),
        }
    }

    /// What came meanwhile is the turn's to flush: whoever added it may have come to do so while
    /// this was at it, and gone.
    fn flush_within_turn(self: &Arc<Self>, batch: Batch) {
        if self.end_flush(batch).0 == Flushed::Again {
            turn::note(self);
        }
    }

    #[inline]
    fn push(&self, frame: &Frame, delivery: Delivery) -> Pushed {
        let mut state = self.state.lock();
        let pushed = state.outbox.push(frame, delivery, self.outbox_limits());
        if pushed == Pushed::Overflow {
            state.end(Ending::SlowConsumer);
        }
        pushed
    }

    /// Asks the session to end.
    pub(crate) fn end(&self, ending: Ending) {
        self.state.lock().end(ending);
    }

    /// Ends the session of a peer that broke a rule, and tells of it.
    pub(crate) fn expel(&self, rule: &'static str) {
        tracing::debug!(rule, "connection closed for breaking the rules");
        metrics::counter!("portcullis_violations_total", "rule" => rule).increment(1);
        self.end(Ending::Expelled);
    }

    /// Wakes the session's task, for instance because a socket of its client left.
    pub(crate) fn wake(&self) {
        self.state.lock().outbox.wake();
    }

    /// What the session's task does first in every turn: say whom to wake, hear whether to end.
    pub(crate) fn begin_turn(&self, waker: &Waker) -> Option<Ending> {
        let mut state = self.state.lock();
        state.outbox.set_waker(waker);
        state.ending
    }

    /// A pong arrived.
    pub(crate) fn handle_pong(&self, now: Instant) {
        self.state
            .lock()
            .heartbeat
            .handle_pong(&self.limits().timing, now);
    }

    /// Any other packet arrived.
    pub(crate) fn handle_packet(&self, now: Instant) {
        self.state
            .lock()
            .heartbeat
            .handle_packet(&self.limits().timing, now);
    }

    /// A namespace was joined: the connection may stay.
    pub(crate) fn joined(&self) {
        let joining = self.state.lock().joining.take();
        // Outside the lock, which is a leaf: whoever counts has a lock too.
        drop(joining);
    }

    /// Pings, or ends what did not answer; says when to look again.
    ///
    /// The wheel comes around a tick before its time, and what falls due within a tick is due now.
    pub(crate) fn beat(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let limits = self.limits();
        let timing = &limits.timing;
        let horizon = now + limits.tick();
        let (ping, next) = {
            let mut state = self.state.lock();
            if state.ending.is_some() {
                return None;
            }
            let join_deadline = state.join_deadline();
            if join_deadline.is_some_and(|deadline| deadline <= horizon) {
                state.end(Ending::Unjoined);
                return None;
            }
            let beat = state.heartbeat.handle_timeout(timing, horizon);
            if matches!(beat, Some(Beat::Close)) {
                state.end(Ending::PingTimeout);
                return None;
            }
            // A pong moves the next ping forward; looking once an interval does not miss it.
            let next = state.heartbeat.deadline().min(now + timing.ping_interval);
            let next = join_deadline.map_or(next, |deadline| deadline.min(next));
            (beat.is_some(), limits.visit_for(next))
        };
        if ping {
            self.send(&Frame::ping(), Delivery::Protocol);
        }
        Some(next)
    }

    /// The first moment at which the connection must be looked at.
    pub(crate) fn first_visit(&self) -> Instant {
        let state = self.state.lock();
        let ping = state.heartbeat.deadline();
        let first = state
            .join_deadline()
            .map_or(ping, |deadline| deadline.min(ping));
        self.limits().visit_for(first)
    }

    /// Writes what waits, if the stream is one that anybody may write to.
    pub(crate) fn flush_inline(self: &Arc<Self>) {
        for _ in 0..MAX_FLUSH_ROUNDS {
            if self.flush_once().0 != Flushed::Again {
                return;
            }
        }
        self.shard.push_dirty(Arc::clone(self));
    }

    /// The flusher's write: what came meanwhile waits for the next pass.
    pub(crate) fn flush_for_shard(self: &Arc<Self>) -> Written {
        let (flushed, written) = self.flush_once();
        if flushed == Flushed::Again {
            self.shard.push_dirty(Arc::clone(self));
        }
        written
    }

    fn flush_once(&self) -> (Flushed, Written) {
        match self.begin_flush() {
            Some(batch) => self.end_flush(batch),
            None => (Flushed::Done, Written::default()),
        }
    }

    fn begin_flush(&self) -> Option<Batch> {
        self.state.lock().outbox.begin_flush()
    }

    fn end_flush(&self, mut batch: Batch) -> (Flushed, Written) {
        let written = batch.size();
        let result = batch.write();
        let mut state = self.state.lock();
        let flushed = state.outbox.end_flush(batch, result, self.outbox_limits());
        if flushed == Flushed::Failed {
            state.end(Ending::WriteFailed);
        }
        (flushed, written)
    }

    /// Runs `work` on the outbox, under the lock.
    pub(crate) fn with_outbox<R>(&self, work: impl FnOnce(&mut Outbox) -> R) -> R {
        work(&mut self.state.lock().outbox)
    }

    /// Takes the queued frames for a poll or a stream that only the session's task may write.
    pub(crate) fn take_frames(&self) -> SmallVec<[Frame; 2]> {
        self.state.lock().outbox.take_all()
    }

    /// Opens the way for HTTP requests to the session's task.
    pub(crate) fn set_mailbox(&self, mailbox: Option<mpsc::Sender<Request>>) {
        self.state.lock().mailbox = mailbox;
    }

    pub(crate) fn mailbox(&self) -> Option<mpsc::Sender<Request>> {
        self.state.lock().mailbox.clone()
    }

    /// The session is over: nothing can be sent any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.ending.get_or_insert(Ending::Requested);
        state.outbox.set_sink(Sink::Gone);
        state.outbox.close();
        state.mailbox = None;
    }
}

impl Alarm {
    /// The entry that the wheel needs now, if it does not have one that is early enough.
    fn set(&mut self, at: Option<Instant>) -> Option<(Visit, Instant)> {
        self.at = at;
        let (at, place) = (at?, self.place.as_mut()?);
        if self.entry_at.is_some_and(|entry| entry <= at) {
            return None;
        }
        self.entry_at = Some(at);
        // Nothing but 0 is taken: that is the heartbeat's.
        place.alarm = place.alarm.checked_add(1).unwrap_or(1);
        Some((*place, at))
    }
}

impl State {
    fn join_deadline(&self) -> Option<Instant> {
        self.joining.as_ref()?.deadline
    }

    fn end(&mut self, ending: Ending) {
        if matches!(ending, Ending::Shutdown | Ending::SlowConsumer) {
            // Whatever ended the session first: behind what was lost, nothing may follow.
            self.outbox.discard();
        }
        // A server that stops does not wait for the poll that a closing session waits for, and one
        // that drains does not wait for who is too slow.
        let is_waiting = self.ending == Some(Ending::Drain) && ending == Ending::SlowConsumer;
        if self.ending.is_none() || ending == Ending::Shutdown || is_waiting {
            self.ending = Some(ending);
            self.outbox.wake();
        }
    }
}

impl fmt::Debug for Connection {
    /// Without the id, which is a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::delivery::IfSlow;
    use super::super::flusher;
    use super::super::wheel::Wheel;
    use super::*;

    fn connection() -> Arc<Connection> {
        let second = Duration::from_secs(1);
        let limits = Limits {
            timing: Timing {
                ping_interval: second,
                ping_timeout: second,
            },
            outbox: OutboxLimits {
                max_bytes: 100,
                max_frames: 2,
                if_slow: IfSlow::Disconnect,
            },
        };
        let now = Instant::now();
        let shard = Arc::new(Shard::new(limits, Wheel::new(limits.tick(), now)));
        let id = SessionId::parse("abc").unwrap();
        Arc::new(Connection::new(id, shard, None, None, now))
    }

    #[test]
    fn nothing_follows_what_was_lost_while_a_session_drains() {
        let connection = connection();
        connection.end(Ending::Drain);
        let send = || connection.send(&Frame::text("4a"), Delivery::Event(None));
        assert_eq!([send(), send()], [Pushed::Queued; 2]);
        assert_eq!(send(), Pushed::Overflow);
        assert_eq!([send(), send()], [Pushed::Gone; 2]);
        let ending = connection.begin_turn(Waker::noop());
        assert_eq!(ending, Some(Ending::SlowConsumer));
        assert!(connection.take_frames().is_empty());
    }

    /// A connection whose outbox anybody writes, and its peer.
    async fn over_tcp() -> (Arc<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialling = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, peer) = tokio::join!(listener.accept(), dialling);
        let connection = connection();
        let sink = Sink::Raw(Arc::new(accepted.unwrap().0));
        connection.with_outbox(|outbox| outbox.set_sink(sink));
        (connection, peer.unwrap())
    }

    #[tokio::test]
    async fn what_came_to_be_flushed_in_vain_leaves_with_the_turn_that_was_at_it() {
        let (connection, _peer) = over_tcp().await;
        // By another thread, whose turn ends while this one is at writing.
        let push = || connection.push(&Frame::text("4a"), Delivery::Event(None));
        assert_eq!(push(), Pushed::MustFlush);
        turn(|| {
            let batch = connection.begin_flush().unwrap();
            assert_eq!(push(), Pushed::Queued);
            connection.flush_inline();
            assert!(!connection.with_outbox(|outbox| outbox.is_empty()));
            connection.flush_within_turn(batch);
        });
        assert!(connection.with_outbox(|outbox| outbox.is_empty()));
    }

    /// Two fill one outbox over and over, and each time all of it leaves.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody waits for the tasks of this test"
    )]
    async fn nothing_is_left_behind_or_refused_where_two_fill_one_outbox() {
        const ROUNDS: usize = 500;
        const EACH: usize = 20;
        let (connection, mut peer) = over_tcp().await;
        tokio::spawn(flusher::run(Arc::clone(connection.shard())));
        let heard = Arc::new(AtomicUsize::new(0));
        let hearing = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(len) = peer.read(&mut chunk).await {
                hearing.fetch_add(len, Ordering::SeqCst);
            }
        });
        let start = Arc::new(Barrier::new(2));
        let emitters = [(); 2].map(|()| {
            let (connection, heard) = (Arc::clone(&connection), Arc::clone(&heard));
            let start = Arc::clone(&start);
            tokio::task::spawn_blocking(move || {
                let frame = Frame::text("4a");
                for round in 1..=ROUNDS {
                    start.wait();
                    turn(|| {
                        for _ in 0..EACH {
                            let pushed = connection.send(&frame, Delivery::Event(None));
                            assert!(matches!(pushed, Pushed::Queued | Pushed::MustFlush));
                        }
                    });
                    let expected = 2 * EACH * round * frame.wire().len();
                    let deadline = Instant::now() + Duration::from_secs(10);
                    while heard.load(Ordering::SeqCst) < expected {
                        assert!(Instant::now() < deadline, "round {round} is not heard");
                        std::thread::yield_now();
                    }
                }
            })
        });
        for emitter in emitters {
            emitter.await.unwrap();
        }
    }

    #[test]
    fn the_first_ending_wins_unless_the_server_stops() {
        let connection = connection();
        let ended = || connection.begin_turn(Waker::noop());
        connection.end(Ending::Requested);
        connection.end(Ending::PingTimeout);
        connection.end(Ending::SlowConsumer);
        assert_eq!(ended(), Some(Ending::Requested));
        connection.end(Ending::Shutdown);
        assert_eq!(ended(), Some(Ending::Shutdown));
    }
}
