//! Where the crate `portcullis` is to be found, for those who gave it another name.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::ParseStream;
use syn::{LitStr, Path, Token};

/// The path in front of everything that is written: `::portcullis`, unless `crate = "…"` says
/// otherwise.
#[derive(Default)]
pub(crate) struct Root(Option<Path>);

impl Root {
    /// Reads what follows the key `crate`.
    pub(crate) fn parse(input: ParseStream<'_>, key: Span) -> syn::Result<Self> {
        const EXPECTED: &str = "`crate` is the path of the crate `portcullis`, as a text: \
                                `crate = \"gate\"`";
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(key, EXPECTED));
        }
        input.parse::<Token![=]>()?;
        if !input.peek(LitStr) {
            return Err(input.error(EXPECTED));
        }
        let text: LitStr = input.parse()?;
        let path = text
            .parse_with(Path::parse_mod_style)
            .map_err(|_| syn::Error::new(text.span(), EXPECTED))?;
        Ok(Self(Some(path)))
    }

    /// Whether it was given.
    pub(crate) const fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// The path, of which the compiler complains where it was given, or else at `span`.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        self.0.as_ref().map_or_else(
            || quote_spanned! { span => ::portcullis },
            ToTokens::to_token_stream,
        )
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::{TokenStream, TokenTree};
    use quote::quote;

    use crate::{event_error, gateway};

    /// How often a name stands in what is written.
    fn count(tokens: TokenStream, name: &str) -> usize {
        let counts = tokens.into_iter().map(|token| match token {
            TokenTree::Ident(ident) => usize::from(ident == name),
            TokenTree::Group(group) => count(group.stream(), name),
            _ => 0,
        });
        counts.sum()
    }

    #[test]
    fn a_gateway_names_the_crate_only_by_the_path_that_it_was_given() {
        let block = quote! {
            impl Chat {
                #[on_init]
                fn start(&self, emitter: Emitter) {}
                #[on_connect]
                async fn join(&self, socket: Socket) {}
                #[gate::gateway::subscribe("say", concurrency = 2)]
                #[guard(Members)]
                async fn say(&self, Data(text): Data<String>) -> bool { true }
                #[subscribe("ticks")]
                fn ticks(&self) -> impl Stream<Item = u32> { empty() }
                #[on_disconnect]
                fn left(&self, reason: DisconnectReason) {}
            }
        };
        let written = |arguments| gateway::expand(arguments, &block);
        let named = count(written(quote!(public)), "portcullis");
        assert!(named > 10, "{named}");
        let renamed = written(quote!(public, crate = "gate"));
        assert_eq!(count(renamed.clone(), "portcullis"), 0, "{renamed}");
        assert_eq!(count(renamed.clone(), "gate"), named, "{renamed}");
    }

    #[test]
    fn an_error_names_the_crate_only_by_the_path_that_it_was_given() {
        let variants = quote! {
            NotMember,
            Full { #[event(details)] limit: usize },
            #[event(internal)]
            Store(Broken),
            #[event(transparent)]
            Other(EventError),
        };
        let named = count(
            event_error::expand(quote! { enum Failed { #variants } }),
            "portcullis",
        );
        assert!(named > 3, "{named}");
        for (input, named) in [
            (
                quote! { #[event(crate = "gate")] enum Failed { #variants } },
                named,
            ),
            (
                quote! { #[event(crate = "gate", code = "A")] struct Failed; },
                2,
            ),
        ] {
            let renamed = event_error::expand(input);
            assert_eq!(count(renamed.clone(), "portcullis"), 0, "{renamed}");
            assert_eq!(count(renamed.clone(), "gate"), named, "{renamed}");
        }
    }
}
