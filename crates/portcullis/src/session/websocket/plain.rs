//! The frames that almost all messages are: final, masked, text or binary, and all there.
//!
//! They are unmasked where they lie and lent to whoever wants them, without a copy. This module
//! judges nothing else: whatever it does not recognise as such a frame, it leaves as it was for the
//! decoder that knows all of RFC 6455.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

/// FIN and the opcode of text; no reserved bits.
const TEXT: u8 = 0x81;

/// FIN and the opcode of binary; no reserved bits.
const BINARY: u8 = 0x82;

const MASKED: u8 = 0x80;

/// A whole message, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plain<'a> {
    /// Not known to be UTF-8.
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

impl Plain<'_> {
    /// Whether it carries nothing.
    pub(super) const fn is_empty(&self) -> bool {
        match self {
            Self::Text(payload) | Self::Binary(payload) => payload.is_empty(),
        }
    }
}

/// Takes the first frame off `input`, if it is a plain one of at most `max_len` bytes.
pub(super) fn take<'a>(input: &mut &'a mut [u8], max_len: usize) -> Option<Plain<'a>> {
    let (is_text, header_len, len) = match **input {
        [first @ (TEXT | BINARY), second, ..] if second >= MASKED => match second & !MASKED {
            // The long forms must not be used for what fits a shorter one: not for us to judge.
            126 => {
                let len = u16::from_be_bytes(*input.get(2..)?.first_chunk()?);
                let len = Some(usize::from(len)).filter(|len| *len >= 126)?;
                (first == TEXT, 4_usize, len)
            }
            127 => return None,
            len => (first == TEXT, 2, usize::from(len)),
        },
        _ => return None,
    };
    let start = header_len.checked_add(4)?;
    let end = start.checked_add(len)?;
    if len > max_len || end > input.len() {
        return None;
    }
    let (frame, rest) = std::mem::take(input).split_at_mut(end);
    *input = rest;
    let (header, payload) = frame.split_at_mut_checked(start)?;
    let key = *header.last_chunk::<4>()?;
    unmask(payload, key);
    Some(if is_text {
        Plain::Text(payload)
    } else {
        Plain::Binary(payload)
    })
}

/// RFC 6455 section 5.3, eight bytes at a time.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::{Role, WebSocket};
    use tungstenite::{Error, Message};

    use super::*;

    fn masked(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(MASKED | u8::try_from(len).unwrap()),
            len => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&key);
        let payload = payload.iter().zip(key.iter().cycle());
        frame.extend(payload.map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn what_is_not_plain_is_left_as_it_was() {
        let frames: [&[u8]; 8] = [
            // A fragment, a control frame, a reserved bit.
            &[0x01, 0x81, 1, 2, 3, 4, 5],
            &[0x89, 0x80, 1, 2, 3, 4],
            &[0xc1, 0x81, 1, 2, 3, 4, 5],
            // Not masked, not all there, longer than it may be.
            &[0x81, 0x01, 5],
            &[0x81, 0x82, 1, 2, 3, 4, 5],
            &[0x81, 0x8b, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            // A length that would fit a shorter form, and nothing at all.
            &[0x81, 0xfe, 0, 1, 1, 2, 3, 4, 5],
            &[],
        ];
        for frame in frames {
            let mut bytes = frame.to_vec();
            let mut input = &mut bytes[..];
            assert_eq!(take(&mut input, 10), None, "{frame:?}");
            assert_eq!(bytes, frame);
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_a_full_decoder_reads(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (
                    prop_oneof![Just(TEXT), Just(BINARY)],
                    prop::collection::vec(any::<u8>(), 0..300),
                    any::<[u8; 4]>(),
                    prop::collection::vec(any::<u8>(), 0..4),
                )
                    .prop_map(|(first, payload, key, more)| {
                        [masked(first, &payload, key), more].concat()
                    }),
            ],
        ) {
            let mut copy = bytes.clone();
            let mut input = &mut copy[..];
            if let Some(plain) = take(&mut input, 200) {
                let stream = std::io::Cursor::new(bytes);
                let mut oracle = WebSocket::from_raw_socket(stream, Role::Server, None);
                match (plain, oracle.read()) {
                    (Plain::Text(text), Ok(Message::Text(expected))) => {
                        prop_assert_eq!(text, expected.as_bytes());
                    }
                    (Plain::Text(text), Err(Error::Utf8(_))) => {
                        prop_assert!(std::str::from_utf8(text).is_err());
                    }
                    (Plain::Binary(data), Ok(Message::Binary(expected))) => {
                        prop_assert_eq!(data, &expected[..]);
                    }
                    (plain, other) => prop_assert!(false, "{:?} where {:?}", plain, other),
                }
            }
        }
    }
}
