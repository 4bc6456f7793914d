//! How long it takes to verify a token, from its text to its claims: `cargo bench --bench verify`.
//!
//! The best of a few batches: what else the machine does is no part of the answer. With `--test`,
//! as `cargo test --benches` says, every token is verified once.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use portcullis::auth::jwt::Jwt;

type Claims = serde_json::Value;

const BATCHES: u32 = 20;
const BATCH: u32 = 500;

fn main() -> std::io::Result<()> {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (batches, batch) = if is_test { (1, 1) } else { (BATCHES, BATCH) };
    for (name, jwt, token) in [
        (
            "HS256",
            Jwt::<Claims>::hs256("a secret of thirty-two bytes or more"),
            include_str!("verify/hs256.jwt"),
        ),
        (
            "ES256",
            Jwt::es256_pem(include_str!("verify/es256.pem")),
            include_str!("verify/es256.jwt"),
        ),
        (
            "RS256, 2,048 bits",
            Jwt::rs256_pem(include_str!("verify/rs256.pem")),
            include_str!("verify/rs256.jwt"),
        ),
    ] {
        let took = measure(&jwt, token.trim_end(), batches, batch);
        let micros = took.as_secs_f64() * 1e6;
        writeln!(std::io::stdout(), "{name}: {micros:.1} µs")?;
    }
    Ok(())
}

/// The time for one verification.
fn measure(jwt: &Jwt<Claims>, token: &str, batches: u32, batch: u32) -> Duration {
    let now = SystemTime::now();
    let mut best = Duration::MAX;
    for _ in 0..batches {
        let started = Instant::now();
        for _ in 0..batch {
            let verified = jwt.verify(black_box(token), now);
            assert!(black_box(verified).is_ok(), "the token is good until 2100");
        }
        best = best.min(started.elapsed() / batch);
    }
    best
}
