//! Compressing polling responses (RFC 9110 section 8.4).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// The codings that we have, in the order in which we prefer them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    /// The zlib format, which is what HTTP calls deflate.
    Deflate,
}

impl Coding {
    /// What the client accepts; a coding with `q=0` is refused.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(ACCEPT_ENCODING)?.to_str().ok()?;
        // What is said of a coding, if anything is.
        let accepts = |name: &str| {
            accepted.split(',').find_map(|part| {
                let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
                let refused = parameters.trim().strip_prefix("q=").is_some_and(|quality| {
                    quality
                        .trim()
                        .parse::<f32>()
                        .is_ok_and(|quality| quality <= 0.0)
                });
                coding.trim().eq_ignore_ascii_case(name).then_some(!refused)
            })
        };
        let others = accepts("*").unwrap_or(false);
        if accepts("gzip").unwrap_or(others) {
            Some(Self::Gzip)
        } else if accepts("deflate").unwrap_or(others) {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    pub(crate) const fn header(self) -> HeaderValue {
        match self {
            Self::Gzip => HeaderValue::from_static("gzip"),
            Self::Deflate => HeaderValue::from_static("deflate"),
        }
    }

    /// The compressed body, or `None` if compressing failed, which memory cannot.
    pub(crate) fn compress(self, body: &[u8]) -> Option<Bytes> {
        let out = Vec::with_capacity(body.len() / 3);
        let compressed = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, Compression::fast());
                encoder.write_all(body).ok()?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, Compression::fast());
                encoder.write_all(body).ok()?;
                encoder.finish()
            }
        };
        compressed.ok().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn accepted(value: &str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        Coding::accepted(&headers)
    }

    #[test]
    fn the_client_says_which_coding() {
        assert_eq!(accepted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(accepted("deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0, deflate;q=0.5"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0, *"), Some(Coding::Deflate));
        assert_eq!(accepted("*;q=0, deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("br"), None);
        assert_eq!(Coding::accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let body = b"4hello".repeat(500);
        let mut text = Vec::new();
        let gzip = Coding::Gzip.compress(&body).unwrap();
        flate2::read::GzDecoder::new(&gzip[..])
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, body);
        text.clear();
        let zlib = Coding::Deflate.compress(&body).unwrap();
        flate2::read::ZlibDecoder::new(&zlib[..])
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, body);
    }
}
