//! Reading WebSocket frames without a buffer per idle connection.
//!
//! Most reads hold whole messages and nothing else: those are lent to the caller where they lie
//! (`plain`). Anything else is judged by tungstenite's core (RFC 6455): a read that ends within a
//! frame, or holds fragments or control frames, gives the connection a context of its own, which
//! is dropped as soon as the stream is at a message boundary again.
//!
//! ```text
//!             whole data frames                        anything else
//!   Plain  ─────────────────────▶ Plain      Plain  ────────────────────▶ Private
//!      ▲                                                                     │
//!      └───────────────── at a message boundary, nothing left over ──────────┘
//! ```
//!
//! A turn takes so many messages and so many of the costlier frames; the rest waits as it came, and
//! the next turn begins with it as with a new read.
//!
//! # Invariants
//!
//! - A declared length allocates nothing: a frame is collected as it arrives, and the decoder,
//!   which makes room for all of a frame at once, sees it when it is whole.
//!
//! # Not here
//!
//! Writing frames (`frame`, `outbox`); the bytes themselves (`stream`).

mod boundary;
mod plain;

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use bytes::{Buf as _, Bytes, BytesMut};
use portcullis_engineio::TransportFault;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use boundary::Boundary;
use plain::Plain;

/// tungstenite zero-fills this much on every read, so small beats large.
const CONTEXT_BUFFER: usize = 1024;

/// So many messages of one connection are handled before others get their turn.
const MAX_MESSAGES_PER_TURN: usize = 64;

/// The same for frames that take the decoder: fragments, control frames, frames in pieces. A fast
/// peer that sends nothing else keeps everybody waiting for as many of them as a turn has.
const MAX_FRAMES_PER_TURN: usize = 16;

/// How many fragments a message may have, and the size that larger messages may have instead.
const MIN_FRAGMENTS: usize = 16_384;
const FRAGMENT_BYTES: usize = 64;

