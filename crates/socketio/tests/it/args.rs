//! Received arguments.

use std::collections::BTreeMap;

use bytes::Bytes;
use portcullis_socketio::args::Args;
use portcullis_socketio::codec::{Codec, Decoder, Limits};
use portcullis_socketio::packet::Packet;
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;
use serde::Deserialize;

/// The arguments of an event, as each codec brings them.
fn received(args: &str, attachments: &[&'static [u8]]) -> [Args; 2] {
    let limits = Limits::new();
    let mut decoder = Decoder::new(Codec::Json);
    let header = match attachments.len() {
        0 => "2".to_owned(),
        count => format!("5{count}-"),
    };
    let text = format!(
        r#"{header}["e"{}{args}]"#,
        if args.is_empty() { "" } else { "," }
    );
    let mut packet = decoder.handle_text(&text, &limits).unwrap();
    for attachment in attachments {
        packet = decoder
            .handle_binary(Bytes::from_static(attachment), &limits)
            .unwrap();
    }
    let json = args_of(packet);

    let payload = Payload::from_args(Some("e"), &json).unwrap();
    let mut bytes = Vec::new();
    Codec::Msgpack.encode_event(&mut bytes, &"/".parse().unwrap(), None, &payload);
    let packet = Decoder::new(Codec::Msgpack)
        .handle_binary(bytes.into(), &limits)
        .unwrap();
    [json, args_of(packet)]
}

fn args_of(packet: Option<Packet>) -> Args {
    match packet {
        Some(Packet::Event { args, .. }) => args,
        other => panic!("no event but {other:?}"),
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Say {
    room: String,
    text: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Content {
    File { name: String, data: Bytes },
    Text(String),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Message {
    id: u8,
    #[serde(flatten)]
    content: Content,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn each_argument_is_read_as_the_type_that_is_asked_for() {
    for args in received(r#""lobby",{"room":"a","text":null},[1,2],7.5"#, &[]) {
        assert_eq!(args.len(), 4);
        assert_eq!(args.get::<String>(0).unwrap(), "lobby");
        let say = Say {
            room: "a".to_owned(),
            text: None,
        };
        assert_eq!(args.get::<Say>(1).unwrap(), say);
        assert_eq!(args.get::<Vec<u8>>(2).unwrap(), [1, 2]);
        assert_eq!(args.get::<f64>(3).unwrap(), 7.5);
    }
}

#[test]
fn a_missing_argument_is_null_and_a_surplus_one_is_ignored() {
    for args in received(r#""lobby",7"#, &[]) {
        type Wanted = (String, u8, Option<String>, ());
        assert_eq!(
            args.parse::<Wanted>().unwrap(),
            ("lobby".to_owned(), 7, None, ())
        );
        assert_eq!(args.parse::<(String,)>().unwrap().0, "lobby");
        args.parse::<()>().unwrap();
        assert_eq!(args.get::<Option<u8>>(2).unwrap(), None);
        assert_eq!(
            args.get::<u8>(2).unwrap_err().to_string(),
            "argument 2: invalid type: null, expected u8"
        );
    }
}

#[test]
fn a_list_takes_the_arguments_there_are() {
    for args in received("1,2,3", &[]) {
        assert_eq!(args.parse::<Vec<u8>>().unwrap(), [1, 2, 3]);
        assert_eq!(args.parse::<Option<Vec<u8>>>().unwrap().unwrap().len(), 3);
    }
    for args in received("", &[]) {
        assert!(args.is_empty());
        assert_eq!(args.size_bytes(), 0);
        assert!(args.parse::<Vec<u8>>().unwrap().is_empty());
        assert_eq!(args.parse::<(Option<u8>,)>().unwrap(), (None,));
    }
}

#[test]
fn an_error_names_the_argument_and_the_field_and_quotes_nothing() {
    for args in received(r#"1,{"room":"secret","text":["secret"]}"#, &[]) {
        let error = args.parse::<(u8, Say)>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "argument 1: text: invalid type: array, expected a string"
        );
        assert_eq!(
            (error.argument(), error.path()),
            (Some(1), "text".to_owned())
        );
        let same = args.get::<Say>(1).unwrap_err();
        assert_eq!(same, error);
        assert!(!format!("{args:?}{error:?}").contains("secret"));
    }
}

#[test]
fn a_list_is_no_struct_at_any_depth_and_stays_a_tuple() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Point(u8, u8);
    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        Dot(Point),
        Square { side: u8 },
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        item: String,
        extras: Option<Vec<Extra>>,
        shape: Shape,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Extra {
        name: String,
    }
    let read = |json: &str| {
        let [text, packed] = received(json, &[]);
        let read = text.get::<Order>(0);
        assert_eq!(packed.get::<Order>(0), read);
        let all = text.parse::<(Order,)>().map(|(order,)| order);
        assert_eq!(packed.parse::<(Order,)>().map(|(order,)| order), all);
        assert_eq!(all, read);
        read.map_err(|error| format!("{}: {}", error.path(), error.message()))
    };
    let dot = read(r#"{"item":"tea","extras":[{"name":"milk"}],"shape":{"Dot":[1,2]}}"#).unwrap();
    assert_eq!(dot.shape, Shape::Dot(Point(1, 2)));
    let square = read(r#"{"item":"tea","shape":{"Square":{"side":3}}}"#).unwrap();
    assert_eq!(
        (square.extras, square.shape),
        (None, Shape::Square { side: 3 })
    );

    for (json, path) in [
        (r#"["tea",null,{"Dot":[1,2]}]"#, ""),
        (
            r#"{"item":"tea","extras":[["milk"]],"shape":{"Dot":[1,2]}}"#,
            "extras[0]",
        ),
        (r#"{"item":"tea","shape":{"Square":[3]}}"#, "shape"),
    ] {
        let told = read(json).unwrap_err();
        assert_eq!(told.split_once(": ").unwrap().0, path, "{told}");
        assert!(told.contains("invalid type: array"), "{told}");
    }
}

#[test]
fn attachments_are_found_at_every_depth() {
    let json = concat!(
        r#"{"id":7,"name":"cat","data":{"_placeholder":true,"num":1},"#,
        r#""more":[{"_placeholder":true,"num":0}]}"#,
    );
    for args in received(json, &[b"zero", b"one"]) {
        let message: Message = args.get(0).unwrap();
        assert_eq!(message.id, 7);
        let (name, data) = ("cat".to_owned(), Bytes::from_static(b"one"));
        assert_eq!(message.content, Content::File { name, data });
        let zero = Value::from(Bytes::from_static(b"zero"));
        assert_eq!(message.rest["more"], Value::from(vec![zero]));
        assert_eq!(args.parse::<(Message,)>().unwrap().0, message);
    }
}

#[test]
fn an_attachment_can_be_an_argument_itself() {
    for args in received(r#"{"num":0,"_placeholder":true},"x""#, &[b"\x00\x01"]) {
        assert_eq!(&args.get::<Bytes>(0).unwrap()[..], [0, 1]);
        assert_eq!(
            args.get::<serde_bytes::ByteBuf>(0).unwrap().as_ref(),
            [0, 1]
        );
        assert_eq!(args.get::<Vec<u8>>(0).unwrap(), [0, 1]);
        let (data, text): (Bytes, String) = args.parse().unwrap();
        assert_eq!((&data[..], text.as_str()), (&[0, 1][..], "x"));
    }
}

#[test]
fn without_attachments_a_placeholder_is_ordinary_data() {
    for args in received(r#"{"_placeholder":true,"num":0}"#, &[]) {
        let value: Value = args.get(0).unwrap();
        assert_eq!(value.get("num"), Some(&Value::from(0)));
    }
}

#[test]
fn what_only_javascript_takes_for_json_can_still_be_read() {
    let [args, _] = received(r#""\ud800!","\ud83c\udf89",1e999,-0"#, &[]);
    assert_eq!(args.get::<String>(0).unwrap(), "\u{fffd}!");
    assert_eq!(args.get::<String>(1).unwrap(), "🎉");
    assert_eq!(args.get::<f64>(2).unwrap(), f64::INFINITY);
    assert_eq!(args.get::<Value>(3).unwrap().to::<f64>().unwrap(), 0.0);
    assert_eq!(args.values().unwrap().len(), 4);
}

#[test]
fn borrowed_text_and_escapes_are_read_without_attachments_too() {
    for args in received(r#""a\"b\\c\u00e9\n\/""#, &[]) {
        assert_eq!(args.get::<String>(0).unwrap(), "a\"b\\cé\n/");
    }
}

#[test]
fn values_from_another_node_are_arguments_as_well() {
    let args = Args::from_values(vec![Value::from("a"), Value::Null]);
    assert_eq!(
        args.parse::<(String, Option<u8>)>().unwrap(),
        ("a".to_owned(), None)
    );
    assert_eq!(args.values().unwrap(), [Value::from("a"), Value::Null]);
    assert!(args.size_bytes() >= 2 * size_of::<Value>());
    assert!(Args::from_values(Vec::new()).is_empty());
    assert!(Args::empty().is_empty() && Args::default().is_empty());
}

#[test]
fn the_size_covers_text_and_attachments() {
    let [json, msgpack] = received(
        r#""0123456789",{"_placeholder":true,"num":0}"#,
        &[&[7; 100]],
    );
    assert!(json.size_bytes() >= 110 + 10);
    assert!(msgpack.size_bytes() >= 110);
}

#[test]
fn the_size_of_many_small_arguments_is_more_than_their_text() {
    let many = vec!["1"; 1000].join(",");
    for args in received(&many, &[]) {
        assert!(args.size_bytes() >= 16 * 1000, "{}", args.size_bytes());
    }
}

#[test]
fn copies_share_their_memory() {
    let [args, _] = received(r#""text""#, &[]);
    assert_eq!(size_of_val(&args), size_of::<usize>());
    let copy = args.clone();
    drop(args);
    assert_eq!(copy.get::<String>(0).unwrap(), "text");
}
