//! From an event's name to its handler, and from the handler's outcome to its ack.
//!
//! ```text
//!  event ─▶ on_any ─▶ event middlewares ─▶ guards ─▶ interceptors ─▶ extract ─▶ handler ─┐
//!   conclude ◀──────────────┴─────────────────┴─────────────┴───────────┴────────────────┘
//! ```

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use foldhash::fast::RandomState;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use hashbrown::HashMap;
use portcullis_socketio::args::Args;
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;

use super::conclude::Conclusion;
use super::error::EventError;
use super::extract::{ByHand, EventContext, States};
use super::guard::{Checked, Guard};
use super::handler::{
    ErasedConnect, ErasedDisconnect, ErasedEvent, contain, contain_watch, panicked, poll_contained,
};
use super::interceptor::{EventRequest, Interceptor, Next};
use super::policy::Policy;
use super::registrar::{EventMiddleware, ServerSide, WatchIncoming, WatchOutgoing};
use super::reply::Outcome;
use crate::auth::Refusal;
use crate::namespace::{DisconnectReason, Dispatch, Handling, Incoming, Socket, Started};

/// The handlers of one namespace.
#[derive(Default)]
pub(crate) struct Router {
    pub(super) is_public: bool,
    pub(super) policy: Arc<Policy>,
    pub(super) states: States,
    pub(super) routes: HashMap<Box<str>, Arc<Route>, RandomState>,
    /// Of the server, which hold for events without a route as well.
    pub(super) guards: Arc<[Arc<dyn Guard>]>,
    /// Connect guards, then `on_connect`.
    pub(super) connect: Vec<ErasedConnect>,
    pub(super) on_disconnect: Vec<ErasedDisconnect>,
    pub(super) on_any: Vec<WatchIncoming>,
    pub(super) on_any_outgoing: Vec<WatchOutgoing>,
    pub(super) event_middlewares: Vec<EventMiddleware>,
    pub(super) server_side: HashMap<Box<str>, ServerSide, RandomState>,
}

/// The way of one event.
pub(super) struct Route {
    pub(super) handler: ErasedEvent,
    pub(super) concurrency: usize,
    /// Of the server, of the gateway, of the handler.
    pub(super) guards: Vec<Arc<dyn Guard>>,
    /// The same, from the outermost to the innermost.
    pub(super) interceptors: Arc<[Arc<dyn Interceptor>]>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("is_public", &self.is_public)
            .field("events", &self.routes.len())
            .finish_non_exhaustive()
    }
}

impl Router {
    fn conclusion(&self, socket: &Socket, incoming: Incoming) -> Conclusion {
        Conclusion {
            socket: socket.clone(),
            incoming,
            policy: Arc::clone(&self.policy),
        }
    }

    /// Nobody handles the event: whoever waits for an answer hears so, if the server's guards let
    /// the event pass. NestJS does neither.
    fn unhandled(&self, socket: &Socket, incoming: Incoming) -> Option<Handling> {
        metrics::counter!("portcullis_events_unhandled_total").increment(1);
        if self.policy.nest_compat {
            return None;
        }
        let conclusion = self.conclusion(socket, incoming);
        if self.guards.is_empty() {
            conclusion.unhandled();
            return None;
        }
        let guards = Arc::clone(&self.guards);
        let run = async move {
            let asked = ask(&guards, &conclusion.socket, &conclusion.incoming);
            match contain("event", asked).await {
                Some(Ok(())) => conclusion.unhandled(),
                Some(Err(error)) => conclusion.fail(error),
                None => conclusion.fail(panicked()),
            }
            None
        };
        Some(run.boxed())
    }
}

impl Dispatch for Router {
    fn is_public(&self) -> bool {
        self.is_public
    }

