//! The manual and the README, so that their examples are compiled. There is no code in here.

#![doc = include_str!("../../../docs/manual.md")]

/// The README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
