//! What Node's adapters publish, read and written again: the same bytes.
//!
//! The captures are in `tests/golden`, with the program that made them.

use bytes::Bytes;
use portcullis::adapter::Envelope;

use super::classic::{self, RequestBody};
use super::parser::Msgpack;
use super::sharded::{self, Body, Speaker};
use proptest::prelude::*;

/// One message of a capture.
pub(super) struct Captured {
    pub(super) label: &'static str,
    pub(super) channel: &'static str,
    pub(super) bytes: Bytes,
}

pub(super) fn captured(text: &'static str) -> Vec<Captured> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("three fields");
        let (label, channel, hex) = (next(), next(), next());
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        Captured {
            label,
            channel,
            bytes: digits.map(byte).collect::<Vec<u8>>().into(),
        }
    };
    lines.map(read).collect()
}

fn classic_messages() -> Vec<Captured> {
    captured(include_str!("../../tests/golden/classic.txt"))
}

fn is_broadcast(message: &Captured) -> bool {
    message.channel.starts_with("socket.io#")
}

#[track_caller]
fn assert_same(message: &Captured, written: &[u8]) {
    assert_eq!(
        String::from_utf8_lossy(written),
        String::from_utf8_lossy(&message.bytes),
        "{}",
        message.label
    );
    assert_eq!(written, &message.bytes[..], "{}", message.label);
}

#[test]
fn broadcasts_of_node_are_read_and_written_the_same() {
    let mut count = 0;
    for message in classic_messages().iter().filter(|m| is_broadcast(m)) {
        let read = classic::decode_broadcast(&message.bytes, &Msgpack).unwrap();
        assert!(classic::is_own_broadcast(&message.bytes, &read.sender));
        assert!(!classic::is_own_broadcast(&message.bytes, "abcdef"));
        count += 1;
        if message.label == "broadcast-date" {
            // What clients of the JSON codec get.
            let text = std::str::from_utf8(read.payload.json()).unwrap();
            assert!(text.contains("2023-11-14T22:13:20.123Z"), "{text}");
            assert!(text.contains("1969-12-31T23:59:59.999Z"), "{text}");
        }
        let write = match read.sender.as_str() {
            "emitter" => classic::encode_emitter_broadcast,
            _ => classic::encode_broadcast,
        };
        let written = write(
            &Msgpack,
            &read.sender,
            &read.namespace,
            &read.payload,
            &read.target,
            read.flags,
        );
        assert_same(message, &written);
    }
    assert_eq!(count, 15);
}

#[test]
fn requests_of_node_are_read_and_written_the_same() {
    let mut count = 0;
    for message in &classic_messages() {
        if !message.channel.starts_with("socket.io-request#") {
            continue;
        }
        let read = classic::decode_request(&message.bytes, &Msgpack).unwrap();
        let uid = read.sender.as_deref();
        let ids = || (uid.unwrap(), read.request_id.as_deref().unwrap());
        let envelope = |envelope| {
            let written = classic::encode_envelope(uid, &envelope);
            written.unwrap().into_bytes()
        };
        let written = match read.body.clone() {
            RequestBody::SocketIds(_) => panic!("nobody writes these any more"),
            RequestBody::AllRooms => classic::encode_all_rooms(ids().0, ids().1).into_bytes(),
            RequestBody::Join(target, rooms) => envelope(Envelope::Join { target, rooms }),
            RequestBody::Leave(target, rooms) => envelope(Envelope::Leave { target, rooms }),
            RequestBody::Disconnect(target, close) => {
                envelope(Envelope::Disconnect { target, close })
            }
            RequestBody::Fetch(target) => {
                classic::encode_fetch(ids().0, ids().1, &target.unwrap()).into_bytes()
            }
            RequestBody::ServerSide(payload) => match read.request_id.as_deref() {
                Some(id) => classic::encode_server_side(uid.unwrap(), id, &payload).into_bytes(),
                None => {
                    let payload = payload.into();
                    envelope(Envelope::ServerSideEmit { payload })
                }
            },
            RequestBody::BroadcastWithAck {
                payload,
                target,
                timeout,
            } => classic::encode_broadcast_with_ack(
                &Msgpack,
                ids(),
                "/",
                &payload,
                &target.unwrap(),
                timeout.unwrap(),
            ),
        };
        assert_same(message, &written);
        count += 1;
    }
    assert_eq!(count, 18);
}

#[test]
fn responses_of_node_are_read_and_written_the_same() {
    let mut count = 0;
    for message in &classic_messages() {
        if !message.channel.starts_with("socket.io-response#") {
            continue;
        }
        let read = classic::decode_response(&message.bytes, &Msgpack).unwrap();
        let written = classic::encode_response(&Msgpack, &read.request_id, &read.answer);
        assert_same(message, &written);
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn messages_of_nodes_sharded_adapter_are_read_and_written_the_same() {
    let messages = captured(include_str!("../../tests/golden/sharded.txt"));
    for message in &messages {
        let read = sharded::decode(&message.bytes).unwrap();
        let speaker = Speaker {
            uid: &read.sender,
            namespace: &read.namespace,
        };
        assert!(
            speaker
                .endings()
                .iter()
                .any(|end| message.bytes.ends_with(end))
        );
        let envelope = |envelope| speaker.envelope(&envelope).unwrap();
        let written = match read.body {
            Body::Broadcast(payload, target, flags) => envelope(Envelope::Broadcast {
                payload: payload.into(),
                target,
                flags,
            }),
            Body::BroadcastWithAck {
                payload,
                target,
                request_id,
                timeout,
            } => {
                let target = target.unwrap();
                speaker.broadcast_with_ack(&request_id, &payload, &target, timeout.unwrap())
            }
            Body::Join(target, rooms) => envelope(Envelope::Join { target, rooms }),
            Body::Leave(target, rooms) => envelope(Envelope::Leave { target, rooms }),
            Body::Disconnect(target, close) => envelope(Envelope::Disconnect { target, close }),
            Body::Fetch(target, id) => speaker.fetch(&id, &target.unwrap()),
            Body::ServerSide(payload, None) => {
                let payload = payload.into();
                envelope(Envelope::ServerSideEmit { payload })
            }
            Body::ServerSide(payload, Some(id)) => speaker.server_side(&id, &payload),
            Body::Response(response) => {
                let id = &response.request_id;
                speaker.response(id, &response.answer).unwrap()
            }
            Body::Hello | Body::Here | Body::Goodbye => panic!("Node does not send these"),
        };
        assert_same(message, &written);
    }
    assert_eq!(messages.len(), 34);
}

proptest! {
    /// What the network could make of a message: a piece of it, with some bytes changed.
    #[test]
    fn damaged_messages_are_read_or_refused(
        which: prop::sample::Index,
        keep in 0.0..=1.0,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut all = classic_messages();
        all.extend(captured(include_str!("../../tests/golden/sharded.txt")));
        let mut bytes = all.swap_remove(which.index(all.len())).bytes.to_vec();
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        for (index, byte) in changes {
            if !bytes.is_empty() {
                *index.get_mut(&mut bytes) = byte;
            }
        }
        let bytes = Bytes::from(bytes);
        let _ = classic::decode_broadcast(&bytes, &Msgpack);
        let _ = classic::decode_request(&bytes, &Msgpack);
        let _ = classic::decode_response(&bytes, &Msgpack);
        let _ = sharded::decode(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = classic::decode_broadcast(&bytes, &Msgpack);
        let _ = classic::decode_request(&bytes, &Msgpack);
        let _ = classic::decode_response(&bytes, &Msgpack);
        let _ = sharded::decode(&bytes);
    }
}