    fn state(&self, key: TypeId) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.states.get(key)
    }

    fn concurrency(&self, event: &EventName) -> usize {
        self.routes
            .get(event.as_str())
            .map_or(1, |route| route.concurrency)
    }

    fn connect(&self, socket: Socket) -> BoxFuture<'static, Result<(), Refusal>> {
        let steps = self.connect.clone();
        async move {
            for step in steps {
                // The call may panic as well as the future that it returns.
                let verdict = contain("on_connect", async { step(&socket).await }).await;
                verdict.unwrap_or_else(|| Err(panicked().into()))?;
            }
            Ok(())
        }
        .boxed()
    }

    fn event(&self, socket: &Socket, incoming: Incoming, cx: &mut Context<'_>) -> Started {
        for watch in &self.on_any {
            contain_watch("on_any", || watch(socket, &incoming.event, &incoming.args));
        }
        let Some(route) = self.routes.get(incoming.event.as_str()) else {
            let handling = self.unhandled(socket, incoming.clone());
            return handling.map_or(Started::Done, |handling| start(incoming, handling, cx));
        };
        let conclusion = self.conclusion(socket, incoming);
        if self.event_middlewares.is_empty() && route.is_direct() {
            return start_direct(conclusion, &route.handler, cx);
        }
        let incoming = conclusion.incoming.clone();
        let call = Call {
            conclusion,
            route: Arc::clone(route),
        };
        if self.event_middlewares.is_empty() {
            return start(incoming, call.run().boxed(), cx);
        }
        let middlewares = self.event_middlewares.clone();
        start(incoming, call.run_behind(middlewares).boxed(), cx)
    }

    fn timed_out(&self, socket: &Socket, incoming: Incoming) {
        let conclusion = self.conclusion(socket, incoming);
        conclusion.fail(EventError::timeout());
    }

    fn limited(&self, socket: &Socket, incoming: Incoming) {
        if incoming.ack.is_some() {
            let conclusion = self.conclusion(socket, incoming);
            conclusion.fail(EventError::too_many());
        }
    }

    fn disconnect(
        &self,
        socket: &Socket,
        reason: DisconnectReason,
    ) -> Option<BoxFuture<'static, ()>> {
        if self.on_disconnect.is_empty() {
            return None;
        }
        let (handlers, socket) = (self.on_disconnect.clone(), socket.clone());
        let run = async move {
            for handler in handlers {
                contain("on_disconnect", async { handler(&socket, reason).await }).await;
            }
        };
        Some(run.boxed())
    }

    fn outgoing(&self, socket: &Socket, payload: &Payload) {
        for watch in &self.on_any_outgoing {
            contain_watch("on_any_outgoing", || watch(socket, payload));
        }
    }

    fn watches_outgoing(&self) -> bool {
        !self.on_any_outgoing.is_empty()
    }

    fn server_side_event(&self, event: EventName, args: Args) -> BoxFuture<'static, Option<Args>> {
        let Some(handler) = self.server_side.get(event.as_str()).map(Arc::clone) else {
            return std::future::ready(None).boxed();
        };
        async move {
            contain("server_side", async { handler(args).await })
                .await
                .flatten()
        }
        .boxed()
    }
}

/// One event with its way.
struct Call {
    conclusion: Conclusion,
    route: Arc<Route>,
}

impl Call {
    async fn run(self) -> Option<BoxFuture<'static, ()>> {
        let (socket, incoming) = (&self.conclusion.socket, &self.conclusion.incoming);
        if self.route.is_direct() {
            let by_hand = ByHand::default();
            let outcome = invoke_here(&self.route.handler, socket, incoming, &by_hand).await;
            return self.conclusion.conclude(outcome, &by_hand);
        }
        let by_hand = Arc::new(ByHand::default());
        // Guards and interceptors are the application's code as well.
        let handled = contain("event", self.route.handle(socket, incoming, &by_hand)).await;
        let outcome = handled.unwrap_or_else(|| Outcome::failed(panicked()));
        self.conclusion.conclude(outcome, &by_hand)
    }

    async fn run_behind(self, middlewares: Vec<EventMiddleware>) -> Option<BoxFuture<'static, ()>> {
        for middleware in middlewares {
            if self.conclusion.socket.inner().is_disconnected() {
                return None;
            }
            let Incoming { event, args, .. } = self.conclusion.incoming.clone();
            let socket = self.conclusion.socket.clone();
            let verdict = contain("event_middleware", async {
                middleware(socket, event, args).await
            });
            let verdict = verdict.await.unwrap_or_else(|| Err(panicked()));
            if let Err(error) = verdict {
                self.conclusion.fail(error);
                return None;
            }
        }
        self.run().await
    }
}

impl Route {
    /// Whether nothing stands before the handler.
    fn is_direct(&self) -> bool {
        self.guards.is_empty() && self.interceptors.is_empty()
    }

    async fn handle(&self, socket: &Socket, incoming: &Incoming, by_hand: &Arc<ByHand>) -> Outcome {
        if let Err(error) = ask(&self.guards, socket, incoming).await {
            return Outcome::failed(error);
        }
        if self.interceptors.is_empty() {
            return invoke_here(&self.handler, socket, incoming, by_hand).await;
        }
        let (chain, handler) = (Arc::clone(&self.interceptors), Arc::clone(&self.handler));
        let next = Next::new(chain, handler, Arc::clone(by_hand));
        let request = EventRequest::new(socket.clone(), incoming.clone());
        next.run(request).await
    }
}

