//! The header with which a balancer of TCP says whom it speaks for (HAProxy's PROXY protocol,
//! versions 1 and 2).
//!
//! ```text
//!   PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n         version 1: a line of at most 107 bytes
//!   \r\n\r\n\0\r\nQUIT\n  21  11  000c  addresses    version 2: 16 bytes, and as many as they say
//! ```
//!
//! # Invariants
//!
//! - It is read where it is required, and nowhere else: a listener that would merely accept it lets
//!   everybody be anybody.
//! - Not a byte behind the header is read, and at most [`MAX_BYTES`] of it.
//! - `UNKNOWN` and `LOCAL`, with which balancers ask how a server is, leave the peer as it is.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What comes first in version 2, and cannot come first in HTTP.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its line feed.
const MAX_LINE: usize = 107;

/// The most bytes behind the first 16 of version 2: addresses, and what else a balancer adds.
const MAX_BYTES: u16 = 2048;

/// Reads the header; `None` if it speaks for nobody.
///
/// # Errors
///
/// If there is no header, or none that can be read.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut first = [0; SIGNATURE.len()];
    io.read_exact(&mut first).await?;
    if first == SIGNATURE {
        let mut rest = [0; 4];
        io.read_exact(&mut rest).await?;
        let [command, family, high, low] = rest;
        let len = u16::from_be_bytes([high, low]);
        if len > MAX_BYTES {
            return Err(invalid());
        }
        let mut body = vec![0; usize::from(len)];
        io.read_exact(&mut body).await?;
        return parse_binary(command, family, &body).ok_or_else(invalid);
    }
    let mut line = first.to_vec();
    // One byte at a time: what follows belongs to HTTP.
    while line.last() != Some(&b'\n') {
        if line.len() >= MAX_LINE || !line.starts_with(b"PROXY ") {
            return Err(invalid());
        }
        line.push(io.read_u8().await?);
    }
    parse_line(&line).ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

/// The source in a line of version 1; `Some(None)` if it speaks for nobody.
fn parse_line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let port = parse_port(words.next()?)?;
    parse_port(words.next()?)?;
    let is_of_family = |address: IpAddr| match family {
        "TCP4" => address.is_ipv4(),
        "TCP6" => address.is_ipv6(),
        _ => false,
    };
    let is_whole = words.next().is_none();
    let is_valid = is_whole && is_of_family(source) && is_of_family(destination);
    is_valid.then_some(Some(SocketAddr::new(source.to_canonical(), port)))
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The source in a header of version 2; `Some(None)` if it speaks for nobody.
fn parse_binary(command: u8, family: u8, body: &[u8]) -> Option<Option<SocketAddr>> {
    match command {
        // LOCAL: the balancer itself.
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    match family {
        0x11 => {
            let (addresses, _) = body.split_first_chunk::<12>()?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let address = Ipv4Addr::new(a, b, c, d);
            let port = u16::from_be_bytes([high, low]);
            Some(Some(SocketAddr::new(address.into(), port)))
        }
        0x21 => {
            let (source, rest) = body.split_first_chunk::<16>()?;
            let (_destination, rest) = rest.split_first_chunk::<16>()?;
            let ([high, low, _, _], _) = rest.split_first_chunk::<4>()?;
            let address = IpAddr::V6(Ipv6Addr::from(*source)).to_canonical();
            let port = u16::from_be_bytes([*high, *low]);
            Some(Some(SocketAddr::new(address, port)))
        }
        // No family, datagrams, Unix sockets: somebody without an address.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
