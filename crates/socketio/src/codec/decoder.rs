//! Collecting the messages that make up one packet.
//!
//! | state    | input                      | packet              | next     |
//! |----------|----------------------------|---------------------|----------|
//! | idle     | text without attachments   | yes, or ignored     | idle     |
//! | idle     | text that announces n      | –                   | pending  |
//! | idle     | binary                     | error; msgpack: yes | idle     |
//! | pending  | binary, not the last       | –                   | pending  |
//! | pending  | binary, the last           | yes, or ignored     | idle     |
//! | pending  | text                       | error               | idle     |
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::fmt;

use bytes::Bytes;

use super::text::{self, Decoded, Header};
use super::{Codec, DecodeError, Limits, binary};
use crate::args::{Args, Spans};
use crate::packet::Packet;

/// Makes packets out of the engine messages of one connection.
///
/// ```
/// use portcullis_socketio::codec::{Codec, Decoder, Limits};
/// use portcullis_socketio::packet::Packet;
///
/// let limits = Limits::new();
/// let mut decoder = Decoder::new(Codec::Json);
///
/// let text = r#"51-["file",{"_placeholder":true,"num":0}]"#;
/// assert!(decoder.handle_text(text, &limits).unwrap().is_none());
/// let packet = decoder.handle_binary("contents".into(), &limits).unwrap();
/// assert!(matches!(packet, Some(Packet::Event { event, .. }) if event == "file"));
/// ```
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments have not all arrived.
pub(super) struct Pending {
    pub(super) header: Header,
    pub(super) text: Box<str>,
    pub(super) spans: Spans,
    pub(super) expected: usize,
    attachments: Vec<Bytes>,
    len_bytes: usize,
}

impl Pending {
    pub(super) fn new(header: Header, text: &str, spans: Spans, expected: usize) -> Self {
        Self {
            header,
            text: text.into(),
            spans,
            expected,
            attachments: Vec::new(),
            len_bytes: text.len(),
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("expected", &self.expected)
            .field("arrived", &self.attachments.len())
            .field("len_bytes", &self.len_bytes)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that waits for a packet.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self {
            codec,
            pending: None,
        }
    }

    /// Whether attachments are still to come. How long that may take is the caller's to bound.
    #[must_use]
    pub const fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// How much memory the packet keeps whose attachments are still to come.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.len_bytes)
    }

    /// Takes one text message. Nothing comes out if attachments are to follow, or if the packet
    /// says nothing: an event without a name, an answer to no question.
    ///
    /// # Errors
    ///
    /// Text that is not a packet, or comes in the place of an attachment.
    pub fn handle_text(
        &mut self,
        text: &str,
        limits: &Limits,
    ) -> Result<Option<Packet>, DecodeError> {
        if self.codec.is_binary() || self.pending.take().is_some() {
            return Err(DecodeError::UnexpectedText);
        }
        match text::decode(text, limits)? {
            Decoded::Packet(packet) => Ok(packet),
            Decoded::Pending(pending) => {
                self.pending = Some(pending);
                Ok(None)
            }
        }
    }

    /// Takes one binary message: an attachment, or a msgpack packet.
    ///
    /// # Errors
    ///
    /// Binary data that was not announced, is too much, or is not a packet.
    pub fn handle_binary(
        &mut self,
        bytes: Bytes,
        limits: &Limits,
    ) -> Result<Option<Packet>, DecodeError> {
        if self.codec.is_binary() {
            return binary::decode(&bytes, limits);
        }
        let mut pending = self.pending.take().ok_or(DecodeError::UnexpectedBinary)?;
        pending.len_bytes = pending.len_bytes.saturating_add(bytes.len());
        if pending.len_bytes > limits.max_attachment_bytes {
            return Err(DecodeError::TooLarge {
                max_bytes: limits.max_attachment_bytes,
            });
        }
        pending.attachments.push(bytes);
        if pending.attachments.len() < pending.expected {
            self.pending = Some(pending);
            return Ok(None);
        }
        let Pending {
            header,
            text,
            spans,
            attachments,
            ..
        } = *pending;
        Ok(header.into_packet(Args::from_json(text, spans, attachments)))
    }
}
