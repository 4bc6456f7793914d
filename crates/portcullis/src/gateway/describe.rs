//! What a server's gateways are made of, readable: for the lines at start, and for contracts.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::fmt;

/// A gateway of a running server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayDescription {
    /// Its name: that of its type, or of the namespace if it is not a type.
    pub name: Cow<'static, str>,
    /// The namespace, or the pattern of namespaces; `None` if a predicate decides.
    pub namespace: Option<String>,
    /// Whether sockets connect without an identity.
    pub is_public: bool,
    /// Its guards, in order; those of the server come first.
    pub guards: Vec<Cow<'static, str>>,
    /// The events that it handles, in the order of registration.
    pub events: Vec<EventDescription>,
}

/// An event that a gateway handles.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventDescription {
    /// Its name.
    pub event: String,
    /// The method or function that handles it, if it has a name.
    pub method: Option<Cow<'static, str>>,
    /// The type of its payload as Rust writes it, if its handler looks at it.
    pub payload: Option<&'static str>,
    /// The guards of its own, in order.
    pub guards: Vec<Cow<'static, str>>,
    /// How many of one socket may be handled at the same time.
    pub concurrency: usize,
}

impl fmt::Display for GatewayDescription {
    /// The lines that a NestJS developer expects at start.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or("(a predicate)");
        let access = if self.is_public { "public" } else { "guarded" };
        write!(f, "{} on {namespace}, {access}", self.name)?;
        for event in &self.events {
            write!(
                f,
                "\n{} subscribed to the {:?} message",
                self.name, event.event
            )?;
        }
        Ok(())
    }
}

/// What the parameters of a handler need, as they say themselves.
#[derive(Debug, Default)]
pub struct Parameters {
    pub(super) payload: Option<&'static str>,
    pub(super) claims: Vec<Needed>,
    pub(super) states: Vec<Needed>,
    pub(super) pattern: Option<&'static str>,
}

/// A type that something has to be there of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed {
    pub(super) key: TypeId,
    pub(super) name: &'static str,
}

impl Needed {
    fn of<T: 'static>() -> Self {
        Self {
            key: TypeId::of::<T>(),
            name: short_type_name(type_name::<T>()),
        }
    }
}

impl Parameters {
    /// A payload of a type, by the type's name.
    pub const fn takes_payload(&mut self, type_name: &'static str) {
        self.payload = Some(type_name);
    }

    /// Verified claims of type `C`, without which the handler makes no sense.
    pub fn needs_claims<C: 'static>(&mut self) {
        self.claims.push(Needed::of::<C>());
    }

    /// State of type `T` from the server's builder.
    pub fn needs_state<T: 'static>(&mut self) {
        self.states.push(Needed::of::<T>());
    }

    /// The parameters of a pattern, as a type of this name.
    pub const fn needs_pattern(&mut self, type_name: &'static str) {
        self.pattern = Some(type_name);
    }
}

/// `app::chat::Claims` as `Claims`; what is generic keeps its parameters as they are.
pub(super) fn short_type_name(name: &'static str) -> &'static str {
    let path_end = name.find('<').unwrap_or(name.len());
    let path = name.get(..path_end).unwrap_or(name);
    // A closure's own name says nothing: what it is in does.
    let path = path.trim_end_matches("::{{closure}}");
    let start = path.rfind("::").map_or(0, |colons| colons + 2);
    name.get(
        start..if path.len() < path_end {
            path.len()
        } else {
            name.len()
        },
    )
    .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::short_type_name;

    #[test]
    fn a_type_is_called_by_its_last_name() {
        assert_eq!(short_type_name("app::chat::Claims"), "Claims");
        assert_eq!(short_type_name("Claims"), "Claims");
        assert_eq!(short_type_name("app::Page<app::Row>"), "Page<app::Row>");
        assert_eq!(short_type_name("app::members::{{closure}}"), "members");
    }
}
