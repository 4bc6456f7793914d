//! A method that is a handler: what it is for, what it takes, and what it returns.

use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, GenericParam, Ident, ImplItemFn, Pat, PatType,
    PathArguments, ReceiverKind, ReturnType, Safety, Signature, Type, TypeParamBound,
};

use super::arguments::SubscribeArguments;
use super::attribute::{Found, Kind};
use crate::problems::Problems;

/// As many parameters as a closure may have.
const MAX_PARAMETERS: usize = 8;

/// A method with a role.
pub(super) struct Method {
    pub(super) ident: Ident,
    pub(super) role: Role,
    /// Its conditions, under which its registration stands too.
    pub(super) conditions: Vec<Attribute>,
    pub(super) is_async: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) output: ReturnType,
    /// Guards and interceptors, in order.
    pub(super) around: Vec<Around>,
}

/// What a method is for.
pub(super) enum Role {
    /// Each event is handled by it.
    Events(Vec<SubscribeArguments>),
    Init,
    Connect,
    Disconnect,
}

/// A guard or an interceptor.
pub(super) struct Around {
    pub(super) kind: Kind,
    pub(super) expression: Expr,
}

/// One parameter behind `&self`.
pub(super) struct Parameter {
    /// Its name, if it has one.
    pub(super) name: Option<String>,
    pub(super) ty: Type,
}

/// What is to be done with what a method returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returned {
    Value,
    /// It is awaited.
    Future,
    /// It may borrow from the gateway.
    Stream,
}

impl Method {
    /// Reads a method with what was taken off it; `None` if it is no handler, or none that could
    /// be registered.
    pub(super) fn read(
        item: &ImplItemFn,
        found: &[Found],
        problems: &mut Problems,
    ) -> Option<Self> {
        if found.is_empty() {
            return None;
        }
        let role = read_role(found, problems);
        let around = read_around(found, role.as_ref(), problems);
        check_signature(&item.sig, problems);
        let parameters = read_parameters(&item.sig, problems);
        let conditions = item.attrs.iter().filter(|one| one.path().is_ident("cfg"));
        Some(Self {
            ident: item.sig.ident.clone(),
            role: role?,
            conditions: conditions.cloned().collect(),
            is_async: item.sig.asyncness.is_some(),
            parameters,
            output: item.sig.output.clone(),
            around,
        })
    }

    pub(super) fn returned(&self) -> Returned {
        match &self.output {
            ReturnType::Default => Returned::Value,
            ReturnType::Type(_, ty) => returned(ty),
        }
    }
}

fn read_role(found: &[Found], problems: &mut Problems) -> Option<Role> {
    let mut roles = found.iter().filter(|one| one.kind.is_role());
    let Some(first) = roles.next() else {
        for one in found {
            let name = one.kind.name();
            problems.at(
                &one.attribute,
                match one.kind {
                    Kind::Guard | Kind::Intercept => format!(
                        "`#[{name}(…)]` is for a method with `#[subscribe(…)]`, or for the whole \
                         gateway, below `#[gateway]`"
                    ),
                    _ => on_the_block(name),
                },
            );
        }
        return None;
    };
    let mut events = Vec::new();
    if first.kind == Kind::Subscribe {
        events.extend(problems.attempt(first.subscription()));
    } else {
        problems.attempt(first.nothing_else());
    }
    for other in roles {
        let (one, another) = (first.kind.name(), other.kind.name());
        match (first.kind, other.kind) {
            (Kind::Subscribe, Kind::Subscribe) => {
                events.extend(problems.attempt(other.subscription()));
            }
            (kind, again) if kind == again => {
                problems.at(&other.attribute, format!("`#[{one}]` stands here twice"));
            }
            _ => problems.at(
                &other.attribute,
                format!(
                    "a method has one role, and this one has `#[{one}]`: write a method of its \
                         own for `#[{another}]`"
                ),
            ),
        }
    }
    Some(match first.kind {
        Kind::OnInit => Role::Init,
        Kind::OnConnect => Role::Connect,
        Kind::OnDisconnect => Role::Disconnect,
        _ => Role::Events(events),
    })
}

fn read_around(found: &[Found], role: Option<&Role>, problems: &mut Problems) -> Vec<Around> {
    let mut around = Vec::new();
    let Some(role) = role else {
        return around;
    };
    for one in found.iter().filter(|one| !one.kind.is_role()) {
        let name = one.kind.name();
        let text = match (one.kind, role) {
            (Kind::Guard | Kind::Intercept, Role::Events(_)) => {
                let expression = problems.attempt(one.expression());
                around.extend(expression.map(|expression| Around {
                    kind: one.kind,
                    expression,
                }));
                continue;
            }
            (Kind::Guard, Role::Connect) => {
                "a guard is asked for events, not for connecting: put `#[connect_guard(…)]` on the \
                 impl block, below `#[gateway]`"
                    .to_owned()
            }
            (Kind::Guard | Kind::Intercept, _) => {
                format!("`#[{name}(…)]` is for methods with `#[subscribe(…)]`")
            }
            _ => on_the_block(name),
        };
        problems.at(&one.attribute, text);
    }
    around
}

