//! msgpack as JavaScript peers write it, for the msgpack codec and for messages between nodes.
//!
//! | in JavaScript       | bytes                                | `Value`       |
//! |---------------------|--------------------------------------|---------------|
//! | a whole number      | the shortest int                     | `Integer`     |
//! | any other number    | float64                              | `Float`       |
//! | `Buffer`            | bin                                  | `Bytes`       |
//! | `ArrayBuffer`       | extension 0 (older peers), bin       | `Bytes`       |
//! | `Date`              | extension −1, extension 0 (clients)  | `Timestamp`   |
//! | `undefined`         | extension 0 (older peers), nil       | `Null`        |
//! | another extension   | as it is                             | `[type, bytes]` |
//!
//! # Invariants
//!
//! - Decoding is total: it ends, recurses at most as deep as it is told, and believes no length
//!   that the rest of the input cannot hold.
//! - What follows the value is an error.
//! - Text that is not UTF-8 is repaired with U+FFFD, as JavaScript does.
//!
//! # Not here
//!
//! Which maps are packets (`codec`).

mod decode;
mod encode;

pub(crate) use self::decode::Reader;
pub use self::decode::{MsgpackError, decode, decode_shared};
pub use self::encode::encode;
pub(crate) use self::encode::{
    encode_for_clients, write_array_len, write_map_len, write_str, write_uint,
};
