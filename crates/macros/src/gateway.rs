//! `#[gateway]`: from an impl block to an implementation of `Gateway`.
//!
//! ```text
//!  arguments ─┐
//!  block ─────┼─▶ attributes of ours are taken off ─▶ the block, as it was otherwise
//!             └──▶ methods with their roles ─▶ write ─▶ impl Gateway for …
//! ```
//!
//! # Invariants
//!
//! - The block stays as it is, but for the attributes: its methods can be called as any others.
//! - After a problem there is an implementation too, of no handlers, so that the compiler speaks of
//!   the problem alone.

mod arguments;
pub(crate) mod attribute;
mod method;
mod namespace;
mod write;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, ImplItem, Item, ItemImpl, parse_quote};

use self::arguments::GatewayArguments;
use self::attribute::take;
use self::method::{Around, Method, Role};
use crate::problems::Problems;

/// An impl block, read.
struct Block {
    arguments: GatewayArguments,
    /// What is left of it for the compiler.
    item: ItemImpl,
    conditions: Vec<Attribute>,
    /// What is around all of its methods.
    around: Vec<Around>,
    methods: Vec<Method>,
}

/// Expands `#[gateway(arguments)]` on an item.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let arguments = problems.attempt(syn::parse2(arguments)).unwrap_or_default();
    let item = match inherent_impl(item.clone()) {
        Ok(item) => item,
        Err(error) => {
            problems.add(error);
            let problems = problems.into_tokens();
            return quote! { #problems #item };
        }
    };
    let mut block = Block::read(arguments, item, &mut problems);
    if !problems.is_empty() {
        block.arguments = GatewayArguments {
            root: std::mem::take(&mut block.arguments.root),
            ..GatewayArguments::default()
        };
        block.around.clear();
        block.methods.clear();
    }
    let (item, problems) = (&block.item, problems.into_tokens());
    let implementation = write::implementation(&block);
    quote! { #problems #item #implementation }
}

fn inherent_impl(item: TokenStream) -> syn::Result<ItemImpl> {
    const WHERE: &str = "`#[gateway]` stands on an impl block with the handlers: \
                         `#[gateway(namespace = \"/chat\")] impl Chat { … }`";
    match syn::parse2(item)? {
        Item::Impl(ItemImpl {
            trait_: Some((path, _)),
            ..
        }) => {
            let text = "`#[gateway]` stands on an impl block of the type's own, not of a trait";
            Err(syn::Error::new_spanned(path, text))
        }
        Item::Impl(item) => Ok(item),
        Item::Struct(item) => Err(syn::Error::new_spanned(item.ident, WHERE)),
        Item::Enum(item) => Err(syn::Error::new_spanned(item.ident, WHERE)),
        Item::Fn(item) => Err(syn::Error::new_spanned(item.sig.ident, WHERE)),
        Item::Mod(item) => Err(syn::Error::new_spanned(item.ident, WHERE)),
        other => Err(syn::Error::new_spanned(other, WHERE)),
    }
}

impl Block {
    fn read(arguments: GatewayArguments, mut item: ItemImpl, problems: &mut Problems) -> Self {
        let around = read_around(&mut item, problems);
        let mut methods = Vec::new();
        for part in &mut item.items {
            match part {
                ImplItem::Fn(method) => {
                    let found = take(&mut method.attrs, problems);
                    methods.extend(Method::read(method, &found, problems));
                    if !found.is_empty() {
                        method.attrs.insert(0, form_of_a_handler());
                    }
                }
                ImplItem::Const(part) => not_a_method(&mut part.attrs, problems),
                ImplItem::Type(part) => not_a_method(&mut part.attrs, problems),
                ImplItem::Macro(part) => not_a_method(&mut part.attrs, problems),
                _ => {}
            }
        }
        check_events(&methods, problems);
        let conditions = item.attrs.iter().filter(|one| one.path().is_ident("cfg"));
        Self {
            arguments,
            conditions: conditions.cloned().collect(),
            around,
            methods,
            item,
        }
    }
}

fn read_around(item: &mut ItemImpl, problems: &mut Problems) -> Vec<Around> {
    let mut around = Vec::new();
    for found in take(&mut item.attrs, problems) {
        let name = found.kind.name();
        if found.kind.is_role() {
            let text = format!("`#[{name}]` is for a method, not for the impl block");
            problems.at(&found.attribute, text);
        } else if let Some(expression) = problems.attempt(found.expression()) {
            around.push(Around {
                kind: found.kind,
                expression,
            });
        }
    }
    around
}

/// A handler owns its parameters and may be async, whether its body needs that or not. It stands
/// first, so that what the user says of a lint holds.
fn form_of_a_handler() -> Attribute {
    parse_quote! {
        #[allow(
            clippy::needless_pass_by_value,
            clippy::unused_async,
            reason = "that is the form of a handler"
        )]
    }
}

fn not_a_method(attributes: &mut Vec<Attribute>, problems: &mut Problems) {
    for found in take(attributes, problems) {
        let text = format!("`#[{}]` is for a method", found.kind.name());
        problems.at(&found.attribute, text);
    }
}

/// One event, one method; methods with conditions may take turns, which `build()` sees.
fn check_events(methods: &[Method], problems: &mut Problems) {
    let mut seen: Vec<(String, &Method)> = Vec::new();
    for method in methods.iter().filter(|method| method.conditions.is_empty()) {
        let Role::Events(events) = &method.role else {
            continue;
        };
        for event in events {
            let name = event.event.value();
            match seen.iter().find(|(other, _)| *other == name) {
                Some((_, first)) => problems.at(
                    &event.event,
                    format!(
                        "two handlers for the event {name:?}: `{}` and `{}`",
                        first.ident, method.ident
                    ),
                ),
                None => seen.push((name, method)),
            }
        }
    }
}

/// Expands one of the attributes that only `#[gateway]` reads, found anywhere else.
pub(crate) fn out_of_place(kind: attribute::Kind, item: &TokenStream) -> TokenStream {
    let name = kind.name();
    let text = if kind.is_role() {
        format!("`#[{name}]` is for a method in an impl block with `#[gateway]`")
    } else {
        format!(
            "`#[{name}(…)]` is for an impl block with `#[gateway]`, below it, or for a method there"
        )
    };
    let error = syn::Error::new(Span::call_site(), text).into_compile_error();
    quote! { #error #item }
}