fn on_the_block(name: &str) -> String {
    format!("`#[{name}(…)]` is for the whole gateway: put it on the impl block, below `#[gateway]`")
}

fn check_signature(signature: &Signature, problems: &mut Problems) {
    let name = &signature.ident;
    match signature.receiver() {
        None => problems.at(
            name,
            format!("a handler is a method: `fn {name}(&self, …)`, whose `&self` is the gateway"),
        ),
        Some(receiver) => match &receiver.kind {
            ReceiverKind::Reference(_, _, None) => {}
            ReceiverKind::Reference(_, _, Some(_)) => problems.at(
                receiver,
                "a gateway is shared by all its sockets: take `&self`, and keep what changes in \
                 a `Mutex` or an atomic",
            ),
            _ => problems.at(
                receiver,
                "a gateway is shared by all its sockets: take `&self`",
            ),
        },
    }
    let has_types = |one: &&GenericParam| !matches!(one, GenericParam::Lifetime(_));
    if let Some(generic) = signature.generics.params.iter().find(has_types) {
        problems.at(
            generic,
            "a handler has no type parameters: nobody would say what they are; they can stand on \
             the impl block",
        );
    }
    if let Safety::Unsafe(keyword) = &signature.safety {
        problems.at(
            keyword,
            "a handler is called for any event, and cannot be unsafe",
        );
    }
}

fn read_parameters(signature: &Signature, problems: &mut Problems) -> Vec<Parameter> {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let typed: Vec<&PatType> = typed.collect();
    if let Some(ninth) = typed.get(MAX_PARAMETERS) {
        problems.at(
            ninth,
            format!(
                "a handler has up to {MAX_PARAMETERS} parameters: put several into one type that \
                 implements `FromEvent` or `FromSocket`"
            ),
        );
    }
    for parameter in &typed {
        if let Type::ImplTrait(_) = &*parameter.ty {
            problems.at(
                &parameter.ty,
                "a parameter of a handler has a type with a name",
            );
        }
        let is_condition = |one: &&Attribute| one.path().is_ident("cfg");
        if let Some(condition) = parameter.attrs.iter().find(is_condition) {
            problems.at(
                condition,
                "put the condition on the method, not on a parameter",
            );
        }
    }
    let parameter = |typed: &&PatType| Parameter {
        name: match &*typed.pat {
            Pat::Ident(pattern) => Some(pattern.ident.unraw().to_string()),
            _ => None,
        },
        ty: (*typed.ty).clone(),
    };
    typed.iter().map(parameter).collect()
}

/// Futures and streams are told from values by how they are written: `impl Stream<…>`,
/// `BoxStream<'_, …>`, `impl Future<…>`, `BoxFuture<'_, …>`.
fn returned(ty: &Type) -> Returned {
    match ty {
        Type::Paren(inner) => returned(&inner.elem),
        Type::Group(inner) => returned(&inner.elem),
        Type::ImplTrait(opaque) => {
            let mut names = opaque.bounds.iter().filter_map(|bound| match bound {
                TypeParamBound::Trait(bound) => bound.path.segments.last(),
                _ => None,
            });
            let kind = names.find_map(|segment| match segment.ident.to_string().as_str() {
                "Stream" => Some(Returned::Stream),
                "Future" => Some(Returned::Future),
                _ => None,
            });
            kind.unwrap_or(Returned::Value)
        }
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "BoxFuture" => Returned::Future,
            Some(last) if last.ident == "BoxStream" && borrows(&last.arguments) => Returned::Stream,
            _ => Returned::Value,
        },
        _ => Returned::Value,
    }
}

/// Whether the first of these generic arguments is a lifetime other than `'static`.
fn borrows(arguments: &PathArguments) -> bool {
    match arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Lifetime(lifetime)) => lifetime.ident != "static",
            _ => false,
        },
        _ => false,
    }
}

impl ToTokens for Around {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        let name = Ident::new(self.kind.name(), self.expression.span());
        let expression = &self.expression;
        quote::quote_spanned! { expression.span() => .#name(#expression) }.to_tokens(tokens);
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn what_is_returned_is_told_from_how_it_is_written() {
        let cases: [(Type, Returned); 10] = [
            (parse_quote!(u8), Returned::Value),
            (parse_quote!(Result<(), Error>), Returned::Value),
            (parse_quote!(impl Serialize), Returned::Value),
            (parse_quote!(impl Stream<Item = u8>), Returned::Stream),
            (
                parse_quote!(impl Send + futures::Stream<Item = u8> + use<>),
                Returned::Stream,
            ),
            (parse_quote!((impl Stream<Item = u8>)), Returned::Stream),
            (parse_quote!(BoxStream<'_, u8>), Returned::Stream),
            (parse_quote!(BoxStream<'static, u8>), Returned::Value),
            (
                parse_quote!(impl Future<Output = u8> + Send),
                Returned::Future,
            ),
            (parse_quote!(future::BoxFuture<'_, u8>), Returned::Future),
        ];
        for (ty, expected) in cases {
            assert_eq!(returned(&ty), expected, "{}", ty.to_token_stream());
        }
    }
}
