//! What the builder is told about gateways: where they are, and what holds for all of them.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::payload::Payload;
use tower::{BoxError, Layer, Service};

use super::ServerBuilder;
use super::declared::Declared;
use crate::gateway::interceptor::{EventRequest, EventService, layer};
use crate::gateway::{
    ConnectHandler, ErrorReply, EventContext, EventError, ExceptionCause, Gateway, Guard,
    Interceptor, Outcome, Parameters, Registrar, erase_connect,
};
use crate::handshake::Handshake;
use crate::namespace::{Kind, Pattern};

/// Where gateways are.
impl ServerBuilder {
    /// Adds a gateway to the namespace that it names. Several may share one: each has its hooks,
    /// and an event belongs to one of them.
    #[must_use]
    pub fn gateway(self, gateway: impl Gateway) -> Self {
        let namespace = gateway.namespace();
        self.gateway_at(&namespace, gateway)
    }

    /// As [`Self::gateway`], in another namespace: a name such as `/chat`, or a pattern such as
    /// `/tenant-{id}`.
    #[must_use]
    pub fn gateway_at(mut self, namespace: &str, gateway: impl Gateway) -> Self {
        let name = gateway.name();
        let kind = self.kind(namespace, namespace.contains(['{', '}']));
        self.declare(kind, name, |registrar| {
            Arc::new(gateway).register(registrar);
        });
        self
    }

    /// Adds handlers to a namespace, without a struct.
    #[must_use]
    pub fn namespace(mut self, path: &str, register: impl FnOnce(&mut Registrar)) -> Self {
        let kind = self.kind(path, false);
        self.declare(kind, path.to_owned(), register);
        self
    }

    /// Adds handlers to namespaces that are made when a client asks for one, such as
    /// `/tenant-{id}`.
    #[must_use]
    pub fn namespace_pattern(
        mut self,
        pattern: &str,
        register: impl FnOnce(&mut Registrar),
    ) -> Self {
        let kind = self.kind(pattern, true);
        self.declare(kind, pattern.to_owned(), register);
        self
    }

    /// Declares namespaces that are made if `allows` says so. It runs before authentication, and
    /// sees the whole handshake.
    #[must_use]
    pub fn namespace_if<F, Fut>(mut self, allows: F, register: impl FnOnce(&mut Registrar)) -> Self
    where
        F: Fn(NamespacePath, Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let predicate = move |path, handshake| allows(path, handshake).boxed();
        let kind = Some(Kind::Predicate(Arc::new(predicate)));
        self.declare(kind, "the predicate's gateway", register);
        self
    }

    fn kind(&mut self, text: &str, is_pattern: bool) -> Option<Kind> {
        let kind = if is_pattern {
            Pattern::parse(text)
                .map(Kind::Pattern)
                .map_err(|error| format!("pattern {text:?}: {error}"))
        } else {
            NamespacePath::parse(text)
                .map(Kind::Static)
                .map_err(|error| format!("namespace {text:?}: {error}"))
        };
        kind.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn declare(
        &mut self,
        kind: Option<Kind>,
        name: impl Into<Cow<'static, str>>,
        register: impl FnOnce(&mut Registrar),
    ) {
        let mut registrar = Registrar::new(name);
        register(&mut registrar);
        let Some(kind) = kind else {
            return;
        };
        let declared = self.declared.iter_mut().find(|one| one.is_for(&kind));
        match declared {
            Some(declared) => declared.gateways.push(registrar),
            None => self.declared.push(Declared {
                kind,
                gateways: vec![registrar],
            }),
        }
    }
}

/// What holds for every gateway.
impl ServerBuilder {
    /// Lets an event of any gateway through only if `guard` does. Guards are asked in the order in
    /// which they were added, before those of gateways and handlers. They do not guard connecting.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard) -> Self {
        self.everywhere.guards.push(Arc::new(guard));
        self
    }

    /// Lets a client into any namespace only if `guard` does: it runs behind the authenticator,
    /// before the connect guards of gateways and their `on_connect`.
    #[must_use]
    pub fn connect_guard<M>(mut self, guard: impl ConnectHandler<M>) -> Self {
        let mut parameters = Parameters::default();
        guard.describe(&mut parameters);
        self.everywhere
            .connect_guard_needs
            .push(Arc::new(parameters));
        self.everywhere.connect_guards.push(erase_connect(guard));
        self
    }

    /// Puts an interceptor around the handlers of all gateways. The first one is the outermost.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.everywhere.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Puts a tower layer around the handlers of all gateways:
    /// [`interceptor::layer`](crate::gateway::interceptor::layer) as an interceptor.
    #[must_use]
    pub fn layer<L>(self, tower_layer: L) -> Self
    where
        L: Layer<EventService>,
        L::Service: Service<EventRequest, Response = Outcome> + Clone + Send + Sync + 'static,
        <L::Service as Service<EventRequest>>::Error: Into<BoxError>,
        <L::Service as Service<EventRequest>>::Future: Send + 'static,
    {
        self.intercept(layer(tower_layer))
    }

    /// Shares `state` with the handlers that ask for [`State<T>`](crate::gateway::State): one
    /// value of each type.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        if !self.everywhere.states.insert(state) {
            let name = std::any::type_name::<T>();
            self.problems
                .push(format!("the state of type {name} is given twice"));
        }
        self
    }

    /// Rewrites every error of an event before its client is told: one exception filter for the
    /// whole server. [`EventError::cause`] has the error of the application that is behind it.
    #[must_use]
    pub fn map_error(
        mut self,
        map: impl Fn(EventError, &EventContext<'_>) -> EventError + Send + Sync + 'static,
    ) -> Self {
        if self.everywhere.policy.map_error.is_some() {
            self.problems
                .push("`map_error` is given twice: one mapper sees all errors".to_owned());
        }
        self.everywhere.policy.map_error = Some(Arc::new(map));
        self
    }

    /// The event that tells of an error nobody asked an ack for. Default: `exception`.
    #[must_use]
    pub fn exception_event(mut self, event: &str) -> Self {
        self.say("exception_event", &event);
        if let Err(error) = Payload::event(event, &()) {
            self.problems.push(format!("`exception_event`: {error}"));
        }
        self.everywhere.policy.exception_event = event.into();
        self
    }

    /// Where errors go. Default: into the ack if there is one, else into the exception event.
    #[must_use]
    pub fn error_reply(mut self, reply: ErrorReply) -> Self {
        self.say("error_reply", &reply);
        self.everywhere.policy.error_reply = reply;
        self
    }

    /// What the exception event tells of the event that failed. Default: its name; with
    /// [`Self::nest_compat`] its data as well.
    #[must_use]
    pub fn exception_cause(mut self, cause: ExceptionCause) -> Self {
        self.say("exception_cause", &cause);
        self.everywhere.policy.cause = Some(cause);
        self
    }

    /// Answers as NestJS does, for front ends that were written for it: what a handler returns,
    /// which acks are never called, and what the exception event says. The order of events, and
    /// what happens while a client connects, stay as they are here.
    ///
    /// The exception event then sends back what the client sent, as NestJS does; see
    /// [`Self::exception_cause`].
    #[must_use]
    pub fn nest_compat(mut self, on: bool) -> Self {
        self.say("nest_compat", &on);
        self.everywhere.policy.nest_compat = on;
        self
    }
}
