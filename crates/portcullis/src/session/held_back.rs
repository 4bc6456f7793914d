//! A TCP stream that keeps back the response with which HTTP ends, so that it leaves together with
//! the first thing the session says.
//!
//! ```text
//!  hyper ── 101 Switching Protocols ──▶ held ──┐
//!  session ── 0{"sid":…} ──────────────────────┴──▶ one segment
//! ```
//!
//! # Invariants
//!
//! - Nothing overtakes what is held: whoever reads or writes the stream as it is, or flushes it for
//!   good, has it written first.
//! - Only a response that switches protocols is held, behind which hyper writes nothing, and only
//!   where a session is to follow: others who upgrade may have nothing to say for long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::heads::Heads;
use super::stream::Ticket;

/// How such a response begins.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

/// What the stream and whoever answers its requests tell each other past hyper.
#[derive(Debug, Default)]
pub(crate) struct Overheard {
    /// Whether the request that is answered is one for a session.
    pub(crate) for_session: AtomicBool,
    /// How many heads have come that say in two ways where their request ends.
    pub(crate) ambiguous_heads: AtomicUsize,
    /// Whether nothing has come since something was answered.
    pub(crate) is_idle: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct HeldBack {
    stream: TcpStream,
    /// It goes with the stream, whoever takes that over.
    ticket: Ticket,
    held: Vec<u8>,
    overheard: Arc<Overheard>,
    heads: Heads,
}

impl HeldBack {
    /// Holds back what answers a request while it is one for a session.
    pub(crate) fn new(stream: TcpStream, ticket: Ticket, overheard: Arc<Overheard>) -> Self {
        Self {
            stream,
            ticket,
            held: Vec::new(),
            overheard,
            heads: Heads::default(),
        }
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(SWITCHING) && self.overheard.for_session.load(Ordering::Relaxed)
    }

    /// The stream, what must be written to it first, and what is to be kept for as long.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>, Ticket) {
        (self.stream, self.held, self.ticket)
    }

    /// Lets go of what is held.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for HeldBack {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.overheard.is_idle.store(false, Ordering::Relaxed);
        }
        let ambiguous = self.heads.scan(read);
        if ambiguous > 0 {
            let heard = &self.overheard.ambiguous_heads;
            heard.fetch_add(ambiguous, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HeldBack {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_release(cx))?;
        self.overheard.is_idle.store(true, Ordering::Relaxed);
        if self.holds(bytes) {
            self.held = bytes.to_vec();
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices.first() {
            Some(first) if self.holds(first) => self.poll_write(cx, first),
            _ => {
                ready!(self.poll_release(cx))?;
                self.overheard.is_idle.store(true, Ordering::Relaxed);
                Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes what it has written; what is held stays.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    async fn pair() -> (HeldBack, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let overheard = Arc::new(Overheard::default());
        overheard.for_session.store(true, Ordering::Relaxed);
        (HeldBack::new(stream, Ticket::new(()), overheard), peer)
    }

    #[tokio::test]
    async fn a_switch_is_held_until_somebody_writes_behind_it() {
        let (mut stream, mut peer) = pair().await;
        stream.write_all(RESPONSE).await.unwrap();
        stream.flush().await.unwrap();
        let nothing = peer.try_read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));

        stream.write_all(b"hello").await.unwrap();
        let mut bytes = vec![0; RESPONSE.len() + 5];
        peer.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, [RESPONSE, b"hello"].concat());
    }

    #[tokio::test]
    async fn a_switch_is_not_held_from_a_peer_that_is_listened_to() {
        let (mut stream, mut peer) = pair().await;
        stream.write_all(RESPONSE).await.unwrap();
        let answering = async {
            let mut bytes = vec![0; RESPONSE.len()];
            peer.read_exact(&mut bytes).await.unwrap();
            peer.write_all(b"x").await.unwrap();
            bytes
        };
        let mut byte = [0];
        let (read, seen) = tokio::join!(stream.read_exact(&mut byte), answering);
        assert_eq!((read.unwrap(), &byte, &seen[..]), (1, b"x", RESPONSE));
    }

    #[tokio::test]
    async fn a_connection_is_idle_from_an_answer_to_the_next_request() {
        let (mut stream, mut peer) = pair().await;
        let is_idle = |stream: &HeldBack| stream.overheard.is_idle.load(Ordering::Relaxed);
        assert!(!is_idle(&stream), "a first request is due");
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        assert!(is_idle(&stream));
        peer.write_all(b"G").await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        assert!(!is_idle(&stream));
    }

    #[tokio::test]
    async fn a_switch_to_something_else_leaves_at_once() {
        let (mut stream, mut peer) = pair().await;
        stream.overheard.for_session.store(false, Ordering::Relaxed);
        stream.write_all(RESPONSE).await.unwrap();
        let mut bytes = vec![0; RESPONSE.len()];
        peer.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, RESPONSE);
    }

    #[tokio::test]
    async fn other_responses_leave_at_once() {
        let (mut stream, mut peer) = pair().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        let mut bytes = vec![0; 17];
        peer.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"HTTP/1.1 200 OK\r\n");
    }

    #[tokio::test]
    async fn what_is_held_is_handed_over_with_the_stream() {
        let (mut stream, _peer) = pair().await;
        stream.write_all(RESPONSE).await.unwrap();
        let (_, held, _) = stream.into_parts();
        assert_eq!(held, RESPONSE);
    }
}