/// Asks guards, one after the other, up to the first that says no.
async fn ask(
    guards: &[Arc<dyn Guard>],
    socket: &Socket,
    incoming: &Incoming,
) -> Result<(), EventError> {
    let by_hand = ByHand::default();
    for guard in guards {
        let context = EventContext::new(socket, incoming, &by_hand);
        match guard.check(&context) {
            Checked::Now(verdict) => verdict?,
            Checked::Later(verdict) => verdict.await?,
        }
    }
    Ok(())
}

/// Polls a handler for the first time; mostly it needs no second.
fn start(incoming: Incoming, mut handling: Handling, cx: &mut Context<'_>) -> Started {
    match handling.as_mut().poll(cx) {
        Poll::Ready(stream) => start_stream(incoming, stream, cx),
        Poll::Pending => Started::Waiting(incoming, handling),
    }
}

/// The same for a handler before which nothing stands: if it ends at once, its own future is all
/// that was allocated.
fn start_direct(conclusion: Conclusion, handler: &ErasedEvent, cx: &mut Context<'_>) -> Started {
    let by_hand = ByHand::default();
    let begun = Running::begin(handler, &conclusion.socket, &conclusion.incoming, &by_hand);
    let polled = match begun {
        Ok(mut running) => running.poll(cx).ok_or(running),
        Err(outcome) => Ok(outcome),
    };
    match polled {
        Ok(outcome) if outcome.is_stream() => {
            let incoming = conclusion.incoming.clone();
            start_stream(incoming, conclusion.conclude(outcome, &by_hand), cx)
        }
        Ok(outcome) => {
            conclusion.conclude(outcome, &by_hand);
            Started::Done
        }
        Err(running) => {
            let incoming = conclusion.incoming.clone();
            let rest = async move {
                let outcome = running.finish().await;
                conclusion.conclude(outcome, &by_hand)
            };
            Started::Waiting(incoming, rest.boxed())
        }
    }
}

fn start_stream(
    incoming: Incoming,
    stream: Option<BoxFuture<'static, ()>>,
    cx: &mut Context<'_>,
) -> Started {
    let Some(mut stream) = stream else {
        return Started::Done;
    };
    match stream.as_mut().poll(cx) {
        Poll::Ready(()) => Started::Done,
        Poll::Pending => Started::Streaming(incoming, stream),
    }
}

/// Runs a handler at the end of its interceptors.
pub(super) async fn invoke(
    handler: ErasedEvent,
    socket: Socket,
    incoming: Incoming,
    by_hand: Arc<ByHand>,
) -> Outcome {
    invoke_here(&handler, &socket, &incoming, &by_hand).await
}

/// Takes a handler's parameters and runs it.
async fn invoke_here(
    handler: &ErasedEvent,
    socket: &Socket,
    incoming: &Incoming,
    by_hand: &ByHand,
) -> Outcome {
    match Running::begin(handler, socket, incoming, by_hand) {
        Ok(running) => running.finish().await,
        Err(outcome) => outcome,
    }
}

/// A handler that has its parameters; a panic in it becomes an error.
struct Running(BoxFuture<'static, Outcome>);

impl Running {
    /// Takes a handler's parameters; an error, a panic, or the end of its socket is its outcome.
    fn begin(
        handler: &ErasedEvent,
        socket: &Socket,
        incoming: &Incoming,
        by_hand: &ByHand,
    ) -> Result<Self, Outcome> {
        // What stood before it may have waited, and the socket ended meanwhile.
        if socket.inner().is_disconnected() {
            return Err(Outcome::done());
        }
        // Extraction runs code of the application's types: it may panic too.
        let started = catch_unwind(AssertUnwindSafe(|| {
            handler(&EventContext::new(socket, incoming, by_hand))
        }));
        match started {
            Ok(Ok(handler)) => Ok(Self(handler)),
            Ok(Err(error)) => Err(Outcome::failed(error)),
            Err(_) => {
                metrics::counter!("portcullis_panics_total", "place" => "extract").increment(1);
                Err(Outcome::failed(panicked()))
            }
        }
    }

    /// Its outcome, if it needs not wait.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Outcome> {
        match poll_contained("handler", self.0.as_mut(), cx) {
            Poll::Ready(ended) => Some(ended.unwrap_or_else(|| Outcome::failed(panicked()))),
            Poll::Pending => None,
        }
    }

    async fn finish(self) -> Outcome {
        let ended = contain("handler", self.0).await;
        ended.unwrap_or_else(|| Outcome::failed(panicked()))
    }
}
