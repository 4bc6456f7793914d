//! What waits to leave on one connection.
//!
//! Everything that goes to a connection, from replies to heartbeats, passes this one queue, which
//! keeps its order. It holds pointers to finished frames and counts their bytes. Who takes them
//! out depends on the sink:
//!
//! | sink   | who writes                        | when                                          |
//! |--------|-----------------------------------|-----------------------------------------------|
//! | `Raw`  | whoever holds the flush           | at the end of a turn, or the shard's flusher  |
//! | `Task` | the session's task                | when woken: a poll waits, a stream is writable |
//! | `Gone` | nobody                            | frames are dropped                            |
//!
//! ```text
//!          push                take                 written whole
//!   Idle ───────▶ Dirty ───────────────▶ Flushing ──────────────▶ Idle
//!                   ▲                     │     │
//!                   └── more came ────────┘     └── would block ──▶ Blocked ── writable ──▶ Dirty
//! ```
//!
//! # Invariants
//!
//! - Only one party writes at a time: the one that moved the state to `Flushing`.
//! - The system call happens outside the lock.
//! - The queue is bounded in bytes and in frames; what goes over ends the session, or is dropped
//!   where that was said. Nobody is too slow for what their stream was never asked to take.
//! - Events do not crowd out the protocol's own words, for which there is a little more room, and
//!   the goodbye, for which there always is.
//! - Nothing follows a goodbye.
//!
//! # Not here
//!
//! The lock around it (`connection`), and which task flushes when (`turn`, `flusher`).

mod batch;
mod limits;

use std::io;
use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;
use tokio::net::TcpStream;

pub(crate) use self::batch::{Batch, Written};
pub(crate) use self::limits::{OutboxLimits, Waiting};
use super::delivery::Delivery;
use super::frame::Frame;

/// Where frames go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The session's task writes; `writable` says whether it could do so right now.
    Task { writable: bool },
    /// A TCP stream without anything around it, written by whoever flushes.
    Raw(Arc<TcpStream>),
    /// The session has ended.
    Gone,
}

/// What is queued at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    /// Something was thrown away: a peer that got what comes later would see a gap in the order.
    Goodbye,
    /// A goodbye is queued, or has left.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Dirty,
    Flushing,
    Blocked,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is queued, and somebody will flush.
    Queued,
    /// It is queued, and the caller must see to it that somebody flushes.
    MustFlush,
    /// There is no room for it, and the stream has not been asked to take what waits: there may be
    /// when the caller has flushed, or whoever is at it.
    Full,
    /// It was volatile and could not leave at once.
    Dropped,
    /// It did not fit, and the peer loses it.
    Lost,
    /// It did not fit: the peer is too slow.
    Overflow,
    /// The session has ended.
    Gone,
}

impl Pushed {
    /// Counts what a peer does not get.
    #[cold]
    pub(crate) fn count(self) {
        match self {
            Self::Dropped => metrics::counter!("portcullis_volatile_dropped_total").increment(1),
            Self::Lost => metrics::counter!("portcullis_events_lost_total").increment(1),
            Self::Overflow => metrics::counter!("portcullis_slow_consumers_total").increment(1),
            Self::Queued | Self::MustFlush | Self::Full | Self::Gone => {}
        }
    }
}

/// What a flush left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing: all is written, or another party is at it.
    Done,
    /// More came while writing: flush again.
    Again,
    /// The stream takes no more for now.
    Blocked,
    /// The stream is broken.
    Failed,
}

