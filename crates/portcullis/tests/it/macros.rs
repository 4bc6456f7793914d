//! `#[gateway]` and `#[derive(EventError)]`, as their users see them.
//!
//! # Not here
//!
//! What the compiler says of a mistake (`tests/ui`), and what a call costs (`tests/cost.rs`).

mod replies;
