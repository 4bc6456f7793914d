//! Names of nodes and questions, as Node's adapters make them.

/// The alphabet of `uid2`, in any order.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What all emitters call themselves: they publish, and are not counted as nodes.
pub(crate) const EMITTER: &str = "emitter";

/// The name of a node in one namespace on the classic wire.
pub(crate) fn classic_uid() -> String {
    text(random::<6>())
}

/// The name of a question on the classic wire: 128 bits and more, so that nobody guesses it.
pub(crate) fn classic_request_id() -> String {
    text(random::<22>())
}

/// The name of a node or a question on the sharded wire.
pub(crate) fn sharded_id() -> String {
    random::<8>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A number between 0 and 1, for jitter.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(random())) / f64::from(u32::MAX)
}

fn text<const N: usize>(random: [u8; N]) -> String {
    let character = |byte: u8| char::from(ALPHABET[usize::from(byte & 0x3f)]);
    random.into_iter().map(character).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness nodes would take each other's names"
    )]
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}
