//! The gateways of one namespace, put together: their problems, their description, their router.

use std::any::TypeId;
use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use portcullis_socketio::payload::{EncodeError, Payload};

use super::describe::{EventDescription, GatewayDescription, Parameters};
use super::extract::States;
use super::guard::Guard;
use super::handler::ErasedConnect;
use super::interceptor::Interceptor;
use super::policy::Policy;
use super::registrar::{Draft, Registrar};
use super::router::{Route, Router};
use crate::auth::REFRESH_EVENT;

/// What the server's builder says for all gateways.
#[derive(Clone, Default)]
pub(crate) struct Everywhere {
    pub(crate) guards: Vec<Arc<dyn Guard>>,
    pub(crate) interceptors: Vec<Arc<dyn Interceptor>>,
    pub(crate) connect_guards: Vec<ErasedConnect>,
    pub(crate) connect_guard_needs: Vec<Arc<Parameters>>,
    pub(crate) states: States,
    pub(crate) policy: Policy,
}

/// What is known of the namespace that gateways are for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_pattern: bool,
    pub(crate) has_authenticator: bool,
    /// The type of claims that the authenticator makes, if it says so.
    pub(crate) claims: Option<TypeId>,
}

impl Registrar {
    /// What a person calls the handler of `draft`.
    fn who(&self, draft: &Draft) -> String {
        match draft.subscription.method {
            Some(method) => format!("{}::{method}", self.name),
            None => format!("the handler of {:?} in {}", draft.event, self.name),
        }
    }

    /// Everything that has parameters, by the name that a person calls it.
    fn needs(&self) -> impl Iterator<Item = (String, &Parameters)> {
        let events = self.subscriptions.iter();
        let events = events.map(|draft| (self.who(draft), &draft.subscription.parameters));
        let hooks = self.hooks.iter();
        events.chain(hooks.map(|(hook, needs)| (format!("{}::{hook}", self.name), needs)))
    }

    /// The registered handlers, readable.
    pub(crate) fn describe(&self, place: Place<'_>, everywhere: &Everywhere) -> GatewayDescription {
        let names = |guards: &[Arc<dyn Guard>]| guards.iter().map(|guard| guard.name()).collect();
        let mut guards: Vec<_> = names(&everywhere.guards);
        guards.extend(self.guards.iter().map(|guard| guard.name()));
        let event = |draft: &Draft| EventDescription {
            event: draft.event.to_string(),
            method: draft.subscription.method.map(Cow::Borrowed),
            payload: draft.subscription.parameters.payload,
            guards: names(&draft.subscription.guards),
            concurrency: draft.subscription.concurrency,
        };
        GatewayDescription {
            name: self.name.clone(),
            namespace: place.name.starts_with('/').then(|| place.name.to_owned()),
            is_public: self.is_public,
            guards,
            events: self.subscriptions.iter().map(event).collect(),
        }
    }
}

/// What keeps these gateways from sharing a namespace, one line each.
pub(crate) fn problems(
    gateways: &[Registrar],
    place: Place<'_>,
    everywhere: &Everywhere,
) -> Vec<String> {
    let mut problems = Vec::new();
    let name = place.name;
    let (public, guarded): (Vec<_>, Vec<_>) = gateways.iter().partition(|one| one.is_public);
    match (public.first(), guarded.first()) {
        (Some(public), Some(guarded)) => problems.push(format!(
            "{name} is public in {} and guarded in {}: a namespace is one or the other",
            public.name, guarded.name
        )),
        (None, Some(_)) if !place.has_authenticator => problems.push(format!(
            "{name} is guarded, and there is no authenticator: call `authenticate`, or declare it \
             `public`"
        )),
        _ => {}
    }
    problems.extend(problems_of_events(gateways, name));
    for gateway in gateways {
        for (who, needs) in gateway.needs() {
            check_needs(
                &who,
                needs,
                gateway.is_public,
                place,
                everywhere,
                &mut problems,
            );
        }
        for needs in &everywhere.connect_guard_needs {
            let who = format!(
                "a connect guard of the server, which applies to {}",
                gateway.name
            );
            check_needs(
                &who,
                needs,
                gateway.is_public,
                place,
                everywhere,
                &mut problems,
            );
        }
    }
    problems
}

