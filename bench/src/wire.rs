//! The few bytes of RFC 6455, Engine.IO v4 and Socket.IO v5 that a benchmark needs.
//!
//! ```text
//!  client                                             server
//!    │ GET /socket.io/?EIO=4&transport=websocket ───────▶│
//!    │◀─────────────────────── 101, then 0{"sid":…}      │
//!    │ 40{"token":…} ───────────────────────────────────▶│
//!    │◀──────────────────────────────────── 40{"sid":…}  │
//!    │◀──────────────────── 2 (ping), answered with 3    │
//! ```
//!
//! # Invariants
//!
//! - What the benchmark does not expect is a [`WireFault`], never skipped: a run is exact or void.
//! - Client frames are masked with the key 0, so that they are constant and cost no arithmetic.
//!   RFC 6455, section 5.3 asks browsers for unpredictable keys; a server cannot tell.
//!
//! # Not here
//!
//! HTTP polling (`scenario`), reading and writing (`fleet`, `floor`), and what the events carry
//! (`payload`).

use std::net::SocketAddrV4;

/// The Engine.IO pong, answered to each ping.
pub(crate) const PONG: &[u8] = b"3";

/// The nonce of RFC 6455, section 1.3: one for every connection of the generator.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server answers to [`KEY`], from the same section.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The opcode of a text frame with FIN set, in the first byte.
const FINAL_TEXT: u8 = 0x81;

/// The same of a binary frame.
const FINAL_BINARY: u8 = 0x82;

/// What stands before an event with one attachment, behind its type.
const ONE_ATTACHMENT: &[u8] = b"1-";

/// Set in the second byte of a frame that is masked.
const MASKED: u8 = 0x80;

/// Bytes that this side of the benchmark does not expect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireFault {
    /// The server answered the upgrade with something else.
    #[error("the upgrade was answered with {0:?}")]
    NotUpgraded(String),
    /// A frame that is fragmented, of a control type, or masked on the wrong side.
    #[error("unexpected frame with first bytes {0:#04x} {1:#04x}")]
    Frame(u8, u8),
    /// A frame that is longer than anything the benchmark exchanges.
    #[error("a frame of {0} bytes")]
    TooLong(u64),
    /// Text that is no packet the benchmark knows.
    #[error("unexpected packet {0:?}")]
    Packet(String),
}

/// A packet from the server, as far as the generator tells them apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Engine.IO `0{…}`: the session is open.
    Open,
    /// Engine.IO `2`: to be answered with [`PONG`].
    Ping,
    /// Socket.IO `40{…}`: connected to the namespace `/`.
    Connect,
    /// Socket.IO `42…`: what follows the type.
    Event(&'a [u8]),
    /// Socket.IO `451-…`: an event whose one attachment is the next frame.
    BinaryEvent,
    /// A binary frame.
    Attachment(&'a [u8]),
    /// Socket.IO `43…`: what follows the type, ack id first.
    Ack(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// Reads the text of a frame.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, WireFault> {
        match text {
            [b'4', b'2', rest @ ..] => Ok(Self::Event(rest)),
            [b'4', b'3', rest @ ..] => Ok(Self::Ack(rest)),
            [b'4', b'5', rest @ ..] if rest.starts_with(ONE_ATTACHMENT) => Ok(Self::BinaryEvent),
            b"2" => Ok(Self::Ping),
            [b'0', b'{', ..] => Ok(Self::Open),
            [b'4', b'0', b'{', ..] => Ok(Self::Connect),
            _ => Err(WireFault::Packet(excerpt(text))),
        }
    }
}

/// The request with which every connection begins.
pub(crate) fn upgrade_request(address: SocketAddrV4) -> Vec<u8> {
    request(&address.to_string(), "")
}

/// The request with which the session `sid`, which polls, asks for a WebSocket.
pub(crate) fn upgrade_request_for(host: &str, sid: &str) -> Vec<u8> {
    request(host, &format!("&sid={sid}"))
}

fn request(host: &str, more: &str) -> Vec<u8> {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket{more} HTTP/1.1\r\n\
         Host: {host}\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// How long the response to such a request is, or `None` while it is incomplete.
pub(crate) fn upgrade_response_len(bytes: &[u8]) -> Result<Option<usize>, WireFault> {
    let Some(len) = head_len(bytes) else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..len]);
    if head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT) {
        Ok(Some(len))
    } else {
        let status = head.lines().next().unwrap_or_default();
        Err(WireFault::NotUpgraded(status.to_owned()))
    }
}

/// The length of an HTTP head with its empty line, or `None` while it is incomplete.
pub(crate) fn head_len(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

/// A masked text frame, as clients send them.
pub(crate) fn client_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = header(text.len(), MASKED);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}

/// A masked binary frame.
pub(crate) fn client_binary_frame(data: &[u8]) -> Vec<u8> {
    let mut frame = client_frame(data);
    frame[0] = FINAL_BINARY;
    frame
}

/// An unmasked binary frame.
pub(crate) fn server_binary_frame(data: &[u8]) -> Vec<u8> {
    let mut frame = server_frame(data);
    frame[0] = FINAL_BINARY;
    frame
}

/// An unmasked text frame, as servers send them.
pub(crate) fn server_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = header(text.len(), 0);
    frame.extend_from_slice(text);
    frame
}

