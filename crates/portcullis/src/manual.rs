//! The manual and the README, so that their examples are compiled. There is no code in here.

#![doc = include_str!("../../../docs/manual/README.md")]

/// The builder, limits, mounting, logs and metrics.
#[doc = include_str!("../../../docs/manual/server.md")]
pub mod server {}

/// Who may connect.
#[doc = include_str!("../../../docs/manual/authentication.md")]
pub mod authentication {}

/// What a server sends.
#[doc = include_str!("../../../docs/manual/broadcasts.md")]
pub mod broadcasts {}

/// Stock clients, and what differs from Node.
#[doc = include_str!("../../../docs/manual/clients.md")]
pub mod clients {}

#[doc = include_str!("../../../docs/manual/testing.md")]
pub mod testing {}

/// The README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
