//! Packets of a namespace as frames: encoded once, framed once.

use portcullis_socketio::codec::Codec;
use portcullis_socketio::ids::AckId;
use portcullis_socketio::payload::Payload;

use super::Namespace;
use crate::session::{Frame, FrameBuilder};

/// An event for sockets of `namespace`.
pub(crate) fn event(namespace: &Namespace, payload: &Payload, ack: Option<AckId>) -> FrameBuilder {
    let codec = namespace.codec();
    with_attachments(codec, payload, |buffer| {
        codec.encode_event(buffer, namespace.path(), ack, payload);
    })
}

/// The answer to an event of a client.
pub(crate) fn ack(namespace: &Namespace, id: AckId, payload: &Payload) -> FrameBuilder {
    let codec = namespace.codec();
    with_attachments(codec, payload, |buffer| {
        codec.encode_ack(buffer, namespace.path(), id, payload);
    })
}

/// A packet without arguments: what `encode` appends.
pub(crate) fn control(codec: Codec, encode: impl FnOnce(&mut Vec<u8>)) -> Frame {
    if codec.is_binary() {
        return Frame::build_binary(64, encode).finish();
    }
    let builder = Frame::build(64, |buffer| {
        buffer.push(b'4');
        encode(buffer);
    });
    builder.finish()
}

fn with_attachments(
    codec: Codec,
    payload: &Payload,
    encode: impl FnOnce(&mut Vec<u8>),
) -> FrameBuilder {
    let expected = payload.json().len() + 64;
    if codec.is_binary() {
        return Frame::build_binary(expected, encode);
    }
    let attachments = payload.attachments();
    let binary: usize = attachments.iter().map(|data| data.len() + 10).sum();
    let mut builder = Frame::build(expected + binary, |buffer| {
        buffer.push(b'4');
        encode(buffer);
    });
    for attachment in attachments {
        builder.push_binary(attachment);
    }
    builder
}
