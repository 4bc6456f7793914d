//! JSON text into a [`Value`], totally: every valid text has one, as in JavaScript.
//!
//! | text                        | value                              |
//! |-----------------------------|------------------------------------|
//! | whole numbers up to 64 bits | [`Value::Integer`] or `Unsigned`   |
//! | `1e999`                     | [`Value::Float`], infinite         |
//! | `"\ud800"`, half a pair     | U+FFFD in its place                |
//!
//! A general JSON library refuses the last two, which a JavaScript peer can send; they must not
//! fail long after the packet was taken for valid.
//!
//! # Invariants
//!
//! - How deep the text nests is known before anything recurses ([`max_depth`]).
//! - Time and memory are linear in the length of the text.
//!
//! # Not here
//!
//! Typed reading, which is serde's, and what the text means (`codec`).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use crate::MAX_DEPTH;
use crate::value::Value;

/// Text that is not JSON, or nests deeper than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The largest number of containers that are open at one place of `text`.
///
/// A scan over bytes, for text that need not be valid; what is within strings does not count.
pub(crate) fn max_depth(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                deepest = depth.max(deepest);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Goes on to behind the closing quote.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return,
            _ => {}
        }
    }
}

/// Reads one value that is all of `text`.
pub(crate) fn parse(text: &str) -> Result<Value, Malformed> {
    parse_within(text, MAX_DEPTH)
}

/// As [`parse`], with a depth of the caller's choice.
pub(crate) fn parse_within(text: &str, max_depth: usize) -> Result<Value, Malformed> {
    Parser::new(text, None).only_value(max_depth)
}

/// Shows every map in `text` to `look`, the inner ones first, with nothing but its `keys`, and
/// stops where it returns false. No more than one map is kept at a time on each level.
pub(crate) fn scan_maps(
    text: &str,
    keys: [&'static str; 2],
    look: &mut dyn FnMut(&Value) -> bool,
) -> Result<(), Malformed> {
    Parser::new(text, Some(Scan { keys, look })).only_value(MAX_DEPTH)?;
    Ok(())
}

/// What is looked for by who does not want the value.
struct Scan<'a> {
    keys: [&'static str; 2],
    look: &'a mut dyn FnMut(&Value) -> bool,
}

struct Parser<'a> {
    text: &'a str,
    /// Always at the boundary of a character.
    position: usize,
    /// If there is one, values are read but not kept.
    scan: Option<Scan<'a>>,
}

impl<'a> Parser<'a> {
    const fn new(text: &'a str, scan: Option<Scan<'a>>) -> Self {
        Self {
            text,
            position: 0,
            scan,
        }
    }

