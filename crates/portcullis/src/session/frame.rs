//! One emit, encoded and framed once, shared by everyone it goes to.
//!
//! A [`Frame`] holds the bytes of one or more finished WebSocket frames (RFC 6455 section 5.2) in
//! one contiguous buffer: an event with attachments is a text frame followed by its binary frames,
//! so that it leaves in one piece and keeps its order. Server frames are not masked, which makes
//! the bytes the same for every recipient.
//!
//! ```text
//!   headroom (10)      text packet            attachments
//! ┌──────────┬────┬──────────────────────┬────┬───────────┬────┬──────
//! │          │hdr │ 4 51-["photo",{…}]   │hdr │ bytes     │hdr │ …
//! └──────────┴────┴──────────────────────┴────┴───────────┴────┴──────
//!            ▲ start
//! ```
//!
//! # Invariants
//!
//! - The bytes from `start` on are whole, unmasked, final frames; or, ahead of all frames of a
//!   connection, the response that HTTP held back.
//! - The form for polling is derived at most once per frame, and only when somebody polls.
//!
//! # Not here
//!
//! Reading frames (`websocket`), queueing them (`outbox`).

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smallvec::SmallVec;

const FIN: u8 = 0x80;

/// What the first bytes of all control frames have in common.
const CONTROL: u8 = FIN | 0x08;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PONG: u8 = 0xa;

/// The longest header of an unmasked frame: two bytes and a 64-bit length.
const HEADROOM: usize = 10;

/// Separates packets in a polling payload (engine.io-protocol, "Packet encoding").
pub(super) const SEPARATOR: u8 = portcullis_engineio::SEPARATOR as u8;

static PING: LazyLock<Frame> = LazyLock::new(|| Frame::text("2"));
static NOOP: LazyLock<Frame> = LazyLock::new(|| Frame::text("6"));

/// Finished WebSocket frames, shared by their recipients.
#[derive(Clone)]
pub struct Frame(Arc<Inner>);

struct Inner {
    buffer: Vec<u8>,
    start: usize,
    compress: bool,
    polling: OnceLock<Bytes>,
}

