//! Who the client is, where proxies stand in between.
//!
//! Each proxy appends the address that it was called from. What the nearest trusted one wrote is
//! true; what stands left of that was written by whoever called it, who may have made it up:
//!
//! ```text
//!   X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.2          peer: 10.0.0.1
//!                    ▲        ▲            ▲ trusted: walk on      ▲ trusted: look at the header
//!                    │        └ not trusted: this is the client
//!                    └ made up by the client, never looked at
//! ```
//!
//! # Invariants
//!
//! - Nothing is believed of a peer that is not a trusted proxy, and nobody is trusted by default.
//! - The walk goes from right to left, and ends at the first address that is not trusted, or at
//!   what is no address; then the client is the last proxy that is known.
//! - One header is read, the one that the application named: a proxy that writes the other one
//!   lets whatever the client sent in this one pass.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

/// More hops than this are nobody's chain of proxies.
const MAX_HOPS: usize = 32;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is taken for where a request came from.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    reads_forwarded: bool,
    problems: Vec<String>,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks, such as `10.0.0.0/8` or `2001:db8::1`, and reads
    /// `X-Forwarded-For`. What is no network keeps the server from being built.
    #[must_use]
    pub fn new<S: AsRef<str>>(networks: impl IntoIterator<Item = S>) -> Self {
        let mut proxies = Self::default();
        for text in networks {
            let text = text.as_ref();
            match Network::parse(text) {
                Some(network) => proxies.networks.push(network),
                None => {
                    let problem = format!("the trusted proxy `{text}` is not a network");
                    proxies.problems.push(problem);
                }
            }
        }
        proxies
    }

    /// Reads `Forwarded` (RFC 7239) instead of `X-Forwarded-For`. Name the header that your proxy
    /// writes: it passes the other one on as the client sent it.
    #[must_use]
    pub const fn forwarded(mut self) -> Self {
        self.reads_forwarded = true;
        self
    }

    /// Whether nobody is trusted.
    pub(crate) const fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// What is wrong with the networks.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The client of a request that came from `peer` with these headers. Its port is 0 where the
    /// proxy did not tell.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let name = if self.reads_forwarded {
            FORWARDED
        } else {
            X_FORWARDED_FOR
        };
        let mut client = peer;
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("unreadable").rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let address = if self.reads_forwarded {
                forwarded_for(hop).and_then(parse_node)
            } else {
                parse_node(hop.trim())
            };
            let Some(address) = address else {
                return client;
            };
            client = address;
            if !self.trusts(client.ip()) {
                return client;
            }
        }
        client
    }

    /// Whether it is one of the proxies that are trusted.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.holds(address))
    }
}

/// The value of `for` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        name.trim()
            .eq_ignore_ascii_case("for")
            .then_some(bare.unwrap_or(value))
    })
}

/// An address, with or without a port. `unknown` and names of a proxy's own are none.
fn parse_node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => IpAddr::V6(bare.parse::<Ipv6Addr>().ok()?),
        None => text.parse().ok()?,
    };
    Some(SocketAddr::new(address.to_canonical(), 0))
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(width), |bits| bits.trim().parse().ok())?;
        (bits <= width).then_some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(self.bits)));
                (u32::from(own) ^ u32::from(other)) & mask.unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(u32::from(128_u8.saturating_sub(self.bits)));
                (u128::from(own) ^ u128::from(other)) & mask.unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
