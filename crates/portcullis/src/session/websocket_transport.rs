//! One WebSocket as a transport: its stream, its reader, and how it says goodbye.
//!
//! # Invariants
//!
//! - Once its close frame has left, the peer has [`LINGER`] to end its side; then the connection is
//!   dropped. Dropping it at once could make the kernel throw away what was just written.
//! - What is queued ahead of the close frame has [`LINGER`] too, and [`PATIENCE`] where it was
//!   promised to leave: a peer that takes it more slowly is not waited for.
//! - What is sent past the outbox has a bound of its own: before it carries the session, nobody
//!   has said who the peer is.

use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::connection::Connection;
use super::delivery::Delivery;
use super::frame::Frame;
use super::outbox::Sink;
use super::stream::{Stream, with_scratch};
use super::websocket::{Incoming, ReadError, Reader};
use crate::clock;

/// How long a closed WebSocket may take to go away.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How long a peer may take for what it was promised to get ahead of the close frame. One that
/// polls has as long to ask for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// So much may wait for the peer of a WebSocket that has no outbox yet. It is sent answers to its
/// pings, and one to its probe.
const MAX_DIRECT_BYTES: usize = 4096;

/// A WebSocket that carries a session, or wants to.
#[derive(Debug)]
pub(crate) struct WebSocketTransport {
    stream: Stream,
    reader: Reader,
    /// Read by the HTTP server behind the upgrade request.
    read_ahead: Bytes,
    /// The peer takes no binary frames; its stream is not a shared one.
    base64: bool,
    /// A close frame has been queued: there must not be a second one (RFC 6455 section 5.5.1).
    close_sent: bool,
    /// Its stream has ended or is broken.
    over: bool,
    /// It does not carry the session yet, and requests that were sent after its packets must not
    /// overtake them.
    is_probe: bool,
}

/// How reading a WebSocket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer closed the connection without a word.
    Eof,
    /// Reading failed.
    Io,
    /// The frames were unreadable.
    Invalid(ReadError),
}

impl WebSocketTransport {
    pub(crate) fn new(stream: Stream, read_ahead: Bytes, max_payload: usize, base64: bool) -> Self {
        Self {
            stream,
            reader: Reader::new(max_payload),
            read_ahead,
            base64,
            close_sent: false,
            over: false,
            is_probe: false,
        }
    }

    /// Reads eagerly until [`Self::carry`].
    pub(crate) const fn probing(mut self) -> Self {
        self.is_probe = true;
        self
    }

    /// It carries the session from now on.
    pub(crate) const fn carry(mut self) -> Self {
        self.is_probe = false;
        self
    }

    /// The sink that goes with the stream.
    pub(crate) fn sink(&self) -> Sink {
        match &self.stream {
            Stream::Tcp(stream, _) => Sink::Raw(Arc::clone(stream)),
            Stream::Other(_) => Sink::Task { writable: true },
        }
    }

