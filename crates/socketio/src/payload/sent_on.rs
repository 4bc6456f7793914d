//! Finding out that what is sent are arguments as they were received, which need no serialising.

use std::fmt;

use serde::ser::{Error, Impossible};
use serde::{Serialize, Serializer};

use super::refusing::refuse_all_but_tuples;
use crate::args::{Args, SENT_ON, being_sent_on};

/// The received arguments that `value` is, if it is some.
pub(super) fn received<T: Serialize + ?Sized>(value: &T) -> Option<Args> {
    value.serialize(Detect).ok()
}

/// Stops at the first call, whatever it is.
struct Detect;

/// It is something else.
#[derive(Debug)]
struct Other;

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not received arguments")
    }
}

impl std::error::Error for Other {}

impl Error for Other {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl Serializer for Detect {
    type Ok = Args;
    type Error = Other;
    type SerializeSeq = Impossible<Args, Other>;
    type SerializeTuple = Impossible<Args, Other>;
    type SerializeTupleStruct = Impossible<Args, Other>;
    type SerializeTupleVariant = Impossible<Args, Other>;
    type SerializeMap = Impossible<Args, Other>;
    type SerializeStruct = Impossible<Args, Other>;
    type SerializeStructVariant = Impossible<Args, Other>;

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _value: &T,
    ) -> Result<Args, Other> {
        if name == SENT_ON {
            return being_sent_on().ok_or(Other);
        }
        Err(Other)
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self::SerializeTuple, Other> {
        Err(Other)
    }

    fn serialize_unit(self) -> Result<Args, Other> {
        Err(Other)
    }

    refuse_all_but_tuples!(Other);
}
