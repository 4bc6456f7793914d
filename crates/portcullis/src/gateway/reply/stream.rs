//! Answering with many events over time.
//!
//! ```text
//!  handler ─▶ a stream ─▶ beside the events of the socket, until it ends or the socket does
//!                 └──▶ each item: an event, or the first answer, or an error, which is the last
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};

use super::{IntoReply, Kind, Outcome};
use crate::gateway::conclude::Conclusion;

/// A stream whose items answer the client.
///
/// It does not hold up the events behind it, is not bound by the handler's timeout, and is dropped
/// when the socket disconnects. The first item that fails is the last. Beyond 16 streams of one
/// socket, one more is treated as a handler that has not ended.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "wraps a handler's result")]
pub struct Replies<S>(pub S);

impl<S> IntoReply for Replies<S>
where
    S: Stream + Send + 'static,
    S::Item: IntoReply,
{
    fn into_reply(self) -> Outcome {
        Outcome::stream(move |responder| responder.send_all(self.0))
    }
}

/// What starts a stream once it is known how to answer.
pub(in crate::gateway) type StartStream =
    Box<dyn FnOnce(Responder) -> BoxFuture<'static, ()> + Send>;

impl Outcome {
    /// Answers over time, through the responder that `start` is given.
    ///
    /// [`Replies`] is this for a stream that owns what it needs; a stream that borrows is made in
    /// `start`, next to what it borrows from.
    pub fn stream<F, Fut>(start: F) -> Self
    where
        F: FnOnce(Responder) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::new(Kind::Stream(Box::new(|responder| start(responder).boxed())))
    }
}

/// The way in which one event is answered, over time.
#[derive(Debug)]
pub struct Responder {
    conclusion: Conclusion,
    /// Known to whoever has to tell of a panic.
    answered: Arc<AtomicBool>,
}

impl Responder {
    pub(in crate::gateway) const fn new(conclusion: Conclusion, answered: Arc<AtomicBool>) -> Self {
        Self {
            conclusion,
            answered,
        }
    }

    /// Sends what the stream yields, until it ends, an item fails, or the socket has left.
    pub async fn send_all<S>(self, stream: S)
    where
        S: Stream + Send,
        S::Item: IntoReply,
    {
        let mut stream = pin!(stream);
        while let Some(item) = stream.next().await {
            let outcome = item.into_reply();
            let is_last = outcome.error().is_some() || !self.conclusion.can_be_heard();
            let mut is_answered = self.answered.load(Ordering::Relaxed);
            self.conclusion.item(outcome, &mut is_answered);
            self.answered.store(is_answered, Ordering::Relaxed);
            if is_last {
                return;
            }
        }
        let is_answered = self.answered.load(Ordering::Relaxed);
        self.conclusion.stream_ended(is_answered);
    }
}
