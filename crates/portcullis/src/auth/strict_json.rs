//! A reader for JSON objects from strangers: bounded in depth, and no key twice.
//!
//! serde keeps the last of two equal keys when it reads into a map, and other readers keep the
//! first. Where two parties read the same signed text differently, one of them is deceived, so a
//! repeated key is refused wherever in the tree it stands (RFC 8259 section 4, RFC 7519 section 4).
//!
//! ```text
//!  text ─▶ members of the top object, each still raw text ─▶ walk into each, one level at a time
//!                                                            depth, duplicates, strings
//! ```
//!
//! Grammar and escapes are `serde_json`'s. Values stay raw text until somebody asks for one, so no
//! number is rounded and no feature of `serde_json` that another crate switches on (such as
//! `arbitrary_precision`) changes what is seen here.
//!
//! # Invariants
//!
//! - Recursion never goes deeper than the caller's limit, whatever the input.
//! - The work is at most depth times length.
//!
//! # Not here
//!
//! Bounds in bytes: whoever holds the text checks its length before calling.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is not a JSON object that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// It is not JSON, or not an object.
    #[error("not a JSON object")]
    Malformed,
    /// Its arrays and objects are nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// One object in it has a key twice, possibly spelled with different escapes.
    #[error("a key occurs twice in one object")]
    DuplicateKey,
}

