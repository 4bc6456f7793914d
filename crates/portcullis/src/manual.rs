//! The manual and the README, so that their examples are compiled. There is no code in here.

#![doc = include_str!("../../../docs/manual.md")]

#[doc = include_str!("../../../docs/manual/testing.md")]
pub mod testing {}

/// The README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