    /// Reads what is there and hands each message to `each`; answers to pings and closes are
    /// appended to `control`.
    ///
    /// Pending when the stream has no more, or when this connection has had its turn, in which
    /// case the task is woken again.
    pub(crate) fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        control: &mut Vec<u8>,
        mut each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Poll<End> {
        let Self {
            close_sent, over, ..
        } = self;
        let mut each = |incoming: Incoming<'_>| {
            // The answer to a close is among the control frames.
            *close_sent |= matches!(incoming, Incoming::Close);
            each(incoming)
        };
        if !self.read_ahead.is_empty() || self.reader.has_leftover() {
            let mut ahead = std::mem::take(&mut self.read_ahead).to_vec();
            if let Err(error) = self.reader.feed(&mut ahead, control, &mut each) {
                return Poll::Ready(End::Invalid(error));
            }
            if self.reader.has_leftover() {
                others_first(cx);
                return Poll::Pending;
            }
        }
        with_scratch(|scratch| {
            let mut taken = 0;
            loop {
                let read = if self.is_probe {
                    self.stream.poll_read_eagerly(cx, scratch)
                } else {
                    self.stream.poll_read(cx, scratch)
                };
                let count = match ready!(read) {
                    Ok(0) => {
                        *over = true;
                        return Poll::Ready(End::Eof);
                    }
                    Ok(count) => count,
                    Err(_) => {
                        *over = true;
                        return Poll::Ready(End::Io);
                    }
                };
                let mut stop = false;
                let bytes = scratch.get_mut(..count).unwrap_or_default();
                let fed = self.reader.feed(bytes, control, |incoming| {
                    let flow = each(incoming);
                    stop = flow.is_break();
                    flow
                });
                if let Err(error) = fed {
                    return Poll::Ready(End::Invalid(error));
                }
                if stop {
                    return Poll::Pending;
                }
                taken += count;
                if taken >= scratch.len() || self.reader.has_leftover() {
                    others_first(cx);
                    return Poll::Pending;
                }
            }
        })
    }

    /// How many pings, pongs and empty frames arrived since this was asked.
    pub(crate) const fn take_idle(&mut self) -> u32 {
        self.reader.take_idle()
    }

    /// Writes frames that wait in the outbox, where only the task may; also what was queued here.
    pub(crate) fn poll_write(
        &mut self,
        connection: &Connection,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Stream::Tcp(stream, _) = &self.stream {
            if connection.with_outbox(|outbox| outbox.is_blocked()) {
                ready!(stream.poll_write_ready(cx))?;
                connection.with_outbox(super::outbox::Outbox::unblock);
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            let flushed = self.stream.poll_flush(cx)?;
            connection.with_outbox(|outbox| outbox.set_writable(flushed.is_ready()));
            ready!(flushed);
            let frames = connection.take_frames();
            if frames.is_empty() {
                return Poll::Ready(Ok(()));
            }
            for frame in frames {
                if self.base64 {
                    self.stream.queue(frame.to_base64().wire())?;
                } else {
                    self.stream.queue(frame.wire())?;
                }
            }
        }
    }

    /// Appends to what [`Self::poll_flush`] writes, past any outbox.
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.queue(bytes)
    }

    /// Ready when what was queued has left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    /// Sends frames past the outbox: a probe's answer, pongs, a refusal.
    ///
    /// # Errors
    ///
    /// If the peer does not take what it was sent before, or the stream is broken.
    pub(crate) fn send_direct(&mut self, frame: &Frame, cx: &mut Context<'_>) -> io::Result<()> {
        if self.stream.poll_flush(cx)?.is_pending() && self.stream.queued_bytes() > MAX_DIRECT_BYTES
        {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.stream.queue(frame.wire())?;
        match self.stream.poll_flush(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Whether its peer is gone.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// The frame with which to say goodbye, unless that has been said.
    pub(crate) fn goodbye(&mut self, code: Option<u16>) -> Option<Frame> {
        let first = !std::mem::replace(&mut self.close_sent, true);
        first.then(|| Frame::close(code))
    }

    /// Queues that frame on the connection that this is the transport of.
    pub(super) fn say_goodbye(&mut self, connection: &Arc<Connection>, code: Option<u16>) {
        if let Some(goodbye) = self.goodbye(code) {
            connection.send(&goodbye, Delivery::Protocol);
        }
    }

    /// Starts to go away; the close frame must be queued already. What is queued ahead of it is
    /// promised to leave if there is a `hurry`, until that is ready.
    pub(crate) fn into_closing(self, hurry: Option<WaitForCancellationFutureOwned>) -> Closing {
        let patience = if hurry.is_some() { PATIENCE } else { LINGER };
        Closing {
            transport: self,
            shut: false,
            deadline: Box::pin(tokio::time::sleep(patience)),
            hurry: hurry.map(Box::pin),
        }
    }

    /// Closes a WebSocket that does not carry a session, and says why if there is a `code` for it.
    pub(crate) async fn go_away(mut self, code: Option<u16>) {
        if let Some(goodbye) = self.goodbye(code)
            && self.stream.queue(goodbye.wire()).is_err()
        {
            return;
        }
        let gone = async {
            if poll_fn(|cx| self.stream.poll_flush(cx)).await.is_ok() {
                poll_fn(|cx| self.poll_gone(cx)).await;
            }
        };
        // Whether it went by itself or had to be dropped is the same to us.
        let _ = tokio::time::timeout(LINGER, gone).await;
    }

    /// Ready when the peer has ended its side; what it still sends is thrown away, as much in a
    /// turn as would be read.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.shutdown(cx);
        with_scratch(|scratch| {
            let mut taken = 0;
            while taken < scratch.len() {
                match ready!(self.stream.poll_read(cx, scratch)) {
                    Ok(count) if count > 0 => taken += count,
                    Ok(_) | Err(_) => return Poll::Ready(()),
                }
            }
            others_first(cx);
            Poll::Pending
        })
    }
}

/// Has the task polled again when others have had their turn, those included of whom the runtime
/// does not know yet that they have something.
///
/// Woken by its waker it would come behind those alone who are ready now. As long as anybody is,
/// the runtime looks for news after 61 turns only: some fast peers would have all of these.
fn others_first(cx: &mut Context<'_>) {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// The WebSocket of an ended session, on its way out.
#[derive(Debug)]
pub(crate) struct Closing {
    transport: WebSocketTransport,
    /// The close frame has left.
    shut: bool,
    /// Of what is queued; then of the peer, to end its side.
    deadline: Pin<Box<Sleep>>,
    hurry: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Closing {
    /// Ready when the connection may be dropped.
    pub(crate) fn poll(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(hurry) = &mut self.hurry
            && hurry.as_mut().poll(cx).is_ready()
        {
            self.linger();
        }
        if !self.shut
            && let Poll::Ready(left) = self.poll_left(connection, cx)
        {
            if left.is_err() {
                return Poll::Ready(());
            }
            self.shut = true;
            self.linger();
        }
        // Behind whatever may have moved it, so that the task is woken by it.
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.shut {
            return self.transport.poll_gone(cx);
        }
        Poll::Pending
    }

    /// Ready when what is queued has left, the close frame last.
    fn poll_left(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.transport.poll_write(connection, cx))?;
        if connection.with_outbox(|outbox| outbox.is_empty()) {
            return Poll::Ready(Ok(()));
        }
        // The flush at the end of this turn has work: look again after it.
        connection.wake();
        Poll::Pending
    }

    /// Nothing is waited for any longer than this.
    fn linger(&mut self) {
        self.hurry = None;
        let deadline = clock::instant() + LINGER;
        self.deadline.as_mut().reset(deadline.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use super::*;

    /// Two ends of a connection.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (near.unwrap().0, far.unwrap())
    }

    fn websocket(stream: TcpStream) -> WebSocketTransport {
        let stream = Stream::Tcp(Arc::new(stream), None);
        WebSocketTransport::new(stream, Bytes::new(), 1000, false)
    }

    #[tokio::test]
    async fn a_peer_with_more_than_a_turn_lets_those_go_first_who_are_told_something_meanwhile() {
        let (near, mut pinging) = connection().await;
        let mut busy = websocket(near);
        // As many as forty turns take.
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(640);
        pinging.write_all(&pings).await.unwrap();
        let (mut near, telling) = connection().await;
        telling.writable().await.unwrap();
        let turns = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&turns);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            near.read_u8().await.unwrap();
            seen.load(Ordering::Relaxed)
        });
        tasks.spawn(poll_fn(move |cx| {
            let read = busy.poll_messages(cx, &mut Vec::new(), |_| ControlFlow::Continue(()));
            assert!(read.is_pending() && pinging.peer_addr().is_ok());
            if busy.reader.has_leftover() && turns.fetch_add(1, Ordering::Relaxed) == 0 {
                assert_eq!(telling.try_write(b"x").unwrap(), 1);
            }
            Poll::Pending
        }));
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn what_comes_after_the_end_is_thrown_away_a_turn_at_a_time() {
        const TURN: usize = 64 * 1024;
        let (near, mut far) = connection().await;
        let mut gone = websocket(near);
        far.writable().await.unwrap();
        let mut sent = 0;
        while let Ok(count) = far.try_write(&[0; TURN]) {
            sent += count;
        }
        far.shutdown().await.unwrap();
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            gone.poll_gone(cx)
        })
        .await;
        // The last read of a turn may go beyond it.
        assert!(turns >= sent / (2 * TURN), "{sent} bytes in {turns} turns");
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_sent_no_more_than_a_few_kilobytes() {
        // Memory that holds little stands for a peer that does not read.
        let (_peer, io) = tokio::io::duplex(64);
        let stream = Stream::other(io);
        let mut probe = WebSocketTransport::new(stream, Bytes::new(), 1000, false).probing();
        let pong = Frame::from_wire([0x8a, 125].into_iter().chain([b'x'; 125]).collect());
        let mut sent = 0;
        poll_fn(|cx| {
            while probe.send_direct(&pong, cx).is_ok() && sent < 1000 {
                sent += 1;
            }
            Poll::Ready(())
        })
        .await;
        assert!((4096 / 127..=4096 / 127 + 2).contains(&sent), "{sent}");
        assert!(probe.stream.queued_bytes() < MAX_DIRECT_BYTES + 127);
    }
}