/// The packet in the first server frame of `bytes`, and the length of the frame.
pub(crate) fn parse_server_packet(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, WireFault> {
    let &[first, second, ..] = bytes else {
        return Ok(None);
    };
    if !matches!(first, FINAL_TEXT | FINAL_BINARY) || second & MASKED != 0 {
        return Err(WireFault::Frame(first, second));
    }
    let Some((start, end)) = payload_bounds(bytes, 0)? else {
        return Ok(None);
    };
    let Some(payload) = bytes.get(start..end) else {
        return Ok(None);
    };
    let packet = match first {
        FINAL_BINARY => Packet::Attachment(payload),
        _ => Packet::parse(payload)?,
    };
    Ok(Some((packet, end)))
}

/// Where the text of the first server frame in `bytes` is, if all of it is there.
pub(crate) fn server_text_bounds(bytes: &[u8]) -> Result<Option<(usize, usize)>, WireFault> {
    let bounds = payload_bounds(bytes, 0)?;
    Ok(bounds.filter(|(_, end)| *end <= bytes.len()))
}

/// The first client frame in `bytes`, unmasked in place: where its payload starts and ends.
pub(crate) fn unmask_client_frame(bytes: &mut [u8]) -> Result<Option<(usize, usize)>, WireFault> {
    let &mut [first, second, ..] = bytes else {
        return Ok(None);
    };
    if !matches!(first, FINAL_TEXT | FINAL_BINARY) || second & MASKED == 0 {
        return Err(WireFault::Frame(first, second));
    }
    let Some((start, end)) = payload_bounds(bytes, 4)? else {
        return Ok(None);
    };
    if bytes.len() < end {
        return Ok(None);
    }
    let (head, text) = bytes.split_at_mut(start);
    let key = &head[start - 4..];
    for (byte, mask) in text[..end - start].iter_mut().zip(key.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((start, end)))
}

/// Where the payload of a frame begins and ends, if its header is there.
fn payload_bounds(bytes: &[u8], key_len: usize) -> Result<Option<(usize, usize)>, WireFault> {
    let (header_len, len) = match bytes {
        [_, second, rest @ ..] => match (second & !MASKED, rest) {
            (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (126, _) => return Ok(None),
            (127, _) => return Err(WireFault::TooLong(u64::from(u16::MAX) + 1)),
            (len, _) => (2, usize::from(len)),
        },
        _ => return Ok(None),
    };
    let start = header_len + key_len;
    Ok(Some((start, start + len)))
}

/// The header of a text frame, without its masking key.
fn header(text_len: usize, masked: u8) -> Vec<u8> {
    match (u8::try_from(text_len), u16::try_from(text_len)) {
        (Ok(len @ 0..=125), _) => vec![FINAL_TEXT, masked | len],
        (_, Ok(len)) => {
            let [high, low] = len.to_be_bytes();
            vec![FINAL_TEXT, masked | 126, high, low]
        }
        _ => unreachable!("the benchmark sends nothing above 64 KiB"),
    }
}

/// The beginning of what was not understood, for a message.
fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_frame_is_unmasked_to_its_text() {
        for len in [0, 1, 125, 126, 1_000, 65_535] {
            let text = vec![b'x'; len];
            let mut frame = client_frame(&text);
            let (start, end) = unmask_client_frame(&mut frame).unwrap().unwrap();
            assert_eq!(&frame[start..end], text);
            assert_eq!(end, frame.len());
        }
    }

    #[test]
    fn a_masking_key_is_applied() {
        let mut frame = vec![0x81, 0x82, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2];
        assert_eq!(unmask_client_frame(&mut frame), Ok(Some((6, 8))));
        assert_eq!(&frame[6..], b"ab");
    }

    #[test]
    fn a_server_frame_is_read_only_when_it_is_whole() {
        for len in [0, 125, 126, 1_000] {
            let text = vec![b'x'; len];
            let frame = server_binary_frame(&text);
            for cut in 0..frame.len() {
                assert_eq!(parse_server_packet(&frame[..cut]), Ok(None));
            }
            let two = [frame.clone(), frame.clone()].concat();
            let whole = (Packet::Attachment(&text), frame.len());
            assert_eq!(parse_server_packet(&two), Ok(Some(whole)));
        }
    }

    #[test]
    fn a_frame_that_nobody_expects_is_a_fault() {
        for first in [0x01, 0x02, 0x88, 0x89, 0x8a, 0xc1] {
            let frame = [first, 0];
            assert_eq!(
                parse_server_packet(&frame),
                Err(WireFault::Frame(first, 0)),
                "{first:#x}"
            );
        }
    }

    #[test]
    fn packets_are_told_apart_by_their_first_characters() {
        assert_eq!(Packet::parse(b"0{\"sid\":\"x\"}"), Ok(Packet::Open));
        assert_eq!(Packet::parse(b"2"), Ok(Packet::Ping));
        assert_eq!(Packet::parse(b"40{\"sid\":\"x\"}"), Ok(Packet::Connect));
        assert_eq!(Packet::parse(b"42[\"m\"]"), Ok(Packet::Event(b"[\"m\"]")));
        assert_eq!(Packet::parse(b"437[]"), Ok(Packet::Ack(b"7[]")));
        assert_eq!(Packet::parse(b"451-[\"m\"]"), Ok(Packet::BinaryEvent));
    }

    #[test]
    fn a_refusal_or_a_goodbye_is_a_fault() {
        for text in ["44{\"message\":\"Unauthorized\"}", "1", "41", "", "4"] {
            assert!(Packet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_right_accept_key_upgrades() {
        let good = format!("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n\x01");
        assert_eq!(
            upgrade_response_len(good.as_bytes()),
            Ok(Some(good.len() - 1))
        );
        assert_eq!(upgrade_response_len(&good.as_bytes()[..40]), Ok(None));
        let other = good.replace("s3pP", "xxxx");
        assert!(upgrade_response_len(other.as_bytes()).is_err());
        let refused = b"HTTP/1.1 403 Forbidden\r\n\r\n";
        assert_eq!(
            upgrade_response_len(refused),
            Err(WireFault::NotUpgraded("HTTP/1.1 403 Forbidden".to_owned()))
        );
    }
}
