//! State of the server, and of one connection.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::FromSocket;
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;
use crate::namespace::Socket;

/// What a server's builder was given with `state`, one value of each type.
#[derive(Clone, Default)]
pub(crate) struct States(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl States {
    /// Adds a value; `false` if there is one of its type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: T) -> bool {
        let key = TypeId::of::<T>();
        let is_new = !self.contains(key);
        if is_new {
            self.0.push((key, Arc::new(state)));
        }
        is_new
    }

    pub(crate) fn contains(&self, key: TypeId) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get(&self, key: TypeId) -> Option<&Arc<dyn Any + Send + Sync>> {
        let (_, state) = self.0.iter().find(|(id, _)| *id == key)?;
        Some(state)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// State that the whole server shares, given to its builder with
/// [`state`](crate::ServerBuilder::state). `build()` refuses a handler that asks for a type which
/// the builder was not given.
///
/// What only one gateway needs is better a field of it.
#[derive(Debug)]
pub struct State<T>(Arc<T>);

impl<T: Send + Sync + 'static> FromSocket for State<T> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        let dispatch = socket.inner().namespace().dispatch();
        dispatch
            .state(TypeId::of::<T>())
            .and_then(Self::from_any)
            .ok_or_else(EventError::internal)
    }

    fn describe(parameters: &mut Parameters) {
        parameters.needs_state::<T>();
    }
}

impl<T: Send + Sync + 'static> State<T> {
    pub(in crate::gateway) fn from_any(state: &Arc<dyn Any + Send + Sync>) -> Option<Self> {
        Arc::clone(state).downcast().ok().map(Self)
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// State of this connection in this namespace: what a handler, usually `on_connect`, attached with
/// [`Socket::insert`]. It goes when the socket does.
///
/// A handler that asks for what was not attached is not run, and its client is told of an internal
/// error; ask for `Option<Extension<T>>` where it may be missing.
#[derive(Debug)]
pub struct Extension<T>(Arc<T>);

impl<T: Send + Sync + 'static> FromSocket for Extension<T> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        socket
            .get::<T>()
            .map(Self)
            .ok_or_else(|| EventError::unexpected(NotAttached(type_name::<T>())))
    }
}

impl<T> Deref for Extension<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Extension<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A mistake of the application.
#[derive(Debug, thiserror::Error)]
#[error("no {0} is attached to the socket: `on_connect` should have called `Socket::insert`")]
struct NotAttached(&'static str);
