//! Where the time of tests begins. They go on from there by adding.

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made any other way"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
