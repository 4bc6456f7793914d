//! What every event carries: JSON of a constant length, 64 bytes or more.
//!
//! ```text
//! {"at":"00000000001234567890","pad":"-------","seq":"0000000042"}
//!         │                                            └ number of the event, from 0
//!         └ when it was meant to be sent, ns on the generator's clock
//! ```
//!
//! An attachment holds the same text.
//!
//! # Invariants
//!
//! - The length never varies within a run: numbers are fixed-width text.
//! - Keys are in alphabetical order, so that a server that sorts them answers with equal bytes.

/// How many bytes a small payload has.
pub(crate) const SMALL: usize = 64;

/// How many bytes a large payload has.
pub(crate) const LARGE: usize = 1_024;

const BEFORE_AT: &[u8] = br#"{"at":""#;
const AT_LEN: usize = 20;
const BEFORE_PAD: &[u8] = br#"","pad":""#;
const BEFORE_SEQUENCE: &[u8] = br#"","seq":""#;
const SEQUENCE_LEN: usize = 10;
const END: &[u8] = br#""}"#;

const WITHOUT_PAD: usize =
    BEFORE_AT.len() + AT_LEN + BEFORE_PAD.len() + BEFORE_SEQUENCE.len() + SEQUENCE_LEN + END.len();

/// What a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    /// When the event was meant to be sent, in ns on the generator's clock.
    pub(crate) at: u64,
    /// The number of the event.
    pub(crate) sequence: u32,
}

impl Payload {
    /// The JSON text, padded to `len` bytes.
    pub(crate) fn encode(self, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len);
        text.extend_from_slice(BEFORE_AT);
        push_digits(&mut text, AT_LEN, self.at);
        text.extend_from_slice(BEFORE_PAD);
        text.resize(text.len() + len.saturating_sub(WITHOUT_PAD), b'-');
        text.extend_from_slice(BEFORE_SEQUENCE);
        push_digits(&mut text, SEQUENCE_LEN, u64::from(self.sequence));
        text.extend_from_slice(END);
        text
    }

    /// Reads the JSON text back; `None` if it is not exactly what [`Payload::encode`] writes.
    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(BEFORE_AT)?;
        let (at, rest) = rest.split_at_checked(AT_LEN)?;
        let rest = rest.strip_prefix(BEFORE_PAD)?.strip_suffix(END)?;
        let pad_len = rest
            .len()
            .checked_sub(SEQUENCE_LEN + BEFORE_SEQUENCE.len())?;
        let (pad, rest) = rest.split_at(pad_len);
        if pad.iter().any(|byte| *byte != b'-') {
            return None;
        }
        Some(Self {
            at: read_digits(at)?,
            sequence: read_digits(rest.strip_prefix(BEFORE_SEQUENCE)?)?
                .try_into()
                .ok()?,
        })
    }
}

fn push_digits(text: &mut Vec<u8>, len: usize, value: u64) {
    let start = text.len();
    text.resize(start + len, 0);
    write_digits(&mut text[start..], value);
}

/// Fills `digits` with `value` in decimal, with leading zeros.
pub(crate) fn write_digits(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The decimal number that `digits` spell.
fn read_digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_back_as_it_was_written() {
        for len in [SMALL, LARGE] {
            for (at, sequence) in [(0, 0), (1, 2), (u64::MAX, u32::MAX)] {
                let payload = Payload { at, sequence };
                let text = payload.encode(len);
                assert_eq!(text.len(), len);
                assert_eq!(Payload::decode(&text), Some(payload));
            }
        }
    }

    #[test]
    fn a_payload_is_json_with_sorted_keys() {
        let text = Payload { at: 7, sequence: 9 }.encode(SMALL);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["at"], "00000000000000000007");
        assert_eq!(value["seq"], "0000000009");
        assert_eq!(serde_json::to_vec(&value).unwrap(), text);
    }

    #[test]
    fn any_change_to_a_payload_is_noticed() {
        let text = Payload { at: 5, sequence: 5 }.encode(SMALL);
        for position in 0..SMALL {
            let mut changed = text.clone();
            changed[position] = b'!';
            assert_eq!(Payload::decode(&changed), None, "byte {position}");
        }
        assert_eq!(Payload::decode(&text[1..]), None);
    }
}
