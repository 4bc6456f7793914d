//! The kit, tested as it is used.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod clients;
mod cluster;
mod failures;
mod time;
