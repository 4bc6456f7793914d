//! The calls of a registrar that a gateway comes to.
//!
//! ```text
//!  #[subscribe("say")]                 registrar.on("say", EventHandler::named(Method::event(
//!  #[guard(Members)]                       |parameters| User::<Claims>::describe(parameters),
//!  async fn say(&self,          ─▶         move |context| {
//!      user: User<Claims>,                     let user = User::<Claims>::from_event(context)?;
//!  ) -> Saved                                  let gateway = Arc::clone(&gateway);
//!                                              Ok(async move {
//!                                                  reply!(Self::say(&gateway, user).await)
//!                                              })
//!                                          },
//!                                      ), "say").guard(Members));
//! ```
//!
//! # Invariants
//!
//! - Nothing is written that a person could not write.
//! - Local names are the macro's own: an expression of the user's sees none of them.
//! - What the compiler says of a parameter, of what is returned, or of an expression, it says
//!   there.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Ident, ReturnType, Type};

use super::Block;
use super::arguments::SubscribeArguments;
use super::method::{Method, Parameter, Returned, Role};
use crate::root::Root;

/// The implementation of `Gateway`.
pub(super) fn implementation(block: &Block) -> TokenStream {
    let item = &block.item;
    let (generics, _, bounds) = item.generics.split_for_impl();
    let (ty, conditions) = (&item.self_ty, &block.conditions);
    let name = block.arguments.name.as_ref().map(|name| {
        quote! {
            fn name(&self) -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#name)
            }
        }
    });
    let namespace = block
        .arguments
        .namespace
        .as_ref()
        .map_or_else(|| quote!("/"), |namespace| quote!(#namespace));
    let registrar = local("registrar");
    let (calls, root) = (calls(block), block.arguments.root.at(Span::mixed_site()));
    let register = quote_spanned! { Span::mixed_site() =>
        #[allow(unused_variables, reason = "there may be nothing to register")]
        fn register(
            self: ::std::sync::Arc<Self>,
            #registrar: &mut #root::gateway::Registrar,
        ) {
            #calls
        }
    };
    let root = block.arguments.root.at(Span::call_site());
    quote! {
        #(#conditions)*
        #[automatically_derived]
        impl #generics #root::gateway::Gateway for #ty #bounds {
            #name

            fn namespace(&self) -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#namespace)
            }

            #register
        }
    }
}

