//! Reading WebSocket frames without a buffer per idle connection.
//!
//! tungstenite's core judges the frames (RFC 6455); this module decides which instance of it does.
//! Most reads hold whole messages and nothing else: those go through one context per thread.
//! A read that ends within a frame, or holds fragments or control frames, moves the connection to
//! a context of its own, which is dropped as soon as the stream is at a message boundary again.
//!
//! ```text
//!             whole data frames                        anything else
//!   Shared ─────────────────────▶ Shared     Shared ────────────────────▶ Private
//!      ▲                                                                     │
//!      └───────────────── at a message boundary, nothing left over ──────────┘
//! ```
//!
//! # Invariants
//!
//! - The thread's context is always at a message boundary when it is put back.
//! - A declared length allocates nothing: a frame is collected as it arrives, and the decoder,
//!   which makes room for all of a frame at once, sees it when it is whole.
//!
//! # Not here
//!
//! Writing frames (`frame`, `outbox`); the bytes themselves (`stream`).

mod boundary;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use bytes::Bytes;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use boundary::Boundary;

/// tungstenite zero-fills this much on every read, so small beats large.
const CONTEXT_BUFFER: usize = 1024;

/// So many messages of one connection are handled before others get their turn.
const MAX_MESSAGES_PER_TURN: usize = 64;

/// How many fragments a message may have, and the size that larger messages may have instead.
const MIN_FRAGMENTS: usize = 16_384;
const FRAGMENT_BYTES: usize = 64;

thread_local! {
    static CONTEXT: Cell<Option<WebSocketContext>> = const { Cell::new(None) };
}

/// What a frame brought.
#[derive(Debug)]
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
    /// The peer said goodbye; the answer is among the control frames.
    Close,
}

/// Why a stream of frames cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadError {
    TooBig,
    TooManyFragments,
    InvalidUtf8,
    Protocol,
}

impl ReadError {
    /// The status code that the peer is told (RFC 6455 section 7.4.1).
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::TooBig => 1009,
            Self::TooManyFragments => 1008,
            Self::InvalidUtf8 => 1007,
            Self::Protocol => 1002,
        }
    }
}

/// Turns the bytes of one connection into messages.
#[derive(Debug)]
pub(crate) struct Reader {
    max_message_bytes: usize,
    /// Frames that carried nothing, since somebody asked.
    idle: u32,
    private: Option<Box<Private>>,
}

#[derive(Debug)]
struct Private {
    context: WebSocketContext,
    boundary: Boundary,
    /// Whole frames that were not yet given to the context.
    leftover: Vec<u8>,
    /// Behind them, the frame that is arriving.
    partial: Vec<u8>,
    /// A turn ended before all messages were handled, be they in `leftover` or in the context.
    unfinished: bool,
}

impl Reader {
    pub(crate) const fn new(max_message_bytes: usize) -> Self {
        Self {
            max_message_bytes,
            idle: 0,
            private: None,
        }
    }

    /// Whether messages that arrived already still wait for a turn.
    pub(crate) fn has_leftover(&self) -> bool {
        self.private
            .as_ref()
            .is_some_and(|private| private.unfinished)
    }

    /// How many pings, pongs and empty frames arrived since this was asked.
    pub(crate) const fn take_idle(&mut self) -> u32 {
        std::mem::replace(&mut self.idle, 0)
    }

    /// So many fragments may make a message: far more than any client needs, and so few that
    /// they cost no more than a message of the largest size.
    fn max_fragments(&self) -> usize {
        MIN_FRAGMENTS.max(self.max_message_bytes / FRAGMENT_BYTES)
    }

