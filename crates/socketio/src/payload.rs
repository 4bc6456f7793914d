//! What leaves: an event or an answer, serialised once.
//!
//! ```text
//!  ("say", Bytes, 1) ─▶ serde ─▶ JSON text  ["file",{"_placeholder":true,"num":0},1]
//!                           └──▶ attachments  [Bytes]
//!                                    │ only when asked for
//!                                    └──▶ values ─▶ msgpack
//!  received arguments ─▶ the same; with points in time, which are texts in JSON, their values too
//! ```
//!
//! # Invariants
//!
//! - A payload is one JSON array that nests at most [`MAX_DEPTH`] deep, and each of its
//!   placeholders has an attachment of its own: no data can forge one.
//! - Binary is what a type serialises as bytes: `Bytes`, `serde_bytes`. A plain `Vec<u8>` is a list
//!   of numbers to serde, and stays one.
//!
//! # Not here
//!
//! The packet around it (`codec`).

mod extract;
mod refusing;
mod sent_on;
mod spread;

use bytes::Bytes;
use serde::Serialize;

use self::extract::Extract;
use self::spread::Arguments;
use crate::args::{Args, Separate};
use crate::packet::is_reserved;
use crate::value::Value;
use crate::{MAX_DEPTH, attachments, json, msgpack};

/// The serialised name and arguments of an event, or the arguments of an ack.
///
/// # Arguments
///
/// A Rust tuple is several arguments, `()` is none, and anything else is one: a `Vec` is one
/// argument that is a list. To serde a fixed-size array such as `[u8; 2]` is a tuple too, and is
/// spread; a slice is not.
///
/// ```
/// use portcullis_socketio::payload::Payload;
///
/// let payload = Payload::event("say", &("lobby", [1, 2].as_slice())).unwrap();
/// assert_eq!(payload.json(), br#"["say","lobby",[1,2]]"#);
///
/// let payload = Payload::args(&vec!["lobby", "hall"]).unwrap();
/// assert_eq!(payload.json(), br#"[["lobby","hall"]]"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    json: Vec<u8>,
    attachments: Vec<Bytes>,
    /// The same array in msgpack, if JSON does not hold all of it.
    exact: Option<Bytes>,
}

impl Payload {
    /// Serialises an event.
    ///
    /// # Errors
    ///
    /// Names that have a meaning of their own to clients, what the type's own serialisation
    /// refuses, arguments that nest too deep, and a map with the key `_placeholder` next to
    /// binary data, which clients would take for an attachment.
    pub fn event<T: Serialize + ?Sized>(event: &str, args: &T) -> Result<Self, EncodeError> {
        check_name(event)?;
        Self::serialize(Some(event), args)
    }

    /// Serialises the answer to an event.
    ///
    /// # Errors
    ///
    /// As [`Payload::event`], which has a name besides.
    pub fn args<T: Serialize + ?Sized>(args: &T) -> Result<Self, EncodeError> {
        Self::serialize(None, args)
    }

    /// Sends on what was received, as an event or as an answer.
    ///
    /// JSON is copied as it came, without looking at its content. Points in time stay what they
    /// are, for nodes and clients that speak msgpack; those of an application's own types are
    /// texts.
    ///
    /// # Errors
    ///
    /// As [`Payload::event`].
    pub fn from_args(event: Option<&str>, args: &Args) -> Result<Self, EncodeError> {
        if let Some(event) = event {
            check_name(event)?;
        }
        let Some((text, attachments)) = args.json() else {
            return Self::from_values(event, &args.to_values());
        };
        let mut json = Vec::with_capacity(text.len() + event.map_or(0, str::len) + 8);
        json.push(b'[');
        if let Some(event) = event {
            serde_json::to_writer(&mut json, event)?;
            json.push(b',');
        }
        json.extend_from_slice(text.as_bytes());
        json.push(b']');
        Ok(Self {
            json,
            attachments: attachments.to_vec(),
            exact: None,
        })
    }