/// A JSON object whose members are still raw text.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    members: Vec<(String, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// Reads an object and walks its whole tree. The object itself is at depth 1.
    ///
    /// # Errors
    ///
    /// Every way in which the text can be refused is a [`JsonProblem`].
    pub(crate) fn parse(text: &'a [u8], max_depth: usize) -> Result<Self, JsonProblem> {
        let text = std::str::from_utf8(text).map_err(|_| JsonProblem::Malformed)?;
        let object = Self::parse_top(text)?;
        object.check(1, max_depth)?;
        Ok(object)
    }

    /// Reads an object and looks no deeper than its own members.
    ///
    /// Keys may repeat; [`Object::all`] shows whether one does.
    pub(crate) fn parse_top(text: &'a str) -> Result<Self, JsonProblem> {
        serde_json::from_str(text).map_err(|_| JsonProblem::Malformed)
    }

    /// The value of `key`; the first one, where the object may have several.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.all(key).next()
    }

    /// Every value of `key`.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = Value<'a>> {
        self.members
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|&(_, value)| value)
    }

    fn check(&self, depth: usize, max_depth: usize) -> Result<(), JsonProblem> {
        if depth > max_depth {
            return Err(JsonProblem::TooDeep);
        }
        let mut seen = HashSet::with_capacity(self.members.len());
        if !self
            .members
            .iter()
            .all(|(name, _)| seen.insert(name.as_str()))
        {
            return Err(JsonProblem::DuplicateKey);
        }
        self.members
            .iter()
            .try_for_each(|(_, value)| value.check(depth + 1, max_depth))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Value(raw.get())));
                }
                Ok(Object { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// One JSON value, as the text that it was written with.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl Value<'_> {
    /// Whether this is the literal `null`.
    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The content, if this is a string.
    pub(crate) fn to_text(self) -> Option<String> {
        // serde_json would read a string from nothing but a string.
        serde_json::from_str(self.0).ok()
    }

    /// The contents, if this is an array of nothing but strings.
    pub(crate) fn to_texts(self) -> Option<Vec<String>> {
        serde_json::from_str(self.0).ok()
    }

    /// The value, if this is a number. Beyond the range of `f64` it is infinite.
    pub(crate) fn to_number(self) -> Option<f64> {
        // The JSON grammar was checked already, and a JSON value that starts so is a number. Rust
        // reads every JSON number.
        let starts_as_number = self.0.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if starts_as_number {
            self.0.parse().ok()
        } else {
            None
        }
    }

    /// `depth` is where this value stands, should it be an array or object.
    fn check(self, depth: usize, max_depth: usize) -> Result<(), JsonProblem> {
        match self.0.as_bytes().first() {
            Some(b'{') => {
                if depth > max_depth {
                    return Err(JsonProblem::TooDeep);
                }
                Object::parse_top(self.0)?.check(depth, max_depth)
            }
            Some(b'[') => {
                if depth > max_depth {
                    return Err(JsonProblem::TooDeep);
                }
                let items: Vec<&RawValue> =
                    serde_json::from_str(self.0).map_err(|_| JsonProblem::Malformed)?;
                items
                    .iter()
                    .try_for_each(|raw| Value(raw.get()).check(depth + 1, max_depth))
            }
            // Skipping over a raw string does not pair its surrogates; reading it does.
            Some(b'"') => self.to_text().map(drop).ok_or(JsonProblem::Malformed),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes, redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<JsonProblem> {
        Object::parse(text.as_bytes(), 4).err()
    }

    #[test]
    fn only_a_json_object_is_an_object() {
        for text in [
            "",
            " ",
            "null",
            "1",
            "\"a\"",
            "[]",
            "[{}]",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":0x1}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":[\"\\udc00\"]}",
            "{\"\\ud800\":1}",
            "{/**/}",
            "\u{feff}{}",
        ] {
            assert_eq!(problem(text), Some(JsonProblem::Malformed), "{text}");
        }
        assert_eq!(
            Object::parse(b"{\"a\":\"\xff\"}", 4).err(),
            Some(JsonProblem::Malformed)
        );
    }

    #[test]
    fn a_repeated_key_is_found_wherever_it_stands() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[0,{"a":1,"a":2}]}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert_eq!(problem(text), Some(JsonProblem::DuplicateKey), "{text}");
        }
        assert_eq!(
            problem(r#"{"a":{"a":1},"b":{"a":1},"A":[{"a":1},{"a":1}]}"#),
            None
        );
    }

    #[test]
    fn depth_is_counted_from_the_object_itself() {
        assert_eq!(problem(r#"{"a":[[[1]]]}"#), None);
        assert_eq!(problem(r#"{"a":[[[[]]]]}"#), Some(JsonProblem::TooDeep));
        assert_eq!(problem(r#"{"a":{"a":{"a":{}}}}"#), None);
        assert_eq!(
            problem(r#"{"a":{"a":{"a":{"a":{}}}}}"#),
            Some(JsonProblem::TooDeep)
        );
    }

    #[test]
    fn hostile_nesting_costs_no_stack() {
        let depth = 200_000;
        let text = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(problem(&text), Some(JsonProblem::TooDeep));
        assert_eq!(problem(&"[".repeat(depth)), Some(JsonProblem::Malformed));
        assert_eq!(
            problem(&"{\"a\":".repeat(depth)),
            Some(JsonProblem::Malformed)
        );
    }

    #[test]
    fn a_value_is_read_only_as_what_it_is() {
        let text = r#"{"t":"a\u00e9","n":-1.5e3,"z":null,"l":["a","b"],"m":["a",1],"big":1e999}"#;
        let object = Object::parse(text.as_bytes(), 4).expect("an object");
        let get = |key| object.get(key).expect("the key is there");

        assert_eq!(get("t").to_text().as_deref(), Some("aé"));
        assert_eq!(get("t").to_number(), None);
        assert_eq!(get("n").to_number(), Some(-1500.0));
        assert_eq!(get("n").to_text(), None);
        assert!(get("z").is_null());
        assert_eq!(get("z").to_text(), None);
        assert_eq!(
            get("l").to_texts(),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(get("m").to_texts(), None);
        assert_eq!(get("big").to_number(), Some(f64::INFINITY));
        assert!(object.get("absent").is_none());
    }

    #[test]
    fn printing_a_value_does_not_show_it() {
        let object = Object::parse(br#"{"a":"confidential"}"#, 4).expect("an object");
        assert!(!format!("{object:?}").contains("confidential"));
    }
}