    /// Hands each message in `input` to `each`, and appends answers to pings and closes to
    /// `control` as finished frames.
    ///
    /// Stops early when `each` breaks, or when a turn's worth of messages has been handled; the
    /// rest is kept for the next call.
    ///
    /// # Errors
    ///
    /// If the bytes break RFC 6455 or the message limit. The stream is of no use after that.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if let Some(private) = self.private.take() {
            return self.feed_private(private, input, control, each);
        }
        let mut boundary = Boundary::default();
        let scanned = boundary.scan(input);
        if scanned.only_whole_messages() {
            self.idle = self.idle.saturating_add(scanned.idle());
        } else {
            let private = Private {
                context: self.context(),
                boundary: Boundary::default(),
                leftover: Vec::new(),
                partial: Vec::new(),
                unfinished: false,
            };
            return self.feed_private(Box::new(private), input, control, each);
        }
        let mut context = self.shared_context();
        let mut rest = input;
        match read_messages(&mut context, &mut rest, control, each)? {
            Stop::Drained => CONTEXT.set(Some(context)),
            Stop::Closed => {}
            Stop::Unfinished => {
                // The context may hold bytes of the next message: it goes with them.
                self.private = Some(Box::new(Private {
                    context,
                    boundary,
                    leftover: rest.to_vec(),
                    partial: Vec::new(),
                    unfinished: true,
                }));
            }
        }
        Ok(())
    }

    fn feed_private(
        &mut self,
        mut private: Box<Private>,
        input: &[u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let scanned = private.boundary.scan(input);
        self.idle = self.idle.saturating_add(scanned.idle());
        if scanned.most_fragments() > self.max_fragments() {
            return Err(ReadError::TooManyFragments);
        }
        let whole_bytes = scanned.whole_bytes();
        let (whole, partial) = input.split_at_checked(whole_bytes).unwrap_or((input, &[]));
        let mut joined = std::mem::take(&mut private.leftover);
        let mut rest = whole;
        if !whole.is_empty() {
            joined.append(&mut std::mem::take(&mut private.partial));
        }
        if !joined.is_empty() {
            joined.extend_from_slice(whole);
            rest = &joined;
        }
        private.partial.extend_from_slice(partial);
        match read_messages(&mut private.context, &mut rest, control, each)? {
            Stop::Drained if private.boundary.is_whole() => {}
            Stop::Drained if private.boundary.is_over(self.max_message_bytes) => {
                return Err(ReadError::TooBig);
            }
            Stop::Drained => {
                private.unfinished = false;
                self.private = Some(private);
            }
            Stop::Closed => {}
            Stop::Unfinished => {
                private.leftover = rest.to_vec();
                private.unfinished = true;
                self.private = Some(private);
            }
        }
        Ok(())
    }

    fn shared_context(&self) -> WebSocketContext {
        let mut context = CONTEXT.take().unwrap_or_else(|| self.context());
        let limit = Some(self.max_message_bytes);
        if context.get_config().max_message_size != limit {
            context.set_config(|config| {
                config.max_message_size = limit;
                config.max_frame_size = limit;
            });
        }
        context
    }

    fn context(&self) -> WebSocketContext {
        let config = WebSocketConfig::default()
            .read_buffer_size(CONTEXT_BUFFER)
            .write_buffer_size(0)
            // Control frames only; they are taken out at once.
            .max_write_buffer_size(4096)
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes))
            .accept_unmasked_frames(false);
        WebSocketContext::new(Role::Server, Some(config))
    }
}

enum Stop {
    /// All bytes were taken.
    Drained,
    /// The peer said goodbye: whatever follows does not count.
    Closed,
    /// The caller stops here, or others must have their turn.
    Unfinished,
}

fn read_messages(
    context: &mut WebSocketContext,
    rest: &mut &[u8],
    control: &mut Vec<u8>,
    mut each: impl FnMut(Incoming) -> ControlFlow<()>,
) -> Result<Stop, ReadError> {
    let mut wire = Wire {
        input: rest,
        output: control,
    };
    for _ in 0..MAX_MESSAGES_PER_TURN {
        let incoming = match context.read(&mut wire) {
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Binary(data)) => Incoming::Binary(data),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            Ok(Message::Close(_)) => {
                // The first flush writes the answer; a second read would write it again.
                let _ = context.flush(&mut wire);
                let _ = each(Incoming::Close);
                return Ok(Stop::Closed);
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                // Writes the pong of a ping that was the last frame.
                let _ = context.flush(&mut wire);
                return Ok(Stop::Drained);
            }
            Err(Error::Capacity(_)) => return Err(ReadError::TooBig),
            Err(Error::Utf8(_)) => return Err(ReadError::InvalidUtf8),
            Err(_) => return Err(ReadError::Protocol),
        };
        if each(incoming).is_break() {
            return Ok(Stop::Unfinished);
        }
    }
    Ok(Stop::Unfinished)
}

