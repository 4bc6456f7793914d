use proptest::prelude::*;

use super::*;

#[test]
fn packets_mean_what_the_protocol_says() {
    let cases = [
        ("0", Packet::Open),
        (r#"0{"sid":"x"}"#, Packet::Open),
        ("1", Packet::Close),
        ("2", Packet::Ping("")),
        ("2probe", Packet::Ping("probe")),
        ("3", Packet::Pong("")),
        ("3probe", Packet::Pong("probe")),
        ("4", Packet::Message("")),
        ("4hello", Packet::Message("hello")),
        ("44", Packet::Message("4")),
        ("4€ \0 \u{10ffff}", Packet::Message("€ \0 \u{10ffff}")),
        ("5", Packet::Upgrade),
        ("6", Packet::Noop),
        ("b", Packet::Binary(Bytes::new())),
        (
            "bAQIDBA==",
            Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])),
        ),
        ("bAQIDBA", Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))),
    ];
    for (text, expected) in cases {
        assert_eq!(Packet::decode(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn what_is_not_a_packet_is_an_error_that_says_why() {
    let unknown = |found| DecodeError::UnknownType { found };
    let cases = [
        ("", DecodeError::Empty),
        ("7", unknown('7')),
        ("9abc", unknown('9')),
        ("abc", unknown('a')),
        ("B", unknown('B')),
        ("-1", unknown('-')),
        (" 4", unknown(' ')),
        ("\0", unknown('\0')),
        ("\x1e", unknown('\x1e')),
        // Not a digit for us, though Unicode has it for one; and wider than one byte.
        ("٤", unknown('٤')),
        ("é4", unknown('é')),
        ("\u{10ffff}", unknown('\u{10ffff}')),
        ("b!", DecodeError::Base64),
        ("bA", DecodeError::Base64),
        ("bAQID=BA", DecodeError::Base64),
        ("bé", DecodeError::Base64),
    ];
    for (text, expected) in cases {
        assert_eq!(Packet::decode(text), Err(expected), "{text:?}");
    }
}

#[test]
fn a_message_is_borrowed_and_not_copied() {
    let text = "4hello";
    let Ok(Packet::Message(message)) = Packet::decode(text) else {
        panic!("it is a message");
    };
    assert_eq!(message.as_ptr(), text.as_ptr().wrapping_add(1));
}

proptest! {
    #[test]
    fn no_text_makes_the_decoder_panic(text: String) {
        let _ = Packet::decode(&text);
    }

    #[test]
    fn a_text_message_comes_back_as_it_was(text: String) {
        let packet = format!("4{text}");
        prop_assert_eq!(Packet::decode(&packet), Ok(Packet::Message(&text)));
    }

    #[test]
    fn a_binary_message_comes_back_as_it_was(data: Vec<u8>, padded: bool) {
        let encoded = BASE64.encode(&data);
        let encoded = if padded { encoded.as_str() } else { encoded.trim_end_matches('=') };
        let packet = format!("b{encoded}");
        prop_assert_eq!(Packet::decode(&packet), Ok(Packet::Binary(data.into())));
    }
}