fn calls(block: &Block) -> TokenStream {
    let registrar = local("registrar");
    let public = block
        .arguments
        .is_public
        .then(|| quote! { #registrar.public(); });
    let around = block
        .around
        .iter()
        .map(|around| quote! { #registrar #around; });
    let root = &block.arguments.root;
    let methods = block.methods.iter().map(|method| {
        let conditions = &method.conditions;
        let writer = Writer { root, method };
        let calls = match &method.role {
            Role::Events(events) => events.iter().map(|event| writer.on_event(event)).collect(),
            Role::Init => writer.hook("init", Taken::Init),
            Role::Connect => writer.hook("connect", Taken::Socket),
            Role::Disconnect => writer.hook("disconnect", Taken::End),
        };
        quote! { #(#conditions)* { #calls } }
    });
    quote! {
        #public
        #(#around)*
        #(#methods)*
    }
}

/// Where parameters are taken from.
#[derive(Clone, Copy)]
enum Taken {
    Event,
    Socket,
    End,
    Init,
}

impl Taken {
    /// The trait and its function.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Event => ("FromEvent", "from_event"),
            Self::Socket => ("FromSocket", "from_socket"),
            Self::End => ("FromDisconnect", "from_disconnect"),
            Self::Init => ("FromInit", "from_init"),
        }
    }

    /// What the function is given.
    fn given(self) -> Vec<Ident> {
        match self {
            Self::End => vec![local("context"), local("reason")],
            _ => vec![local("context")],
        }
    }
}

/// Writes the calls of one method.
#[derive(Clone, Copy)]
struct Writer<'a> {
    root: &'a Root,
    method: &'a Method,
}

impl Writer<'_> {
    fn on_event(self, event: &SubscribeArguments) -> TokenStream {
        let (method, registrar) = (self.method, local("registrar"));
        let span = at(method.ident.span());
        let (root, handler) = (self.root.at(span), self.handler("event", Taken::Event));
        let (name, text) = (method.ident.unraw().to_string(), &event.event);
        let concurrency = event.concurrency.as_ref().map(|limit| {
            quote_spanned! { limit.span() => .concurrency(#limit) }
        });
        let around = &method.around;
        quote_spanned! { span =>
            #registrar.on(
                #text,
                #root::gateway::EventHandler::named(#handler, #name) #concurrency #(#around)*,
            );
        }
    }

    fn hook(self, what: &str, taken: Taken) -> TokenStream {
        let (registrar, span) = (local("registrar"), at(self.method.ident.span()));
        let handler = self.handler(what, taken);
        let register = format_ident!("on_{what}", span = span);
        quote_spanned! { span => #registrar.#register(#handler); }
    }

    /// `Method::event(describe, call)` and its like.
    fn handler(self, what: &str, taken: Taken) -> TokenStream {
        let span = at(self.method.ident.span());
        let (gateway, what) = (local("gateway"), Ident::new(what, span));
        let (describe, root) = (self.describe(taken), self.root.at(span));
        let (names, lines): (Vec<_>, Vec<_>) = self
            .method
            .parameters
            .iter()
            .enumerate()
            .map(|(position, parameter)| self.take(parameter, position, taken))
            .unzip();
        let given = match (taken, lines.is_empty()) {
            (Taken::End, true) => quote!(_, _),
            (_, true) => quote!(_),
            _ => {
                let given = taken.given();
                quote!(#(#given),*)
            }
        };
        let future = self.future(&names, taken);
        quote_spanned! { span =>
            #root::gateway::Method::#what(
                #describe,
                {
                    let #gateway = ::std::sync::Arc::clone(&self);
                    move |#given| {
                        #(#lines)*
                        let #gateway = ::std::sync::Arc::clone(&#gateway);
                        ::std::result::Result::Ok(async move { #future })
                    }
                },
            )
        }
    }

    fn describe(self, taken: Taken) -> TokenStream {
        let parameters = &self.method.parameters;
        if parameters.is_empty() {
            return quote!(|_| {});
        }
        let described = local("parameters");
        let lines = parameters.iter().map(|parameter| {
            let path = self.path(&parameter.ty, taken, "describe");
            quote! { #path(#described); }
        });
        quote! { |#described| { #(#lines)* } }
    }

    /// The name of a parameter, and the line that takes it.
    fn take(self, parameter: &Parameter, position: usize, taken: Taken) -> (Ident, TokenStream) {
        let name = match parameter.name.as_deref() {
            // Not a name of the macro's own: those are `gateway`, `context` and the like.
            Some(name) if syn::parse_str::<Ident>(name).is_ok() => {
                Ident::new(name, Span::call_site())
            }
            _ => local(&format!("argument_{position}")),
        };
        let path = self.path(&parameter.ty, taken, taken.names().1);
        let given = taken.given();
        let line = quote! { let #name = #path(#(#given),*)?; };
        (name, line)
    }

    /// `<Type as FromEvent>::function`, of which the compiler complains where the type is written.
    fn path(self, ty: &Type, taken: Taken, function: &str) -> TokenStream {
        let span = at(ty.span());
        let (from, function) = (
            Ident::new(taken.names().0, span),
            Ident::new(function, span),
        );
        let root = self.root.at(span);
        quote_spanned! { span => <#ty as #root::gateway::#from>::#function }
    }

    /// What becomes of one call.
    fn future(self, names: &[Ident], taken: Taken) -> TokenStream {
        let method = self.method;
        let span = at(method.ident.span());
        let (ident, gateway) = (&method.ident, local("gateway"));
        let mut call = quote_spanned! { span => Self::#ident(&#gateway, #(#names),*) };
        if method.is_async {
            call = quote_spanned! { span => #call.await };
        }
        if method.returned() == Returned::Future {
            call = quote_spanned! { span => #call.await };
        }
        let span = at(match &method.output {
            ReturnType::Default => method.ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        });
        let root = self.root.at(span);
        match taken {
            Taken::Event if method.returned() == Returned::Stream => stream(&root, &call, span),
            Taken::Event => quote_spanned! { span => #root::__private::reply!(#call) },
            Taken::Socket => quote_spanned! { span => #root::__private::verdict!(#call) },
            Taken::End => quote_spanned! { span => #root::__private::ended!(#call) },
            Taken::Init => quote_spanned! { span =>
                match #call { value => #root::gateway::IntoInit::into_init(value) }
            },
        }
    }
}

/// A stream that may borrow from the gateway lives beside it, in a future of its own.
fn stream(root: &TokenStream, call: &TokenStream, span: Span) -> TokenStream {
    let (responder, item) = (local("responder"), local("item"));
    quote_spanned! { span =>
        #root::gateway::Outcome::stream(move |#responder| async move {
            let items = #root::__private::StreamExt::map(
                #call,
                |#item| #root::__private::reply!(#item),
            );
            #responder.send_all(items).await
        })
    }
}

/// A place in the user's text, for a name of the macro's own.
fn at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// A name that nothing of the user's can see, or hide.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
