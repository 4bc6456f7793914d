//! Packets from both codecs: what is accepted, what is refused, and what the server writes.

use bytes::Bytes;
use portcullis_socketio::MAX_DEPTH;
use portcullis_socketio::codec::{Codec, DecodeError, Decoder, Limits};
use portcullis_socketio::ids::{AckId, NamespacePath, SocketId};
use portcullis_socketio::msgpack::{MsgpackError, encode};
use portcullis_socketio::packet::{Auth, EventName, Packet};
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;
use proptest::prelude::*;

type Decoded = Result<Option<Packet>, DecodeError>;

fn text_within(text: &str, limits: Limits) -> Decoded {
    Decoder::new(Codec::Json).handle_text(text, &limits)
}

fn text(text: &str) -> Decoded {
    text_within(text, Limits::new())
}

fn error(packet: &str) -> DecodeError {
    text(packet).expect_err(packet)
}

fn msgpack(packet: &Value) -> Decoded {
    let mut bytes = Vec::new();
    encode(packet, &mut bytes);
    Decoder::new(Codec::Msgpack).handle_binary(bytes.into(), &Limits::new())
}

/// A map with the given fields.
fn packet<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::from_iter(fields)
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn auth_of(decoded: Decoded) -> Auth {
    match decoded {
        Ok(Some(Packet::Connect { auth, .. })) => auth,
        other => panic!("no connect but {other:?}"),
    }
}

