//! The headers of a first request that are kept: copied, in one allocation.

use std::fmt;

use http::{HeaderMap, HeaderName};

/// What is kept unless an application says otherwise.
const USUAL: [&str; 10] = [
    "authorization",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

/// Which headers of a first request are kept for the life of its connection.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum HeaderPolicy {
    /// `authorization`, `cookie`, `forwarded`, `host`, `origin`, `referer`, `user-agent`,
    /// `x-forwarded-for`, `x-forwarded-proto`, `x-request-id`, and what token sources read.
    #[default]
    Usual,
    /// The usual ones and these.
    And(Vec<HeaderName>),
    /// All of them, which costs memory for every connection.
    All,
}

impl HeaderPolicy {
    /// The policy that also keeps `names`.
    pub(crate) fn with(self, names: Vec<HeaderName>) -> Self {
        match self {
            Self::All => Self::All,
            Self::Usual if names.is_empty() => Self::Usual,
            Self::Usual => Self::And(names),
            Self::And(mut kept) => {
                kept.extend(names);
                Self::And(kept)
            }
        }
    }
}

/// Some headers, as lines: they are looked at rarely, and kept for long.
#[derive(Clone, Default)]
pub struct Headers(Box<[u8]>);

impl Headers {
    pub(crate) fn keep(map: &HeaderMap, policy: &HeaderPolicy) -> Self {
        let mut lines = Vec::new();
        for (name, value) in map {
            let usual = || USUAL.contains(&name.as_str());
            let kept = match policy {
                HeaderPolicy::Usual => usual(),
                HeaderPolicy::And(names) => usual() || names.contains(name),
                HeaderPolicy::All => true,
            };
            if kept {
                lines.extend_from_slice(name.as_str().as_bytes());
                lines.push(b':');
                lines.extend_from_slice(value.as_bytes());
                lines.push(b'\n');
            }
        }
        Self(lines.into_boxed_slice())
    }

    /// All headers that are text, as name and value; names are in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.raw().filter_map(|(name, value)| {
            Some((
                std::str::from_utf8(name).ok()?,
                std::str::from_utf8(value).ok()?,
            ))
        })
    }

    /// The first value of `name`, which is compared without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Every header that was kept, text or not.
    pub(crate) fn raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // A header's value cannot hold a line feed, nor its name a colon.
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name, value.get(1..)?))
        })
    }
}

impl fmt::Debug for Headers {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}