/// What a frame brought.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Text(&'a str),
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

    /// What the session is told.
    pub(super) const fn fault(self) -> TransportFault {
        match self {
            Self::TooBig => TransportFault::TooBig,
            Self::TooManyFragments => TransportFault::TooManyFragments,
            Self::InvalidUtf8 => TransportFault::InvalidUtf8,
            Self::Protocol => TransportFault::WebSocket,
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

#[derive(Debug, Default)]
struct Private {
    /// Where the stream is inside a message, or the context holds frames.
    context: Option<WebSocketContext>,
    boundary: Boundary,
    /// Whole frames that were not yet given to the context.
    leftover: Vec<u8>,
    /// Behind them, the frame that is arriving.
    partial: Vec<u8>,
    /// Behind that, what no turn has looked at.
    unseen: BytesMut,
    /// A turn ended before all messages were handled, wherever they are.
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

    /// Hands each message in `input`, which is unmasked meanwhile, to `each`, and appends answers
    /// to pings and closes to `control` as finished frames.
    ///
    /// Stops early when `each` breaks, or when a turn's worth of messages has been handled; the
    /// rest is kept for the next call.
    ///
    /// # Errors
    ///
    /// If the bytes break RFC 6455 or the message limit. The stream is of no use after that.
    pub(crate) fn feed(
        &mut self,
        input: &mut [u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if self
            .private
            .as_ref()
            .is_some_and(|it| !it.unseen.is_empty())
        {
            return self.feed_waiting(input, control, each);
        }
        let unseen = self.feed_next(input, control, each)?;
        if unseen > 0 {
            let rest = input.get(input.len() - unseen..).unwrap_or_default();
            self.kept().unseen.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Goes on with what no turn has looked at, and puts `input` behind it.
    #[cold]
    fn feed_waiting(
        &mut self,
        input: &[u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut waiting = std::mem::take(&mut self.kept().unseen);
        waiting.extend_from_slice(input);
        let unseen = self.feed_next(&mut waiting, control, each)?;
        if unseen > 0 {
            waiting.advance(waiting.len() - unseen);
            self.kept().unseen = waiting;
        }
        Ok(())
    }

    /// Takes a turn's worth; says how many bytes at the end nobody has looked at.
    fn feed_next(
        &mut self,
        input: &mut [u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        match self.private.take_if(|it| it.context.is_some()) {
            Some(private) => self.feed_private(private, input, control, each),
            None => {
                self.private = None;
                self.feed_plain(input, control, each)
            }
        }
    }

    /// As [`Self::feed_next`], from a message boundary on.
    fn feed_plain(
        &mut self,
        mut input: &mut [u8],
        control: &mut Vec<u8>,
        mut each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        let mut handled = 0;
        while let Some(message) = plain::take(&mut input, self.max_message_bytes) {
            if message.is_empty() {
                self.idle = self.idle.saturating_add(1);
            }
            let flow = match message {
                Plain::Text(text) => {
                    let text = std::str::from_utf8(text).map_err(|_| ReadError::InvalidUtf8)?;
                    each(Incoming::Text(text))
                }
                Plain::Binary(data) => each(Incoming::Binary(Bytes::copy_from_slice(data))),
            };
            handled += 1;
            if flow.is_break() || handled == MAX_MESSAGES_PER_TURN {
                self.kept().unfinished = true;
                return Ok(input.len());
            }
        }
        if input.is_empty() {
            return Ok(0);
        }
        self.feed_private(Box::default(), input, control, each)
    }

    fn kept(&mut self) -> &mut Private {
        self.private.get_or_insert_default()
    }

    /// As [`Self::feed_next`], for what takes the decoder.
    fn feed_private(
        &mut self,
        mut private: Box<Private>,
        input: &[u8],
        control: &mut Vec<u8>,
        each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        let scanned = private.boundary.scan(input, MAX_FRAMES_PER_TURN);
        self.idle = self.idle.saturating_add(scanned.idle());
        if scanned.most_fragments() > self.max_fragments() {
            return Err(ReadError::TooManyFragments);
        }
        let whole_bytes = scanned.whole_bytes();
        let (whole, rest) = input.split_at_checked(whole_bytes).unwrap_or((input, &[]));
        let (partial, unseen) = if scanned.is_all() {
            (rest, 0)
        } else {
            (&[][..], rest.len())
        };
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
        let mut context = private.context.take().unwrap_or_else(|| self.context());
        match read_messages(&mut context, &mut rest, control, each)? {
            Stop::Drained if private.boundary.is_whole() => {
                if unseen > 0 {
                    self.kept().unfinished = true;
                }
            }
            Stop::Drained if private.boundary.is_over(self.max_message_bytes) => {
                return Err(ReadError::TooBig);
            }
            Stop::Drained => {
                private.unfinished = unseen > 0;
                private.context = Some(context);
                self.private = Some(private);
            }
            Stop::Closed => return Ok(0),
            Stop::Unfinished => {
                private.leftover = rest.to_vec();
                private.unfinished = true;
                private.context = Some(context);
                self.private = Some(private);
            }
        }
        Ok(unseen)
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
    mut each: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
) -> Result<Stop, ReadError> {
    let mut wire = Wire {
        input: rest,
        output: control,
    };
    for _ in 0..MAX_MESSAGES_PER_TURN {
        let flow = match context.read(&mut wire) {
            Ok(Message::Text(text)) => each(Incoming::Text(&text)),
            Ok(Message::Binary(data)) => each(Incoming::Binary(data)),
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
        if flow.is_break() {
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
        reader.feed(&mut input.to_vec(), &mut control, |incoming| {
            seen.push(match incoming {
                Incoming::Text(text) => text.to_string(),
                Incoming::Binary(data) => format!("{data:?}"),
                Incoming::Close => "close".to_owned(),
            });
            ControlFlow::Continue(())
        })?;
        Ok((seen, control))
    }

    /// As `feed`, with as many turns as it takes.
    fn feed_all(reader: &mut Reader, input: &[u8]) -> Result<(Vec<String>, u32), ReadError> {
        let (mut seen, mut turns) = (feed(reader, input)?.0, 1);
        while reader.has_leftover() {
            seen.extend(feed(reader, &[])?.0);
            turns += 1;
        }
        Ok((seen, turns))
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
                result = feed_all(&mut reader, piece).map(|(seen, _)| seen);
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
        let rounds = (1..).find(|_| feed_all(&mut reader, &flood).is_err());
        assert_eq!(rounds, Some(17));
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
    fn a_fragment_of_a_few_bytes_counts_as_one_without_content_and_the_last_may_be_short() {
        let mut reader = Reader::new(1000);
        let pieces = [
            frame(0x01, b"begin"),
            frame(0x00, &[b'x'; 15]),
            frame(0x00, &[b'x'; 16]),
            frame(0x80, b"x"),
        ];
        feed(&mut reader, &pieces.concat()).unwrap();
        assert_eq!(reader.take_idle(), 1);
    }

    #[test]
    fn control_frames_and_fragments_have_shorter_turns_than_messages() {
        let count = MAX_FRAMES_PER_TURN * 4 - 1;
        for (flood, end) in [
            (frame(0x89, b"p"), frame(0x81, b"end")),
            (
                [frame(0x01, b"e"), frame(0x00, b"n").repeat(count - 1)].concat(),
                frame(0x80, b"d"),
            ),
        ] {
            let mut reader = Reader::new(1000);
            let is_pings = flood.starts_with(&[0x89]);
            let flood = flood.repeat(if is_pings { count } else { 1 });
            let (seen, turns) = feed_all(&mut reader, &[flood, end].concat()).unwrap();
            assert_eq!((seen.len(), turns), (1, 4), "{is_pings}");
            assert!(reader.private.is_none());
        }
    }

    #[test]
    fn what_waits_for_a_turn_is_not_overtaken_by_what_is_read_later() {
        let mut reader = Reader::new(1000);
        let mut seen = feed(&mut reader, &frame(0x89, b"p").repeat(40)).unwrap().0;
        assert!(reader.has_leftover());
        for number in 0..100 {
            let text = number.to_string();
            seen.extend(feed(&mut reader, &frame(0x81, text.as_bytes())).unwrap().0);
        }
        seen.extend(feed_all(&mut reader, &[]).unwrap().0);
        assert_eq!(seen, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
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
        let result = reader.feed(&mut input, &mut Vec::new(), |_| {
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
    fn what_follows_the_message_at_which_the_caller_stops_is_kept() {
        let mut reader = Reader::new(1000);
        let last = frame(0x81, b"c");
        let mut input = [frame(0x81, b"a"), frame(0x81, b"b"), last[..4].to_vec()].concat();
        let mut seen = 0;
        let result = reader.feed(&mut input, &mut Vec::new(), |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((result, seen), (Ok(()), 1));
        assert!(reader.has_leftover());
        assert_eq!(feed(&mut reader, &[]).unwrap().0, ["b"]);
        assert_eq!(feed(&mut reader, &last[4..]).unwrap().0, ["c"]);
        assert!(reader.private.is_none());
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
            seen.extend(feed_all(&mut reader, &[]).unwrap().0);
            prop_assert_eq!(seen, payloads);
            prop_assert!(reader.private.is_none());
        }
    }
}
