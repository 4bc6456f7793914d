//! A tuple becomes several arguments, `()` none, anything else one.
//!
//! ```text
//!  args.serialize(Spread) ─┬─ serialize_tuple ─▶ its elements join the list
//!                          ├─ serialize_unit ──▶ nothing joins the list
//!                          └─ any other call ──▶ Whole: stops at once, and the value is
//!                                                serialised again as one element
//! ```

use std::fmt;

use serde::ser::{Error, Impossible, SerializeSeq, SerializeTuple};
use serde::{Serialize, Serializer};

use super::refusing::refuse_all_but_tuples;
use crate::value::Value;

/// The array of a packet: its event's name, if it has one, and its arguments.
pub(super) struct Arguments<'a, T: ?Sized> {
    pub(super) event: Option<&'a str>,
    pub(super) args: &'a T,
}

impl<T: Serialize + ?Sized> Serialize for Arguments<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        if let Some(event) = self.event {
            list.serialize_element(event)?;
        }
        match self.args.serialize(Spread(&mut list)) {
            Ok(()) => {}
            Err(Stop::Whole) => list.serialize_element(self.args)?,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Custom(message)) => return Err(S::Error::custom(message)),
        }
        list.end()
    }
}

/// Values that are several arguments, however many there are.
pub(super) struct Values<'a>(pub(super) &'a [Value]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in self.0 {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }
}

/// Takes tuples apart, and stops at whatever else it is given.
struct Spread<'a, L>(&'a mut L);

/// Why spreading ended early.
#[derive(Debug)]
enum Stop<E> {
    /// The value is no tuple.
    Whole,
    /// An element cannot be serialised.
    Failed(E),
    /// The value itself says that it cannot be serialised.
    Custom(String),
}

impl<E: fmt::Display> fmt::Display for Stop<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("not a tuple"),
            Self::Failed(error) => error.fmt(f),
            Self::Custom(message) => f.write_str(message),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Stop<E> {}

impl<E: fmt::Debug + fmt::Display> Error for Stop<E> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl<L: SerializeSeq> SerializeTuple for Spread<'_, L> {
    type Ok = ();
    type Error = Stop<L::Error>;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        self.0.serialize_element(value).map_err(Stop::Failed)
    }

    fn end(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<L: SerializeSeq> Serializer for Spread<'_, L> {
    type Ok = ();
    type Error = Stop<L::Error>;
    type SerializeSeq = Impossible<(), Self::Error>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Self::Error>;
    type SerializeTupleVariant = Impossible<(), Self::Error>;
    type SerializeMap = Impossible<(), Self::Error>;
    type SerializeStruct = Impossible<(), Self::Error>;
    type SerializeStructVariant = Impossible<(), Self::Error>;

    fn serialize_tuple(self, _len: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_unit(self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _value: &T,
    ) -> Result<(), Self::Error> {
        Err(Stop::Whole)
    }

    refuse_all_but_tuples!(Stop::Whole);
}
