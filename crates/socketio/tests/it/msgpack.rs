//! msgpack between JavaScript and us. Expected bytes are those of notepack.io (npm) on Node.

use bytes::Bytes;
use portcullis_socketio::MAX_DEPTH;
use portcullis_socketio::msgpack::{MsgpackError, decode, decode_shared, encode};
use portcullis_socketio::value::Value;
use proptest::prelude::*;

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, &mut out);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).unwrap())
        .collect()
}

fn timestamp(seconds: i64, nanoseconds: u32) -> Value {
    Value::Timestamp {
        seconds,
        nanoseconds,
    }
}

/// Values as notepack.io 3.0.1 writes them.
fn table() -> Vec<(Value, &'static str)> {
    let bytes = |bytes: &'static [u8]| Value::from(Bytes::from_static(bytes));
    vec![
        (Value::Null, "c0"),
        (true.into(), "c3"),
        (false.into(), "c2"),
        (0.into(), "00"),
        (127.into(), "7f"),
        (128.into(), "cc80"),
        (255.into(), "ccff"),
        (256.into(), "cd0100"),
        (65_535.into(), "cdffff"),
        (65_536.into(), "ce00010000"),
        (u32::MAX.into(), "ceffffffff"),
        (4_294_967_296_i64.into(), "cf0000000100000000"),
        (9_007_199_254_740_991_i64.into(), "cf001fffffffffffff"),
        ((-1).into(), "ff"),
        ((-32).into(), "e0"),
        ((-33).into(), "d0df"),
        ((-128).into(), "d080"),
        ((-129).into(), "d1ff7f"),
        ((-32_768).into(), "d18000"),
        ((-32_769).into(), "d2ffff7fff"),
        (i32::MIN.into(), "d280000000"),
        ((-2_147_483_649_i64).into(), "d3ffffffff7fffffff"),
        ((-9_007_199_254_740_991_i64).into(), "d3ffe0000000000001"),
        (1.5.into(), "cb3ff8000000000000"),
        ((-0.5).into(), "cbbfe0000000000000"),
        (0.1.into(), "cb3fb999999999999a"),
        (f64::INFINITY.into(), "cb7ff0000000000000"),
        ("".into(), "a0"),
        ("a".into(), "a161"),
        ("é🎉".into(), "a6c3a9f09f8e89"),
        (bytes(b""), "c400"),
        (bytes(b"\x01\x02"), "c4020102"),
        (vec![].into(), "90"),
        (vec![1.into()].into(), "9101"),
        (Value::Map(vec![]), "80"),
        (
            Value::from_iter([
                ("b", Value::from(1)),
                ("a", vec![Value::Map(vec![])].into()),
            ]),
            "82a16201a1619180",
        ),
        (timestamp(0, 0), "d6ff00000000"),
        (timestamp(1, 500_000_000), "d7ff7735940000000001"),
        (timestamp(-1, 999_000_000), "c70cff3b8b87c0ffffffffffffffff"),
        (timestamp(4_294_967_296, 0), "d7ff0000000100000000"),
        (
            timestamp(17_179_869_184, 0),
            "c70cff000000000000000400000000",
        ),
    ]
}

#[test]
fn values_are_written_byte_for_byte_as_javascript_writes_them_and_read_back() {
    for (value, expected) in table() {
        assert_eq!(hex(&encoded(&value)), expected, "{value:?}");
        assert_eq!(decode(&unhex(expected), MAX_DEPTH), Ok(value));
    }
}

#[test]
fn floats_without_a_fraction_are_written_as_integers() {
    assert_eq!(hex(&encoded(&1.0.into())), "01");
    assert_eq!(hex(&encoded(&(-0.0).into())), "00");
    assert_eq!(hex(&encoded(&(-33.0).into())), "d0df");
    assert_eq!(
        hex(&encoded(&9_223_372_036_854_775_808.0.into())),
        "cf8000000000000000"
    );
    // JavaScript corrupts those that no integer holds; they stay floats here.
    assert_eq!(hex(&encoded(&1e300.into())), "cb7e37e43c8800759c");
    assert_eq!(hex(&encoded(&f64::NAN.into())), "cb7ff8000000000000");
}

#[test]
fn lengths_take_the_shortest_form() {
    let first = |value: Value| encoded(&value)[0];
    let text = |len: usize| Value::from("x".repeat(len));
    let bytes = |len: usize| Value::from(Bytes::from(vec![0; len]));
    let list = |len: usize| Value::from(vec![Value::Null; len]);
    let map = |len: usize| Value::Map(vec![(String::new(), Value::Null); len]);

    for (len, marker) in [
        (31, 0xbf),
        (32, 0xd9),
        (255, 0xd9),
        (256, 0xda),
        (65_536, 0xdb),
    ] {
        assert_eq!(first(text(len)), marker, "text of {len}");
    }
    for (len, marker) in [(255, 0xc4), (256, 0xc5), (65_535, 0xc5), (65_536, 0xc6)] {
        assert_eq!(first(bytes(len)), marker, "bytes of {len}");
    }
    for (len, marker) in [(15, 0x9f), (16, 0xdc), (65_535, 0xdc), (65_536, 0xdd)] {
        assert_eq!(first(list(len)), marker, "list of {len}");
    }
    for (len, marker) in [(15, 0x8f), (16, 0xde), (65_535, 0xde), (65_536, 0xdf)] {
        assert_eq!(first(map(len)), marker, "map of {len}");
    }
    for value in [text(65_536), bytes(65_536), list(65_536), map(65_536)] {
        assert_eq!(decode(&encoded(&value), MAX_DEPTH), Ok(value));
    }
}

