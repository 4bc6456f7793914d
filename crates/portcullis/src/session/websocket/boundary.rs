//! Where messages begin and end in a stream of frames, without looking at what they hold.
//!
//! It judges nothing: a stream that breaks the rules is found out by the decoder behind it.

/// A fragment of fewer bytes, if more is to follow, carries next to nothing: no peer that wants to
/// say something cuts it so small, and each costs as much as a large one.
const CRUMB_BYTES: u64 = 16;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A cursor over frame headers (RFC 6455 section 5.2).
#[derive(Debug, Default)]
pub(super) struct Boundary {
    header: [u8; 14],
    header_len: u8,
    payload_len: u64,
    payload_left: u64,
    in_fragments: bool,
    /// Of the message that is arriving.
    fragments: usize,
}

/// What a piece of the stream held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanned {
    whole_bytes: usize,
    most_fragments: usize,
    idle: u32,
    is_all: bool,
}

impl Scanned {
    /// Whether nothing behind the whole bytes was left alone.
    pub(super) const fn is_all(self) -> bool {
        self.is_all
    }

    /// The most fragments that a message had by the end of the piece.
    pub(super) const fn most_fragments(self) -> usize {
        self.most_fragments
    }

    /// How many frames began that carry nothing: pings, pongs, data frames without data, and
    /// crumbs of a message.
    pub(super) const fn idle(self) -> u32 {
        self.idle
    }

    /// How much of the piece belongs to frames that end in it; behind that a frame only begins or
    /// goes on.
    pub(super) const fn whole_bytes(self) -> usize {
        self.whole_bytes
    }
}

impl Boundary {
    /// Moves on over `input`, and stops behind so many frames.
    pub(super) fn scan(&mut self, mut input: &[u8], max_frames: usize) -> Scanned {
        let len = input.len();
        let (mut whole_bytes, mut most_fragments, mut idle) = (0, 0, 0_u32);
        let mut frames = 0;
        loop {
            let skip = usize::try_from(self.payload_left)
                .unwrap_or(usize::MAX)
                .min(input.len());
            self.payload_left -= skip as u64;
            input = input.get(skip..).unwrap_or_default();
            if self.header_len == 0 && self.payload_left == 0 {
                whole_bytes = len - input.len();
            }
            let is_turn_over = frames == max_frames && whole_bytes == len - input.len();
            if input.is_empty() || is_turn_over {
                return Scanned {
                    whole_bytes,
                    most_fragments,
                    idle,
                    is_all: input.is_empty(),
                };
            }
            input = self.take_header(input);
            if usize::from(self.header_len) == self.header_needed() {
                let is_idle = self.end_header();
                frames += 1;
                most_fragments = most_fragments.max(self.fragments);
                idle = idle.saturating_add(u32::from(is_idle));
            }
        }
    }

    /// Whether the stream stands between two messages.
    pub(super) const fn is_whole(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0 && !self.in_fragments
    }

    /// Whether the frame that is arriving says that it holds more than `max` bytes.
    pub(super) const fn is_over(&self, max: usize) -> bool {
        self.payload_left > 0 && self.payload_len > max as u64
    }

    /// Takes as much of the header as is known to belong to it; gives what is left.
    fn take_header<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let start = usize::from(self.header_len);
        let count = self.header_needed().saturating_sub(start).min(input.len());
        let (head, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
        if let Some(slots) = self.header.get_mut(start..start + head.len()) {
            slots.copy_from_slice(head);
        }
        // A header has at most 14 bytes.
        self.header_len += u8::try_from(head.len()).unwrap_or_default();
        rest
    }

    const fn header_needed(&self) -> usize {
        if self.header_len < 2 {
            return 2;
        }
        let mask = if self.header[1] & MASKED == 0 { 0 } else { 4 };
        2 + mask
            + match self.header[1] & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            }
    }

    /// Starts the payload; says whether the frame is a ping, a pong, a close, or has next to none.
    fn end_header(&mut self) -> bool {
        let [first, second, b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.header;
        self.payload_len = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([b0, b1])),
            127 => u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            len => u64::from(len),
        };
        self.payload_left = self.payload_len;
        self.header_len = 0;
        let (opcode, fin) = (first & 0xf, first & FIN != 0);
        if opcode < 8 {
            // What follows a whole message begins at one again.
            self.fragments = if opcode == 0 {
                self.fragments.saturating_add(1)
            } else {
                1
            };
            self.in_fragments = !fin;
        }
        let is_crumb = opcode == 0 && !fin && self.payload_len < CRUMB_BYTES;
        opcode >= 8 || self.payload_len == 0 || is_crumb
    }
}
