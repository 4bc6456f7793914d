//! What stands in the parentheses of `#[gateway(…)]` and `#[subscribe(…)]`.

use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Token};

use super::namespace;
use crate::root::Root;
use crate::suggest::unknown_key;

/// `#[gateway(namespace = "/chat", public, name = "Chat")]`
#[derive(Default)]
pub(super) struct GatewayArguments {
    pub(super) namespace: Option<LitStr>,
    pub(super) name: Option<LitStr>,
    pub(super) is_public: bool,
    pub(super) root: Root,
}

impl Parse for GatewayArguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            if input.peek(LitStr) {
                return Err(input.error("say what the text is: `namespace = \"/chat\"`"));
            }
            let key = Ident::parse_any(input)?;
            let text = key.to_string();
            let is_repeated = match text.as_str() {
                "namespace" => {
                    let value = string(input, &key, "/chat")?;
                    namespace::check(&value.value())
                        .map_err(|problem| syn::Error::new(value.span(), problem))?;
                    arguments.namespace.replace(value).is_some()
                }
                "name" => {
                    let value = string(input, &key, "Chat")?;
                    if value.value().is_empty() {
                        return Err(syn::Error::new(value.span(), "the name is empty"));
                    }
                    arguments.name.replace(value).is_some()
                }
                "public" => {
                    if input.peek(Token![=]) {
                        return Err(input.error("`public` stands alone"));
                    }
                    std::mem::replace(&mut arguments.is_public, true)
                }
                "crate" => {
                    let root = Root::parse(input, key.span())?;
                    std::mem::replace(&mut arguments.root, root).is_given()
                }
                _ => {
                    let problem = unknown_key(&text, &["namespace", "name", "public", "crate"]);
                    return Err(syn::Error::new(key.span(), problem));
                }
            };
            if is_repeated {
                return Err(repeated(&key));
            }
            comma(input)?;
        }
        Ok(arguments)
    }
}

/// `#[subscribe("say", concurrency = 8)]`
pub(super) struct SubscribeArguments {
    pub(super) event: LitStr,
    pub(super) concurrency: Option<Expr>,
}

/// Events of the protocol itself: clients cannot send them, or applications would take them for
/// what they are not.
const RESERVED: &[&str] = &[
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

impl Parse for SubscribeArguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(LitStr) {
            return Err(input.error("the event comes first, as a text: `#[subscribe(\"say\")]`"));
        }
        let event: LitStr = input.parse()?;
        check_event(&event)?;
        let mut concurrency = None;
        comma(input)?;
        while !input.is_empty() {
            if input.peek(LitStr) {
                return Err(input
                    .error("one event for each attribute: write another `#[subscribe(…)]` below"));
            }
            let key: Ident = input.parse()?;
            if key != "concurrency" {
                let problem = unknown_key(&key.to_string(), &["concurrency"]);
                return Err(syn::Error::new(key.span(), problem));
            }
            input.parse::<Token![=]>()?;
            let limit: Expr = input.parse()?;
            check_limit(&limit)?;
            if concurrency.replace(limit).is_some() {
                return Err(repeated(&key));
            }
            comma(input)?;
        }
        Ok(Self { event, concurrency })
    }
}

fn check_event(event: &LitStr) -> syn::Result<()> {
    let name = event.value();
    if name.is_empty() {
        return Err(syn::Error::new(event.span(), "the event has no name"));
    }
    if !RESERVED.contains(&name.as_str()) {
        return Ok(());
    }
    let instead = match name.as_str() {
        "connect" => "; a socket that connects is handled with `#[on_connect]`",
        "disconnect" | "disconnecting" => "; a socket that left is handled with `#[on_disconnect]`",
        _ => "",
    };
    let problem = format!("`{name}` is an event of the protocol itself{instead}");
    Err(syn::Error::new(event.span(), problem))
}

fn check_limit(limit: &Expr) -> syn::Result<()> {
    if let Expr::Lit(ExprLit { lit, .. }) = limit {
        match lit {
            Lit::Int(number) if number.base10_parse::<usize>().is_ok_and(|limit| limit > 0) => {}
            _ => {
                let problem = "how many may be in flight at once: a number from 1 up";
                return Err(syn::Error::new(lit.span(), problem));
            }
        }
    }
    Ok(())
}

fn string(input: ParseStream<'_>, key: &Ident, example: &str) -> syn::Result<LitStr> {
    let expected = format!("`{key}` is a text: `{key} = \"{example}\"`");
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), expected));
    }
    input.parse::<Token![=]>()?;
    if input.peek(LitStr) {
        input.parse()
    } else {
        Err(input.error(expected))
    }
}

fn comma(input: ParseStream<'_>) -> syn::Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

fn repeated(key: &Ident) -> syn::Error {
    syn::Error::new(key.span(), format!("`{key}` is given twice"))
}
