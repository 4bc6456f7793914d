use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// The most that a server reads from one body unless told otherwise.
const USUAL_MAX: usize = 1_000;

fn decode(body: &str) -> Vec<Result<Packet<'_>, PayloadError>> {
    decode_payload(body, USUAL_MAX).collect()
}

#[test]
fn packets_of_a_payload_come_in_order() {
    assert_eq!(
        decode("4hello\x1e2\x1ebAQIDBA==\x1e4€"),
        [
            Ok(Packet::Message("hello")),
            Ok(Packet::Ping("")),
            Ok(Packet::Binary(vec![1, 2, 3, 4].into())),
            Ok(Packet::Message("€")),
        ],
    );
}

#[test]
fn reading_stops_at_the_first_bad_packet() {
    let empty = || Err(PayloadError::Packet(DecodeError::Empty));
    let unknown = |found| Err(PayloadError::Packet(DecodeError::UnknownType { found }));
    let cases = [
        ("", vec![empty()]),
        ("\x1e", vec![empty()]),
        ("\x1e4a", vec![empty()]),
        ("4a\x1e", vec![Ok(Packet::Message("a")), empty()]),
        ("4a\x1e\x1e4b", vec![Ok(Packet::Message("a")), empty()]),
        (
            "4a\x1eabc\x1e4b",
            vec![Ok(Packet::Message("a")), unknown('a')],
        ),
        // The framing of version 3.
        ("6:4hello", vec![Ok(Packet::Noop)]),
        ("10:4hellohell", vec![Ok(Packet::Close)]),
        ("٤:4x", vec![unknown('٤')]),
    ];
    for (body, expected) in cases {
        assert_eq!(decode(body), expected, "{body:?}");
    }
}

#[test]
fn as_many_packets_as_allowed_are_read_and_one_more_is_an_error() {
    for max in [0, 1, 2, 1_000] {
        let exact = vec!["2"; max].join("\x1e");
        if max > 0 {
            assert_eq!(
                decode_payload(&exact, max).filter(Result::is_ok).count(),
                max
            );
            assert!(decode_payload(&exact, max).all(|packet| packet.is_ok()));
        }
        let above = vec!["2"; max + 1].join("\x1e");
        let packets: Vec<_> = decode_payload(&above, max).collect();
        assert_eq!(packets.len(), max + 1);
        assert_eq!(
            packets.last(),
            Some(&Err(PayloadError::TooManyPackets { max }))
        );
    }
}

#[test]
fn a_body_of_half_a_million_packets_costs_no_more_than_its_cap() {
    let body = vec!["2"; 500_000].join("\x1e");
    let mut packets = decode_payload(&body, USUAL_MAX);
    assert_eq!(packets.by_ref().count(), USUAL_MAX + 1);
    assert!(packets.failed);
    assert_eq!(packets.next(), None);
    // What was read is the front of the body; the rest was not even looked at.
    let unread: usize = packets.parts.map(|part| part.len() + 1).sum();
    assert_eq!(unread, body.len() + 1 - 2 * (USUAL_MAX + 1));
}

#[test]
fn without_a_cap_every_byte_belongs_to_exactly_one_packet() {
    // A second pass over any byte, or a copy of one, would show in the addresses.
    let body = vec!["4x"; 500_000].join("\x1e");
    let mut expected = body.as_ptr().wrapping_add(1);
    let mut count = 0;
    for packet in decode_payload(&body, usize::MAX) {
        let Ok(Packet::Message(message)) = packet else {
            panic!("packet {count} is not a message");
        };
        assert_eq!(message.as_ptr(), expected);
        expected = expected.wrapping_add("x\x1e4".len());
        count += 1;
    }
    assert_eq!(count, 500_000);
}

#[derive(Debug, Clone, PartialEq)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
}

impl Sent {
    fn encode(&self) -> String {
        match self {
            Self::Text(text) => format!("4{text}"),
            Self::Binary(data) => format!("b{}", STANDARD.encode(data)),
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        // A separator inside a text cannot travel in a payload: JSON escapes it.
        "[^\x1e]{0,40}".prop_map(Sent::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Sent::Binary),
    ]
}

proptest! {
    #[test]
    fn a_payload_comes_back_as_it_was_sent(
        sent in proptest::collection::vec(sent(), 1..20),
    ) {
        let body = sent.iter().map(Sent::encode).collect::<Vec<_>>().join("\x1e");
        let received: Vec<_> = decode_payload(&body, USUAL_MAX)
            .map(|packet| match packet {
                Ok(Packet::Message(text)) => Sent::Text(text.to_owned()),
                Ok(Packet::Binary(data)) => Sent::Binary(data.to_vec()),
                other => panic!("{other:?} was not sent"),
            })
            .collect();
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn no_body_makes_the_decoder_panic_or_go_on_after_an_error(
        body in "[0-7b\x1eA=é]{0,60}",
        max in 0_usize..8,
    ) {
        let packets: Vec<_> = decode_payload(&body, max).collect();
        prop_assert!(packets.len() <= max.saturating_add(1));
        prop_assert!(packets.iter().rev().skip(1).all(Result::is_ok));
    }
}