/// The queue of one connection. It lives under the connection's lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outbox {
    sink: Sink,
    queue: SmallVec<[Frame; 2]>,
    /// What [`Waiting`] says of the queue, which counts its frames itself.
    bytes: usize,
    /// How much of the first frame has left already.
    head_offset: usize,
    state: State,
    /// See [`Waiting`].
    has_giant: bool,
    /// The stream was asked once more for what did not fit behind what it had refused.
    was_asked_again: bool,
    takes: Takes,
    /// What was on its way when all was thrown away does not come back.
    discarded: bool,
    waker: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: SmallVec::new(),
            bytes: 0,
            head_offset: 0,
            state: State::Idle,
            has_giant: false,
            was_asked_again: false,
            takes: Takes::All,
            sink: Sink::Task { writable: false },
            discarded: false,
            waker: None,
        }
    }

    /// Queues `frame`; wakes the session's task if it is the one to write.
    pub(crate) fn push(
        &mut self,
        frame: &Frame,
        delivery: Delivery,
        limits: &OutboxLimits,
    ) -> Pushed {
        let is_taken = match self.takes {
            Takes::All => true,
            Takes::Goodbye => frame.is_close(),
            Takes::Nothing => false,
        };
        if !is_taken || matches!(self.sink, Sink::Gone) {
            return Pushed::Gone;
        }
        if delivery.is_volatile() && !self.is_writable() {
            return Pushed::Dropped;
        }
        if frame.is_control() {
            self.take_control(frame, limits);
        }
        let bytes = self.bytes + frame.wire().len();
        if bytes <= limits.max_bytes && self.queue.len() < limits.max_frames {
            self.bytes = bytes;
        } else if let Some(refused) = self.take_besides(frame, delivery, limits) {
            return refused;
        }
        self.queue.push(frame.clone());
        match (&self.sink, self.state) {
            (Sink::Raw(_), State::Idle) => {
                self.state = State::Dirty;
                Pushed::MustFlush
            }
            (Sink::Task { .. }, _) => {
                self.wake();
                Pushed::Queued
            }
            _ => Pushed::Queued,
        }
    }

    fn waiting(&self) -> Waiting {
        Waiting {
            frames: self.queue.len(),
            bytes: self.bytes,
            has_giant: self.has_giant,
        }
    }

    /// A goodbye is the last; a pong takes the place of one that the peer has not read.
    #[cold]
    fn take_control(&mut self, frame: &Frame, limits: &OutboxLimits) {
        if frame.is_close() {
            self.takes = Takes::Nothing;
        } else if frame.is_pong()
            && self.queue.last().is_some_and(Frame::is_pong)
            && self.queue.len() > 1
            && let Some(old) = self.queue.pop()
        {
            let old = old.wire().len();
            if limits.is_giant(old) {
                self.has_giant = false;
            } else {
                self.bytes -= old;
            }
        }
    }

    /// Counts a frame that does not fit among the others, if there is room for its like; otherwise
    /// says what becomes of it.
    #[cold]
    fn take_besides(
        &mut self,
        frame: &Frame,
        delivery: Delivery,
        limits: &OutboxLimits,
    ) -> Option<Pushed> {
        let len = frame.wire().len();
        let mut waiting = self.waiting();
        if !frame.is_close()
            && !limits.admit(waiting, len)
            && let Some(refused) = self.refuse(len, delivery, limits)
        {
            return Some(refused);
        }
        waiting.add(len, limits);
        (self.bytes, self.has_giant) = (waiting.bytes, waiting.has_giant);
        None
    }

    /// What becomes of a frame for which there is no room, unless there is some for its like.
    fn refuse(&mut self, len: usize, delivery: Delivery, limits: &OutboxLimits) -> Option<Pushed> {
        match (&self.sink, self.state) {
            (Sink::Raw(_), State::Dirty | State::Flushing) => return Some(Pushed::Full),
            (Sink::Raw(_), State::Blocked) if !self.was_asked_again => {
                // The peer may have read it all, and the session's task not come to see that.
                self.was_asked_again = true;
                self.state = State::Dirty;
                return Some(Pushed::Full);
            }
            _ => {}
        }
        let has_room = delivery == Delivery::Protocol && limits.admit_reserved(self.waiting(), len);
        (!has_room).then(|| limits.refuse(delivery))
    }

    /// Whether a frame pushed now could leave at once, which is what volatile frames ask for.
    fn is_writable(&self) -> bool {
        let sink_takes = match self.sink {
            Sink::Task { writable } => writable,
            Sink::Raw(_) => self.state != State::Blocked,
            Sink::Gone => false,
        };
        sink_takes && self.queue.is_empty() && self.state != State::Flushing
    }

    /// Whether the peer can be told of the end without waiting for its next poll.
    pub(crate) const fn can_close_at_once(&self) -> bool {
        match self.sink {
            Sink::Task { writable } => writable,
            Sink::Raw(_) | Sink::Gone => true,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.state != State::Flushing
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.state == State::Blocked
    }

    /// The stream takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.was_asked_again = false;
        if self.state == State::Blocked {
            self.state = State::Dirty;
        }
    }

    /// Changes who writes. What is queued stays queued and goes to the new sink.
    pub(crate) fn set_sink(&mut self, sink: Sink) {
        self.state = match &sink {
            Sink::Raw(_) if !self.queue.is_empty() => State::Dirty,
            _ => State::Idle,
        };
        self.sink = sink;
    }

    pub(crate) fn set_writable(&mut self, now: bool) {
        if let Sink::Task { writable } = &mut self.sink {
            *writable = now;
        }
    }

    /// Ends the queue: what waits is dropped, and whatever comes later too.
    pub(crate) fn close(&mut self) {
        self.lose();
        self.waker = None;
    }

    fn lose(&mut self) {
        self.sink = Sink::Gone;
        self.state = State::Idle;
        self.queue = SmallVec::new();
        (self.bytes, self.has_giant) = (0, false);
        self.head_offset = 0;
    }

    /// Drops what waits, so that the goodbye, which is all that may follow, leaves at once.
    pub(crate) fn discard(&mut self) {
        self.discarded = true;
        if self.takes == Takes::All {
            self.takes = Takes::Goodbye;
        }
        keep_promises(&mut self.queue, self.head_offset);
        // Nothing but the goodbye may follow, and for that there is always room.
        (self.bytes, self.has_giant) = (0, false);
    }

    /// Remembers whom to wake.
    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Takes everything, for a sink of the `Task` kind.
    pub(crate) fn take_all(&mut self) -> SmallVec<[Frame; 2]> {
        (self.bytes, self.has_giant) = (0, false);
        std::mem::take(&mut self.queue)
    }

    /// Starts a flush: hands out the stream and what waits for it.
    pub(crate) fn begin_flush(&mut self) -> Option<Batch> {
        let Sink::Raw(stream) = &self.sink else {
            return None;
        };
        if self.state != State::Dirty {
            return None;
        }
        let stream = Arc::clone(stream);
        self.state = State::Flushing;
        (self.bytes, self.has_giant) = (0, false);
        // Draining instead of taking keeps a spilled buffer for the next burst.
        let frames = self.queue.drain(..).collect();
        if self.queue.capacity() > 8 {
            self.queue = SmallVec::new();
        }
        let offset = std::mem::take(&mut self.head_offset);
        Some(Batch::new(stream, frames, offset))
    }

    /// Ends a flush: puts back what did not leave, in front of what came meanwhile.
    pub(crate) fn end_flush(
        &mut self,
        batch: Batch,
        result: io::Result<()>,
        limits: &OutboxLimits,
    ) -> Flushed {
        if !matches!(self.sink, Sink::Raw(_)) || self.state != State::Flushing {
            return Flushed::Done;
        }
        if batch.has_moved() {
            self.was_asked_again = false;
        }
        let (mut rest, offset) = batch.into_rest();
        self.head_offset = offset;
        if !rest.is_empty() {
            if self.discarded {
                // That was while these were on their way.
                keep_promises(&mut rest, offset);
            }
            self.put_back(rest, limits);
        }
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.state = State::Blocked;
                // The session's task waits for the stream to become writable.
                self.wake();
                Flushed::Blocked
            }
            Err(_) => {
                // Nothing leaves any more. Were the frames kept, a session that is about to end
                // would try them again and again, for a broken stream always counts as writable.
                self.lose();
                Flushed::Failed
            }
            Ok(()) if self.queue.is_empty() => {
                self.state = State::Idle;
                Flushed::Done
            }
            Ok(()) => {
                self.state = State::Dirty;
                Flushed::Again
            }
        }
    }

    /// Puts frames back in front of all others.
    fn put_back(&mut self, rest: SmallVec<[Frame; 8]>, limits: &OutboxLimits) {
        let mut waiting = self.waiting();
        for frame in &rest {
            waiting.add(frame.wire().len(), limits);
        }
        (self.bytes, self.has_giant) = (waiting.bytes, waiting.has_giant);
        self.queue.insert_many(0, rest);
    }
}

