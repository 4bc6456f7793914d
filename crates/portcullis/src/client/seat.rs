//! The client's place in one namespace, from its CONNECT to the end of its last handler.
//!
//! ```text
//!               admitted              its socket has ended
//!   Connecting ──────────▶ Connected ──────────────────────▶ Leaving ──▶ gone
//!       │ refused                                handlers in flight, then on_disconnect
//!       └──────────▶ gone
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use portcullis_socketio::ids::NamespacePath;

use super::gate::{Admitted, Refused};
use super::lane::Lane;
use super::pace::Pace;
use crate::namespace::{DisconnectReason, SocketInner};

/// The client's place in one namespace.
pub(super) enum Seat {
    Connecting {
        namespace: NamespacePath,
        verdict: BoxFuture<'static, Result<Admitted, Refused>>,
    },
    Connected {
        admitted: Admitted,
        /// Present while events are being handled or wait to be.
        lane: Option<Box<Lane>>,
        pace: Pace,
    },
    /// The socket has ended; handlers in flight come first, then `on_disconnect`.
    Leaving {
        admitted: Admitted,
        lane: Option<Box<Lane>>,
        farewell: Option<BoxFuture<'static, ()>>,
    },
}

/// What became of a seat.
pub(super) enum Step {
    Stay,
    Admitted(NamespacePath),
    Refused(NamespacePath, Refused),
    /// The server made the socket leave; its farewell has come this far.
    Left(NamespacePath, Box<Self>),
    Done,
}

impl Seat {
    /// Whether a verdict on `namespace` is still to come.
    pub(super) fn waits_for(&self, namespace: &NamespacePath) -> bool {
        matches!(self, Self::Connecting { namespace: waiting, .. } if waiting == namespace)
    }

    /// Whether its socket has ended without a farewell having begun.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Connected { admitted, .. } if admitted.socket().is_disconnected())
    }

    /// Whether events of its socket are being handled, or wait to be.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Connecting { .. } => false,
            Self::Connected { lane, .. } | Self::Leaving { lane, .. } => {
                lane.as_ref().is_some_and(|lane| lane.is_busy())
            }
        }
    }

    /// Goes on with whatever the seat waits for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Step {
        match self {
            Self::Connecting { namespace, verdict } => match verdict.as_mut().poll(cx) {
                Poll::Pending => Step::Stay,
                Poll::Ready(Err(refused)) => Step::Refused(namespace.clone(), refused),
                Poll::Ready(Ok(admitted)) => {
                    let namespace = namespace.clone();
                    admitted.enter();
                    *self = Self::Connected {
                        admitted,
                        lane: None,
                        pace: Pace::default(),
                    };
                    Step::Admitted(namespace)
                }
            },
            Self::Connected { admitted, lane, .. } => {
                if !admitted.socket().is_disconnected() {
                    Lane::poll(lane, admitted.socket(), cx);
                    return Step::Stay;
                }
                let reason = admitted.socket().end_reason();
                let by_server = reason == Some(DisconnectReason::ServerNamespaceDisconnect);
                let namespace = admitted.socket().namespace().path().clone();
                let (admitted, mut lane) = (admitted.clone(), lane.take());
                if let Some(lane) = &mut lane {
                    lane.forget_queue();
                }
                *self = Self::Leaving {
                    admitted,
                    lane,
                    farewell: None,
                };
                // Polled again at once: most farewells need no waiting.
                let step = self.poll(cx);
                if by_server {
                    return Step::Left(namespace, Box::new(step));
                }
                step
            }
            Self::Leaving {
                admitted,
                lane,
                farewell,
            } => {
                Lane::poll(lane, admitted.socket(), cx);
                if lane.is_some() {
                    return Step::Stay;
                }
                let farewell = farewell.get_or_insert_with(|| say_farewell(admitted.socket()));
                match farewell.as_mut().poll(cx) {
                    Poll::Pending => Step::Stay,
                    Poll::Ready(()) => Step::Done,
                }
            }
        }
    }
}

/// Counts the end of a socket, and runs `on_disconnect`.
fn say_farewell(socket: &Arc<SocketInner>) -> BoxFuture<'static, ()> {
    let reason = socket
        .end_reason()
        .unwrap_or(DisconnectReason::TransportClose);
    tracing::debug!(reason = reason.as_str(), "socket disconnected");
    metrics::counter!("portcullis_sockets_disconnected_total", "reason" => reason.as_str())
        .increment(1);
    let socket = Arc::clone(socket).into();
    let namespace = crate::namespace::Socket::inner(&socket).namespace();
    let Some(farewell) = namespace.dispatch().disconnect(&socket, reason) else {
        return Box::pin(std::future::ready(()));
    };
    let limit = namespace.limits().handler_timeout;
    Box::pin(async move {
        if tokio::time::timeout(limit, farewell).await.is_err() {
            tracing::warn!("an on_disconnect did not end in time and was dropped");
            metrics::counter!("portcullis_handler_timeouts_total").increment(1);
        }
    })
}
