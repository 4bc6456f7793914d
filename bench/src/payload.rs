//! The 64 bytes of JSON that every event carries.
//!
//! ```text
//! {"at":"00000000001234567890","pad":"-------","seq":"0000000042"}
//!         │                                            └ number of the event, from 0
//!         └ when it was meant to be sent, ns on the generator's clock
//! ```
//!
//! # Invariants
//!
//! - The length never varies: numbers are fixed-width text.
//! - Keys are in alphabetical order, so that a server that sorts them answers with equal bytes.

/// How many bytes a payload has.
pub(crate) const PAYLOAD_LEN: usize = 64;

const TEMPLATE: &[u8; PAYLOAD_LEN] =
    br#"{"at":"00000000000000000000","pad":"-------","seq":"0000000000"}"#;

const AT: std::ops::Range<usize> = 7..27;
const SEQUENCE: std::ops::Range<usize> = 52..62;

/// What a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    /// When the event was meant to be sent, in ns on the generator's clock.
    pub(crate) at: u64,
    /// The number of the event.
    pub(crate) sequence: u32,
}

impl Payload {
    /// The JSON text.
    pub(crate) fn encode(self) -> [u8; PAYLOAD_LEN] {
        let mut text = *TEMPLATE;
        write_digits(&mut text[AT], self.at);
        write_digits(&mut text[SEQUENCE], u64::from(self.sequence));
        text
    }

    /// Reads the JSON text back; `None` if it is not exactly what [`Payload::encode`] writes.
    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let text: &[u8; PAYLOAD_LEN] = text.try_into().ok()?;
        let fixed = [
            0..AT.start,
            AT.end..SEQUENCE.start,
            SEQUENCE.end..PAYLOAD_LEN,
        ];
        if fixed
            .into_iter()
            .any(|part| text[part.clone()] != TEMPLATE[part])
        {
            return None;
        }
        Some(Self {
            at: read_digits(&text[AT])?,
            sequence: read_digits(&text[SEQUENCE])?.try_into().ok()?,
        })
    }
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
        for (at, sequence) in [(0, 0), (1, 2), (u64::MAX, u32::MAX)] {
            let payload = Payload { at, sequence };
            assert_eq!(Payload::decode(&payload.encode()), Some(payload));
        }
    }

    #[test]
    fn a_payload_is_json_with_sorted_keys() {
        let text = Payload { at: 7, sequence: 9 }.encode();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["at"], "00000000000000000007");
        assert_eq!(value["seq"], "0000000009");
        assert_eq!(serde_json::to_vec(&value).unwrap(), text);
    }

    #[test]
    fn any_change_to_a_payload_is_noticed() {
        let text = Payload { at: 5, sequence: 5 }.encode();
        for position in 0..PAYLOAD_LEN {
            let mut changed = text;
            changed[position] = b'!';
            assert_eq!(Payload::decode(&changed), None, "byte {position}");
        }
        assert_eq!(Payload::decode(&text[1..]), None);
    }
}