/// Handlers that nobody would call, and those of which only one would be.
fn problems_of_events(gateways: &[Registrar], name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen: Vec<(&str, String)> = Vec::new();
    let mut between_servers: Vec<&str> = Vec::new();
    for gateway in gateways {
        for draft in &gateway.subscriptions {
            let who = gateway.who(draft);
            if let Err(error @ EncodeError::Reserved { .. }) = Payload::event(&draft.event, &()) {
                problems.push(format!("{name}: {who} would never be called: {error}"));
            }
            if !gateway.is_public && &*draft.event == REFRESH_EVENT {
                problems.push(format!(
                    "{name}: {who} would never be called: with {REFRESH_EVENT:?} a client shows a \
                     new token"
                ));
            }
            match seen.iter().find(|(event, _)| *event == &*draft.event) {
                Some((event, first)) => problems.push(format!(
                    "{name}: two handlers for the event {event:?}: {first} and {who}"
                )),
                None => seen.push((&draft.event, who)),
            }
        }
        for (event, _) in &gateway.server_side {
            if between_servers.contains(&&**event) {
                problems.push(format!(
                    "{name}: two handlers for the event {event:?} of other servers"
                ));
            }
            between_servers.push(event);
        }
    }
    problems
}

fn check_needs(
    who: &str,
    needs: &Parameters,
    is_public: bool,
    place: Place<'_>,
    everywhere: &Everywhere,
    problems: &mut Vec<String>,
) {
    let name = place.name;
    for claims in &needs.claims {
        if is_public {
            problems.push(format!(
                "{name}: {who} asks for `User<{0}>`, and the gateway is public: nobody has claims \
                 there; ask for `Option<User<{0}>>`, or do not declare it `public`",
                claims.name
            ));
        } else if place.claims.is_some_and(|made| made != claims.key) {
            problems.push(format!(
                "{name}: {who} asks for `User<{}>`, which is not the type of claims that the \
                 authenticator makes",
                claims.name
            ));
        }
    }
    for state in &needs.states {
        if !everywhere.states.contains(state.key) {
            problems.push(format!(
                "{name}: {who} asks for `State<{0}>`: hand a `{0}` to the builder with `state`",
                state.name
            ));
        }
    }
    if let Some(params) = needs.pattern
        && !place.is_pattern
    {
        problems.push(format!(
            "{name}: {who} asks for `Params<{params}>`, and the namespace is not a pattern"
        ));
    }
}

/// The router of a namespace.
pub(crate) fn assemble(gateways: Vec<Registrar>, everywhere: &Everywhere) -> Router {
    let mut router = Router {
        is_public: gateways.iter().all(|gateway| gateway.is_public),
        policy: Arc::new(everywhere.policy.clone()),
        states: everywhere.states.clone(),
        guards: everywhere.guards.clone().into(),
        connect: everywhere.connect_guards.clone(),
        ..Router::default()
    };
    let mut on_connect = Vec::new();
    let mut routes = HashMap::with_hasher(RandomState::default());
    for gateway in gateways {
        let guards = [everywhere.guards.as_slice(), &gateway.guards].concat();
        let around = [everywhere.interceptors.as_slice(), &gateway.interceptors].concat();
        for draft in gateway.subscriptions {
            let own = draft.subscription;
            let route = Route {
                handler: draft.handler,
                concurrency: own.concurrency,
                guards: [guards.as_slice(), &own.guards].concat(),
                interceptors: [around.as_slice(), &own.interceptors].concat().into(),
            };
            routes.insert(draft.event, Arc::new(route));
        }
        router.connect.extend(gateway.connect_guards);
        on_connect.extend(gateway.on_connect);
        router.on_disconnect.extend(gateway.on_disconnect);
        router.on_any.extend(gateway.on_any);
        router.on_any_outgoing.extend(gateway.on_any_outgoing);
        router.event_middlewares.extend(gateway.event_middlewares);
        router.server_side.extend(gateway.server_side);
    }
    router.connect.extend(on_connect);
    router.routes = routes;
    router
}
