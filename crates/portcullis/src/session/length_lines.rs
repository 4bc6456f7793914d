//! How many lines of an HTTP stream begin with `Content-Length:`.
//!
//! A request that has a `Content-Length` next to a `Transfer-Encoding` ends at two places, and who
//! stands in front may believe in the other one (RFC 9112 section 6.3). hyper drops the length
//! without a word, so what it shows cannot be asked; the bytes can.
//!
//! # Invariants
//!
//! - Every such header is counted, however its bytes are cut up: a header stands behind the end of
//!   a line, and has no space ahead of its colon, or hyper refuses it.
//! - A line of a body that looks the same is counted too: the count is never too small.
//!
//! # Not here
//!
//! What follows from it (`listener::http`).

/// How such a line begins, in lower case.
const NAME: &[u8] = b"content-length:";

/// Counts while the bytes pass by.
#[derive(Debug)]
pub(super) struct LengthLines {
    /// How much of the name has come, if nothing else has come on this line.
    matched: Option<usize>,
}

impl LengthLines {
    pub(super) const fn new() -> Self {
        // What comes first is a request line.
        Self { matched: None }
    }

    /// Looks at the next bytes; says how many lines were recognised in them.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> usize {
        // Most bodies are one line, and this is the fast way to see it.
        if self.matched.is_none() && !bytes.contains(&b'\n') {
            return 0;
        }
        let mut lines = 0;
        for byte in bytes {
            self.matched = match self.matched {
                _ if *byte == b'\n' => Some(0),
                Some(matched) if NAME.get(matched) == Some(&byte.to_ascii_lowercase()) => {
                    lines += usize::from(matched + 1 == NAME.len());
                    Some(matched + 1).filter(|matched| *matched < NAME.len())
                }
                _ => None,
            };
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_counted_wherever_the_bytes_are_cut_up() {
        let head = b"POST / HTTP/1.1\r\nHost: x\r\ncOnTeNt-LeNgTh: 1\r\n\
            Transfer-Encoding: chunked\nContent-Length:2\r\n\r\n";
        for cut in 0..head.len() {
            let mut lines = LengthLines::new();
            let (first, second) = head.split_at(cut);
            assert_eq!(lines.scan(first) + lines.scan(second), 2, "{cut}");
        }
    }

    #[test]
    fn other_lines_are_not_counted() {
        let mut lines = LengthLines::new();
        for text in [
            "Content-Length: 1\r\n",
            "X-Content-Length: 1\r\n",
            "Content-Length-X: 1\r\n",
            " Content-Length: 1\r\n",
            "Content-Lengt\nh: 1\r\n",
        ] {
            assert_eq!(lines.scan(text.as_bytes()), 0, "{text}");
        }
    }
}
