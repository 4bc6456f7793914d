//! A handler with what was said about it besides its code.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::EventHandler;
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;
use crate::gateway::extract::EventContext;
use crate::gateway::guard::Guard;
use crate::gateway::interceptor::Interceptor;
use crate::gateway::reply::Outcome;

/// What is known of a handler besides its code.
pub struct Subscription {
    pub(in crate::gateway) method: Option<&'static str>,
    pub(in crate::gateway) concurrency: usize,
    pub(in crate::gateway) guards: Vec<Arc<dyn Guard>>,
    pub(in crate::gateway) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(in crate::gateway) parameters: Parameters,
}

impl Subscription {
    pub(in crate::gateway) fn new() -> Self {
        Self {
            method: None,
            concurrency: 1,
            guards: Vec::new(),
            interceptors: Vec::new(),
            parameters: Parameters::default(),
        }
    }

    /// What its parameters need.
    pub const fn parameters(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("method", &self.method)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// A handler with guards, interceptors, a name or a concurrency of its own: what
/// [`EventHandler::guard`] and its like make.
pub struct Subscribed<H, M> {
    handler: H,
    method: Option<&'static str>,
    concurrency: usize,
    guards: Vec<Arc<dyn Guard>>,
    interceptors: Vec<Arc<dyn Interceptor>>,
    marker: PhantomData<fn(M)>,
}

impl<H, M> Subscribed<H, M> {
    pub(super) const fn new(handler: H) -> Self {
        Self {
            handler,
            method: None,
            concurrency: 1,
            guards: Vec::new(),
            interceptors: Vec::new(),
            marker: PhantomData,
        }
    }

    /// See [`EventHandler::concurrency`].
    #[must_use]
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = limit.max(1);
        self
    }

    /// See [`EventHandler::guard`]; guards are asked in the order in which they were added.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard) -> Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// See [`EventHandler::intercept`]; the first one is the outermost.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// See [`EventHandler::named`].
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Self {
        self.method = Some(name);
        self
    }
}

impl<H, M> fmt::Debug for Subscribed<H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed")
            .field("method", &self.method)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// Tells handlers that are functions from those that are not.
#[derive(Debug)]
pub struct Marker<M>(PhantomData<fn(M)>);

impl<H, M> EventHandler<Marker<M>> for Subscribed<H, M>
where
    H: EventHandler<M>,
    M: 'static,
{
    fn call(&self, context: &EventContext<'_>) -> Result<BoxFuture<'static, Outcome>, EventError> {
        self.handler.call(context)
    }

    fn describe(&self, subscription: &mut Subscription) {
        self.handler.describe(subscription);
        subscription.method = self.method.or(subscription.method);
        subscription.concurrency = self.concurrency;
        subscription.guards.extend(self.guards.iter().cloned());
        subscription
            .interceptors
            .extend(self.interceptors.iter().cloned());
    }
}
