//! JSON with the binary taken out: a formatter for serde's JSON serialiser.
//!
//! # Invariants
//!
//! - The n-th call for bytes writes placeholder n and keeps attachment n.
//! - Floats of 64 bits without a fraction are written as JavaScript writes them.

use std::io::{self, Write};

use bytes::Bytes;
use serde_json::ser::{CompactFormatter, Formatter};

use super::EncodeError;
use crate::{MAX_DEPTH, attachments, json};

/// Up to here all whole numbers are exact in a float, and JavaScript prints them as such.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What was noticed while writing.
#[derive(Debug, Default)]
pub(super) struct Extract {
    attachments: Vec<Bytes>,
    depth: usize,
    deepest: usize,
    is_in_key: bool,
    /// Somebody else's data has the key that marks placeholders.
    has_mark: bool,
}

impl Extract {
    pub(super) const fn formatter(&mut self) -> ExtractFormatter<'_> {
        ExtractFormatter(self)
    }

    /// The attachments, unless what was written would mislead or burden the peer.
    pub(super) fn finish(self) -> Result<Vec<Bytes>, EncodeError> {
        if self.deepest > MAX_DEPTH {
            return Err(EncodeError::TooDeep);
        }
        if self.has_mark && !self.attachments.is_empty() {
            return Err(EncodeError::ForgedPlaceholder);
        }
        Ok(self.attachments)
    }

    fn enter(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    const fn leave(&mut self) {
        self.depth -= 1;
    }

    fn note_raw(&mut self, fragment: &str) {
        self.deepest = self.deepest.max(self.depth + json::max_depth(fragment));
        // An escape could spell the key in another way.
        if fragment.contains(attachments::MARK) || fragment.contains("\\u") {
            self.has_mark |= json::parse(fragment).is_ok_and(|value| attachments::has_mark(&value));
        }
    }
}

#[derive(Debug)]
pub(super) struct ExtractFormatter<'a>(&'a mut Extract);

impl Formatter for ExtractFormatter<'_> {
    fn write_byte_array<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        // The placeholder is a container of its own.
        self.0.enter();
        self.0.leave();
        let number = self.0.attachments.len();
        self.0.attachments.push(Bytes::copy_from_slice(value));
        write!(writer, r#"{{"_placeholder":true,"num":{number}}}"#)
    }

    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value.fract() == 0.0 && value.abs() <= MAX_EXACT {
            // Adding a positive zero takes the sign off a negative one.
            return write!(writer, "{:.0}", value + 0.0);
        }
        CompactFormatter.write_f64(writer, value)
    }

    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter();
        CompactFormatter.begin_array(writer)
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave();
        CompactFormatter.end_array(writer)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter();
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave();
        CompactFormatter.end_object(writer)
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.is_in_key = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.is_in_key = false;
        CompactFormatter.end_object_key(writer)
    }

    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // The mark has no character that is escaped, so as a key it is one fragment.
        if self.0.is_in_key && fragment == attachments::MARK {
            self.0.has_mark = true;
        }
        CompactFormatter.write_string_fragment(writer, fragment)
    }

    fn write_raw_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.0.note_raw(fragment);
        CompactFormatter.write_raw_fragment(writer, fragment)
    }
}