#[test]
fn the_number_of_attachments_is_digits_without_a_leading_zero() {
    for header in [
        "5", "5-", "50-", "501-", "51.0-", "5-1-", "5+1-", "5 1-", "51e0-", "5٣-", "6-", "60-",
    ] {
        let packet = format!(r#"{header}["x"]"#);
        assert_eq!(error(&packet), DecodeError::Attachments, "{packet}");
    }
    assert_eq!(error("51"), DecodeError::Attachments);
    assert_eq!(error("51-"), DecodeError::Payload);
    assert_eq!(error("61-7"), DecodeError::Payload);
}

#[test]
fn more_attachments_than_the_limit_are_refused_before_any_arrives() {
    let too_many = DecodeError::TooManyAttachments { max: 10 };
    assert_eq!(error(r#"511-["x"]"#), too_many);
    assert_eq!(error(r#"5999999999-["x"]"#), too_many);
    assert_eq!(error(r#"599999999999999999999999-["x"]"#), too_many);

    let limits = Limits::new().max_attachments(11);
    assert!(text_within(r#"511-["x"]"#, limits).unwrap().is_none());
}

#[test]
fn placeholders_without_an_attachment_of_their_own_are_refused() {
    for num in [
        "\"splice\"",
        "-1",
        "1",
        "0.5",
        "1e0",
        "null",
        "[]",
        "9007199254740993",
    ] {
        let packet = format!(r#"51-["x",{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(error(&packet), DecodeError::Placeholder, "{packet}");
    }
    for packet in [
        r#"51-["x",{"_placeholder":true}]"#,
        r#"51-["x",{"_placeholder":true,"num":0},[{"a":{"_placeholder":true,"num":0}}]]"#,
        r#"61-1[{"_placeholder":true,"num":7}]"#,
    ] {
        assert_eq!(error(packet), DecodeError::Placeholder, "{packet}");
    }
}

#[test]
fn text_between_attachments_is_refused_and_ends_the_packet() {
    let limits = Limits::new();
    let mut decoder = Decoder::new(Codec::Json);
    let header = r#"52-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

    assert!(decoder.handle_text(header, &limits).unwrap().is_none());
    assert!(decoder.has_pending());
    assert!(
        decoder
            .handle_binary(Bytes::from_static(b"a"), &limits)
            .unwrap()
            .is_none()
    );
    assert_eq!(decoder.pending_bytes(), header.len() - 3 + 1);
    assert_eq!(
        decoder.handle_text("0", &limits).unwrap_err(),
        DecodeError::UnexpectedText
    );
    assert!(!decoder.has_pending());
    assert_eq!(
        decoder
            .handle_binary(Bytes::from_static(b"b"), &limits)
            .unwrap_err(),
        DecodeError::UnexpectedBinary
    );
}

#[test]
fn binary_without_an_announcement_is_refused() {
    let binary = |codec: Codec| {
        Decoder::new(codec).handle_binary(Bytes::from_static(b"2[\"x\"]"), &Limits::new())
    };
    assert_eq!(
        binary(Codec::Json).unwrap_err(),
        DecodeError::UnexpectedBinary
    );
    let text = Decoder::new(Codec::Msgpack).handle_text(r#"2["x"]"#, &Limits::new());
    assert_eq!(text.unwrap_err(), DecodeError::UnexpectedText);
}

#[test]
fn text_and_attachments_together_stay_within_the_limit() {
    let header = r#"52-["x"]"#;
    let limits = Limits::new().max_attachment_bytes(100);
    let mut decoder = Decoder::new(Codec::Json);
    decoder.handle_text(header, &limits).unwrap();
    assert!(
        decoder
            .handle_binary(vec![0; 90].into(), &limits)
            .unwrap()
            .is_none()
    );
    assert_eq!(
        decoder
            .handle_binary(vec![0; 6].into(), &limits)
            .unwrap_err(),
        DecodeError::TooLarge { max_bytes: 100 }
    );

    let long = format!(r#"51-["{}"]"#, "x".repeat(100));
    assert_eq!(
        text_within(&long, limits).unwrap_err(),
        DecodeError::TooLarge { max_bytes: 100 }
    );
}

#[test]
fn an_attachment_that_no_placeholder_names_is_no_error() {
    let limits = Limits::new();
    let mut decoder = Decoder::new(Codec::Json);
    assert!(
        decoder
            .handle_text(r#"51-["x",1]"#, &limits)
            .unwrap()
            .is_none()
    );
    let packet = decoder.handle_binary(Bytes::new(), &limits).unwrap();
    let Some(Packet::Event { args, .. }) = packet else {
        panic!("no event");
    };
    assert_eq!(args.values().unwrap(), [Value::from(1)]);
}

#[test]
fn the_name_of_an_event_is_text_or_a_finite_number_and_not_reserved() {
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "\\u0063onnect",
    ] {
        assert_eq!(
            error(&format!(r#"2["{name}"]"#)),
            DecodeError::ReservedEventName
        );
        assert_eq!(
            error(&format!(r#"51-["{name}"]"#)),
            DecodeError::ReservedEventName
        );
    }
    for first in [
        "null",
        "true",
        "[]",
        "{}",
        r#"{"toString":"x"}"#,
        "1e999",
        "-1e999",
    ] {
        assert_eq!(
            error(&format!("2[{first}]")),
            DecodeError::EventName,
            "{first}"
        );
    }
    assert_eq!(error("2[]"), DecodeError::EventName);
    let long = "x".repeat(65_536);
    for name in [
        "error",
        "message",
        "close",
        "",
        "toString",
        "__proto__",
        "constructor",
        &long,
    ] {
        let Ok(Some(Packet::Event { event, .. })) = text(&format!(r#"2["{name}"]"#)) else {
            panic!("{name} is refused");
        };
        assert_eq!(event, name);
    }
    for number in ["0", "-7", "1.50", "1e3", "18446744073709551616"] {
        let Ok(Some(Packet::Event { event, .. })) = text(&format!("2[{number}]")) else {
            panic!("{number} is refused");
        };
        assert_eq!(event, number);
    }
}

#[test]
fn an_ack_id_is_digits_that_javascript_can_hold() {
    let id = |packet: &str| match text(packet) {
        Ok(Some(Packet::Event { ack, .. })) => ack.map(u64::from),
        other => panic!("no event but {other:?}"),
    };
    assert_eq!(id(r#"2["x"]"#), None);
    assert_eq!(id(r#"20["x"]"#), Some(0));
    assert_eq!(id(r#"2/chat,13["x"]"#), Some(13));
    assert_eq!(id(r#"29007199254740991["x"]"#), Some(AckId::MAX));
    for packet in [
        r#"29007199254740992["x"]"#,
        r#"218446744073709551616["x"]"#,
        r#"399999999999999999999999["x"]"#,
    ] {
        assert_eq!(error(packet), DecodeError::AckId, "{packet}");
    }
    for packet in [
        r#"2-1["x"]"#,
        r#"21.5["x"]"#,
        r#"2 7["x"]"#,
        r#"2٣["x"]"#,
        r#"2 ["x"]"#,
    ] {
        assert_eq!(error(packet), DecodeError::Payload, "{packet}");
    }
}

#[test]
fn each_type_takes_its_own_payload_only() {
    for packet in [
        "0null", "0[]", "0\"x\"", "0 {}", "1{}", "1null", "2{}", "2null", "2\"x\"", "37{}",
        "37null",
    ] {
        assert_eq!(error(packet), DecodeError::Payload, "{packet}");
    }
    for packet in [
        "0{",
        "0{}x",
        "0{x}",
        "2[",
        r#"2["x""#,
        r#"2["x",]"#,
        r#"2["x"]x"#,
        "37[01]",
        "2[\"\n\"]",
    ] {
        assert_eq!(error(packet), DecodeError::Json, "{packet}");
    }
    assert_eq!(error(""), DecodeError::Empty);
    for packet in ["7[]", "9", "a", "-1", " ", "b", "٣", "🎉"] {
        assert_eq!(error(packet), DecodeError::UnknownType, "{packet}");
    }
}

#[test]
fn what_says_nothing_is_ignored() {
    for packet in ["2", "2/chat,", "27", "3", "3[]", "3/chat,[1]"] {
        assert!(text(packet).unwrap().is_none(), "{packet}");
    }
}

#[test]
fn any_refusal_from_a_client_is_recognised() {
    for packet in ["4", r#"4{"message":"x"}"#, "4\"x\"", "4[", "4/chat,{}"] {
        assert!(
            matches!(text(packet), Ok(Some(Packet::ConnectError { .. }))),
            "{packet}"
        );
    }
}

#[test]
fn a_namespace_that_cannot_exist_is_answered_on_connect_and_refused_otherwise() {
    let raw = |packet: &str| match text(packet) {
        Ok(Some(Packet::InvalidConnect { raw })) => raw.into_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(raw("0/?a=b"), "/?a=b");
    assert_eq!(raw("0/?a=b,{}"), "/?a=b");
    assert_eq!(raw("0/a*[b]\\#,"), "/a*[b]\\#");
    assert_eq!(raw("0/\u{1e}a\n"), "/a");
    let long = format!("0/{}", "é".repeat(1000));
    assert_eq!(raw(&long), long[1..1024]);

    for packet in [
        r#"2/?a=b,["x"]"#,
        "1/a*",
        "3/a*,1[]",
        "4/a*",
        r#"51-/a*,["x"]"#,
        r#"2/chat["x"]"#,
    ] {
        assert_eq!(error(packet), DecodeError::Namespace, "{packet}");
    }
}

#[test]
fn the_comma_may_be_missing_where_nothing_follows() {
    let chat = NamespacePath::parse("/chat").unwrap();
    for packet in ["0/chat", "0/chat,"] {
        assert!(
            matches!(text(packet), Ok(Some(Packet::Connect { namespace, .. })) if namespace == chat)
        );
    }
    for packet in ["1/chat", "1/chat,"] {
        assert!(
            matches!(text(packet), Ok(Some(Packet::Disconnect { namespace })) if namespace == chat)
        );
    }
}

#[test]
fn a_bomb_of_brackets_is_refused_without_recursion() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let bomb = open.repeat(100_000);
        let limits = Limits::new().max_attachment_bytes(usize::MAX);
        let too_deep = DecodeError::TooDeep { max: MAX_DEPTH };
        for header in ["2[\"x\",", "51-[\"x\",", "37["] {
            let packet = format!("{header}{bomb}");
            assert_eq!(text_within(&packet, limits).unwrap_err(), too_deep);
        }
        assert_eq!(error(&format!("0{{\"a\":{bomb}")), DecodeError::Json);
    }
}

#[test]
fn nesting_counts_the_array_of_the_packet_and_not_what_is_in_strings() {
    let nested = |depth: usize| format!(r#"2["x",{}{}]"#, "[".repeat(depth), "]".repeat(depth));
    assert!(text(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(
        error(&nested(MAX_DEPTH)),
        DecodeError::TooDeep { max: MAX_DEPTH }
    );
    assert!(text(&format!(r#"2["x","\"{}"]"#, "[{".repeat(1000))).is_ok());
}

#[test]
fn a_token_that_is_too_large_or_too_deep_is_for_the_gate_to_refuse() {
    let object = |len: usize| format!(r#"0{{"token":"{}"}}"#, "x".repeat(len - 12));
    assert!(matches!(auth_of(text(&object(16 * 1024))), Auth::Object(_)));
    assert_eq!(auth_of(text(&object(16 * 1024 + 1))), Auth::TooLarge);

    let nested = |depth: usize| {
        let inner = depth - 1;
        format!(r#"0{{"a":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
    };
    assert!(matches!(auth_of(text(&nested(32))), Auth::Object(_)));
    assert_eq!(auth_of(text(&nested(33))), Auth::TooDeep);
    assert_eq!(auth_of(text(&nested(5000))), Auth::TooDeep);
    assert_eq!(auth_of(text("0")), Auth::Absent);

    let limits = Limits::new().max_auth_depth(1000);
    assert_eq!(
        auth_of(text_within(&nested(MAX_DEPTH + 1), limits)),
        Auth::TooDeep
    );
}

#[test]
fn a_token_is_readable_but_not_by_accident() {
    let auth = auth_of(text(r#"0{"token":"secret"}"#));
    assert_eq!(auth.as_json(), Some(r#"{"token":"secret"}"#));
    assert_eq!(
        auth.value().unwrap().get("token"),
        Some(&Value::from("secret"))
    );
    let event = text(r#"2["x","secret"]"#);
    assert!(!format!("{auth:?}{event:?}").contains("secret"));
}

#[test]
fn long_inputs_of_every_shape_are_decoded_or_refused() {
    let many = 200_000;
    for packet in [
        "2".to_owned() + &"7".repeat(many),
        "2".to_owned() + &"0".repeat(many) + r#"["x"]"#,
        "5".to_owned() + &"1".repeat(many),
        "0/".to_owned() + &"a".repeat(many),
        "2/".to_owned() + &"a".repeat(many) + ",[\"x\"]",
        format!(r#"2["x"{}]"#, ",0".repeat(many)),
        format!(r#"2["x","{}"]"#, "\\u00e9".repeat(many)),
        format!(r#"2["x",{{{}"z":1}}]"#, r#""a":1,"#.repeat(many)),
        format!(r#"51-["x",{{{}"z":1}}]"#, r#""a":1,"#.repeat(many)),
        format!("2[{}1]", "1,".repeat(many)),
        format!("2[1{}]", "0".repeat(many)),
        "2[".to_owned() + &" ".repeat(many),
    ] {
        let limits = Limits::new().max_attachment_bytes(usize::MAX);
        let _ = text_within(&packet, limits);
    }
}

#[test]
fn the_server_writes_what_clients_expect() {
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    let root = NamespacePath::root();
    let chat = NamespacePath::parse("/chat").unwrap();
    let sid = SocketId::from_random([0; 15]);
    let plain = Payload::event("say", &("hi", 1)).unwrap();
    let binary = Payload::args(&Bytes::from_static(b"x")).unwrap();
    let json = Codec::Json;

    assert_eq!(
        written(&|out| json.encode_event(out, &root, None, &plain)),
        r#"2["say","hi",1]"#
    );
    assert_eq!(
        written(&|out| json.encode_event(out, &chat, Some(7.into()), &plain)),
        r#"2/chat,7["say","hi",1]"#
    );
    assert_eq!(
        written(&|out| json.encode_ack(out, &chat, 13.into(), &binary)),
        r#"61-/chat,13[{"_placeholder":true,"num":0}]"#
    );
    assert_eq!(
        written(&|out| json.encode_ack(out, &root, 13.into(), &plain)),
        r#"313["say","hi",1]"#
    );
    assert_eq!(
        written(&|out| json.encode_connect(out, &root, &sid)),
        r#"0{"sid":"AAAAAAAAAAAAAAAAAAAA"}"#
    );
    assert_eq!(
        written(&|out| json.encode_connect(out, &chat, &sid)),
        r#"0/chat,{"sid":"AAAAAAAAAAAAAAAAAAAA"}"#
    );
    assert_eq!(written(&|out| json.encode_disconnect(out, &root)), "1");
    assert_eq!(
        written(&|out| json.encode_disconnect(out, &chat)),
        "1/chat,"
    );
    assert_eq!(
        written(&|out| json.encode_connect_error(out, &root, "a \"b\"", None)),
        r#"4{"message":"a \"b\""}"#
    );
    let data = packet([("code", "TOKEN_EXPIRED".into())]);
    assert_eq!(
        written(&|out| json.encode_connect_error(out, &chat, "Unauthorized", Some(&data))),
        r#"4/chat,{"message":"Unauthorized","data":{"code":"TOKEN_EXPIRED"}}"#
    );
    assert_eq!(
        written(&|out| json.encode_connect_error(out, "/?a=b", "Invalid namespace", None)),
        r#"4/?a=b,{"message":"Invalid namespace"}"#
    );
}

#[test]
fn encoding_appends_to_what_is_there() {
    for codec in [Codec::Json, Codec::Msgpack] {
        let payload = Payload::event("e", &()).unwrap();
        let mut out = b"header".to_vec();
        codec.encode_event(&mut out, &NamespacePath::root(), None, &payload);
        assert!(out.starts_with(b"header") && out.len() > 6);
    }
    assert!(Codec::Msgpack.is_binary() && !Codec::Json.is_binary());
}

fn hex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).unwrap())
        .collect()
}

#[test]
fn packets_of_the_javascript_msgpack_client_are_read() {
    // socket.io-msgpack-parser 3.0.2 (npm, with notepack.io 2.2.0) on Node 20.20.
    let read = |bytes: &str| {
        Decoder::new(Codec::Msgpack)
            .handle_binary(hex(bytes), &Limits::new())
            .unwrap()
            .unwrap()
    };

    // `{type: 0, data: undefined, nsp: "/"}`
    let connect = read("83a47479706500a464617461d40000a36e7370a12f");
    assert!(matches!(
        connect,
        Packet::Connect {
            auth: Auth::Absent,
            ..
        }
    ));

    // `{type: 0, data: {token: "x"}, nsp: "/chat"}`
    let connect = read("83a47479706500a46461746181a5746f6b656ea178a36e7370a52f63686174");
    let Packet::Connect { namespace, auth } = connect else {
        panic!()
    };
    assert_eq!(
        (namespace.as_str(), auth.as_json()),
        ("/chat", Some(r#"{"token":"x"}"#))
    );

    // `{type: 2, data: ["e", 1, Buffer "x", new Date(1500), undefined, ArrayBuffer [7]],`
    // `nsp: "/chat", id: 7, options: {compress: true}}`
    let event = read(concat!(
        "85a47479706502a46461746196a16501c40178d70000000000000005dcd40000c7010007",
        "a36e7370a52f63686174a2696407a76f7074696f6e7381a8636f6d7072657373c3",
    ));
    let Packet::Event {
        namespace,
        ack,
        event,
        args,
    } = event
    else {
        panic!()
    };
    assert_eq!(
        (namespace.as_str(), ack, event.as_str()),
        ("/chat", Some(7.into()), "e")
    );
    assert_eq!(
        args.values().unwrap(),
        [
            Value::from(1),
            Bytes::from_static(b"x").into(),
            Value::Timestamp {
                seconds: 1,
                nanoseconds: 500_000_000
            },
            Value::Null,
            Bytes::from_static(b"\x07").into(),
        ]
    );

    // `{type: 1, nsp: "/chat"}` and `{type: 3, data: [], nsp: "/", id: 3}`
    let disconnect = read("82a47479706501a36e7370a52f63686174");
    assert!(matches!(disconnect, Packet::Disconnect { .. }));
    let ack = read("84a47479706503a46461746190a36e7370a12fa2696403");
    assert!(matches!(ack, Packet::Ack { id, .. } if id == 3.into()));
}

#[test]
fn nil_stands_for_what_is_absent_as_python_writes_it() {
    let connect = packet([
        ("type", 0.into()),
        ("data", Value::Null),
        ("nsp", "/".into()),
    ]);
    assert_eq!(auth_of(msgpack(&connect)), Auth::Absent);
    let disconnect = packet([
        ("type", 1.into()),
        ("data", Value::Null),
        ("nsp", "/".into()),
    ]);
    assert!(matches!(
        msgpack(&disconnect),
        Ok(Some(Packet::Disconnect { .. }))
    ));
    let event = packet([
        ("type", 2.into()),
        ("data", list(["e".into()])),
        ("nsp", "/".into()),
        ("id", Value::Null),
    ]);
    assert!(matches!(
        msgpack(&event),
        Ok(Some(Packet::Event { ack: None, .. }))
    ));
}

/// A packet of a type, on `/`.
fn typed(kind: impl Into<Value>, data: Value) -> Decoded {
    msgpack(&packet([
        ("type", kind.into()),
        ("data", data),
        ("nsp", "/".into()),
    ]))
}

#[test]
fn a_msgpack_event_has_a_name_that_is_text_or_a_finite_number_and_not_reserved() {
    let error = |data: Value| typed(2, data).unwrap_err();
    let name = DecodeError::EventName;

    assert_eq!(error(list([])), name);
    assert_eq!(error(list([Value::Null])), name);
    assert_eq!(error(list([list([])])), name);
    assert_eq!(error(list([f64::NAN.into()])), name);
    assert_eq!(
        error(list(["connect".into()])),
        DecodeError::ReservedEventName
    );
    let event = typed(2, list([7.into()]));
    assert!(matches!(event, Ok(Some(Packet::Event { event, .. })) if event == "7"));
}

#[test]
fn each_type_takes_its_own_data_only_in_msgpack_too() {
    for (kind, data) in [
        (0, list([])),
        (0, "x".into()),
        (1, packet([])),
        (1, 7.into()),
        (2, packet([])),
        (2, Value::Null),
        (3, packet([])),
    ] {
        assert_eq!(
            typed(kind, data).unwrap_err(),
            DecodeError::Payload,
            "{kind}"
        );
    }
    let event = || list(["e".into()]);
    for kind in [5.into(), (-1).into(), 1.5.into(), "2".into(), Value::Null] {
        assert_eq!(typed(kind, event()).unwrap_err(), DecodeError::UnknownType);
    }
    assert_eq!(typed(list([]), event()).unwrap_err(), DecodeError::Payload);
    assert_eq!(msgpack(&list([])).unwrap_err(), DecodeError::Payload);
    assert!(matches!(
        typed(4, list([])),
        Ok(Some(Packet::ConnectError { .. }))
    ));
}

#[test]
fn a_msgpack_packet_needs_its_fields_and_valid_ones() {
    let data = || ("data", list(["e".into()]));
    let without = |fields: [(&str, Value); 2]| msgpack(&packet(fields)).unwrap_err();
    assert_eq!(
        without([("type", 2.into()), data()]),
        DecodeError::Namespace
    );
    assert_eq!(
        without([("nsp", "/".into()), data()]),
        DecodeError::UnknownType
    );
    assert_eq!(
        without([("nsp", "/".into()), ("type", 2.into())]),
        DecodeError::Payload
    );

    for name in [Value::from(7), "chat".into(), "".into(), "/a*".into()] {
        let packet = packet([("type", 2.into()), data(), ("nsp", name)]);
        assert_eq!(msgpack(&packet).unwrap_err(), DecodeError::Namespace);
    }
    for id in [
        (-1).into(),
        1.5.into(),
        "7".into(),
        9_007_199_254_740_992_i64.into(),
    ] {
        let packet = packet([("type", 2.into()), data(), ("nsp", "/".into()), ("id", id)]);
        assert_eq!(msgpack(&packet).unwrap_err(), DecodeError::AckId);
    }
    let invalid = packet([("type", 0.into()), ("nsp", "chat".into())]);
    assert!(matches!(
        msgpack(&invalid),
        Ok(Some(Packet::InvalidConnect { .. }))
    ));
}

#[test]
fn an_ack_without_an_id_is_ignored_in_msgpack_too() {
    let ack = packet([("type", 3.into()), ("data", list([])), ("nsp", "/".into())]);
    assert!(msgpack(&ack).unwrap().is_none());
}

#[test]
fn a_msgpack_token_that_is_too_large_or_too_deep_is_for_the_gate_to_refuse() {
    let connect = |auth: Value| {
        auth_of(msgpack(&packet([
            ("type", 0.into()),
            ("data", auth),
            ("nsp", "/".into()),
        ])))
    };
    let token = |len: usize| packet([("token", "x".repeat(len).into())]);
    assert!(matches!(connect(token(16_000)), Auth::Object(_)));
    assert_eq!(connect(token(16_380)), Auth::TooLarge);
    assert_eq!(connect(token(500_000)), Auth::TooLarge);

    let nested = |depth: usize| (1..depth).fold(packet([]), |value, _| packet([("a", value)]));
    assert!(matches!(connect(nested(32)), Auth::Object(_)));
    assert_eq!(connect(nested(33)), Auth::TooDeep);
}

#[test]
fn a_msgpack_bomb_is_refused_without_recursion() {
    let mut bytes = hex("83a47479706502a36e7370a12fa464617461").to_vec();
    bytes.extend(std::iter::repeat_n(0x91, 100_000));
    let result = Decoder::new(Codec::Msgpack).handle_binary(bytes.into(), &Limits::new());
    assert_eq!(result.unwrap_err(), DecodeError::TooDeep { max: MAX_DEPTH });

    let trailing = hex("82a47479706501a36e7370a12f00");
    let result = Decoder::new(Codec::Msgpack).handle_binary(trailing, &Limits::new());
    let expected = DecodeError::Msgpack(MsgpackError::Trailing { len_bytes: 1 });
    assert_eq!(result.unwrap_err(), expected);
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 32);
    assert!(size_of::<Packet>() <= 64);
    assert_eq!(size_of::<EventName>(), 16);
}

#[test]
fn what_passes_between_tasks_can() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Packet>();
    is_shared::<Decoder>();
    is_shared::<Payload>();
    is_shared::<DecodeError>();
}

proptest! {
    #[test]
    fn any_text_is_a_packet_or_an_error(packet in "\\PC{0,40}") {
        let _ = text(&packet);
    }

    #[test]
    fn any_text_of_the_grammar_is_a_packet_or_an_error(
        packet in r#"[0-6]([0-9]{0,2}-)?(/[a-c,?]{0,3})?[0-9]{0,3}[\[\]\{\}",:a0\\u.e \-]{0,20}"#,
    ) {
        let mut decoder = Decoder::new(Codec::Json);
        let _ = decoder.handle_text(&packet, &Limits::new());
        while decoder.has_pending() {
            let _ = decoder.handle_binary(Bytes::new(), &Limits::new());
        }
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(bytes: Vec<u8>) {
        let _ = Decoder::new(Codec::Msgpack).handle_binary(bytes.into(), &Limits::new());
    }

    #[test]
    fn a_packet_with_any_byte_changed_is_a_packet_or_an_error(place in 0_usize..64, byte: u8) {
        let mut bytes = hex(concat!(
            "85a47479706502a46461746196a16501c40178d70000000000000005dcd40000c7010007",
            "a36e7370a52f63686174a2696407a76f7074696f6e7381a8636f6d7072657373c3",
        ))
        .to_vec();
        bytes[place] = byte;
        if let Ok(Some(Packet::Event { args, .. })) =
            Decoder::new(Codec::Msgpack).handle_binary(bytes.into(), &Limits::new())
        {
            prop_assert_eq!(args.values().unwrap().len(), args.len());
        }
    }
}

#[test]
fn a_packet_keeps_no_more_of_its_message_than_counts() {
    for junk in [0, 1_000_000] {
        let event = packet([
            ("type", 2.into()),
            ("nsp", "/".into()),
            ("data", list(["e".into(), "text".repeat(10).into()])),
            ("junk", Bytes::from(vec![0; junk]).into()),
        ]);
        let mut bytes = Vec::new();
        encode(&event, &mut bytes);
        let message = Bytes::from(bytes);
        let decoded = Decoder::new(Codec::Msgpack).handle_binary(message.clone(), &Limits::new());
        let packet = decoded.unwrap().unwrap();
        assert_eq!(message.is_unique(), junk > 0);
        drop(packet);
        assert!(message.is_unique());
    }
}

#[test]
fn what_msgpack_nests_deeper_as_json_is_too_deep_and_nothing_worse() {
    let mut auth = Value::from(Bytes::from_static(b"bytes"));
    for _ in 0..MAX_DEPTH {
        auth = packet([("a", auth)]);
    }
    let connect = packet([("type", 0.into()), ("nsp", "/".into()), ("data", auth)]);
    assert_eq!(auth_of(msgpack(&connect)), Auth::TooDeep);
}
