//! How many heads of an HTTP stream say in two ways where their request ends.
//!
//! A request that has a `Content-Length` next to a `Transfer-Encoding` ends at two places, and who
//! stands in front may believe in the other one (RFC 9112 section 6.3). hyper drops the length
//! without a word, so what it shows cannot be asked; the bytes can.
//!
//! # Invariants
//!
//! - Every such head is noticed, however its bytes are cut up: a header stands behind the end of a
//!   line, and has no space ahead of its colon, or hyper refuses it; a head has no empty line.
//! - Lines of a body that look the same count too, up to the next empty line, also toward the head
//!   behind it. So there is a count of at least one if there ever was such a head, and that is all
//!   that may be asked: it must never be set back. The parts of a form have lengths, but no
//!   `Transfer-Encoding`.
//!
//! # Not here
//!
//! What follows from it (`listener::http1`).

const LENGTH: &[u8] = b"content-length";
const ENCODING: &[u8] = b"transfer-encoding";

/// Counts while the bytes pass by.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// How the present line begins, in lower case.
    line: [u8; ENCODING.len()],
    /// How much of it has come; beyond that array, it is no header that matters.
    len: usize,
    has_length: bool,
    has_encoding: bool,
}

impl Heads {
    /// Looks at the next bytes; says how many heads turned out to be such.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> usize {
        // Most bodies are one line, and this is the fast way to see it.
        if self.len > self.line.len() && !bytes.contains(&b'\n') {
            return 0;
        }
        bytes.iter().filter(|byte| self.is_told_by(**byte)).count()
    }

    /// Whether it takes just this byte to know that a head is such.
    fn is_told_by(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => {
                if matches!(self.line.get(..self.len), Some(b"" | b"\r")) {
                    (self.has_length, self.has_encoding) = (false, false);
                }
                self.len = 0;
                false
            }
            b':' => {
                let name = self.line.get(..self.len);
                self.len = usize::MAX;
                let (had_length, had_encoding) = (self.has_length, self.has_encoding);
                self.has_length |= name == Some(LENGTH);
                self.has_encoding |= name == Some(ENCODING);
                let is_such = self.has_length && self.has_encoding;
                is_such && !(had_length && had_encoding)
            }
            _ => {
                if let Some(place) = self.line.get_mut(self.len) {
                    *place = byte.to_ascii_lowercase();
                }
                self.len = self.len.saturating_add(1);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_with_two_ends_is_counted_once_wherever_the_bytes_are_cut_up() {
        let heads = b"POST / HTTP/1.1\r\nHost: x\r\ncOnTeNt-LeNgTh: 1\r\n\
            Transfer-Encoding: chunked\nContent-Length:2\r\n\r\n\
            POST / HTTP/1.1\ntransfer-encoding:chunked\nX: y\nContent-Length: 1\n\n";
        for cut in 0..heads.len() {
            let mut counted = Heads::default();
            let (first, second) = heads.split_at(cut);
            assert_eq!(counted.scan(first) + counted.scan(second), 2, "{cut}");
        }
    }

    #[test]
    fn heads_with_one_end_and_other_lines_are_not_counted() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nPOST / HTTP/1.1\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2f\r\n--x\r\n\
             Content-Length: 1\r\nContent-Transfer-Encoding: binary\r\n\r\n",
            "Transfer-Encoding: chunked\r\nX-Content-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length-X: 1\r\n",
            "Transfer-Encoding: chunked\r\n Content-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\nContent-Lengt\nh: 1\r\n",
            "Transfer-Encoding: chunked\r\nX: Content-Length: 1\r\n",
        ] {
            let mut counted = Heads::default();
            assert_eq!(counted.scan(text.as_bytes()), 0, "{text}");
        }
    }
}
