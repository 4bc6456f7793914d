//! The events of one socket, in the order in which they came.
//!
//! While a handler waits for something, the events behind it wait in a bounded queue, and the
//! connection goes on reading: pongs, acks and other namespaces pass by.
//!
//! ```text
//!   event ─▶ nothing running? ─▶ handler, polled at once ─▶ done: no trace left
//!                   │                     └──── pending ──▶ running
//!                   └─ no ─▶ queue (64 events, 256 KiB) ──▶ started as handlers end
//! ```
//!
//! # Invariants
//!
//! - Handlers start in the order of their events; without `concurrency` they also end in it.
//! - A socket without events in flight has no lane.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use portcullis_socketio::ids::AckId;
use tokio::time::Sleep;

use crate::namespace::{Incoming, SocketInner};

const MAX_QUEUED: usize = 64;
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// What ends a handler that hangs.
pub(super) const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// More events than may wait.
#[derive(Debug)]
pub(super) struct Flood;

/// The events of one socket that are being handled or wait to be.
#[derive(Default)]
pub(super) struct Lane {
    running: Vec<Running>,
    queue: VecDeque<Incoming>,
    queued_bytes: usize,
}

struct Running {
    ack: Option<AckId>,
    handler: BoxFuture<'static, ()>,
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
            None => {
                if let Some(running) = start(socket, incoming, cx) {
                    lane.get_or_insert_default().running.push(running);
                }
            }
            Some(lane) if lane.queue.is_empty() && lane.has_room_for(socket, &incoming) => {
                lane.running.extend(start(socket, incoming, cx));
            }
            Some(lane) => lane.enqueue(incoming)?,
        }
        Ok(())
    }

    fn enqueue(&mut self, incoming: Incoming) -> Result<(), Flood> {
        let bytes = self.queued_bytes + incoming.args.size_bytes();
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
        current
            .running
            .retain_mut(|running| running.poll(socket, cx).is_pending());
        while let Some(next) = current.queue.front() {
            if !current.has_room_for(socket, next) {
                break;
            }
            let Some(next) = current.queue.pop_front() else {
                break;
            };
            current.queued_bytes -= next.args.size_bytes();
            current.running.extend(start(socket, next, cx));
        }
        if current.running.is_empty() && current.queue.is_empty() {
            *lane = None;
        }
    }

    /// The socket has ended: what has not been started never will be.
    pub(super) fn forget_queue(&mut self) {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
    }

    fn has_room_for(&self, socket: &Arc<SocketInner>, incoming: &Incoming) -> bool {
        let dispatch = socket.namespace().dispatch();
        self.running.is_empty() || self.running.len() < dispatch.concurrency(&incoming.event)
    }
}

impl Running {
    fn poll(&mut self, socket: &Arc<SocketInner>, cx: &mut Context<'_>) -> Poll<()> {
        if self.handler.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            tracing::warn!("a handler did not end in time and was dropped");
            metrics::counter!("portcullis_handler_timeouts_total").increment(1);
            let dispatch = socket.namespace().dispatch();
            dispatch.timed_out(&Arc::clone(socket).into(), self.ack);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// Starts a handler; what comes back is one that has to wait for something.
fn start(socket: &Arc<SocketInner>, incoming: Incoming, cx: &mut Context<'_>) -> Option<Running> {
    let (namespace, ack) = (Arc::clone(socket.namespace()), incoming.ack);
    let mut handler = namespace
        .dispatch()
        .event(&Arc::clone(socket).into(), incoming)?;
    if handler.as_mut().poll(cx).is_ready() {
        return None;
    }
    let mut deadline = Box::pin(tokio::time::sleep(HANDLER_TIMEOUT));
    // Registers the deadline with this task.
    let _ = deadline.as_mut().poll(cx);
    Some(Running {
        ack,
        handler,
        deadline,
    })
}
