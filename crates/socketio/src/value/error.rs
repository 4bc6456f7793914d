//! Saying where a value has the wrong shape, without saying what was there.
//!
//! # Invariants
//!
//! - An error has the path and the kinds involved, never a value: it may be sent to a peer. What a
//!   type's own code says may quote the value, and is kept apart.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// The longest key that is named in the path of an error.
const MAX_STEP_LEN_BYTES: usize = 64;

/// A value that does not have the shape which a type asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    /// From the inside out, as they are met on the way back.
    steps: Vec<Step>,
    message: String,
    detail: Option<String>,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Index(usize),
    Key(String),
    /// A key that is no name, and so may be data.
    SomeKey,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, ".{key}"),
            Self::SomeKey => f.write_str("[key]"),
        }
    }
}

impl ValueError {
    fn new(message: String) -> Self {
        Self(Box::new(Inner {
            steps: Vec::new(),
            message,
            detail: None,
        }))
    }

    /// Where in the value: `user.tags[2]`, or nothing if it is the value itself.
    #[must_use]
    pub fn path(&self) -> String {
        let path: String = self.0.steps.iter().rev().map(Step::to_string).collect();
        path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
    }

    /// What is wrong there, without any of the peer's own data.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the type itself had to say. This may quote the value: never send it to a peer.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The same error, seen from the list around the item.
    pub(super) fn inside_index(mut self, index: usize) -> Self {
        self.0.steps.push(Step::Index(index));
        self
    }

    /// The same error, seen from the map around the value.
    pub(super) fn inside_key(mut self, key: &str) -> Self {
        let is_plain = !key.is_empty()
            && key.len() <= MAX_STEP_LEN_BYTES
            && key
                .chars()
                .all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'));
        self.0.steps.push(if is_plain {
            Step::Key(key.to_owned())
        } else {
            Step::SomeKey
        });
        self
    }

    /// The same error, about a field of the type, whose name is no data.
    fn at_field(mut self, name: &'static str) -> Self {
        self.0.steps.push(Step::Key(name.to_owned()));
        self
    }

    /// Takes the outermost step away, if it is an index.
    pub(crate) fn split_outer_index(mut self) -> (Option<usize>, Self) {
        let Some(Step::Index(index)) = self.0.steps.last() else {
            return (None, self);
        };
        let index = *index;
        self.0.steps.pop();
        (Some(index), self)
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ValueError {}

impl de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let mut error = Self::new("invalid value".to_owned());
        error.0.detail = Some(message.to_string());
        error
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid type: {}, expected {}",
            kind(&found),
            wanted(expected)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid value: {}, expected {}",
            kind(&found),
            wanted(expected)
        ))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid length {len}, expected {}",
            wanted(expected)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("missing field".to_owned()).at_field(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("duplicate field".to_owned()).at_field(field)
    }

    fn unknown_variant(_found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown variant, expected one of {}",
            expected.join(", ")
        ))
    }

    fn unknown_field(_found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown field, expected one of {}",
            expected.join(", ")
        ))
    }
}

/// What was wanted, in JSON's words where serde has Rust's.
fn wanted(expected: &dyn Expected) -> String {
    let words = expected.to_string();
    if words.starts_with("struct ") {
        return "an object".to_owned();
    }
    if words.starts_with("tuple struct ") || words.starts_with("tuple variant ") {
        return "an array".to_owned();
    }
    words
}

/// What was found, without its content.
const fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "floating point number",
        Unexpected::Char(_) => "character",
        Unexpected::Str(_) => "string",
        Unexpected::Bytes(_) => "binary data",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::NewtypeStruct => "newtype struct",
        Unexpected::Seq => "array",
        Unexpected::Map => "object",
        Unexpected::Enum => "enum",
        Unexpected::UnitVariant => "unit variant",
        Unexpected::NewtypeVariant => "newtype variant",
        Unexpected::TupleVariant => "tuple variant",
        Unexpected::StructVariant => "struct variant",
        Unexpected::Other(_) => "something else",
    }
}
