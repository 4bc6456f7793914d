//! What leaves.

use bytes::Bytes;
use portcullis_socketio::MAX_DEPTH;
use portcullis_socketio::args::Args;
use portcullis_socketio::codec::{Codec, Decoder, Limits};
use portcullis_socketio::packet::Packet;
use portcullis_socketio::payload::{EncodeError, Payload};
use portcullis_socketio::value::Value;
use serde::Serialize;
use serde_json::value::RawValue;

fn event<T: Serialize + ?Sized>(args: &T) -> String {
    text(&Payload::event("e", args).unwrap())
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.json().to_vec()).unwrap()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |value, _| Value::from(vec![value]))
}

#[derive(Serialize)]
struct Point(i32, i32);

#[derive(Serialize)]
struct Id(u8);

#[derive(Serialize)]
struct Nothing;

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    data: Bytes,
}

#[test]
fn a_tuple_is_several_arguments_a_unit_is_none_and_anything_else_is_one() {
    assert_eq!(event(&()), r#"["e"]"#);
    assert_eq!(event(&("a", 1, true)), r#"["e","a",1,true]"#);
    assert_eq!(event(&("a",)), r#"["e","a"]"#);
    assert_eq!(event(&[1, 2]), r#"["e",1,2]"#);
    assert_eq!(event(&&(1, 2)), r#"["e",1,2]"#);
    assert_eq!(event(&Box::new((1, 2))), r#"["e",1,2]"#);
    assert_eq!(event(&((1, 2),)), r#"["e",[1,2]]"#);

    assert_eq!(event("a"), r#"["e","a"]"#);
    assert_eq!(event(&7), r#"["e",7]"#);
    assert_eq!(event(&vec![1, 2]), r#"["e",[1,2]]"#);
    assert_eq!(event(&[1, 2][..]), r#"["e",[1,2]]"#);
    assert_eq!(event(&Point(1, 2)), r#"["e",[1,2]]"#);
    assert_eq!(event(&Id(1)), r#"["e",1]"#);
    assert_eq!(event(&Nothing), r#"["e",null]"#);
    assert_eq!(event(&None::<u8>), r#"["e",null]"#);
    assert_eq!(event(&Some((1, 2))), r#"["e",[1,2]]"#);
    assert_eq!(event(&Value::Null), r#"["e",null]"#);
    assert_eq!(event(&Value::from(vec![Value::from(1)])), r#"["e",[1]]"#);
}

#[test]
fn an_answer_is_the_same_without_a_name() {
    let args = |payload: Result<Payload, EncodeError>| text(&payload.unwrap());
    assert_eq!(args(Payload::args(&())), "[]");
    assert_eq!(args(Payload::args(&("a", 1))), r#"["a",1]"#);
    assert_eq!(args(Payload::args(&vec![1])), "[[1]]");
}

#[test]
fn binary_becomes_attachments_in_order_and_a_list_of_bytes_stays_a_list() {
    let file = File {
        name: "cat",
        data: Bytes::from_static(b"meow"),
    };
    let payload = Payload::event("e", &(vec![7_u8], file, serde_bytes::Bytes::new(b"x"))).unwrap();
    assert_eq!(
        text(&payload),
        concat!(
            r#"["e",[7],{"name":"cat","data":{"_placeholder":true,"num":0}},"#,
            r#"{"_placeholder":true,"num":1}]"#,
        )
    );
    assert_eq!(payload.attachments(), [&b"meow"[..], &b"x"[..]]);
    assert_eq!(payload.size_bytes(), payload.json().len() + 5);
}

#[test]
fn names_that_clients_keep_for_themselves_are_refused() {
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let refused =
            |result| matches!(result, Err(EncodeError::Reserved { event }) if event == name);
        assert!(refused(Payload::event(name, &())));
        assert!(refused(Payload::from_args(Some(name), &Args::empty())));
    }
    for name in ["error", "message", "", "Connect", "a\"b\n"] {
        let payload = Payload::event(name, &()).unwrap();
        assert_eq!(payload.values(), [Value::from(name)]);
    }
}

#[test]
fn numbers_are_written_as_javascript_writes_them() {
    assert_eq!(
        event(&(
            1.0,
            -2.0,
            -0.0,
            1.5,
            9_007_199_254_740_992.0,
            f64::NAN,
            f64::INFINITY
        )),
        r#"["e",1,-2,0,1.5,9007199254740992,null,null]"#
    );
    assert_eq!(
        event(&(u64::MAX, i64::MIN)),
        r#"["e",18446744073709551615,-9223372036854775808]"#
    );
}

#[test]
fn data_cannot_forge_a_placeholder_next_to_binary() {
    let forged = || Value::from_iter([("_placeholder", Value::from(true)), ("num", 9.into())]);
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let data = Bytes::from_static(b"x");
    let is_refused = |result| matches!(result, Err(EncodeError::ForgedPlaceholder));

    assert!(is_refused(Payload::event("e", &(forged(), data.clone()))));
    assert!(is_refused(Payload::event(
        "e",
        &(data.clone(), vec![forged()])
    )));
    for json in [
        r#"{"_placeholder":true}"#,
        r#"[{"\u005fplaceholder":true}]"#,
    ] {
        assert!(
            is_refused(Payload::event("e", &(raw(json), data.clone()))),
            "{json}"
        );
    }

    // Alone it is data, and the mark as a value is no key.
    Payload::event("e", &forged()).unwrap();
    Payload::event("e", &("_placeholder", data.clone())).unwrap();
    Payload::event("e", &(raw(r#"["_placeholder","\u00e9"]"#), data)).unwrap();
}

#[test]
fn a_payload_nests_no_deeper_than_peers_accept() {
    // The array of the packet is one container.
    assert!(Payload::event("e", &nested(MAX_DEPTH - 1)).is_ok());
    let is_too_deep = |result| matches!(result, Err(EncodeError::TooDeep));
    assert!(is_too_deep(Payload::event("e", &nested(MAX_DEPTH))));

    let raw = RawValue::from_string("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)).unwrap();
    assert!(is_too_deep(Payload::event("e", &raw)));

    let binary = |depth| {
        (0..depth).fold(Value::from(Bytes::from_static(b"x")), |value, _| {
            vec![value].into()
        })
    };
    let payload = Payload::event("e", &binary(MAX_DEPTH - 2)).unwrap();
    assert_eq!(payload.values().len(), 2);
    assert!(is_too_deep(Payload::event("e", &binary(MAX_DEPTH - 1))));
}

#[test]
fn a_type_that_cannot_be_serialised_says_so() {
    let keys = std::collections::HashMap::from([(vec![1], 1)]);
    assert!(matches!(
        Payload::event("e", &keys),
        Err(EncodeError::Serialize(_))
    ));

    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    for result in [Payload::args(&Broken), Payload::args(&(1, Broken))] {
        let Err(EncodeError::Serialize(error)) = result else {
            panic!("no error")
        };
        assert_eq!(error.to_string(), "broken");
    }
}

#[test]
fn a_payload_is_serialised_once() {
    struct Counting<'a>(&'a std::cell::Cell<u32>);
    impl Serialize for Counting<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_u32(self.0.get())
        }
    }
    let count = std::cell::Cell::new(0);
    let payload = Payload::event("e", &(Counting(&count), 1)).unwrap();
    let mut out = Vec::new();
    payload.to_msgpack(&mut out);
    Codec::Json.encode_event(&mut out, &"/".parse().unwrap(), None, &payload);
    assert_eq!(count.get(), 1);
}

#[test]
fn msgpack_is_made_of_the_same_payload_with_the_attachments_in_place() {
    let file = File {
        name: "cat",
        data: Bytes::from_static(b"meow"),
    };
    let payload = Payload::event("e", &(1.0, file, -0.5)).unwrap();
    let mut out = Vec::new();
    payload.to_msgpack(&mut out);
    // Node, notepack.io 3.0.1: encode(["e", 1, { name: "cat", data: Buffer("meow") }, -0.5])
    let expected = b"\x94\xa1e\x01\x82\xa4name\xa3cat\xa4data\xc4\x04meow\xcb\xbf\xe0\0\0\0\0\0\0";
    assert_eq!(out, expected);
}

#[test]
fn values_are_as_many_arguments_and_go_the_way_of_any_other() {
    let values = [
        Value::from_iter([("a", 1)]),
        Value::Null,
        Value::Bytes(Bytes::from_static(b"x")),
    ];
    let payload = Payload::from_values(Some("say"), &values).unwrap();
    let expected = r#"["say",{"a":1},null,{"_placeholder":true,"num":0}]"#;
    assert_eq!(text(&payload), expected);
    assert_eq!(payload.attachments(), [Bytes::from_static(b"x")]);
    assert_eq!(text(&Payload::from_values(None, &[]).unwrap()), "[]");
    let reserved = Payload::from_values(Some("connect"), &values);
    assert!(matches!(reserved, Err(EncodeError::Reserved { .. })));
    let deep = Payload::from_values(Some("say"), &[nested(MAX_DEPTH + 1)]);
    assert!(matches!(deep, Err(EncodeError::TooDeep)));
}

fn received(text: &str, attachments: &[&'static [u8]]) -> Args {
    let mut decoder = Decoder::new(Codec::Json);
    let mut packet = decoder.handle_text(text, &Limits::new()).unwrap();
    for attachment in attachments {
        let attachment = Bytes::from_static(attachment);
        packet = decoder.handle_binary(attachment, &Limits::new()).unwrap();
    }
    match packet {
        Some(Packet::Event { args, .. } | Packet::Ack { args, .. }) => args,
        other => panic!("no arguments in {other:?}"),
    }
}

#[test]
fn received_arguments_are_sent_on_as_they_came() {
    let args = received(r#"2["in", 1.0 ,{"b":1, "a":2}]"#, &[]);
    assert_eq!(
        text(&Payload::from_args(Some("out"), &args).unwrap()),
        r#"["out",1.0 ,{"b":1, "a":2}]"#
    );
    assert_eq!(
        text(&Payload::from_args(None, &args).unwrap()),
        r#"[1.0 ,{"b":1, "a":2}]"#
    );
    // Whoever emits them sends them on; within something else, they are a value like another.
    assert_eq!(event(&args), r#"["e",1.0 ,{"b":1, "a":2}]"#);
    assert_eq!(event(&(&args, 7)), r#"["e",[1,{"b":1,"a":2}],7]"#);
    assert_eq!(event(&Some(&args)), r#"["e",[1,{"b":1,"a":2}]]"#);
    assert_eq!(
        serde_json::to_string(&args).unwrap(),
        r#"[1.0,{"b":1,"a":2}]"#
    );
    assert_eq!(
        event(&"later"),
        r#"["e","later"]"#,
        "nothing is left behind"
    );

    let none = received(r#"2["in"]"#, &[]);
    assert_eq!(
        text(&Payload::from_args(Some("out"), &none).unwrap()),
        r#"["out"]"#
    );
    assert_eq!(text(&Payload::from_args(None, &none).unwrap()), "[]");
}

#[test]
fn received_attachments_are_sent_on_with_their_placeholders() {
    let args = received(
        r#"52-["in",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#,
        &[b"a", b"b"],
    );
    let payload = Payload::from_args(Some("out"), &args).unwrap();
    let values = ["b", "a"].map(|text| Value::from(Bytes::from_static(text.as_bytes())));
    assert_eq!(payload.values()[1..], values);
    assert_eq!(Payload::event("out", &args).unwrap().values()[1..], values);
}

#[test]
fn points_in_time_are_sent_on_as_they_are_to_whoever_speaks_msgpack() {
    let at = Value::Timestamp {
        seconds: -1,
        nanoseconds: 999_000_000,
    };
    let args = Args::from_values(vec![Value::Map(vec![("at".to_owned(), at)]), 1.into()]);
    let payload = Payload::from_args(Some("e"), &args).unwrap();
    assert_eq!(
        text(&payload),
        r#"["e",{"at":"1969-12-31T23:59:59.999Z"},1]"#
    );
    assert_eq!(payload.values()[1..], args.values().unwrap());
    assert_eq!(Payload::event("e", &args).unwrap(), payload);
    assert!(payload.size_bytes() > payload.json().len());
    let mut out = Vec::new();
    payload.to_msgpack(&mut out);
    // Node, notepack.io 2.2.0: encode(["e", { at: new Date(-1) }, 1])
    let expected = b"\x93\xa1e\x81\xa2at\xd7\0\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(out, expected);
    // Within something else they are what serde makes of them.
    assert_eq!(
        event(&(&args, 7)),
        r#"["e",[{"at":"1969-12-31T23:59:59.999Z"},1],7]"#
    );
}

#[test]
fn the_deepest_payload_keeps_its_points_in_time() {
    let at = || Value::Timestamp {
        seconds: 1,
        nanoseconds: 0,
    };
    let nested = |levels| (0..levels).fold(at(), |inner, _| Value::Array(vec![inner]));
    for (levels, is_sent) in [(MAX_DEPTH - 1, true), (MAX_DEPTH, false)] {
        let args = Args::from_values(vec![nested(levels)]);
        match Payload::from_args(None, &args) {
            Ok(payload) => assert_eq!(payload.values(), args.values().unwrap()),
            Err(error) => assert!(!is_sent, "{levels}: {error}"),
        }
    }
}
