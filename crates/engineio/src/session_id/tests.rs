use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[test]
fn a_random_id_is_20_characters_of_base64url() {
    let cases = [
        ([0x00; 15], "AAAAAAAAAAAAAAAAAAAA"),
        ([0xff; 15], "____________________"),
        (
            *b"\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe\xfb\xef\xbe",
            "--------------------",
        ),
    ];
    for (random, expected) in cases {
        assert_eq!(SessionId::from_random(random).expose(), expected);
    }
}

#[test]
fn every_random_bit_shows_in_the_id() {
    let mut seen = HashSet::new();
    assert!(seen.insert(SessionId::from_random([0; 15])));
    for bit in 0..120 {
        let mut random = [0; 15];
        random[bit / 8] = 1 << (bit % 8);
        assert!(
            seen.insert(SessionId::from_random(random)),
            "bit {bit} is lost"
        );
    }
    assert_eq!(seen.len(), 121);
}

#[test]
fn a_hundred_thousand_different_draws_are_as_many_ids() {
    let ids: HashSet<_> = (0..100_000_u128)
        .map(|draw| {
            // An odd multiplier permutes the 120-bit numbers: no two draws are equal.
            let spread = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let mut random = [0; 15];
            random.copy_from_slice(&spread.to_le_bytes()[..15]);
            SessionId::from_random(random)
        })
        .collect();
    assert_eq!(ids.len(), 100_000);
}

#[test]
fn ids_of_1_to_64_url_safe_characters_are_read_and_nothing_else() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    let megabyte = "a".repeat(1_000_000);
    let cases = [
        ("a", true),
        ("KufXbHtN1lflCFkOAAAA", true),
        ("-_-_", true),
        ("__proto__", true),
        ("constructor", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        (megabyte.as_str(), false),
        ("", false),
        ("a b", false),
        ("a+b", false),
        ("a/b", false),
        ("a=", false),
        ("a%41", false),
        ("a\0", false),
        ("a\r\nb", false),
        ("é", false),
        ("\u{fffd}", false),
        ("aaaaaaaaaaaaaaaaaaaé", false),
    ];
    for (text, readable) in cases {
        let id = SessionId::parse(text);
        assert_eq!(id.is_ok(), readable, "{text:.80}");
        if let Ok(id) = id {
            assert_eq!(id.expose(), text);
        }
    }
}

#[test]
fn a_made_id_equals_the_same_id_read_back() {
    let made = SessionId::from_random([7; 15]);
    assert_eq!(SessionId::parse(made.expose()), Ok(made));
}

#[test]
fn an_id_is_not_shown_by_debug_nor_by_its_error() {
    let id = SessionId::parse("KufXbHtN1lflCFkOAAAA").unwrap();
    assert_eq!(format!("{id:?}"), "SessionId(redacted)");
    let refused = SessionId::parse("not an id").unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("not an id"));
}

#[test]
fn a_session_id_takes_at_most_24_bytes() {
    assert!(size_of::<SessionId>() <= 24, "{}", size_of::<SessionId>());
    assert!(size_of::<Option<SessionId>>() <= 24);
}

proptest! {
    #[test]
    fn the_id_holds_exactly_what_was_drawn(random: [u8; 15]) {
        let id = SessionId::from_random(random);
        prop_assert_eq!(id.expose().len(), 20);
        prop_assert_eq!(URL_SAFE_NO_PAD.decode(id.expose()).unwrap(), random);
    }

    #[test]
    fn reading_any_text_keeps_it_or_refuses_it(text in ".{0,80}") {
        if let Ok(id) = SessionId::parse(&text) {
            prop_assert_eq!(id.expose(), text);
        }
    }
}