    /// Serialises values that are there already, such as another node sent: an event, or an answer.
    /// Points in time stay what they are, as with [`Payload::from_args`].
    ///
    /// # Errors
    ///
    /// As [`Payload::event`].
    pub fn from_values(event: Option<&str>, args: &[Value]) -> Result<Self, EncodeError> {
        if let Some(event) = event {
            check_name(event)?;
        }
        let mut payload = Self::serialize_anew(event, &Separate(args))?;
        payload.exact = exact(event, args);
        Ok(payload)
    }

    fn serialize<T: Serialize + ?Sized>(
        event: Option<&str>,
        args: &T,
    ) -> Result<Self, EncodeError> {
        match sent_on::received(args) {
            Some(received) => Self::from_args(event, &received),
            None => Self::serialize_anew(event, args),
        }
    }

    fn serialize_anew<T: Serialize + ?Sized>(
        event: Option<&str>,
        args: &T,
    ) -> Result<Self, EncodeError> {
        let mut json = Vec::with_capacity(128);
        let mut extract = Extract::default();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, extract.formatter());
        Arguments { event, args }.serialize(&mut serializer)?;
        let attachments = extract.finish()?;
        Ok(Self {
            json,
            attachments,
            exact: None,
        })
    }

    /// The text of the JSON array.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// What the placeholders stand for, in order. Clients refuse more than ten by default.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Whether anything in it is binary.
    #[must_use]
    pub const fn has_attachments(&self) -> bool {
        !self.attachments.is_empty()
    }

    /// How much memory it keeps, attachments included, for bounds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let exact = self.exact.as_ref().map_or(0, Bytes::len);
        self.json.len() + exact + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The items of the array, with the attachments in their places.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        let exact = self.exact.as_ref();
        if let Some(Ok(Value::Array(items))) =
            exact.map(|bytes| msgpack::decode_shared(bytes, MAX_DEPTH))
        {
            return items;
        }
        let parsed = std::str::from_utf8(&self.json)
            .ok()
            .and_then(|text| json::parse(text).ok());
        let Some(Value::Array(mut items)) = parsed else {
            debug_assert!(false, "a payload is a JSON array by construction");
            return Vec::new();
        };
        if self.has_attachments() {
            for item in &mut items {
                attachments::resolve(item, &self.attachments);
            }
        }
        items
    }

    /// Appends the array as the msgpack of clients, with the attachments in their places.
    pub fn to_msgpack(&self, out: &mut Vec<u8>) {
        let items = self.values();
        msgpack::write_array_len(out, items.len());
        for item in &items {
            msgpack::encode_for_clients(item, out);
        }
    }
}

/// The event and its arguments in msgpack, if there is a point in time among them.
fn exact(event: Option<&str>, args: &[Value]) -> Option<Bytes> {
    if !args.iter().any(Value::has_timestamp) {
        return None;
    }
    let mut out = Vec::with_capacity(128);
    msgpack::write_array_len(&mut out, args.len() + usize::from(event.is_some()));
    if let Some(event) = event {
        msgpack::write_str(&mut out, event);
    }
    for value in args {
        msgpack::encode(value, &mut out);
    }
    Some(out.into())
}

fn check_name(event: &str) -> Result<(), EncodeError> {
    if is_reserved(event) {
        return Err(EncodeError::Reserved {
            event: event.to_owned(),
        });
    }
    Ok(())
}

/// A value that cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The name has a meaning of its own to clients.
    #[error("{event:?} is a reserved event name")]
    Reserved {
        /// The name.
        event: String,
    },
    /// The type's own serialisation fails, or a key of a map is not text.
    #[error("the value cannot be serialised")]
    Serialize(#[from] serde_json::Error),
    /// Containers nest deeper than peers accept.
    #[error("the value nests deeper than {MAX_DEPTH} containers")]
    TooDeep,
    /// A map could be taken for an attachment.
    #[error("a map next to binary data has the key \"_placeholder\"")]
    ForgedPlaceholder,
}
