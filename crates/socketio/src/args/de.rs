//! Handing all arguments to serde as one list, however they are kept.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::ops::Range;
use std::slice;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// A list of arguments, made when it is known how many are wanted.
///
/// A tuple asks for a number of items and cannot do with fewer: the list is then filled with
/// nulls. A `Vec` takes what there is.
pub(super) struct TopLevel<F>(pub(super) F);

impl<'de, A, F> Deserializer<'de> for TopLevel<F>
where
    A: SeqAccess<'de>,
    F: FnOnce(usize) -> A,
{
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq((self.0)(0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_seq((self.0)(len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_seq((self.0)(len))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_seq((self.0)(fields.len()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf seq
        map enum identifier ignored_any
    }
}

/// Arguments straight from their JSON.
pub(super) struct JsonSequence<'a> {
    text: &'a str,
    spans: slice::Iter<'a, Range<usize>>,
    /// How many nulls may follow the arguments.
    nulls: usize,
}

impl<'a> JsonSequence<'a> {
    pub(super) fn new(text: &'a str, spans: &'a [Range<usize>], at_least: usize) -> Self {
        Self {
            text,
            spans: spans.iter(),
            nulls: at_least.saturating_sub(spans.len()),
        }
    }

    fn next_text(&mut self) -> Option<&'a str> {
        if let Some(span) = self.spans.next() {
            return self.text.get(span.clone());
        }
        self.nulls = self.nulls.checked_sub(1)?;
        Some("null")
    }
}

impl<'a, 'de> SeqAccess<'de> for JsonSequence<'a>
where
    'a: 'de,
{
    type Error = serde_json::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, serde_json::Error> {
        let Some(text) = self.next_text() else {
            return Ok(None);
        };
        seed.deserialize(&mut serde_json::Deserializer::from_str(text))
            .map(Some)
    }
}
