//! `#[gateway]` and `#[derive(EventError)]`, as their users see them.
//!
//! # Not here
//!
//! What the compiler says of a mistake (`tests/ui`).

mod around;
mod building;
mod cost;
mod errors;
mod hooks;
mod renamed;
mod replies;
mod shapes;
