//! What this crate promises, tested through its public face.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod args;
mod client;
mod codec;
mod ids;
mod msgpack;
mod node;
mod payload;
mod roundtrip;
mod value;
