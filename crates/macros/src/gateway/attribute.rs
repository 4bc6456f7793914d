//! The attributes that `#[gateway]` takes off the block and off its methods.
//!
//! | attribute                             | on the block | on a method     |
//! |---------------------------------------|--------------|-----------------|
//! | `subscribe`                           |              | its role        |
//! | `on_init`, `on_connect`, `on_disconnect` |           | its role        |
//! | `guard`, `intercept`                  | for all      | of a subscriber |
//! | `layer`, `connect_guard`              | for all      |                 |

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Meta, Path, Token};

use super::arguments::SubscribeArguments;
use crate::problems::Problems;
use crate::suggest::closest;

/// What an attribute of ours is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Subscribe,
    OnInit,
    OnConnect,
    OnDisconnect,
    Guard,
    Intercept,
    Layer,
    ConnectGuard,
}

const KINDS: [Kind; 8] = [
    Kind::Subscribe,
    Kind::OnInit,
    Kind::OnConnect,
    Kind::OnDisconnect,
    Kind::Guard,
    Kind::Intercept,
    Kind::Layer,
    Kind::ConnectGuard,
];

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::OnInit => "on_init",
            Self::OnConnect => "on_connect",
            Self::OnDisconnect => "on_disconnect",
            Self::Guard => "guard",
            Self::Intercept => "intercept",
            Self::Layer => "layer",
            Self::ConnectGuard => "connect_guard",
        }
    }

    /// Whether it says what a method is for.
    pub(crate) const fn is_role(self) -> bool {
        matches!(
            self,
            Self::Subscribe | Self::OnInit | Self::OnConnect | Self::OnDisconnect
        )
    }

    /// What a path names: `subscribe`, or the same behind `gateway::`, wherever that is: the crate
    /// may have another name.
    fn of(path: &Path) -> Option<Self> {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|one| one.ident.to_string())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (last, before) = names.split_last()?;
        matches!(before, [] | [.., "gateway"])
            .then(|| KINDS.into_iter().find(|kind| kind.name() == *last))?
    }
}

/// An attribute of ours, as it was found.
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) attribute: Attribute,
}

/// Takes the attributes of ours out of `attributes`, in order.
pub(super) fn take(attributes: &mut Vec<Attribute>, problems: &mut Problems) -> Vec<Found> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    for attribute in std::mem::take(attributes) {
        if let Some(kind) = Kind::of(attribute.path()) {
            found.push(Found { kind, attribute });
        } else if let Some(text) = meant_to_be_ours(&attribute) {
            problems.at(attribute, text);
        } else {
            others.push(attribute);
        }
    }
    *attributes = others;
    found
}

/// What is said of an attribute that is not ours, and was meant to be.
fn meant_to_be_ours(attribute: &Attribute) -> Option<String> {
    let name = attribute.path().get_ident()?.to_string();
    if name == "cfg_attr" {
        let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
        let metas = attribute.parse_args_with(parser).ok()?;
        let kind = metas
            .iter()
            .skip(1)
            .find_map(|meta| Kind::of(meta.path()))?;
        return Some(format!(
            "`#[{}]` cannot stand in `cfg_attr`: `#[gateway]` reads it before conditions are \
             known; put `#[cfg(…)]` on the method",
            kind.name()
        ));
    }
    // Short names are too near to names of other people's attributes.
    let names = KINDS.map(Kind::name);
    let long: Vec<_> = names.into_iter().filter(|name| name.len() >= 7).collect();
    let meant = closest(&name, &long)?;
    Some(format!(
        "unknown attribute `{name}`: did you mean `{meant}`?"
    ))
}

impl Found {
    /// The event and options of `#[subscribe(…)]`.
    pub(super) fn subscription(&self) -> syn::Result<SubscribeArguments> {
        self.attribute
            .parse_args()
            .map_err(|error| match &self.attribute.meta {
                Meta::List(_) => error,
                meta => syn::Error::new_spanned(meta, "which event? `#[subscribe(\"say\")]`"),
            })
    }

    /// Makes sure that nothing stands in parentheses.
    pub(super) fn nothing_else(&self) -> syn::Result<()> {
        match &self.attribute.meta {
            Meta::Path(_) => Ok(()),
            meta => {
                let text = format!("`#[{}]` stands alone", self.kind.name());
                Err(syn::Error::new_spanned(meta, text))
            }
        }
    }

    /// The expression of `#[guard(…)]` and its like.
    pub(super) fn expression(&self) -> syn::Result<Expr> {
        let name = self.kind.name();
        let Meta::List(list) = &self.attribute.meta else {
            let text = format!("which one? `#[{name}(…)]` has an expression");
            return Err(syn::Error::new_spanned(&self.attribute.meta, text));
        };
        if list.tokens.is_empty() {
            let text = format!("which one? `#[{name}(…)]` has an expression");
            return Err(syn::Error::new_spanned(list, text));
        }
        let One(expression) = list.parse_args_with(|input: ParseStream<'_>| {
            One::parse(input).and_then(|one| {
                if input.is_empty() {
                    return Ok(one);
                }
                let text = format!("one expression: write another `#[{name}(…)]` for the next");
                Err(input.error(text))
            })
        })?;
        match find_self(list.tokens.clone()) {
            None => Ok(expression),
            Some(place) => Err(syn::Error::new_spanned(
                place,
                format!(
                    "`#[{name}(…)]` is evaluated once, when the gateway registers its handlers, \
                     and does not see `self`; what needs the gateway's fields is checked in the \
                     method"
                ),
            )),
        }
    }
}

/// One expression, with or without a comma behind it.
struct One(Expr);

impl Parse for One {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let expression = input.parse()?;
        if input.peek(Token![,]) {
            let ahead = input.fork();
            ahead.parse::<Token![,]>()?;
            if ahead.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self(expression))
    }
}

/// The receiver, and not the module: that has two colons behind it.
fn find_self(tokens: TokenStream) -> Option<TokenTree> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ref name) if name == "self" => {
                let is_module = matches!(
                    tokens.peek(),
                    Some(TokenTree::Punct(colon))
                        if colon.as_char() == ':' && colon.spacing() == Spacing::Joint
                );
                if !is_module {
                    return Some(token);
                }
            }
            TokenTree::Group(group) => {
                if let Some(found) = find_self(group.stream()) {
                    return Some(found);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees_self(tokens: &str) -> bool {
        find_self(tokens.parse().unwrap()).is_some()
    }

    #[test]
    fn the_receiver_is_found_and_the_module_is_none() {
        assert!(sees_self("limit(self.limit)"));
        assert!(sees_self("self"));
        assert!(!sees_self("self::guards::limit(1)"));
        assert!(!sees_self("outer(self::limit())"));
    }
}
