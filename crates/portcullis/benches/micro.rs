//! Runs one piece of a hot path so many times: `micro NAME ROUNDS`.
//!
//! Under valgrind, the difference between two runs says what one round costs; `cargo xtask micro`
//! does that, and compares with `benches/budgets.txt`. Without arguments it runs each once, which
//! is what `cargo bench` and `cargo test --benches` do.

use std::process::ExitCode;

use portcullis::micro;

/// A name, and what does its work so many times.
type Piece = (&'static str, fn(usize));

/// What there is.
const PIECES: [Piece; 7] = [
    ("encode-frame", micro::encode_frame),
    ("enqueue-1000", micro::enqueue_1000),
    ("rooms-10000", micro::rooms_10000),
    ("read-frame", micro::read_frame),
    ("event-with-ack", micro::event_with_ack),
    ("verify-hs256", micro::verify_hs256),
    ("wheel-18000", micro::wheel_18000),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds] = arguments.as_slice() else {
        PIECES.iter().for_each(|(_, run)| run(1));
        return ExitCode::SUCCESS;
    };
    let piece = PIECES.iter().find(|(piece, _)| piece == name);
    let (Some((_, run)), Ok(rounds)) = (piece, rounds.parse()) else {
        return ExitCode::FAILURE;
    };
    run(rounds);
    ExitCode::SUCCESS
}