    fn only_value(mut self, max_depth: usize) -> Result<Value, Malformed> {
        let value = self.value(max_depth)?;
        self.skip_whitespace();
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(Malformed),
        }
    }

    fn value(&mut self, depth_left: usize) -> Result<Value, Malformed> {
        self.skip_whitespace();
        match self.peek().ok_or(Malformed)? {
            b'{' => self.map(depth_left.checked_sub(1).ok_or(Malformed)?),
            b'[' => self.array(depth_left.checked_sub(1).ok_or(Malformed)?),
            b'"' => self.string().map(Value::String),
            b'n' => self.literal("null", Value::Null),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            _ => self.number(),
        }
    }

    fn map(&mut self, depth_left: usize) -> Result<Value, Malformed> {
        let mut entries = Vec::new();
        self.advance(1);
        self.skip_whitespace();
        if self.take(b'}') {
            return self.finish_map(entries);
        }
        loop {
            self.skip_whitespace();
            let key = self.string()?;
            self.skip_whitespace();
            if !self.take(b':') {
                return Err(Malformed);
            }
            let value = self.value(depth_left)?;
            self.keep_entry(&mut entries, key, value);
            self.skip_whitespace();
            if self.take(b'}') {
                return self.finish_map(entries);
            }
            if !self.take(b',') {
                return Err(Malformed);
            }
        }
    }

    fn keep_entry(&self, entries: &mut Vec<(String, Value)>, key: String, value: Value) {
        if let Some(scan) = &self.scan {
            if !scan.keys.contains(&key.as_str()) {
                return;
            }
            // Only the last counts, and a map may repeat a key as often as it likes.
            entries.retain(|(name, _)| *name != key);
        }
        entries.push((key, value));
    }

    fn finish_map(&mut self, entries: Vec<(String, Value)>) -> Result<Value, Malformed> {
        let map = Value::Map(entries);
        let is_fine = match &mut self.scan {
            Some(scan) => (scan.look)(&map),
            None => true,
        };
        if is_fine { Ok(map) } else { Err(Malformed) }
    }

    fn array(&mut self, depth_left: usize) -> Result<Value, Malformed> {
        let mut items = Vec::new();
        self.advance(1);
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            let item = self.value(depth_left)?;
            if self.scan.is_none() {
                items.push(item);
            }
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(Malformed);
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Malformed> {
        if self.rest().starts_with(word) {
            self.advance(word.len());
            Ok(value)
        } else {
            Err(Malformed)
        }
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let start = self.rest();
        self.take(b'-');
        // RFC 8259, section 6: a leading zero stands alone.
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.take(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            is_whole = false;
            _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let len = start.len().saturating_sub(self.rest().len());
        let text = start.get(..len).ok_or(Malformed)?;
        if is_whole {
            if let Ok(number) = text.parse::<i64>() {
                return Ok(Value::Integer(number));
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Value::Unsigned(number));
            }
        }
        text.parse().map(Value::Float).map_err(|_| Malformed)
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let rest = self.rest().as_bytes();
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.advance(len);
        if len == 0 { Err(Malformed) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        if !self.take(b'"') {
            return Err(Malformed);
        }
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let len = rest
                .bytes()
                .position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f))
                .ok_or(Malformed)?;
            text.push_str(rest.get(..len).ok_or(Malformed)?);
            self.advance(len);
            if self.take(b'"') {
                return Ok(text);
            }
            if !self.take(b'\\') {
                return Err(Malformed);
            }
            text.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Malformed> {
        let escaped = self.peek().ok_or(Malformed)?;
        if !escaped.is_ascii() {
            return Err(Malformed);
        }
        self.advance(1);
        match escaped {
            b'"' => Ok('"'),
            b'\\' => Ok('\\'),
            b'/' => Ok('/'),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => self.unicode(),
            _ => Err(Malformed),
        }
    }

    /// The character of one `\uXXXX`, or of two that are a pair.
    fn unicode(&mut self) -> Result<char, Malformed> {
        let unit = self.code_unit()?;
        if matches!(unit, 0xd800..=0xdbff) && self.rest().starts_with("\\u") {
            let before_low = self.position;
            self.advance(2);
            let low = self.code_unit()?;
            if let Some(Ok(character)) = char::decode_utf16([unit, low]).next() {
                return Ok(character);
            }
            // Not the other half: it is read again, as what it is by itself.
            self.position = before_low;
        }
        Ok(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn code_unit(&mut self) -> Result<u16, Malformed> {
        let digits = self.rest().get(..4).ok_or(Malformed)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Malformed);
        }
        self.advance(4);
        u16::from_str_radix(digits, 16).map_err(|_| Malformed)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.advance(1);
        }
        is_next
    }

    fn advance(&mut self, len: usize) {
        self.position = self.position.saturating_add(len);
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.advance(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::{max_depth, parse};
    use crate::MAX_DEPTH;
    use crate::value::Value;

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn what_is_json_to_a_library_is_json_here_and_nothing_else_is() {
        for text in [
            "",
            " ",
            "null",
            "nul",
            "nullx",
            "true",
            "false",
            "True",
            "0",
            "-0",
            "00",
            "01",
            "-",
            "+1",
            "1.",
            ".1",
            "1.0",
            "1e",
            "1e+",
            "1e+5",
            "1E-5",
            "-1.5e3",
            "1e999",
            "0x1",
            "\"\"",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u00e9\"",
            "\"\\u00e\"",
            "\"\\ud800\"",
            "\"\\u+0e9\"",
            "\"\n\"",
            "\"\u{7f}\"",
            "'a'",
            "[]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "]",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\" : 1 , \"b\":[ ] } ",
            "\u{a0}1",
            "\u{feff}1",
            "NaN",
            "Infinity",
            "[1]x",
        ] {
            assert_eq!(parse(text).is_ok(), is_json(text), "{text:?}");
        }
    }

    #[test]
    fn pairs_and_halves_of_surrogates_are_read_as_javascript_reads_them() {
        let read = |text: &str| parse(text).map(|value| value.as_str().map(str::to_owned));
        let text = |text: &str| Ok(Some(text.to_owned()));

        assert_eq!(read(r#""\ud83c\udf89""#), text("\u{1f389}"));
        assert_eq!(read(r#""\ud83c""#), text("\u{fffd}"));
        assert_eq!(read(r#""\udf89\ud83c""#), text("\u{fffd}\u{fffd}"));
        assert_eq!(read(r#""\ud83c\u0041""#), text("\u{fffd}A"));
        assert_eq!(read(r#""\ud83c\ud83c\udf89""#), text("\u{fffd}\u{1f389}"));
    }

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(parse("-0"), Ok(Value::Integer(0)));
        assert_eq!(parse("9223372036854775808"), Ok(Value::Unsigned(1 << 63)));
        assert_eq!(
            parse("18446744073709551616"),
            Ok(Value::Float(1.8446744073709552e19))
        );
        assert_eq!(parse("1.0"), Ok(Value::Float(1.0)));
        assert_eq!(parse("1e999"), Ok(Value::Float(f64::INFINITY)));
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH.saturating_add(1))).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert_eq!(max_depth(&nested(1_000_000)), 1_000_000);
        assert_eq!(max_depth(r#"[{"[[[\"[[":1},[]]"#), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_json_here_if_a_library_says_so(
            text in r#"[\[\]\{\}:,"\\u0-9a-f.eE+ \-ntr\x00é]{0,12}"#,
        ) {
            prop_assert_eq!(parse(&text).is_ok(), is_json(&text), "{:?}", text);
        }

        #[test]
        fn any_string_survives(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(parse(&json), Ok(Value::String(text)));
        }

        #[test]
        fn any_float_survives(number: f64) {
            prop_assume!(number.is_finite());
            let json = format!("{number:e}");
            prop_assert_eq!(parse(&json), Ok(Value::Float(number)));
        }
    }
}