impl Frame {
    /// One text frame that holds the Engine.IO packet `text`.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::build(text.len(), |buffer| {
            buffer.extend_from_slice(text.as_bytes());
        })
        .finish()
    }

    /// One binary frame.
    #[must_use]
    pub fn binary(data: &[u8]) -> Self {
        let mut builder = FrameBuilder::new(data.len());
        builder.push_binary(data);
        builder.finish()
    }

    /// Starts with a text frame whose content `write` appends; `expected_len` sizes the buffer.
    pub(crate) fn build(expected_len: usize, write: impl FnOnce(&mut Vec<u8>)) -> FrameBuilder {
        let mut builder = FrameBuilder::new(expected_len);
        write(&mut builder.buffer);
        builder.close_first(TEXT);
        builder
    }

    /// Starts with a binary frame whose content `write` appends.
    pub(crate) fn build_binary(
        expected_len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> FrameBuilder {
        let mut builder = FrameBuilder::new(expected_len);
        write(&mut builder.buffer);
        builder.close_first(BINARY);
        builder
    }

    /// A close frame, without a status code where `code` is `None`, as Engine.IO ends sessions.
    pub(crate) fn close(code: Option<u16>) -> Self {
        let code = code.map(u16::to_be_bytes);
        let payload = code.as_ref().map_or(&[][..], |code| code);
        let mut buffer = Vec::with_capacity(4);
        push_header(&mut buffer, CLOSE, payload.len());
        buffer.extend_from_slice(payload);
        Self::from_wire(buffer)
    }

    /// The heartbeat, one allocation for the whole process.
    pub(crate) fn ping() -> Self {
        PING.clone()
    }

    /// The packet that releases a waiting poll.
    pub(crate) fn noop() -> Self {
        NOOP.clone()
    }

    /// Bytes that are whole frames already, such as the pongs that the reader makes.
    pub(crate) fn from_wire(buffer: Vec<u8>) -> Self {
        FrameBuilder {
            buffer,
            start: 0,
            compress: false,
        }
        .finish()
    }

    /// The bytes for a WebSocket.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        self.0.buffer.get(self.0.start..).unwrap_or_default()
    }

    /// Whether this begins with a control frame (RFC 6455 section 5.5).
    pub(crate) fn is_control(&self) -> bool {
        let head = self.wire().first();
        head.is_some_and(|head| head & CONTROL == CONTROL)
    }

    /// Whether this begins with a pong, of which only the newest need be answered (RFC 6455 5.5.3).
    pub(crate) fn is_pong(&self) -> bool {
        self.wire().first() == Some(&(FIN | PONG))
    }

    /// Whether this says goodbye, be it behind pongs.
    pub(crate) fn is_close(&self) -> bool {
        self.is_control() && self.parts().last().is_some_and(|part| part.opcode == CLOSE)
    }

    /// Whether this is a response that HTTP held back: no frame of ours begins like one.
    pub(crate) fn is_response(&self) -> bool {
        self.wire().first() == Some(&b'H')
    }

    /// Whether the emitter allows a polling response that carries this to be compressed.
    pub(crate) fn may_compress(&self) -> bool {
        self.0.compress
    }

    /// The packets as they stand in a polling payload: text as it is, binary as `b` and base64.
    pub(crate) fn polling(&self) -> &Bytes {
        self.0.polling.get_or_init(|| {
            let mut body = Vec::with_capacity(self.wire().len());
            for part in self.parts().filter(Part::is_packet) {
                if !body.is_empty() {
                    body.push(SEPARATOR);
                }
                push_polling(&mut body, part.opcode, part.payload);
            }
            body.into()
        })
    }

    /// The same for a peer that takes no binary frames (`b64=1`): packets are text throughout, and
    /// control frames are what they are.
    pub(crate) fn to_base64(&self) -> Self {
        let mut buffer = Vec::with_capacity(self.wire().len() * 4 / 3);
        let mut text = Vec::new();
        for part in self.parts() {
            if !part.is_packet() {
                buffer.extend_from_slice(part.wire);
                continue;
            }
            text.clear();
            push_polling(&mut text, part.opcode, part.payload);
            push_header(&mut buffer, TEXT, text.len());
            buffer.extend_from_slice(&text);
        }
        Self::from_wire(buffer)
    }

    /// Walks over the frames in the buffer.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = self.wire();
        std::iter::from_fn(move || {
            let whole = rest;
            let (&[first, second], tail) = whole.split_first_chunk::<2>()?;
            let (len, tail) = match second {
                126 => {
                    let (len, tail) = tail.split_first_chunk::<2>()?;
                    (u64::from(u16::from_be_bytes(*len)), tail)
                }
                127 => {
                    let (len, tail) = tail.split_first_chunk::<8>()?;
                    (u64::from_be_bytes(*len), tail)
                }
                len => (u64::from(len), tail),
            };
            let (payload, tail) = tail.split_at_checked(usize::try_from(len).ok()?)?;
            rest = tail;
            Some(Part {
                opcode: first & 0xf,
                payload,
                wire: whole.get(..whole.len() - tail.len())?,
            })
        })
    }
}

/// One of the WebSocket frames in a buffer.
struct Part<'a> {
    opcode: u8,
    payload: &'a [u8],
    wire: &'a [u8],
}

impl Part<'_> {
    /// Whether it carries a packet, which control frames do not.
    const fn is_packet(&self) -> bool {
        matches!(self.opcode, TEXT | BINARY)
    }
}

impl fmt::Debug for Frame {
    /// Says how long it is: what it holds is the users' business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.wire().len())
    }
}

/// A frame under construction.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    buffer: Vec<u8>,
    start: usize,
    compress: bool,
}

impl FrameBuilder {
    fn new(expected_len: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + expected_len);
        buffer.resize(HEADROOM, 0);
        Self {
            buffer,
            start: HEADROOM,
            compress: true,
        }
    }

    /// Right-aligns the header before what was written so far.
    fn close_first(&mut self, opcode: u8) {
        let mut header: SmallVec<[u8; HEADROOM]> = SmallVec::new();
        push_header(&mut header, opcode, self.buffer.len() - HEADROOM);
        self.start = HEADROOM - header.len();
        self.buffer[self.start..HEADROOM].copy_from_slice(&header);
    }

    /// Appends a binary frame.
    pub(crate) fn push_binary(&mut self, data: &[u8]) {
        push_header(&mut self.buffer, BINARY, data.len());
        self.buffer.extend_from_slice(data);
    }

    /// Forbids compressing a polling response for the sake of this frame.
    pub(crate) fn compress(mut self, allowed: bool) -> Self {
        self.compress = allowed;
        self
    }

    pub(crate) fn finish(self) -> Frame {
        Frame(Arc::new(Inner {
            buffer: self.buffer,
            start: self.start,
            compress: self.compress,
            polling: OnceLock::new(),
        }))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each cast is guarded by its match arm"
)]
fn push_header(buffer: &mut impl Extend<u8>, opcode: u8, len: usize) {
    let first = FIN | opcode;
    match len {
        0..=125 => buffer.extend([first, len as u8]),
        126..=0xffff => {
            buffer.extend([first, 126]);
            buffer.extend((len as u16).to_be_bytes());
        }
        _ => {
            buffer.extend([first, 127]);
            buffer.extend((len as u64).to_be_bytes());
        }
    }
}

