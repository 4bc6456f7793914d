//! One variant of an error, or a struct: what its attributes say.

use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Fields, Ident, Index, LitStr, Member, Token};

use crate::problems::Problems;
use crate::root::Root;
use crate::suggest::unknown_key;

/// What is known of a variant.
pub(super) struct Variant {
    pub(super) ident: Ident,
    pub(super) told: Told,
    pub(super) details: Vec<Detail>,
}

/// What a client is told.
pub(super) enum Told {
    /// The message is what `Display` writes if there is no other.
    Openly {
        code: String,
        message: Option<LitStr>,
    },
    /// Nothing but an id.
    Internal,
    /// What the field that is named here says.
    Transparent(Member),
}

/// A field that stands in the details.
pub(super) struct Detail {
    pub(super) field: Ident,
    /// What it is called where it is used.
    pub(super) local: Ident,
}

/// What stands in the parentheses of `#[event(…)]`.
#[derive(Default)]
pub(super) struct Arguments {
    code: Option<LitStr>,
    message: Option<LitStr>,
    internal: Option<Span>,
    transparent: Option<Span>,
    /// Said above it all, and not of a variant.
    pub(super) root: Root,
}

/// Whether it is `#[event(…)]`.
pub(super) fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("event")
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key = Ident::parse_any(input)?;
            let is_repeated = match key.to_string().as_str() {
                "code" => arguments.code.replace(text(input, &key)?).is_some(),
                "message" => arguments.message.replace(text(input, &key)?).is_some(),
                "internal" => arguments.internal.replace(key.span()).is_some(),
                "transparent" => arguments.transparent.replace(key.span()).is_some(),
                "crate" => {
                    let root = Root::parse(input, key.span())?;
                    std::mem::replace(&mut arguments.root, root).is_given()
                }
                "details" => {
                    let problem = "`#[event(details)]` is for a field";
                    return Err(syn::Error::new(key.span(), problem));
                }
                other => {
                    let known = ["code", "message", "internal", "transparent"];
                    return Err(syn::Error::new(key.span(), unknown_key(other, &known)));
                }
            };
            if is_repeated {
                let problem = format!("`{key}` is given twice");
                return Err(syn::Error::new(key.span(), problem));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

fn text(input: ParseStream<'_>, key: &Ident) -> syn::Result<LitStr> {
    input.parse::<Token![=]>()?;
    let text: LitStr = input.parse()?;
    if text.value().is_empty() {
        return Err(syn::Error::new(text.span(), format!("the {key} is empty")));
    }
    Ok(text)
}

impl Arguments {
    /// What several attributes of one variant say together.
    pub(super) fn read(attributes: &[Attribute], problems: &mut Problems) -> Self {
        let mut arguments = Self::default();
        let mut ours = attributes.iter().filter(|one| is_ours(one));
        if let Some(first) = ours.next() {
            arguments = problems.attempt(first.parse_args()).unwrap_or_default();
        }
        for again in ours {
            problems.at(
                again,
                "one `#[event(…)]` says it all: put a comma between its parts",
            );
        }
        arguments
    }

    /// Whether nothing is said of what a client is told.
    pub(super) const fn is_empty(&self) -> bool {
        self.code.is_none()
            && self.message.is_none()
            && self.internal.is_none()
            && self.transparent.is_none()
    }

    fn told(self, ident: &Ident, fields: &Fields, problems: &mut Problems) -> Told {
        let (instead, name) = match (self.internal, self.transparent) {
            (Some(_), Some(span)) => {
                let problem = "what is `internal` cannot be `transparent`";
                problems.add(syn::Error::new(span, problem));
                return Told::Internal;
            }
            (Some(_), None) => (Told::Internal, "internal"),
            (None, Some(span)) => match only_field(fields) {
                Some(member) => (Told::Transparent(member), "transparent"),
                None => {
                    let problem = "a `transparent` error has one field, which says what it is";
                    problems.add(syn::Error::new(span, problem));
                    return Told::Internal;
                }
            },
            (None, None) => {
                let name = ident.unraw().to_string();
                let code = self
                    .code
                    .map_or_else(|| screaming(&name), |code| code.value());
                return Told::Openly {
                    code,
                    message: self.message,
                };
            }
        };
        for unheard in [self.code, self.message].into_iter().flatten() {
            problems.at(
                unheard,
                format!("nobody would hear this of an `{name}` error"),
            );
        }
        instead
    }
}

impl Variant {
    pub(super) fn read(
        ident: &Ident,
        arguments: Arguments,
        fields: &Fields,
        problems: &mut Problems,
    ) -> Self {
        let told = arguments.told(ident, fields, problems);
        let details = details(fields, problems);
        if let (Some(detail), Told::Internal | Told::Transparent(_)) = (details.first(), &told) {
            problems.at(
                &detail.field,
                "nobody would hear these details of the error",
            );
        }
        Self {
            ident: ident.clone(),
            told,
            details,
        }
    }
}

fn details(fields: &Fields, problems: &mut Problems) -> Vec<Detail> {
    let mut details = Vec::new();
    for field in fields {
        for attribute in field.attrs.iter().filter(|one| is_ours(one)) {
            let key = problems.attempt(attribute.parse_args::<Ident>());
            match (key, &field.ident) {
                (Some(key), Some(name)) if key == "details" => details.push(Detail {
                    field: name.clone(),
                    local: format_ident!("detail_{}", name.unraw(), span = Span::mixed_site()),
                }),
                (Some(key), None) if key == "details" => {
                    let text = "details have names: give the variant fields with names";
                    problems.at(attribute, text);
                }
                (Some(key), _) => {
                    problems.at(&key, unknown_key(&key.to_string(), &["details"]));
                }
                (None, _) => {}
            }
        }
    }
    details
}

fn only_field(fields: &Fields) -> Option<Member> {
    let mut all = fields.iter();
    let field = all.next()?;
    if all.next().is_some() {
        return None;
    }
    Some(match &field.ident {
        Some(name) => Member::Named(name.clone()),
        None => Member::Unnamed(Index::from(0)),
    })
}

/// `NotMember` as `NOT_MEMBER`.
fn screaming(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut code = String::new();
    for (position, letter) in letters.iter().enumerate() {
        let before = position
            .checked_sub(1)
            .and_then(|before| letters.get(before));
        let begins_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                let after = letters.get(position + 1);
                !before.is_uppercase() && *before != '_'
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins_word {
            code.push('_');
        }
        code.extend(letter.to_uppercase());
    }
    code
}

#[cfg(test)]
mod tests {
    use super::screaming;

    #[test]
    fn a_code_is_the_name_in_capitals_with_words_apart() {
        for (name, code) in [
            ("NotMember", "NOT_MEMBER"),
            ("Db", "DB"),
            ("HTTPError", "HTTP_ERROR"),
            ("Over9000", "OVER9000"),
            ("NoV4Address", "NO_V4_ADDRESS"),
            ("Already_Split", "ALREADY_SPLIT"),
        ] {
            assert_eq!(screaming(name), code);
        }
    }
}
