//! What one side encodes, the other decodes to the same.

use bytes::Bytes;
use portcullis_socketio::codec::{Codec, Decoder, Limits};
use portcullis_socketio::ids::{AckId, NamespacePath};
use portcullis_socketio::packet::Packet;
use portcullis_socketio::payload::Payload;
use portcullis_socketio::value::Value;
use proptest::collection::vec;
use proptest::prelude::*;

/// Any value that both codecs can carry. Floats have a fraction: without one they are integers.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("whole numbers are integers", |number| number.fract() != 0.0)
            .prop_filter("JSON has no such number", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::from(Bytes::from(bytes))),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((any::<String>(), inner), 0..5).prop_map(Value::Map),
        ]
    })
}

fn any_namespace() -> impl Strategy<Value = NamespacePath> {
    "(/[a-z0-9é.:{}\" -]{0,20})?".prop_map(|name| NamespacePath::parse(&name).unwrap())
}

fn any_ack() -> impl Strategy<Value = Option<AckId>> {
    proptest::option::of((0..=AckId::MAX).prop_map(AckId::from))
}

/// Sends an encoded packet to a decoder of the same codec.
fn received(codec: Codec, bytes: Vec<u8>, payload: &Payload) -> Packet {
    let limits = Limits::new().max_attachments(1000);
    let mut decoder = Decoder::new(codec);
    let mut packet = if codec.is_binary() {
        decoder.handle_binary(bytes.into(), &limits).unwrap()
    } else {
        let text = String::from_utf8(bytes).unwrap();
        decoder.handle_text(&text, &limits).unwrap()
    };
    if !codec.is_binary() {
        for attachment in payload.attachments() {
            assert!(packet.is_none() && decoder.has_pending());
            packet = decoder.handle_binary(attachment.clone(), &limits).unwrap();
        }
    }
    assert!(!decoder.has_pending());
    packet.unwrap()
}

proptest! {
    #[test]
    fn an_event_arrives_as_it_was_sent(
        namespace in any_namespace(),
        ack in any_ack(),
        name in "\\PC{1,20}",
        values in vec(any_value(), 0..4),
    ) {
        for codec in [Codec::Json, Codec::Msgpack] {
            let args = portcullis_socketio::args::Args::from_values(values.clone());
            let payload = Payload::event(&name, &args).unwrap();
            let mut bytes = Vec::new();
            codec.encode_event(&mut bytes, &namespace, ack, &payload);

            let Packet::Event { namespace: at, ack: id, event, args } =
                received(codec, bytes, &payload)
            else {
                panic!("not an event");
            };
            prop_assert_eq!((&at, id, event.as_str()), (&namespace, ack, name.as_str()));
            prop_assert_eq!(args.len(), values.len());
            prop_assert_eq!(args.values().unwrap(), values.clone());
            prop_assert_eq!(args.parse::<Vec<Value>>().unwrap(), values.clone());

            // Sent on, it arrives the same once more.
            let again = Payload::from_args(Some(&event), &args).unwrap();
            prop_assert_eq!(again.values(), payload.values());
        }
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent(
        namespace in any_namespace(),
        id in 0..=AckId::MAX,
        values in vec(any_value(), 0..4),
    ) {
        for codec in [Codec::Json, Codec::Msgpack] {
            let args = portcullis_socketio::args::Args::from_values(values.clone());
            let payload = Payload::args(&args).unwrap();
            let mut bytes = Vec::new();
            codec.encode_ack(&mut bytes, &namespace, id.into(), &payload);

            let Packet::Ack { namespace: at, id: number, args } = received(codec, bytes, &payload)
            else {
                panic!("not an ack");
            };
            prop_assert_eq!((&at, u64::from(number)), (&namespace, id));
            prop_assert_eq!(args.values().unwrap(), values.clone());
        }
    }

    #[test]
    fn a_farewell_and_a_refusal_arrive_where_they_were_sent(namespace in any_namespace()) {
        for codec in [Codec::Json, Codec::Msgpack] {
            let none = Payload::args(&()).unwrap();
            let mut bytes = Vec::new();
            codec.encode_disconnect(&mut bytes, &namespace);
            let Packet::Disconnect { namespace: at } = received(codec, bytes, &none) else {
                panic!("not a farewell");
            };
            prop_assert_eq!(&at, &namespace);

            let mut bytes = Vec::new();
            codec.encode_connect_error(&mut bytes, &namespace, "no", Some(&Value::from(1)));
            let Packet::ConnectError { namespace: at } = received(codec, bytes, &none) else {
                panic!("not a refusal");
            };
            prop_assert_eq!(&at, &namespace);
        }
    }

    #[test]
    fn a_value_is_the_same_through_any_door(value in any_value()) {
        prop_assert_eq!(&Value::from_serialize(&value).unwrap(), &value);
        prop_assert_eq!(&value.to::<Value>().unwrap(), &value);
    }
}