/// The stream that tungstenite believes to read from and write to.
struct Wire<'a, 'input> {
    input: &'a mut &'input [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            // Never 0: that would be the end of the stream.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A masked client frame; the key is zero, so that the payload stands as it is.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | u8::try_from(len).unwrap()),
            len => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn feed(reader: &mut Reader, input: &[u8]) -> Result<(Vec<String>, Vec<u8>), ReadError> {
        let (mut seen, mut control) = (Vec::new(), Vec::new());
        reader.feed(input, &mut control, |incoming| {
            seen.push(match incoming {
                Incoming::Text(text) => text.to_string(),
                Incoming::Binary(data) => format!("{data:?}"),
                Incoming::Close => "close".to_owned(),
            });
            ControlFlow::Continue(())
        })?;
        Ok((seen, control))
    }

    #[test]
    fn whole_messages_need_no_context_of_their_own() {
        let mut reader = Reader::new(1000);
        let input = [frame(0x81, b"a"), frame(0x82, b"b")].concat();
        assert_eq!(feed(&mut reader, &input).unwrap().0, ["a", "b\"b\""]);
        assert!(reader.private.is_none());
    }

    #[test]
    fn a_split_frame_is_kept_until_it_is_whole_and_no_longer() {
        let mut reader = Reader::new(1000);
        let input = frame(0x81, b"hello");
        assert!(feed(&mut reader, &input[..7]).unwrap().0.is_empty());
        assert!(reader.private.is_some());
        assert_eq!(feed(&mut reader, &input[7..]).unwrap().0, ["hello"]);
        assert!(reader.private.is_none());
    }

    #[test]
    fn fragments_are_joined_with_a_ping_between_them() {
        let mut reader = Reader::new(1000);
        let input = [frame(0x01, b"he"), frame(0x89, b"p"), frame(0x80, b"llo")].concat();
        let (seen, control) = feed(&mut reader, &input).unwrap();
        assert_eq!(seen, ["hello"]);
        assert_eq!(control, [0x8a, 1, b'p']);
        assert!(reader.private.is_none());
    }

    #[test]
    fn a_close_is_answered_once_with_its_code() {
        let mut reader = Reader::new(1000);
        let (seen, control) = feed(&mut reader, &frame(0x88, &[0x03, 0xe8])).unwrap();
        assert_eq!(seen, ["close"]);
        assert_eq!(control, [0x88, 2, 0x03, 0xe8]);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header() {
        let mut reader = Reader::new(10);
        let header = [0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(feed(&mut reader, &header).unwrap_err(), ReadError::TooBig);
        assert_eq!(ReadError::TooBig.close_code(), 1009);
    }

    #[test]
    fn a_message_of_as_many_fragments_as_allowed_is_whole_and_one_more_is_refused() {
        for (count, whole) in [(MIN_FRAGMENTS, true), (MIN_FRAGMENTS + 1, false)] {
            let mut input = frame(0x01, b"a");
            input.extend(frame(0x00, b"").repeat(count - 2));
            input.extend(frame(0x80, b"z"));
            let mut reader = Reader::new(1000);
            let mut result = Ok(Vec::new());
            for piece in input.chunks(64 * 1024) {
                result = feed(&mut reader, piece).map(|(seen, _)| seen);
                if result.is_err() {
                    break;
                }
            }
            assert_eq!(
                result,
                if whole {
                    Ok(vec!["az".to_owned()])
                } else {
                    Err(ReadError::TooManyFragments)
                }
            );
        }
        assert_eq!(ReadError::TooManyFragments.close_code(), 1008);
        assert_eq!(Reader::new(64 << 20).max_fragments(), 1 << 20);
    }

    #[test]
    fn fragments_without_an_end_are_refused_before_they_are_many() {
        let mut reader = Reader::new(1_000_000);
        let flood = frame(0x00, b"").repeat(1000);
        feed(&mut reader, &frame(0x01, b"a")).unwrap();
        let rounds = (1..).find(|_| feed(&mut reader, &flood).is_err()).unwrap();
        assert_eq!(rounds, 17);
    }

    #[test]
    fn frames_that_carry_nothing_are_counted() {
        let mut reader = Reader::new(1000);
        let pieces = [
            frame(0x89, b"ping"),
            frame(0x8a, b""),
            frame(0x81, b"data"),
            frame(0x82, b""),
            frame(0x01, b""),
            frame(0x80, b"x"),
        ];
        feed(&mut reader, &pieces.concat()).unwrap();
        assert_eq!((reader.take_idle(), reader.take_idle()), (4, 0));
        feed(&mut reader, &frame(0x82, b"")).unwrap();
        assert_eq!(reader.take_idle(), 1);
    }

    #[test]
    fn a_declared_length_makes_no_room() {
        let mut reader = Reader::new(1_000_000);
        let header = [
            0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, 1, 2,
        ];
        assert!(feed(&mut reader, &header).unwrap().0.is_empty());
        let private = reader.private.as_ref().unwrap();
        assert_eq!(private.partial, header, "the decoder has seen none of it");
        assert!(private.partial.capacity() < 1000);
    }

    #[test]
    fn what_arrives_before_a_frame_over_the_limit_still_counts() {
        let mut reader = Reader::new(10);
        let mut seen = 0;
        let mut input = frame(0x81, b"a");
        input.extend([0x82, 0xfe, 1, 0, 0, 0, 0, 0]);
        let result = reader.feed(&input, &mut Vec::new(), |_| {
            seen += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((result, seen), (Err(ReadError::TooBig), 1));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let mut reader = Reader::new(1000);
        let result = feed(&mut reader, &frame(0x81, &[0xff, 0xfe]));
        assert_eq!(result.unwrap_err(), ReadError::InvalidUtf8);
    }

    #[test]
    fn reserved_bits_and_unmasked_frames_break_the_protocol() {
        for input in [frame(0xc1, b"a"), frame(0xa1, b"a"), vec![0x81, 1, b'a']] {
            let result = feed(&mut Reader::new(1000), &input);
            assert_eq!(result.unwrap_err(), ReadError::Protocol);
        }
    }

    #[test]
    fn a_thread_context_is_not_reused_after_an_error() {
        let bad = frame(0x81, &[0xff]);
        assert!(feed(&mut Reader::new(1000), &bad).is_err());
        assert_eq!(
            feed(&mut Reader::new(1000), &frame(0x81, b"ok")).unwrap().0,
            ["ok"]
        );
    }

    #[test]
    fn many_messages_in_one_read_are_handled_over_several_turns() {
        let mut reader = Reader::new(1000);
        let input = frame(0x81, b"x").repeat(MAX_MESSAGES_PER_TURN * 2 + 5);
        let mut total = feed(&mut reader, &input).unwrap().0.len();
        assert_eq!(total, MAX_MESSAGES_PER_TURN);
        let mut turns = 1;
        while reader.has_leftover() {
            total += feed(&mut reader, &[]).unwrap().0.len();
            turns += 1;
        }
        assert_eq!((total, turns), (MAX_MESSAGES_PER_TURN * 2 + 5, 3));
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(
            payloads in prop::collection::vec("[a-z]{0,300}", 1..6),
            cuts in prop::collection::vec(1_usize..200, 1..20),
        ) {
            let mut input: Vec<u8> = Vec::new();
            for (index, payload) in payloads.iter().enumerate() {
                let (head, tail) = payload.split_at(payload.len() / 2);
                let whole = frame(0x81, payload.as_bytes());
                input.extend(match index % 3 {
                    0 => whole,
                    1 => [frame(0x01, head.as_bytes()), frame(0x80, tail.as_bytes())].concat(),
                    _ => [frame(0x89, b"p"), whole].concat(),
                });
            }
            let mut reader = Reader::new(1000);
            let (mut seen, mut rest, mut cut) = (Vec::new(), input.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                seen.extend(feed(&mut reader, now).unwrap().0);
                rest = later;
            }
            prop_assert_eq!(seen, payloads);
            prop_assert!(reader.private.is_none());
        }
    }
}
