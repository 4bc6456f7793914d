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
//!
//! # Invariants
//!
//! - The error itself is the cause of what it becomes, so that `map_error` can look at it.

mod variant;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Ident};

use self::variant::{Detail, Told, Variant};
use crate::problems::Problems;

/// Expands the derive.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut problems = Problems::default();
    let variants = read(&input, &mut problems);
    if problems.is_empty() {
        implementation(&input, &variants)
    } else {
        problems.into_tokens()
    }
}

fn read(input: &DeriveInput, problems: &mut Problems) -> Vec<Variant> {
    match &input.data {
        Data::Struct(data) => {
            let variant = Variant::read(&input.ident, &input.attrs, &data.fields, problems);
            vec![variant]
        }
        Data::Enum(data) => {
            for attribute in input
                .attrs
                .iter()
                .filter(|one| one.path().is_ident("event"))
            {
                problems.at(attribute, "`#[event(…)]` is for the variants of an enum");
            }
            if data.variants.is_empty() {
                problems.at(&input.ident, "an error without variants never happens");
            }
            let variants = data.variants.iter();
            variants
                .map(|one| Variant::read(&one.ident, &one.attrs, &one.fields, problems))
                .collect()
        }
        Data::Union(_) => {
            problems.at(
                &input.ident,
                "`EventError` is derived for enums and structs",
            );
            Vec::new()
        }
    }
}

/// The implementation of `From<…> for EventError`.
fn implementation(input: &DeriveInput, variants: &[Variant]) -> TokenStream {
    let (ident, span) = (&input.ident, input.ident.span());
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let is_enum = matches!(input.data, Data::Enum(_));
    let path = |variant: &Ident| {
        if is_enum {
            quote!(#ident::#variant)
        } else {
            quote!(#ident)
        }
    };
    let passed_on = variants.iter().filter_map(|variant| match &variant.told {
        Told::Transparent(member) => {
            let path = path(&variant.ident);
            Some(quote! {
                #path { #member: inner } => {
                    return ::std::convert::Into::<::portcullis::gateway::EventError>::into(inner);
                }
            })
        }
        _ => None,
    });
    let told = variants.iter().filter_map(|variant| {
        let (path, details) = (path(&variant.ident), &variant.details);
        let told = match &variant.told {
            Told::Transparent(_) => return None,
            Told::Internal => quote! { ::portcullis::gateway::EventError::internal() },
            Told::Openly { code, message } => {
                let message = message.as_ref().map_or_else(
                    || quote_spanned! { span => ::std::string::ToString::to_string(&error) },
                    |message| quote!(#message),
                );
                quote! { ::portcullis::gateway::EventError::new(#code, #message) }
            }
        };
        let fields = details
            .iter()
            .map(|Detail { field, local }| quote!(#field: #local));
        let calls = details.iter().map(|Detail { field, local }| {
            let name = field.to_string();
            quote_spanned! { field.span() => .with_detail(#name, #local) }
        });
        Some(quote! { #path { #(#fields,)* .. } => #told #(#calls)*, })
    });
    let passes_on = variants
        .iter()
        .any(|one| matches!(one.told, Told::Transparent(_)));
    let others = variants
        .iter()
        .any(|one| !matches!(one.told, Told::Transparent(_)));
    let pass_on = passes_on.then(|| {
        let others = others.then(|| quote! { other => other, });
        quote! { let error = match error { #(#passed_on)* #others }; }
    });
    let tell = others.then(|| {
        let told_by_now = passes_on.then(|| {
            quote! {
                #[allow(unreachable_patterns, reason = "what is passed on has been")]
                _ => ::portcullis::gateway::EventError::internal(),
            }
        });
        quote_spanned! { span =>
            let told = match &error { #(#told)* #told_by_now };
            let cause: ::std::boxed::Box<
                dyn ::std::error::Error + ::std::marker::Send + ::std::marker::Sync,
            > = ::std::boxed::Box::new(error);
            told.with_cause(cause)
        }
    });
    quote! {
        #[automatically_derived]
        impl #generics ::std::convert::From<#ident #arguments>
            for ::portcullis::gateway::EventError #bounds
        {
            fn from(error: #ident #arguments) -> Self {
                #pass_on
                #tell
            }
        }
    }
}
