//! The gateways that were declared, by the namespace that they are for.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::auth::Authenticator;
use crate::broadcast::Emitter;
use crate::gateway::{
    self, ErasedInit, Everywhere, GatewayDescription, InitContext, Place, Registrar, States,
};
use crate::namespace::{Dispatch, Kind};
use crate::server::Server;

use super::{BuildError, ServerBuilder};

/// A namespace, or what stands for many, with the gateways that were declared for it.
pub(super) struct Declared {
    pub(super) kind: Kind,
    pub(super) gateways: Vec<Registrar>,
}

impl Declared {
    /// What a person calls it.
    pub(super) fn name(&self) -> String {
        match &self.kind {
            Kind::Static(path) => path.to_string(),
            Kind::Pattern(pattern) => pattern.to_string(),
            Kind::Predicate(_) => "namespaces made by a predicate".to_owned(),
        }
    }

    /// Whether a gateway of `kind` belongs here. Two predicates are never the same.
    pub(super) fn is_for(&self, kind: &Kind) -> bool {
        match (&self.kind, kind) {
            (Kind::Static(one), Kind::Static(other)) => one == other,
            (Kind::Pattern(one), Kind::Pattern(other)) => one == other,
            _ => false,
        }
    }

    pub(super) fn place<'a>(
        &self,
        name: &'a str,
        authenticator: Option<&dyn Authenticator>,
    ) -> Place<'a> {
        Place {
            name,
            is_pattern: matches!(self.kind, Kind::Pattern(_)),
            has_authenticator: authenticator.is_some(),
            claims: authenticator.and_then(Authenticator::claims_type),
        }
    }
}

/// What the declared gateways come to.
pub(super) struct Assembled {
    pub(super) declared: Vec<(Kind, Arc<dyn Dispatch>)>,
    pub(super) gateways: Vec<GatewayDescription>,
    pub(super) inits: Inits,
}

impl ServerBuilder {
    /// Puts the gateways of each namespace together.
    pub(super) fn assemble(&mut self) -> Assembled {
        let mut assembled = Assembled {
            declared: Vec::new(),
            gateways: Vec::new(),
            inits: Inits(Vec::new()),
        };
        for mut declared in std::mem::take(&mut self.declared) {
            let name = declared.name();
            let place = declared.place(&name, self.authenticator.as_deref());
            for gateway in &mut declared.gateways {
                let description = gateway.describe(place, &self.everywhere);
                assembled.gateways.push(description);
                for init in gateway.take_inits() {
                    assembled.inits.0.push(Init {
                        gateway: gateway.name().to_owned(),
                        namespace: match &declared.kind {
                            Kind::Static(path) => Some(path.to_string()),
                            _ => None,
                        },
                        init,
                    });
                }
            }
            let router = gateway::assemble(declared.gateways, &self.everywhere);
            assembled.declared.push((declared.kind, Arc::new(router)));
        }
        assembled
    }

    /// What keeps the declared gateways from being served.
    pub(super) fn gateway_problems(&self) -> Vec<String> {
        let everywhere: &Everywhere = &self.everywhere;
        let problems = self.declared.iter().flat_map(|declared| {
            let name = declared.name();
            let place = declared.place(&name, self.authenticator.as_deref());
            gateway::problems(&declared.gateways, place, everywhere)
        });
        problems.collect()
    }
}

/// What gateways do once.
pub(super) struct Inits(Vec<Init>);

struct Init {
    gateway: String,
    namespace: Option<String>,
    init: ErasedInit,
}

impl Inits {
    /// Runs them in the order of declaration; the first that fails is the last.
    pub(super) async fn run(self, server: &Server, states: &States) -> Result<(), BuildError> {
        for Init {
            gateway,
            namespace,
            init,
        } in self.0
        {
            let emitter: Option<Emitter> =
                namespace.and_then(|namespace| server.emitter(&namespace).ok());
            let context = InitContext { emitter, states };
            // The call may panic as well as the future that it returns.
            let running = AssertUnwindSafe(async { init(&context).await }).catch_unwind();
            let started = running.await.unwrap_or_else(|_| Err("it panicked".into()));
            if let Err(source) = started {
                return Err(BuildError::Init { gateway, source });
            }
        }
        Ok(())
    }
}
