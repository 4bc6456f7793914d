//! `#[derive(EventError)]`: what a client is told of an application's error.
//!
//! | on a variant, or on a struct | what becomes of it                                          |
//! |------------------------------|-------------------------------------------------------------|
//! | nothing                      | the variant's name as code, `Display` as message            |
//! | `code = "…"`                 | that code                                                   |
//! | `message = "…"`              | that message                                                |
//! | `internal`                   | an internal error: for the log, with an id for the client   |
//! | `transparent`                | what its only field says of itself                          |
//! | on a field: `details`        | the field stands in the details, under its name             |
//! | above it all: `crate = "…"`  | where the crate `portcullis` is                             |
//!
//! # Invariants
//!
//! - The error itself is the cause of what it becomes, so that `map_error` can look at it.

mod variant;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Ident, LitStr, parse_quote_spanned};

use self::variant::{Arguments, Detail, Told, Variant, is_ours};
use crate::problems::Problems;
use crate::root::Root;

/// Expands the derive.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut problems = Problems::default();
    let (root, variants) = read(&input, &mut problems);
    if problems.is_empty() {
        implementation(&root, &input, &variants)
    } else {
        problems.into_tokens()
    }
}

fn read(input: &DeriveInput, problems: &mut Problems) -> (Root, Vec<Variant>) {
    let mut arguments = Arguments::read(&input.attrs, problems);
    let root = std::mem::take(&mut arguments.root);
    let variants = match &input.data {
        Data::Struct(data) => {
            let variant = Variant::read(&input.ident, arguments, &data.fields, problems);
            vec![variant]
        }
        Data::Enum(data) => {
            if !arguments.is_empty() {
                for attribute in input.attrs.iter().filter(|one| is_ours(one)) {
                    problems.at(attribute, "`#[event(…)]` is for the variants of an enum");
                }
            }
            if data.variants.is_empty() {
                problems.at(&input.ident, "an error without variants never happens");
            }
            let variants = data.variants.iter();
            variants
                .map(|one| {
                    let arguments = Arguments::read(&one.attrs, problems);
                    if arguments.root.is_given() {
                        let text = "`crate` is said once, above the enum";
                        problems.at(&one.ident, text);
                    }
                    Variant::read(&one.ident, arguments, &one.fields, problems)
                })
                .collect()
        }
        Data::Union(_) => {
            problems.at(
                &input.ident,
                "`EventError` is derived for enums and structs",
            );
            Vec::new()
        }
    };
    (root, variants)
}

/// The implementation of `From<…> for EventError`.
fn implementation(root: &Root, input: &DeriveInput, variants: &[Variant]) -> TokenStream {
    let root = root.at(Span::call_site());
    let ident = &input.ident;
    let mut generics = input.generics.clone();
    if !generics.params.is_empty() {
        let (_, arguments, _) = input.generics.split_for_impl();
        let bound = parse_quote_spanned! { ident.span() =>
            #ident #arguments: ::std::error::Error + ::std::marker::Send + ::std::marker::Sync
                + 'static
        };
        generics.make_where_clause().predicates.push(bound);
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let path = |variant: &Ident| {
        if matches!(input.data, Data::Enum(_)) {
            quote!(#ident::#variant)
        } else {
            quote!(#ident)
        }
    };
    let mut passed_on = Vec::new();
    let mut told = Vec::new();
    for variant in variants {
        let path = path(&variant.ident);
        match &variant.told {
            Told::Transparent(member) => passed_on.push(quote! {
                #path { #member: inner } => ::std::convert::Into::into(inner),
            }),
            Told::Internal => told.push(quote! {
                #path { .. } => #root::gateway::EventError::internal(),
            }),
            Told::Openly { code, message } => {
                told.push(openly(&root, &path, code, message.as_ref(), variant));
            }
        }
    }
    let others = (!told.is_empty()).then(|| tell(&root, ident, &told, !passed_on.is_empty()));
    quote! {
        #[automatically_derived]
        impl #parameters ::std::convert::From<#ident #arguments>
            for #root::gateway::EventError #bounds
        {
            fn from(error: #ident #arguments) -> Self {
                match error {
                    #(#passed_on)*
                    #others
                }
            }
        }
    }
}

/// The arm of a variant that is told: `Full { limit, .. } => EventError::new(…).with_detail(…)`.
fn openly(
    root: &TokenStream,
    path: &TokenStream,
    code: &str,
    message: Option<&LitStr>,
    variant: &Variant,
) -> TokenStream {
    let message = message.map_or_else(
        || quote_spanned! { variant.ident.span() => ::std::string::ToString::to_string(&error) },
        |message| quote!(#message),
    );
    let details = &variant.details;
    let fields = details
        .iter()
        .map(|Detail { field, local }| quote!(#field: #local));
    let calls = details.iter().map(|Detail { field, local }| {
        let name = field.unraw().to_string();
        quote_spanned! { field.span() => .with_detail(#name, #local) }
    });
    quote! {
        #path { #(#fields,)* .. } =>
            #root::gateway::EventError::new(#code, #message) #(#calls)*,
    }
}

/// What is told is made while the error is there; then it becomes the cause.
fn tell(
    root: &TokenStream,
    ident: &Ident,
    told: &[TokenStream],
    some_are_passed_on: bool,
) -> TokenStream {
    let passed_on = some_are_passed_on.then(|| {
        quote! { _ => #root::gateway::EventError::internal(), }
    });
    let cause = quote_spanned! { ident.span() => ::std::boxed::Box::new(error) };
    quote! {
        error => {
            let told = match &error { #(#told)* #passed_on };
            let cause: ::std::boxed::Box<
                dyn ::std::error::Error + ::std::marker::Send + ::std::marker::Sync,
            > = #cause;
            told.with_cause(cause)
        }
    }
}
