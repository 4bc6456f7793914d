//! Tower layers as interceptors.
//!
//! A layer is put around a service once, when it is handed over, so that what it keeps, such as the
//! permits of a concurrency limit, is shared by all events that pass it. The service at its bottom
//! goes on with whatever is behind this interceptor for the event at hand.

use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use tower::util::{BoxCloneSyncService, ServiceExt as _};
use tower::{BoxError, Layer, Service};

use super::{EventRequest, Interceptor, Next};
use crate::gateway::error::EventError;
use crate::gateway::reply::Outcome;

/// An interceptor that is a tower layer: a timeout, a concurrency limit, load shedding, a span of
/// tracing around the future, or one of the application's own.
///
/// Each call makes a service of its own. Layers that look at each other's readiness, such as load
/// shedding around a concurrency limit, belong into one `tower::ServiceBuilder`, which is a layer.
///
/// What the layer refuses becomes an error of the event: `TIMEOUT` for tower's elapsed timeout,
/// `OVERLOADED` for its load shedding, [`EventError`] as it is, and an internal error for anything
/// else.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::gateway::interceptor::{self, Interceptor};
/// use tower::timeout::TimeoutLayer;
///
/// let timeout = interceptor::layer(TimeoutLayer::new(Duration::from_secs(2)));
/// # let _: Box<dyn Interceptor> = Box::new(timeout);
/// ```
pub fn layer<L>(layer: L) -> Layered
where
    L: Layer<EventService>,
    L::Service: Service<EventRequest, Response = Outcome> + Clone + Send + Sync + 'static,
    <L::Service as Service<EventRequest>>::Error: Into<BoxError>,
    <L::Service as Service<EventRequest>>::Future: Send + 'static,
{
    let service = layer.layer(EventService(())).map_err(Into::into);
    Layered(BoxCloneSyncService::new(service))
}

/// See [`layer`].
pub struct Layered(BoxCloneSyncService<EventRequest, Outcome, BoxError>);

impl Interceptor for Layered {
    fn intercept(&self, mut request: EventRequest, next: Next) -> BoxFuture<'static, Outcome> {
        request.next = Some(next);
        let service = self.0.clone();
        async move {
            let handled = service.oneshot(request).await;
            handled.unwrap_or_else(|error| Outcome::failed(told(error)))
        }
        .boxed()
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layered")
    }
}

fn told(error: BoxError) -> EventError {
    let error = match error.downcast::<EventError>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    if error.is::<tower::timeout::error::Elapsed>() {
        EventError::timeout()
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        EventError::new("OVERLOADED", "The server is overloaded")
    } else {
        EventError::unexpected(error)
    }
}

/// The service that a layer is put around: whatever is behind it, up to the handler.
#[derive(Debug, Clone)]
pub struct EventService(());

impl Service<EventRequest> for EventService {
    type Response = Outcome;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Outcome, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: EventRequest) -> Self::Future {
        let outcome = request.next.take().map(|next| next.run(request));
        async move {
            Ok(match outcome {
                Some(outcome) => outcome.await,
                // Only a layer that makes requests of its own gets here.
                None => Outcome::failed(EventError::unexpected("a request from nowhere")),
            })
        }
        .boxed()
    }
}