fn push_polling(body: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    if opcode == TEXT {
        body.extend_from_slice(payload);
        return;
    }
    body.push(b'b');
    let start = body.len();
    let len = payload.len().div_ceil(3) * 4;
    body.resize(start + len, 0);
    let written = STANDARD.encode_slice(payload, &mut body[start..]);
    debug_assert_eq!(written, Ok(len), "padded base64 has a known length");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    fn read_back(frame: &Frame) -> Vec<Message> {
        let wire = std::io::Cursor::new(frame.wire().to_vec());
        let mut peer = WebSocket::from_raw_socket(wire, Role::Client, None);
        std::iter::from_fn(|| peer.read().ok()).collect()
    }

    #[test]
    fn headers_use_the_shortest_length_form() {
        for (len, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (0xffff, vec![0x81, 126, 0xff, 0xff]),
            (0x10000, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::text(&"a".repeat(len));
            assert_eq!(frame.wire()[..header.len()], header, "{len}");
            assert_eq!(frame.wire().len(), header.len() + len);
        }
    }

    #[test]
    fn a_ping_is_three_bytes() {
        assert_eq!(Frame::ping().wire(), [0x81, 0x01, b'2']);
    }

    #[test]
    fn an_event_with_attachments_is_one_buffer() {
        let mut builder = Frame::build(8, |buffer| buffer.extend_from_slice(b"451-[]"));
        builder.push_binary(&[1, 2, 3]);
        let frame = builder.finish();
        assert_eq!(
            read_back(&frame),
            [Message::text("451-[]"), Message::binary(vec![1, 2, 3])]
        );
        assert_eq!(frame.polling().as_ref(), b"451-[]\x1ebAQID");
        let text_only = frame.to_base64();
        assert_eq!(
            read_back(&text_only),
            [Message::text("451-[]"), Message::text("bAQID")]
        );
    }

    #[test]
    fn control_frames_reach_a_peer_that_takes_text_alone_and_never_one_that_polls() {
        let pong_and_close = [0x8a, 2, b'h', b'i', 0x88, 2, 0x03, 0xe8];
        let control = Frame::from_wire(pong_and_close.to_vec());
        assert_eq!(control.to_base64().wire(), pong_and_close);
        assert!(control.polling().is_empty());

        let mixed = [&[0x8a, 0][..], Frame::binary(&[1, 2, 3]).wire(), &[0x88, 0]].concat();
        let mixed = Frame::from_wire(mixed);
        let text = [&[0x8a, 0][..], Frame::text("bAQID").wire(), &[0x88, 0]].concat();
        assert_eq!(mixed.to_base64().wire(), text);
        assert_eq!(mixed.polling().as_ref(), b"bAQID");
    }

    #[test]
    fn a_close_frame_carries_the_code_only_if_there_is_one() {
        assert_eq!(Frame::close(None).wire(), [0x88, 0]);
        assert_eq!(Frame::close(Some(1009)).wire(), [0x88, 2, 0x03, 0xf1]);
    }

    #[test]
    fn only_a_pong_is_a_pong() {
        assert!(Frame::from_wire(vec![0x8a, 0]).is_pong());
        assert!(!Frame::ping().is_pong());
    }

    proptest! {
        #[test]
        fn what_is_framed_here_a_peer_reads(
            text in "\\PC{0,200}",
            attachments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..4),
        ) {
            let mut builder = Frame::build(0, |buffer| buffer.extend_from_slice(text.as_bytes()));
            for attachment in &attachments {
                builder.push_binary(attachment);
            }
            let mut expected = vec![Message::text(text)];
            expected.extend(attachments.into_iter().map(Message::binary));
            prop_assert_eq!(read_back(&builder.finish()), expected);
        }
    }
}
