//! The bytes of one WebSocket, whatever carries them.
//!
//! A TCP stream with nothing around it is shared: the session's task reads it, and whoever flushes
//! the outbox writes it. Anything else (TLS, memory, another server's connection) belongs to the
//! session's task alone, which also writes it.
//!
//! # Invariants
//!
//! - Reading needs no buffer of the connection's own: it goes into a scratch buffer per thread.
//! - A read that fills only part of the buffer says that nothing more is there, which saves the
//!   system call that would find out.

use std::any::Any;
use std::cell::Cell;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::held_back::HeldBack;

/// What is read at once, and with that what one connection may take of a turn.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Lends this thread's scratch buffer to `work`.
pub(crate) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SCRATCH]);
    let result = work(&mut buffer);
    BUFFER.set(Some(buffer));
    result
}

/// What a generic stream must be able to do.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + 'static> Io for T {}

/// What whoever accepted a connection wants back when it has gone.
#[derive(Debug)]
pub(crate) struct Ticket(
    #[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>,
);

impl Ticket {
    pub(crate) fn new(held: impl Any + Send + Sync) -> Self {
        Self(Box::new(held))
    }
}

/// One side of a connection that has left HTTP behind.
pub(crate) enum Stream {
    Tcp(
        Arc<TcpStream>,
        #[expect(dead_code, reason = "held for its drop")] Option<Ticket>,
    ),
    Other(Box<Other>),
}

/// A stream that only the session's task touches, with what it could not write yet.
pub(crate) struct Other {
    io: Pin<Box<dyn Io>>,
    out: Vec<u8>,
    written: usize,
}

/// A connection that has just left HTTP behind.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    /// What the HTTP server had read behind the request.
    pub(crate) read_ahead: Bytes,
    /// What must be written before anything else: the response, if it was held back.
    pub(crate) held: Vec<u8>,
}

impl Opened {
    fn tcp(stream: TcpStream, read_ahead: &Bytes) -> Self {
        // Frames are coalesced here; the kernel must not wait for more.
        let _ = stream.set_nodelay(true);
        Self {
            stream: Stream::Tcp(Arc::new(stream), None),
            read_ahead: detach(read_ahead),
            held: Vec::new(),
        }
    }

    /// Writes what was held; nothing goes with it.
    pub(crate) fn release(mut self) -> (Stream, Bytes) {
        if !self.held.is_empty() {
            // The first bytes of a connection fit; if it is gone, its next read says so.
            let _ = self.stream.queue(&self.held);
        }
        (self.stream, self.read_ahead)
    }
}

impl Stream {
    /// Takes the raw stream out of an upgraded connection if there is one in it.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> Opened {
        let upgraded = match upgraded.downcast::<TokioIo<HeldBack>>() {
            Ok(parts) => {
                let (stream, held, ticket) = parts.io.into_inner().into_parts();
                return Opened {
                    stream: Self::Tcp(Arc::new(stream), Some(ticket)),
                    read_ahead: detach(&parts.read_buf),
                    held,
                };
            }
            Err(upgraded) => upgraded,
        };
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return Opened::tcp(parts.io.into_inner(), &parts.read_buf),
            Err(upgraded) => upgraded,
        };
        // hyper-util's auto server, which axum uses too, wraps the stream in a type of its own.
        match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => Opened::tcp(parts.io.into_inner(), &parts.read_buf),
            Err(upgraded) => Self::from_upgraded_unshared(upgraded),
        }
    }

    /// The stream as it is, for a task that writes it itself.
    pub(crate) fn from_upgraded_unshared(upgraded: Upgraded) -> Opened {
        Opened {
            stream: Self::other(TokioIo::new(upgraded)),
            read_ahead: Bytes::new(),
            held: Vec::new(),
        }
    }

    pub(crate) fn other(io: impl Io) -> Self {
        Self::Other(Box::new(Other {
            io: Box::pin(io),
            out: Vec::new(),
            written: 0,
        }))
    }

    /// Reads what is there; 0 is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream, _) => poll_read_tcp(stream, cx, buffer),
            Self::Other(other) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(other.io.as_mut().poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// As [`Self::poll_read`], and finds what the runtime has not been told of yet. Costs a system
    /// call where there is nothing.
    pub(crate) fn poll_read_eagerly(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Self::Tcp(stream, _) = self
            && let Ok(count) = (&*socket2::SockRef::from(&**stream)).read(buffer)
        {
            return Poll::Ready(Ok(count));
        }
        self.poll_read(cx, buffer)
    }

    /// Appends to what [`Self::poll_flush`] writes.
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            // Only a probe writes this way, into an empty socket buffer.
            Self::Tcp(stream, _) => match stream.try_write(bytes)? {
                written if written == bytes.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            },
            Self::Other(other) => {
                other.out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// How many bytes that were queued have not left.
    pub(crate) const fn queued_bytes(&self) -> usize {
        match self {
            Self::Tcp(..) => 0,
            Self::Other(other) => other.out.len().saturating_sub(other.written),
        }
    }

    /// Writes what was queued; ready when all of it has left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Other(other) = self else {
            return Poll::Ready(Ok(()));
        };
        let Other {
            io, out, written, ..
        } = &mut **other;
        while let Some(rest) = out.get(*written..).filter(|rest| !rest.is_empty()) {
            match ready!(io.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        *written = 0;
        if out.capacity() > 16 * 1024 {
            *out = Vec::new();
        }
        out.clear();
        io.as_mut().poll_flush(cx)
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Tcp(stream, _) => {
                let _ = socket2::SockRef::from(&**stream).shutdown(std::net::Shutdown::Write);
            }
            Self::Other(other) => {
                let _ = other.io.as_mut().poll_shutdown(cx);
            }
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(..) => "Stream::Tcp",
            Self::Other(_) => "Stream::Other",
        })
    }
}

/// Copies what was read ahead: even an empty slice would keep the HTTP server's whole buffer.
fn detach(read_ahead: &Bytes) -> Bytes {
    Bytes::copy_from_slice(read_ahead)
}

fn poll_read_tcp(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let mut partial = None;
        let result = stream.try_io(Interest::READABLE, || {
            let count = (&*socket2::SockRef::from(stream)).read(buffer)?;
            if count > 0 && count < buffer.len() {
                // Saying "would block" here clears the readiness without another system call.
                partial = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        match (partial, result) {
            (Some(count), _) => return Poll::Ready(Ok(count)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            (None, result) => return Poll::Ready(result),
        }
    }
}
