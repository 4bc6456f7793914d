//! The events of one socket, in the order in which they came.
//!
//! While a handler waits for something, the events behind it wait in a bounded queue, and the
//! connection goes on reading: pongs, acks and other namespaces pass by.
//!
//! ```text
//!   event ─▶ nothing running? ─▶ handler, polled at once ─▶ done: no trace left
//!                   │                     │      └─ a stream ─▶ beside the lane, until it ends
//!                   │                     └──── pending ──▶ running
//!                   └─ no ─▶ queue (64 events, 256 KiB) ──▶ started as handlers end
//! ```
//!
//! # Invariants
//!
//! - Handlers start in the order of their events; without `concurrency` they also end in it.
//! - No handler starts once its socket has ended.
//! - A socket without events in flight has no lane.
//! - Streams hold nobody up, until there are [`MAX_STREAMS`] of them: one more is handled like a
//!   handler that has not ended, deadline included.
//! - A stream that comes when its socket has ended is dropped: nobody hears it, and its seat would
//!   wait for it without a deadline.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use tokio::time::Sleep;

use crate::namespace::{Handling, Incoming, SocketInner, Started};

const MAX_QUEUED: usize = 64;
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// So many streams of one socket may run beside its events.
const MAX_STREAMS: usize = 16;

/// More events than may wait.
#[derive(Debug)]
pub(super) struct Flood;

/// The events of one socket that are being handled or wait to be.
#[derive(Default)]
pub(super) struct Lane {
    running: Vec<Running>,
    queue: VecDeque<Incoming>,
    queued_bytes: usize,
    /// What goes on answering events whose handlers have ended.
    streams: Vec<BoxFuture<'static, ()>>,
}

struct Running {
    incoming: Incoming,
    handler: Handling,
    deadline: Pin<Box<Sleep>>,
}

impl Lane {
    /// Handles an event now, or queues it behind those that came before.
    pub(super) fn push(
        lane: &mut Option<Box<Self>>,
        socket: &Arc<SocketInner>,
        incoming: Incoming,
        cx: &mut Context<'_>,
    ) -> Result<(), Flood> {
        match lane {
            None => match start(socket, incoming, cx) {
                Started::Done => {}
                started => lane.get_or_insert_default().keep(socket, started, cx),
            },
            Some(lane) if lane.queue.is_empty() && lane.has_room_for(socket, &incoming) => {
                let started = start(socket, incoming, cx);
                lane.keep(socket, started, cx);
            }
            Some(lane) => lane.enqueue(incoming)?,
        }
        Ok(())
    }

    fn keep(&mut self, socket: &Arc<SocketInner>, started: Started, cx: &mut Context<'_>) {
        let (incoming, handler) = match started {
            Started::Done => return,
            Started::Waiting(incoming, handler) => (incoming, handler),
            Started::Streaming(_, stream) if self.streams.len() < MAX_STREAMS => {
                self.streams.push(stream);
                return;
            }
            Started::Streaming(incoming, stream) => (incoming, stream.map(|()| None).boxed()),
        };
        let mut running = Running::new(socket, incoming, handler);
        // Registers the deadline with this task, which may not look at it again before it is due.
        let _ = running.deadline.as_mut().poll(cx);
        self.running.push(running);
    }

    fn enqueue(&mut self, incoming: Incoming) -> Result<(), Flood> {
        let bytes = self.queued_bytes + incoming.size_bytes();
        if self.queue.len() >= MAX_QUEUED || bytes > MAX_QUEUED_BYTES && !self.queue.is_empty() {
            return Err(Flood);
        }
        self.queued_bytes = bytes;
        self.queue.push_back(incoming);
        Ok(())
    }

    /// Goes on with what is running, and starts what waits; drops the lane when all is done.
    pub(super) fn poll(
        lane: &mut Option<Box<Self>>,
        socket: &Arc<SocketInner>,
        cx: &mut Context<'_>,
    ) {
        let Some(current) = lane else {
            return;
        };
        current.poll_running(socket, cx);
        while let Some(next) = current.queue.front() {
            if socket.is_disconnected() {
                // What has just run has ended it.
                current.forget_queue();
                break;
            }
            if !current.has_room_for(socket, next) {
                break;
            }
            let Some(next) = current.queue.pop_front() else {
                break;
            };
            current.queued_bytes -= next.size_bytes();
            let started = start(socket, next, cx);
            current.keep(socket, started, cx);
        }
        current
            .streams
            .retain_mut(|stream| stream.as_mut().poll(cx).is_pending());
        if current.running.is_empty() && current.queue.is_empty() && current.streams.is_empty() {
            *lane = None;
        }
    }

    /// Whether handlers run or wait. Streams do not count: they have no end to wait for.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.queue.is_empty()
    }

    fn poll_running(&mut self, socket: &Arc<SocketInner>, cx: &mut Context<'_>) {
        let streams = &mut self.streams;
        self.running
            .retain_mut(|running| match running.poll(socket, cx) {
                Poll::Pending => true,
                Poll::Ready(None) => false,
                Poll::Ready(Some(_)) if socket.is_disconnected() => false,
                Poll::Ready(Some(stream)) if streams.len() < MAX_STREAMS => {
                    streams.push(stream);
                    false
                }
                Poll::Ready(Some(stream)) => {
                    running.handler = stream.map(|()| None).boxed();
                    running.poll(socket, cx).is_pending()
                }
            });
    }

    /// The socket has ended: what has not been started never will be, and nobody hears a stream.
    pub(super) fn forget_queue(&mut self) {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
        self.streams = Vec::new();
    }

    fn has_room_for(&self, socket: &Arc<SocketInner>, incoming: &Incoming) -> bool {
        let dispatch = socket.namespace().dispatch();
        self.running.is_empty() || self.running.len() < dispatch.concurrency(&incoming.event)
    }
}

impl Running {
    fn new(socket: &Arc<SocketInner>, incoming: Incoming, handler: Handling) -> Self {
        let limit = socket.namespace().limits().handler_timeout;
        Self {
            incoming,
            handler,
            deadline: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn poll(
        &mut self,
        socket: &Arc<SocketInner>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<BoxFuture<'static, ()>>> {
        if let Poll::Ready(stream) = self.handler.as_mut().poll(cx) {
            return Poll::Ready(stream);
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            tracing::warn!("a handler did not end in time and was dropped");
            metrics::counter!("portcullis_handler_timeouts_total").increment(1);
            let dispatch = socket.namespace().dispatch();
            dispatch.timed_out(&Arc::clone(socket).into(), self.incoming.clone());
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Handles an event as far as it goes at once.
fn start(socket: &Arc<SocketInner>, incoming: Incoming, cx: &mut Context<'_>) -> Started {
    let dispatch = socket.namespace().dispatch();
    dispatch.event(&Arc::clone(socket).into(), incoming, cx)
}