/// Drops frames of which the first has left up to `offset`, but for the rest of that one, the
/// response without which whatever follows would be no WebSocket, and the goodbye.
fn keep_promises<A: smallvec::Array<Item = Frame>>(frames: &mut SmallVec<A>, offset: usize) {
    let has_begun = offset > 0 || frames.first().is_some_and(Frame::is_response);
    let first = usize::from(has_begun).min(frames.len());
    let goodbye = frames.drain(first..).next_back().filter(Frame::is_close);
    frames.extend(goodbye);
}

#[cfg(test)]
mod tests {
    use super::super::delivery::IfSlow;
    use super::limits::RESERVED_FRAMES;
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits {
        max_bytes: 100,
        max_frames: 4,
        if_slow: IfSlow::Disconnect,
    };

    fn push(outbox: &mut Outbox, text: &str) -> Pushed {
        outbox.push(&Frame::text(text), Delivery::Event(None), &LIMITS)
    }

    #[test]
    fn frames_leave_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::new();
        for text in ["4a", "4b", "4c"] {
            assert_eq!(push(&mut outbox, text), Pushed::Queued);
        }
        let texts: Vec<_> = outbox
            .take_all()
            .iter()
            .map(|frame| frame.polling().clone())
            .collect();
        assert_eq!(texts, ["4a", "4b", "4c"]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_queue_is_bounded_in_frames() {
        let mut outbox = Outbox::new();
        for _ in 0..4 {
            assert_eq!(push(&mut outbox, "4"), Pushed::Queued);
        }
        assert_eq!(push(&mut outbox, "4"), Pushed::Overflow);
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_but_takes_one_frame_of_any_size() {
        let giant = "a".repeat(500);
        let mut outbox = Outbox::new();
        for text in ["4", &giant, "4"] {
            assert_eq!(push(&mut outbox, text), Pushed::Queued);
        }
        assert_eq!(push(&mut outbox, &giant), Pushed::Overflow);
        let answer = outbox.push(&Frame::text(&giant), Delivery::Protocol, &LIMITS);
        assert_eq!(answer, Pushed::Overflow, "the reserve is for small ones");

        let mut outbox = Outbox::new();
        assert_eq!(push(&mut outbox, &giant), Pushed::Queued);
        assert_eq!(push(&mut outbox, &"a".repeat(50)), Pushed::Queued);
        assert_eq!(push(&mut outbox, &"a".repeat(60)), Pushed::Overflow);

        let mut outbox = Outbox::new();
        assert_eq!(push(&mut outbox, &"a".repeat(50)), Pushed::Queued);
        assert_eq!(push(&mut outbox, &"a".repeat(60)), Pushed::Overflow);
    }

    #[test]
    fn an_event_that_may_be_lost_is_lost_and_what_the_protocol_says_is_not() {
        let mut outbox = Outbox::new();
        let drops = OutboxLimits {
            if_slow: IfSlow::Drop,
            ..LIMITS
        };
        let frame = Frame::text("4");
        for _ in 0..4 {
            outbox.push(&frame, Delivery::Event(None), &drops);
        }
        let cases = [
            (Delivery::Event(None), Pushed::Lost),
            (Delivery::Event(Some(IfSlow::Disconnect)), Pushed::Overflow),
            (Delivery::Protocol, Pushed::Queued),
        ];
        for (delivery, pushed) in cases {
            assert_eq!(outbox.push(&frame, delivery, &drops), pushed);
        }
        let may_be_lost = Delivery::Event(Some(IfSlow::Drop));
        assert_eq!(outbox.push(&frame, may_be_lost, &LIMITS), Pushed::Lost);
        for _ in 1..RESERVED_FRAMES {
            let pushed = outbox.push(&frame, Delivery::Protocol, &drops);
            assert_eq!(pushed, Pushed::Queued);
        }
        let beyond = outbox.push(&frame, Delivery::Protocol, &drops);
        assert_eq!(beyond, Pushed::Overflow);
        let goodbye = outbox.push(&Frame::close(None), Delivery::Protocol, &drops);
        assert_eq!(goodbye, Pushed::Queued);
        assert_eq!(outbox.take_all().len(), 4 + RESERVED_FRAMES + 1);
    }

    #[test]
    fn nothing_follows_a_goodbye_which_is_not_thrown_away() {
        let mut outbox = Outbox::new();
        push(&mut outbox, "4a");
        outbox.push(&Frame::close(None), Delivery::Protocol, &LIMITS);
        assert_eq!(push(&mut outbox, "4b"), Pushed::Gone);
        outbox.discard();
        let left = outbox.take_all();
        assert!(matches!(left.as_slice(), [goodbye] if goodbye.is_close()));
    }

    #[test]
    fn a_volatile_frame_needs_a_writable_sink_and_an_empty_queue() {
        let mut outbox = Outbox::new();
        let frame = Frame::text("4v");
        assert_eq!(
            outbox.push(&frame, Delivery::Volatile, &LIMITS),
            Pushed::Dropped
        );
        outbox.set_writable(true);
        assert_eq!(
            outbox.push(&frame, Delivery::Volatile, &LIMITS),
            Pushed::Queued
        );
        assert_eq!(
            outbox.push(&frame, Delivery::Volatile, &LIMITS),
            Pushed::Dropped
        );
    }

    #[test]
    fn pongs_that_nobody_reads_do_not_pile_up() {
        let mut outbox = Outbox::new();
        let pong = Frame::from_wire(vec![0x8a, 1, b'x']);
        for _ in 0..50 {
            assert_eq!(
                outbox.push(&pong, Delivery::Protocol, &LIMITS),
                Pushed::Queued
            );
        }
        assert_eq!(outbox.take_all().len(), 2);
    }

    #[test]
    fn a_goodbye_behind_a_pong_is_one_too() {
        let mut outbox = Outbox::new();
        let both = Frame::from_wire(vec![0x8a, 1, b'x', 0x88, 2, 3, 232]);
        outbox.push(&both, Delivery::Protocol, &LIMITS);
        assert_eq!(push(&mut outbox, "4"), Pushed::Gone);
        outbox.discard();
        assert_eq!(outbox.take_all().len(), 1);
    }

    #[test]
    fn a_pong_may_be_longer_than_what_may_wait() {
        let mut outbox = Outbox::new();
        push(&mut outbox, "4");
        let pong = Frame::from_wire([[0x8a, 60].as_slice(), &[0; 60]].concat().repeat(2));
        for _ in 0..3 {
            let pushed = outbox.push(&pong, Delivery::Protocol, &LIMITS);
            assert_eq!(pushed, Pushed::Queued);
        }
        assert_eq!(push(&mut outbox, &"a".repeat(90)), Pushed::Queued);
    }

    #[test]
    fn nothing_but_a_goodbye_follows_what_was_thrown_away() {
        let mut outbox = Outbox::new();
        push(&mut outbox, "4a");
        outbox.discard();
        assert_eq!(push(&mut outbox, "4b"), Pushed::Gone);
        let goodbye = Frame::close(None);
        assert_eq!(
            outbox.push(&goodbye, Delivery::Protocol, &LIMITS),
            Pushed::Queued
        );
        assert_eq!(outbox.take_all().len(), 1);
    }

    #[test]
    fn a_response_that_was_held_back_is_not_thrown_away() {
        let mut outbox = Outbox::new();
        let response = Frame::from_wire(b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec());
        outbox.push(&response, Delivery::Protocol, &LIMITS);
        push(&mut outbox, "0{}");
        outbox.discard();
        let goodbye = Frame::close(None);
        outbox.push(&goodbye, Delivery::Protocol, &LIMITS);
        let left = outbox.take_all();
        let left: Vec<_> = left.iter().map(Frame::wire).collect();
        assert_eq!(left, [response.wire(), goodbye.wire()]);
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (stream, peer)
    }

    #[tokio::test]
    async fn what_was_on_its_way_when_all_was_thrown_away_does_not_come_back() {
        let (stream, _peer) = pair().await;
        let mut outbox = Outbox::new();
        outbox.set_sink(Sink::Raw(Arc::new(stream)));
        push(&mut outbox, "4a");
        push(&mut outbox, "4b");
        let batch = outbox.begin_flush().unwrap();
        push(&mut outbox, "4c");
        outbox.discard();
        outbox.push(&Frame::close(None), Delivery::Protocol, &LIMITS);
        let refused = Err(io::ErrorKind::WouldBlock.into());
        assert_eq!(outbox.end_flush(batch, refused, &LIMITS), Flushed::Blocked);
        let left = outbox.take_all();
        assert!(matches!(left.as_slice(), [goodbye] if goodbye.is_close()));
    }

    #[tokio::test]
    async fn a_stream_that_refused_is_asked_once_more_before_its_peer_is_too_slow() {
        let (stream, _peer) = pair().await;
        let mut outbox = Outbox::new();
        outbox.set_sink(Sink::Raw(Arc::new(stream)));
        for _ in 0..4 {
            push(&mut outbox, "4");
        }
        let refuse = |outbox: &mut Outbox| {
            let batch = outbox.begin_flush().unwrap();
            let refused = Err(io::ErrorKind::WouldBlock.into());
            assert_eq!(outbox.end_flush(batch, refused, &LIMITS), Flushed::Blocked);
        };
        refuse(&mut outbox);
        assert_eq!(push(&mut outbox, "4"), Pushed::Full);
        refuse(&mut outbox);
        assert_eq!(push(&mut outbox, "4"), Pushed::Overflow);
    }

    #[tokio::test]
    async fn a_broken_stream_leaves_nothing_to_be_tried_again() {
        let (stream, peer) = pair().await;
        // Closed with a lingering time of zero, a connection is reset.
        socket2::SockRef::from(&peer)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(peer);
        stream.readable().await.unwrap();
        let mut outbox = Outbox::new();
        outbox.set_sink(Sink::Raw(Arc::new(stream)));
        assert_eq!(push(&mut outbox, "4a"), Pushed::MustFlush);
        let mut batch = outbox.begin_flush().unwrap();
        let result = batch.write();
        assert_eq!(outbox.end_flush(batch, result, &LIMITS), Flushed::Failed);
        assert!(outbox.is_empty() && !outbox.is_blocked());
        assert_eq!(push(&mut outbox, "4b"), Pushed::Gone);
    }

    #[test]
    fn a_closed_outbox_takes_nothing() {
        let mut outbox = Outbox::new();
        push(&mut outbox, "4a");
        outbox.close();
        assert_eq!(push(&mut outbox, "4b"), Pushed::Gone);
        assert!(outbox.take_all().is_empty());
    }
}
