//! Socket.IO v5 as plain data in, plain data out.
//!
//! Everything here is a decision about bytes: which packet they are, whether the peer may send it
//! now, what the answer looks like. There is no socket, task, clock, random number or lock; callers
//! pass the time and random bytes, and hand in exactly one input before they drain the outputs.
//!
//! ```text
//!  engine message ─▶ codec::Decoder ─▶ Packet ─▶ client::Client ─▶ Output ─▶ the framework
//!                                                                              │
//!  engine message ◀────────── codec::Codec::encode_* ◀────────── Payload ◀─────┘
//! ```
//!
//! # Invariants
//!
//! - Nothing that a peer sends can panic, recurse deeper than [`MAX_DEPTH`], or allocate more than
//!   a constant factor of what arrived.
//! - Arguments stay raw until somebody asks for them with a type.
//! - Errors never quote what the peer sent.
//!
//! # Not here
//!
//! Timers, rooms, adapters, authentication and dispatch: the framework. Engine.IO: its own crate.

// 1. Name things: sockets, acks, namespaces, rooms.
pub mod ids;

// 2. Hold any value that either codec can carry.
pub mod value;

// 3. Read JSON text without trusting it.
mod json;

// 4. Find the places of attachments.
mod attachments;

// 5. Read and write msgpack, as JavaScript peers write it.
pub mod msgpack;

// 6. Keep what arrived raw until a type is asked for.
pub mod args;

// 7. Serialise what leaves, once.
pub mod payload;

// 8. Say what a peer can say.
pub mod packet;

// 9. Turn engine messages into packets, and back.
pub mod codec;

// 10. Decide what a packet means for this client, now.
pub mod client;

/// How deep containers may nest in a packet, its array of arguments included.
pub const MAX_DEPTH: usize = 64;
