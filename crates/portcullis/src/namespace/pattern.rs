//! Namespaces that are made on demand: `/tenant-{id}`.

use std::fmt;
use std::sync::Arc;

use portcullis_socketio::ids::NamespacePath;

/// A name with parameters, such as `/tenant-{id}` or `/shop/{shop}/orders`.
///
/// A parameter matches one or more characters other than `/`, up to the text that follows it.
/// Matching is linear and keeps no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    source: Arc<str>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Parameter(Box<str>),
}

/// Text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A brace without its partner, or a parameter without a name.
    #[error("unbalanced or empty braces")]
    Braces,
    /// Two parameters with nothing between them to tell them apart.
    #[error("two parameters without text between them")]
    Adjacent,
    /// No parameter at all: that is a static namespace.
    #[error("no parameter in the pattern")]
    Static,
    /// Two parameters of one name.
    #[error("two parameters of the same name")]
    Duplicate,
}

impl Pattern {
    /// Reads a pattern; a missing leading slash is added.
    ///
    /// # Errors
    ///
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let source = if text.starts_with('/') {
            text.to_owned()
        } else {
            format!("/{text}")
        };
        let mut pieces = Vec::new();
        let mut rest = source.as_str();
        while !rest.is_empty() {
            let (literal, tail) = rest
                .split_once('{')
                .map_or((rest, None), |(a, b)| (a, Some(b)));
            if literal.contains('}') {
                return Err(PatternError::Braces);
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
            let Some(tail) = tail else {
                break;
            };
            let (name, after) = tail.split_once('}').ok_or(PatternError::Braces)?;
            if name.is_empty() || name.contains('{') {
                return Err(PatternError::Braces);
            }
            if matches!(pieces.last(), Some(Piece::Parameter(_))) {
                return Err(PatternError::Adjacent);
            }
            let parameter = Piece::Parameter(name.into());
            if pieces.contains(&parameter) {
                return Err(PatternError::Duplicate);
            }
            pieces.push(parameter);
            rest = after;
        }
        if !pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Parameter(_)))
        {
            return Err(PatternError::Static);
        }
        Ok(Self {
            source: source.into(),
            pieces,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The parameters of `path`, if it matches.
    #[must_use]
    pub fn matches(&self, path: &NamespacePath) -> Option<Params> {
        let mut rest = path.as_str();
        let mut params = Vec::new();
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(&**literal)?,
                Piece::Parameter(name) => {
                    let end = match pieces.peek() {
                        // At least one character belongs to the parameter.
                        Some(Piece::Literal(next)) => {
                            let first = rest.chars().next()?.len_utf8();
                            first + rest.get(first..)?.find(&**next)?
                        }
                        _ => rest.len(),
                    };
                    let (value, tail) = rest.split_at_checked(end)?;
                    if value.is_empty() || value.contains('/') {
                        return None;
                    }
                    params.push((name.clone(), Box::from(value)));
                    rest = tail;
                }
            }
        }
        rest.is_empty().then(|| Params(params.into()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// What a pattern's parameters stand for in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Arc<[(Box<str>, Box<str>)]>);

impl Params {
    /// The value of one parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All parameters, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
        let params = Pattern::parse(pattern)
            .unwrap()
            .matches(&NamespacePath::parse(path).unwrap());
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        params.map(|params| params.iter().map(owned).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(
            list.iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn parameters_take_what_stands_in_their_place() {
        assert_eq!(
            matched("/tenant-{id}", "/tenant-42"),
            pairs(&[("id", "42")])
        );
        assert_eq!(
            matched("/shop/{shop}/orders-{day}", "/shop/a-b/orders-1"),
            pairs(&[("shop", "a-b"), ("day", "1")])
        );
        assert_eq!(matched("{id}", "/x"), pairs(&[("id", "x")]));
    }

    #[test]
    fn a_parameter_is_never_empty_and_never_crosses_a_slash() {
        assert_eq!(matched("/tenant-{id}", "/tenant-"), None);
        assert_eq!(matched("/tenant-{id}", "/tenant-a/b"), None);
        assert_eq!(matched("/tenant-{id}", "/other-1"), None);
        assert_eq!(matched("/{a}-x", "/1-xy"), None);
    }

    #[test]
    fn what_cannot_be_matched_clearly_is_no_pattern() {
        assert_eq!(Pattern::parse("/a{b"), Err(PatternError::Braces));
        assert_eq!(Pattern::parse("/a}b"), Err(PatternError::Braces));
        assert_eq!(Pattern::parse("/{}"), Err(PatternError::Braces));
        assert_eq!(Pattern::parse("/{a}{b}"), Err(PatternError::Adjacent));
        assert_eq!(Pattern::parse("/{a}-{a}"), Err(PatternError::Duplicate));
        assert_eq!(Pattern::parse("/plain"), Err(PatternError::Static));
    }
}
