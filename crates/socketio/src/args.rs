//! The arguments of a received event or ack: raw until somebody asks for them with a type.
//!
//! ```text
//!  codec ─▶ Args: JSON text, spans, attachments ─┬─ no attachments ─▶ serde_json ─▶ T
//!           Args: msgpack bytes, spans ──────────┴─ otherwise ─▶ Value ─▶ T
//! ```
//!
//! An event that no handler wants costs one scan. With attachments the way leads through
//! [`Value`], because placeholders must be resolved wherever they are, below `#[serde(flatten)]`
//! and untagged enums too, where serde looks at a value before a type does.
//!
//! # Invariants
//!
//! - Arguments are valid from the start: what fails later is their shape, never their syntax.
//! - A struct is read from an object, never from a list.
//! - A missing argument is null, a surplus one is ignored, as in a JavaScript function.
//!
//! # Not here
//!
//! Validity (`codec`); arguments that leave ([`crate::payload`]).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

mod by_name;
mod de;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use self::by_name::ByName;
use self::de::{JsonSequence, TopLevel};
use crate::value::{Sequence, Value, ValueError};
use crate::{MAX_DEPTH, attachments, json, msgpack};

/// Where in the raw form each argument is.
pub(crate) type Spans = SmallVec<[Range<usize>; 2]>;

/// The arguments of one received packet. Cheap to clone.
///
/// ```
/// use portcullis_socketio::args::Args;
/// use portcullis_socketio::value::Value;
///
/// let args = Args::from_values(vec![Value::from("lobby"), Value::from(7)]);
///
/// assert_eq!(args.get::<String>(0).unwrap(), "lobby");
/// assert_eq!(args.parse::<(String, u8)>().unwrap(), ("lobby".to_owned(), 7));
/// assert_eq!(args.get::<Option<u8>>(2).unwrap(), None);
/// ```
#[derive(Clone, Default)]
pub struct Args(
    /// `None` when there are no arguments.
    Option<Arc<Repr>>,
);

enum Repr {
    Json {
        text: Box<str>,
        spans: Spans,
        attachments: Vec<Bytes>,
    },
    Msgpack {
        bytes: Bytes,
        spans: Spans,
    },
    Values(Vec<Value>),
}

impl Args {
    /// No arguments.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Arguments that are values already, as they come from another node.
    #[must_use]
    pub fn from_values(values: Vec<Value>) -> Self {
        if values.is_empty() {
            return Self::empty();
        }
        Self(Some(Arc::new(Repr::Values(values))))
    }

    /// Arguments within valid JSON, whose placeholders have been checked.
    pub(crate) fn from_json(
        text: impl Into<Box<str>>,
        spans: Spans,
        attachments: Vec<Bytes>,
    ) -> Self {
        if spans.is_empty() {
            return Self::empty();
        }
        Self(Some(Arc::new(Repr::Json {
            text: text.into(),
            spans,
            attachments,
        })))
    }

    /// Arguments within valid msgpack.
    pub(crate) fn from_msgpack(bytes: Bytes, spans: Spans) -> Self {
        if spans.is_empty() {
            return Self::empty();
        }
        Self(Some(Arc::new(Repr::Msgpack { bytes, spans })))
    }

