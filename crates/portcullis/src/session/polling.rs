//! The HTTP requests of a polling session, as its task sees them.
//!
//! ```text
//!  GET  ─┐                        ┌─ reply ─▶ 200, 400
//!  POST ─┼─▶ mailbox (4) ─▶ task ─┤
//!  101  ─┘                        └─ verdict ─▶ ok, 400, cut off
//! ```
//!
//! # Invariants
//!
//! - Dropping a request's future is seen by the session: a poll given up, a POST given up.
//! - A body's size was bounded before it got here.
//!
//! # Not here
//!
//! HTTP itself (`handshake`), what the requests mean (`portcullis_engineio::Session`).

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::frame::{Frame, SEPARATOR};
use super::stream::Stream;
use super::websocket_transport::WebSocketTransport;

/// So many requests of one session may wait for its task.
pub(crate) const MAILBOX: usize = 4;

/// A request for an existing session.
#[derive(Debug)]
pub(crate) enum Request {
    /// A GET that waits for packets.
    Poll(oneshot::Sender<PollReply>),
    /// A POST whose body is being received.
    Post(Post),
    /// A POST whose content type is not text.
    InvalidContent,
    /// A WebSocket that wants to take over, what was read ahead of it, and whether binary is to be
    /// text on it.
    Upgrade(Stream, Bytes, bool),
}

/// What a poll gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PollReply {
    Payload { body: Bytes, compress: bool },
    Rejected,
}

/// A POST in two parts: the body comes later, and so does the verdict.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) body: oneshot::Receiver<Body>,
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

/// How the body of a POST turned out.
#[derive(Debug)]
pub(crate) enum Body {
    Complete(Bytes),
    /// Refused with 413; the session goes on.
    TooLarge,
}

/// What the POST is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    Rejected,
    /// 400, and the HTTP connection ends.
    Cut,
}

/// What a session has open while it polls.
#[derive(Debug)]
pub(crate) struct PollingTransport {
    pub(crate) mailbox: mpsc::Receiver<Request>,
    waiting: Option<oneshot::Sender<PollReply>>,
    post: Option<Post>,
    pub(crate) probe: Option<WebSocketTransport>,
    /// The poll and the POST that the machine has not yet judged.
    newcomer_poll: Option<oneshot::Sender<PollReply>>,
    newcomer_post: Option<Post>,
}

/// Something that happened to the requests in flight.
#[derive(Debug)]
pub(crate) enum Happened {
    Request(Request),
    /// The waiting poll was given up.
    PollAborted,
    /// The POST's body is here.
    Body(Body),
    /// The POST was given up.
    PostAborted,
}

impl PollingTransport {
    pub(crate) const fn new(mailbox: mpsc::Receiver<Request>) -> Self {
        Self {
            mailbox,
            waiting: None,
            post: None,
            probe: None,
            newcomer_poll: None,
            newcomer_post: None,
        }
    }

    /// The next thing that happened, if any. Requests come before the body of an earlier one: a
    /// poll and a goodbye that were sent together are taken in that order.
    pub(crate) fn poll_happened(&mut self, cx: &mut Context<'_>) -> Option<Happened> {
        if let Poll::Ready(Some(request)) = self.mailbox.poll_recv(cx) {
            return Some(Happened::Request(request));
        }
        if let Some(post) = &mut self.post
            && let Poll::Ready(body) = Pin::new(&mut post.body).poll(cx)
        {
            return Some(body.map_or(Happened::PostAborted, Happened::Body));
        }
        if let Some(waiting) = &mut self.waiting
            && waiting.poll_closed(cx).is_ready()
        {
            self.waiting = None;
            return Some(Happened::PollAborted);
        }
        None
    }

    /// A poll came; the machine judges it next.
    pub(crate) fn poll_came(&mut self, reply: oneshot::Sender<PollReply>) {
        self.newcomer_poll = Some(reply);
    }

    /// A POST came; the machine judges it next.
    pub(crate) fn post_came(&mut self, post: Post) {
        self.newcomer_post = Some(post);
    }

    /// The machine has let the newcomers in.
    pub(crate) fn settle(&mut self) {
        if let Some(reply) = self.newcomer_poll.take() {
            self.waiting = Some(reply);
        }
        if let Some(post) = self.newcomer_post.take() {
            self.post = Some(post);
        }
    }

    pub(crate) fn reject_poll(&mut self) {
        if let Some(reply) = self.newcomer_poll.take() {
            let _ = reply.send(PollReply::Rejected);
        }
    }

    pub(crate) fn reject_post(&mut self) {
        if let Some(post) = self.newcomer_post.take() {
            let _ = post.verdict.send(Verdict::Rejected);
        }
    }

    /// Ends the POST in flight with `verdict`.
    pub(crate) fn end_post(&mut self, verdict: Verdict) {
        if let Some(post) = self.post.take() {
            let _ = post.verdict.send(verdict);
        }
    }

    pub(crate) const fn has_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Answers the waiting poll with `frames`, and with `last` behind them. A newcomer that the
    /// machine answers at once counts as waiting.
    pub(crate) fn answer(&mut self, frames: &[Frame], last: &[&str]) {
        let Some(reply) = self.waiting.take().or_else(|| self.newcomer_poll.take()) else {
            return;
        };
        let mut body = Vec::new();
        let packets = frames.iter().map(|frame| &frame.polling()[..]);
        for packet in packets.chain(last.iter().map(|text| text.as_bytes())) {
            if !body.is_empty() {
                body.push(SEPARATOR);
            }
            body.extend_from_slice(packet);
        }
        let compress = frames.iter().any(Frame::may_compress);
        let _ = reply.send(PollReply::Payload {
            body: body.into(),
            compress,
        });
    }
}
