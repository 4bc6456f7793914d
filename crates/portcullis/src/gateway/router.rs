//! From an event's name to its handler, and from the handler's outcome to its ack.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use hashbrown::HashMap;
use portcullis_socketio::args::Args;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::packet::EventName;
use portcullis_socketio::payload::Payload;

use super::extract::{EventContext, send_ack};
use super::handler::{ErasedConnect, ErasedDisconnect, ErasedEvent, EventHandler};
use super::handler::{contain, contain_watch, erase_event};
use super::reply::{EventError, Outcome};
use crate::auth::Refusal;
use crate::namespace::{DisconnectReason, Dispatch, Incoming, Socket};

/// The event that tells of a failure nobody asked an ack for.
const EXCEPTION: &str = "exception";

pub(super) type WatchIncoming = Arc<dyn Fn(&Socket, &EventName, &Args) + Send + Sync>;
pub(super) type WatchOutgoing = Arc<dyn Fn(&Socket, &Payload) + Send + Sync>;
pub(super) type EventMiddleware = Arc<
    dyn Fn(Socket, EventName, Args) -> BoxFuture<'static, Result<(), EventError>> + Send + Sync,
>;
pub(super) type ServerSide = Arc<dyn Fn(Args) -> BoxFuture<'static, Option<Args>> + Send + Sync>;

/// The handlers of one namespace.
#[derive(Default)]
pub(crate) struct Router {
    pub(crate) is_public: bool,
    routes: HashMap<Box<str>, Route, RandomState>,
    pub(super) middlewares: Vec<ErasedConnect>,
    pub(super) on_connect: Vec<ErasedConnect>,
    pub(super) on_disconnect: Vec<ErasedDisconnect>,
    pub(super) on_any: Vec<WatchIncoming>,
    pub(super) on_any_outgoing: Vec<WatchOutgoing>,
    pub(super) event_middlewares: Vec<EventMiddleware>,
    pub(super) server_side: HashMap<Box<str>, ServerSide, RandomState>,
}

struct Route {
    handler: ErasedEvent,
    concurrency: usize,
}

impl Router {
    /// Adds a handler; `false` if the event has one.
    pub(super) fn add<M>(
        &mut self,
        event: &str,
        concurrency: usize,
        handler: impl EventHandler<M>,
    ) -> bool {
        let route = Route {
            handler: erase_event(handler),
            concurrency: concurrency.max(1),
        };
        self.routes.insert(event.into(), route).is_none()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("is_public", &self.is_public)
            .field("events", &self.routes.len())
            .finish_non_exhaustive()
    }
}

impl Dispatch for Router {
    fn is_public(&self) -> bool {
        self.is_public
    }

    fn concurrency(&self, event: &EventName) -> usize {
        self.routes
            .get(event.as_str())
            .map_or(1, |route| route.concurrency)
    }

    fn connect(&self, socket: Socket) -> BoxFuture<'static, Result<(), Refusal>> {
        let steps: Vec<_> = self
            .middlewares
            .iter()
            .chain(&self.on_connect)
            .cloned()
            .collect();
        async move {
            for step in steps {
                // The call may panic as well as the future that it returns.
                match contain("on_connect", async { step(&socket).await }).await {
                    Some(verdict) => verdict?,
                    None => return Err(EventError::internal().into()),
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn event(&self, socket: &Socket, incoming: Incoming) -> Option<BoxFuture<'static, ()>> {
        for watch in &self.on_any {
            contain_watch("on_any", || watch(socket, &incoming.event, &incoming.args));
        }
        let Some(route) = self.routes.get(incoming.event.as_str()) else {
            metrics::counter!("portcullis_events_unhandled_total").increment(1);
            return None;
        };
        let call = Call {
            socket: socket.clone(),
            incoming,
            handler: Arc::clone(&route.handler),
        };
        if self.event_middlewares.is_empty() {
            return Some(call.run().boxed());
        }
        let middlewares = self.event_middlewares.clone();
        Some(call.run_behind(middlewares).boxed())
    }

    fn timed_out(&self, socket: &Socket, ack: Option<AckId>) {
        let error = EventError::new("TIMEOUT", "The handler did not end in time");
        conclude(socket, ack, false, &Outcome::Failed(error));
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

/// One event with its handler.
struct Call {
    socket: Socket,
    incoming: Incoming,
    handler: ErasedEvent,
}

impl Call {
    async fn run(self) {
        let by_hand = Cell::new(false);
        let outcome = {
            let Self {
                socket,
                incoming,
                handler,
            } = &self;
            // Extraction runs code of the application's types: it may panic too.
            let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                handler(&EventContext {
                    socket,
                    event: &incoming.event,
                    args: &incoming.args,
                    ack: incoming.ack,
                    by_hand: &by_hand,
                })
            }));
            match started {
                Ok(Ok(running)) => Started::Running(running),
                Ok(Err(error)) => Started::Failed(error),
                Err(_) => {
                    metrics::counter!("portcullis_panics_total", "place" => "extract").increment(1);
                    Started::Failed(EventError::internal())
                }
            }
        };
        let by_hand = by_hand.get();
        let outcome = match outcome {
            Started::Failed(error) => Outcome::Failed(error),
            Started::Running(running) => contain("handler", running)
                .await
                .unwrap_or_else(|| Outcome::Failed(EventError::internal())),
        };
        conclude(&self.socket, self.incoming.ack, by_hand, &outcome);
    }

    async fn run_behind(self, middlewares: Vec<EventMiddleware>) {
        for middleware in middlewares {
            let (socket, event) = (self.socket.clone(), self.incoming.event.clone());
            let args = self.incoming.args.clone();
            let verdict = contain("event_middleware", async {
                middleware(socket, event, args).await
            });
            let verdict = verdict.await.unwrap_or_else(|| Err(EventError::internal()));
            if let Err(error) = verdict {
                conclude(
                    &self.socket,
                    self.incoming.ack,
                    false,
                    &Outcome::Failed(error),
                );
                return;
            }
        }
        self.run().await;
    }
}

enum Started {
    Running(BoxFuture<'static, Outcome>),
    Failed(EventError),
}

/// Tells the client what came of its event, if it is to be told.
fn conclude(socket: &Socket, ack: Option<AckId>, by_hand: bool, outcome: &Outcome) {
    // A client that has left meanwhile is told nothing.
    let _ = match (outcome, ack) {
        (Outcome::Done, Some(id)) if !by_hand => match Payload::args(&()) {
            Ok(payload) => send_ack(socket, id, &payload),
            Err(error) => Err(error.into()),
        },
        (Outcome::Answer(payload), Some(id)) if !by_hand => send_ack(socket, id, payload),
        (Outcome::Failed(error), Some(id)) => match Payload::args(error) {
            Ok(payload) => send_ack(socket, id, &payload),
            Err(error) => Err(error.into()),
        },
        (Outcome::Failed(error), None) => socket.emit(EXCEPTION, error),
        (Outcome::Done | Outcome::Answer(_), _) => Ok(()),
    };
}