    /// How many arguments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Repr::Json { spans, .. } | Repr::Msgpack { spans, .. }) => spans.len(),
            Some(Repr::Values(values)) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory the arguments keep, attachments included, for bounds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        // Of many arguments, where each one is can take far more room than the text.
        let places = |spans: &Spans| match spans.spilled() {
            true => spans.capacity().saturating_mul(size_of::<Range<usize>>()),
            false => 0,
        };
        match self.0.as_deref() {
            None => 0,
            Some(Repr::Json {
                text,
                spans,
                attachments,
            }) => attachments
                .iter()
                .map(Bytes::len)
                .fold(text.len(), usize::saturating_add)
                .saturating_add(places(spans)),
            Some(Repr::Msgpack { bytes, spans }) => bytes.len().saturating_add(places(spans)),
            Some(Repr::Values(values)) => values
                .iter()
                .map(Value::size_bytes)
                .fold(0, usize::saturating_add),
        }
    }

    /// The argument at `index`, as a type. A missing argument is read from null.
    ///
    /// # Errors
    ///
    /// An argument of another shape.
    pub fn get<T: DeserializeOwned>(&self, index: usize) -> Result<T, ArgsError> {
        if let Some(text) = self.plain_json(index)
            && let Ok(argument) =
                T::deserialize(ByName(&mut serde_json::Deserializer::from_str(text)))
        {
            return Ok(argument);
        }
        // The slow way: for attachments and msgpack, for what JavaScript's JSON has beyond
        // serde's, and to say what is wrong in an error that quotes nothing.
        T::deserialize(ByName(self.value(index))).map_err(|cause| ArgsError {
            argument: Some(index),
            cause,
        })
    }

    /// All arguments, as a tuple. Missing ones are read from null, surplus ones are ignored.
    ///
    /// ```
    /// use portcullis_socketio::args::Args;
    /// use portcullis_socketio::value::Value;
    ///
    /// let args = Args::from_values(vec![Value::from("lobby")]);
    /// let (room, limit): (String, Option<u32>) = args.parse().unwrap();
    /// assert_eq!((room.as_str(), limit), ("lobby", None));
    /// ```
    ///
    /// # Errors
    ///
    /// An argument of another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        if let Some(Repr::Json {
            text,
            spans,
            attachments,
        }) = self.0.as_deref()
            && attachments.is_empty()
            && let Ok(arguments) =
                T::deserialize(TopLevel(|len| ByName(JsonSequence::new(text, spans, len))))
        {
            return Ok(arguments);
        }
        let values = self.all_values();
        T::deserialize(TopLevel(|len| ByName(Sequence::padded(values, len)))).map_err(|error| {
            let (argument, cause) = error.split_outer_index();
            ArgsError { argument, cause }
        })
    }

    /// All arguments, as they are.
    ///
    /// # Errors
    ///
    /// None yet: a packet's arguments have been checked when it arrived.
    pub fn values(&self) -> Result<Vec<Value>, ArgsError> {
        Ok(self.all_values())
    }

    fn all_values(&self) -> Vec<Value> {
        self.to_values().into_owned()
    }

    /// All arguments, read if they were not yet.
    pub(crate) fn to_values(&self) -> Cow<'_, [Value]> {
        match self.0.as_deref() {
            Some(Repr::Values(values)) => Cow::Borrowed(values),
            _ => (0..self.len()).map(|index| self.value(index)).collect(),
        }
    }

    /// The JSON of all arguments, with its commas, and what its placeholders stand for.
    pub(crate) fn json(&self) -> Option<(&str, &[Bytes])> {
        let Some(Repr::Json {
            text,
            spans,
            attachments,
        }) = self.0.as_deref()
        else {
            return None;
        };
        let (first, last) = (spans.first()?, spans.last()?);
        Some((text.get(first.start..last.end)?, attachments))
    }

    /// The JSON of one argument, if it has no placeholders.
    fn plain_json(&self, index: usize) -> Option<&str> {
        match self.0.as_deref()? {
            Repr::Json {
                text,
                spans,
                attachments,
            } if attachments.is_empty() => text.get(spans.get(index)?.clone()),
            _ => None,
        }
    }

    /// One argument, or null. The raw forms were checked when they arrived, so reading succeeds.
    fn value(&self, index: usize) -> Value {
        self.try_value(index).unwrap_or_default()
    }

    fn try_value(&self, index: usize) -> Option<Value> {
        match self.0.as_deref()? {
            Repr::Json {
                text,
                spans,
                attachments,
            } => {
                let argument = text.get(spans.get(index)?.clone())?;
                let mut value = json::parse(argument).ok()?;
                if !attachments.is_empty() {
                    attachments::resolve(&mut value, attachments);
                }
                Some(value)
            }
            Repr::Msgpack { bytes, spans } => {
                let span = spans.get(index)?.clone();
                // `slice` would panic on a span that is not inside, which `get` rules out.
                bytes.get(span.clone())?;
                msgpack::decode_shared(&bytes.slice(span), MAX_DEPTH).ok()
            }
            Repr::Values(values) => values.get(index).cloned(),
        }
    }
}

/// Sizes only: arguments may hold what must not be logged.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("len", &self.len())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

/// The name under which received arguments are serialised, for a serializer that sends them on as
/// they came. To any other, a newtype is what is in it.
pub(crate) const SENT_ON: &str = "$portcullis::Args";

thread_local! {
    /// Which arguments are being serialised under [`SENT_ON`]: serde hands over types that are
    /// forgotten, and values piece by piece, but nothing whole.
    static CURRENT: Cell<Option<Args>> = const { Cell::new(None) };
}

/// As a tuple, so that emitting received arguments again spreads them.
impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CURRENT.set(Some(self.clone()));
        let done = serializer.serialize_newtype_struct(SENT_ON, &Late(self));
        CURRENT.set(None);
        done
    }
}

/// The arguments that are being serialised under [`SENT_ON`] on this thread right now.
pub(crate) fn being_sent_on() -> Option<Args> {
    CURRENT.take()
}

/// Arguments that are read only if somebody wants their values.
struct Late<'a>(&'a Args);

impl Serialize for Late<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Separate(&self.0.to_values()).serialize(serializer)
    }
}

/// Values as a tuple.
pub(crate) struct Separate<'a>(pub(crate) &'a [Value]);

impl Serialize for Separate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

/// Arguments that do not have the shape which a handler asks for.
///
/// Says which argument, where in it and what is wrong there, and quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgsError {
    argument: Option<usize>,
    cause: ValueError,
}

impl ArgsError {
    /// Which argument, if it is one and not their number.
    #[must_use]
    pub const fn argument(&self) -> Option<usize> {
        self.argument
    }

    /// Where in the argument: `user.tags[2]`, or nothing if it is the argument itself.
    #[must_use]
    pub fn path(&self) -> String {
        self.cause.path()
    }

    /// What is wrong there, without any of the peer's own data.
    #[must_use]
    pub fn message(&self) -> &str {
        self.cause.message()
    }

    /// What the type itself had to say. This may quote the argument: never send it to a peer.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.cause.detail()
    }
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            Some(index) => write!(f, "argument {index}: {}", self.cause),
            None => write!(f, "arguments: {}", self.cause),
        }
    }
}

impl std::error::Error for ArgsError {}
