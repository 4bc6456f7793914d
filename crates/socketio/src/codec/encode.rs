//! Appending what the server says to a buffer.
//!
//! The caller owns the buffer, so that a frame's header can have its place in front and a
//! broadcast is written once for all.
//!
//! | packet        | JSON                               | msgpack                              |
//! |---------------|------------------------------------|--------------------------------------|
//! | CONNECT       | `0/chat,{"sid":"…"}`               | `{type: 0, data: {sid}, nsp}`        |
//! | DISCONNECT    | `1/chat,`                          | `{type: 1, nsp}`                     |
//! | EVENT         | `2/chat,7["say",1]`, `51-…`        | `{type: 2, data: […], nsp, id: 7}`   |
//! | ACK           | `3/chat,7[1]`, `61-…`              | `{type: 3, data: […], nsp, id: 7}`   |
//! | CONNECT_ERROR | `4/chat,{"message":"…"}`           | `{type: 4, data: {message}, nsp}`    |

use serde::Serialize;

use super::Codec;
use crate::ids::{AckId, NamespacePath, SocketId};
use crate::msgpack::{encode, write_map_len, write_str, write_uint};
use crate::payload::Payload;
use crate::value::Value;

impl Codec {
    /// Appends an event. The attachments of `payload` follow as binary messages of their own,
    /// unless [`Codec::is_binary`].
    pub fn encode_event(
        self,
        out: &mut Vec<u8>,
        namespace: &NamespacePath,
        ack: Option<AckId>,
        payload: &Payload,
    ) {
        match self {
            Self::Json => write_text(out, [b'2', b'5'], namespace, ack, payload),
            Self::Msgpack => write_map(out, 2, namespace, ack, payload),
        }
    }

    /// Appends the answer to an event. The attachments of `payload` follow as binary messages of
    /// their own, unless [`Codec::is_binary`].
    pub fn encode_ack(
        self,
        out: &mut Vec<u8>,
        namespace: &NamespacePath,
        id: AckId,
        payload: &Payload,
    ) {
        match self {
            Self::Json => write_text(out, [b'3', b'6'], namespace, Some(id), payload),
            Self::Msgpack => write_map(out, 3, namespace, Some(id), payload),
        }
    }

    /// Appends the news that the client has joined a namespace, and under which id.
    pub fn encode_connect(self, out: &mut Vec<u8>, namespace: &NamespacePath, sid: &SocketId) {
        match self {
            Self::Json => {
                out.push(b'0');
                write_namespace(out, namespace);
                write_json(out, &Connected { sid });
            }
            Self::Msgpack => {
                write_map_len(out, 3);
                write_kind(out, 0);
                write_str(out, "data");
                write_map_len(out, 1);
                write_str(out, "sid");
                write_str(out, sid.as_str());
                write_namespace_field(out, namespace);
            }
        }
    }

    /// Appends a refusal. `namespace` is what the client asked for, which may be no valid path.
    pub fn encode_connect_error(
        self,
        out: &mut Vec<u8>,
        namespace: &str,
        message: &str,
        data: Option<&Value>,
    ) {
        match self {
            Self::Json => {
                out.push(b'4');
                write_namespace(out, namespace);
                write_json(out, &Refused { message, data });
            }
            Self::Msgpack => {
                write_map_len(out, 3);
                write_kind(out, 4);
                write_str(out, "data");
                write_map_len(out, 1 + usize::from(data.is_some()));
                write_str(out, "message");
                write_str(out, message);
                if let Some(data) = data {
                    write_str(out, "data");
                    encode(data, out);
                }
                write_namespace_field(out, namespace);
            }
        }
    }

    /// Appends the news that the server has made the client leave a namespace.
    pub fn encode_disconnect(self, out: &mut Vec<u8>, namespace: &NamespacePath) {
        match self {
            Self::Json => {
                out.push(b'1');
                write_namespace(out, namespace);
            }
            Self::Msgpack => {
                write_map_len(out, 2);
                write_kind(out, 1);
                write_namespace_field(out, namespace);
            }
        }
    }
}

#[derive(Serialize)]
struct Connected<'a> {
    sid: &'a SocketId,
}

#[derive(Serialize)]
struct Refused<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

fn write_text(
    out: &mut Vec<u8>,
    [plain, binary]: [u8; 2],
    namespace: &str,
    id: Option<AckId>,
    payload: &Payload,
) {
    let attachments = payload.attachments().len();
    if attachments == 0 {
        out.push(plain);
    } else {
        out.push(binary);
        write_json(out, &attachments);
        out.push(b'-');
    }
    write_namespace(out, namespace);
    if let Some(id) = id {
        write_json(out, &u64::from(id));
    }
    out.extend_from_slice(payload.json());
}

fn write_namespace(out: &mut Vec<u8>, namespace: &str) {
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
}

fn write_map(out: &mut Vec<u8>, kind: u8, namespace: &str, id: Option<AckId>, payload: &Payload) {
    write_map_len(out, 3 + usize::from(id.is_some()));
    write_kind(out, kind);
    write_str(out, "data");
    payload.to_msgpack(out);
    write_namespace_field(out, namespace);
    if let Some(id) = id {
        write_str(out, "id");
        write_uint(out, id.into());
    }
}

fn write_kind(out: &mut Vec<u8>, kind: u8) {
    write_str(out, "type");
    out.push(kind);
}

fn write_namespace_field(out: &mut Vec<u8>, namespace: &str) {
    write_str(out, "nsp");
    write_str(out, namespace);
}

fn write_json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(
        written.is_ok(),
        "text, numbers, and values whose keys are text"
    );
}
