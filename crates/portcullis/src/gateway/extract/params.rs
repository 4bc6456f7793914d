//! The parameters of a namespace's pattern, as a type.

use std::any::type_name;

use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::FromSocket;
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;
use crate::namespace::Socket;

/// What the parameters of the namespace's pattern stand for, as a struct with their names: numbers
/// and truth values are read from their text.
///
/// ```
/// use portcullis::gateway::Params;
///
/// #[derive(serde::Deserialize)]
/// struct Tenant {
///     id: u32,
/// }
///
/// // In a gateway of `/tenant-{id}`:
/// async fn joined(Params(tenant): Params<Tenant>) {
///     let _ = tenant.id;
/// }
/// ```
///
/// A name whose parameters are not a `T` refuses the client at connect, with the code
/// `INVALID_PARAMS`, if `on_connect` asks for it; an event is answered with that error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "taken apart in the handler's parameters"
)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromSocket for Params<T> {
    fn from_socket(socket: &Socket) -> Result<Self, EventError> {
        let entries = socket.params().iter();
        let map = MapDeserializer::<_, Error>::new(entries.map(|(name, text)| (name, Text(text))));
        T::deserialize(map).map(Self).map_err(|_| {
            EventError::new("INVALID_PARAMS", "The namespace's parameters are not valid")
        })
    }

    fn describe(parameters: &mut Parameters) {
        parameters.needs_pattern(type_name::<T>());
    }
}

/// The text of one parameter, read as whatever the type wants.
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, Error> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! read {
    ($($method:ident => $visit:ident,)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                match self.0.parse() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => visitor.visit_borrowed_str(self.0),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    read! {
        deserialize_bool => visit_bool,
        deserialize_i8 => visit_i8,
        deserialize_i16 => visit_i16,
        deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64,
        deserialize_i128 => visit_i128,
        deserialize_u8 => visit_u8,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
        deserialize_u128 => visit_u128,
        deserialize_f32 => visit_f32,
        deserialize_f64 => visit_f64,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        IntoDeserializer::<Error>::into_deserializer(self.0)
            .deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