#[test]
fn older_javascript_and_foreign_forms_are_read() {
    let read = |text: &str| decode(&unhex(text), MAX_DEPTH).unwrap();
    let bytes = |bytes: &'static [u8]| Value::from(Bytes::from_static(bytes));

    // notepack.io 2.2.0: undefined, a Date, and an ArrayBuffer of 1 and of 8 bytes.
    assert_eq!(read("d40000"), Value::Null);
    assert_eq!(read("d70000000000000005dc"), timestamp(1, 500_000_000));
    assert_eq!(read("d700ffffffffffffffff"), timestamp(-1, 999_000_000));
    assert_eq!(read("c7010007"), bytes(b"\x07"));
    assert_eq!(
        read("c708000102030405060708"),
        bytes(&[1, 2, 3, 4, 5, 6, 7, 8])
    );

    // Other libraries: float32, long forms of short things, other extensions, numbers as keys.
    assert_eq!(read("ca3fc00000"), Value::from(1.5));
    assert_eq!(read("d90161"), Value::from("a"));
    assert_eq!(read("dc000101"), read("9101"));
    assert_eq!(read("df00000001a16101"), read("81a16101"));
    assert_eq!(read("cfffffffffffffffff"), Value::from(u64::MAX));
    assert_eq!(
        read("d505aabb"),
        Value::from(vec![5.into(), bytes(b"\xaa\xbb")])
    );
    assert_eq!(
        read("c702ffaabb"),
        Value::from(vec![(-1).into(), bytes(b"\xaa\xbb")])
    );
    assert_eq!(read("8107c0"), Value::from_iter([("7", Value::Null)]));
    assert_eq!(read("a2c328"), Value::from("\u{fffd}("));
    // More nanoseconds than a second has.
    assert_eq!(
        read("d7ffffffffff00000000"),
        timestamp(0x3_0000_0000, 999_999_999)
    );
}

#[test]
fn what_no_peer_writes_is_an_error_and_nothing_worse() {
    let error = |text: &str| decode(&unhex(text), MAX_DEPTH).unwrap_err();

    assert_eq!(error(""), MsgpackError::Truncated);
    assert_eq!(error("c1"), MsgpackError::UnknownMarker { found: 0xc1 });
    assert_eq!(error("0000"), MsgpackError::Trailing { len_bytes: 1 });
    assert_eq!(error("81c001"), MsgpackError::Key);
    assert_eq!(error("818001"), MsgpackError::Key);
    // Lengths that the input cannot hold: 4 G of items, of pairs, of bytes.
    for text in [
        "ddffffffff01",
        "dfffffffff01",
        "dbffffffff01",
        "c6ffffffff01",
        "c9ffffffff0001",
    ] {
        assert_eq!(error(text), MsgpackError::Truncated, "{text}");
    }
}

#[test]
fn every_prefix_of_a_value_is_truncated() {
    for (_, text) in table() {
        let bytes = unhex(text);
        for len in 0..bytes.len() {
            assert_eq!(
                decode(&bytes[..len], MAX_DEPTH),
                Err(MsgpackError::Truncated)
            );
        }
    }
}

#[test]
fn nesting_ends_at_the_limit_however_deep_the_input_goes() {
    for marker in [&[0x91][..], &[0x81, 0xa0], &[0xdd, 0, 0, 0, 1]] {
        let nested = |depth: usize| {
            let mut bytes = marker.repeat(depth);
            bytes.push(0xc0);
            decode(&bytes, MAX_DEPTH)
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert_eq!(nested(MAX_DEPTH + 1), Err(MsgpackError::TooDeep));
        assert_eq!(nested(100_000), Err(MsgpackError::TooDeep));
    }
    assert_eq!(decode(&[0x90], 0), Err(MsgpackError::TooDeep));
    assert_eq!(decode(&[0xc0], 0), Ok(Value::Null));
}

#[test]
fn lists_that_each_claim_the_rest_of_the_input_reserve_little() {
    // Sixty levels that each declare as many items as bytes are left.
    let mut bytes = Vec::new();
    for level in 0..60_u32 {
        bytes.push(0xdd);
        bytes.extend_from_slice(&(1_000_000 - 5 * (level + 1)).to_be_bytes());
    }
    bytes.resize(1_000_000, 0xc1);
    assert_eq!(
        decode(&bytes, MAX_DEPTH),
        Err(MsgpackError::UnknownMarker { found: 0xc1 })
    );
}

#[test]
fn shared_binary_is_not_copied() {
    let input = Bytes::from(unhex("c403010203"));
    let Value::Bytes(binary) = decode_shared(&input, MAX_DEPTH).unwrap() else {
        panic!("not binary");
    };
    assert_eq!(binary.as_ptr(), input[2..].as_ptr());
}

proptest! {
    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes: Vec<u8>) {
        if let Ok(value) = decode(&bytes, MAX_DEPTH) {
            // What was read can be written, and reads as the same again.
            let again = decode(&encoded(&value), MAX_DEPTH + 1).unwrap();
            prop_assert_eq!(encoded(&again), encoded(&value));
        }
    }
}
