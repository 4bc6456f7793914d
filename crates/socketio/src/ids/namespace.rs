//! The path of a namespace, valid by construction and cheap to copy.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Names a namespace: `/`, `/chat`, `/tenants/7`.
///
/// Starts with a slash, is at most [`NamespacePath::MAX_LEN_BYTES`] long, and has none of the
/// characters that mean something to the wire (`,`) or to channel patterns between nodes
/// (`# * ? [ ] \`), and no control characters. Version 5 of the protocol gives a query string no
/// meaning, so `/?a=b` is a name like any other, and one that nobody can have.
///
/// ```
/// use portcullis_socketio::ids::NamespacePath;
///
/// assert_eq!(NamespacePath::parse("chat").unwrap().as_str(), "/chat");
/// assert_eq!(NamespacePath::parse("").unwrap(), NamespacePath::root());
/// assert!(NamespacePath::parse("/a*").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NamespacePath(
    /// `None` is the root, which most connections use and which then costs no allocation.
    Option<Arc<str>>,
);

impl NamespacePath {
    /// The longest name that a namespace can have.
    pub const MAX_LEN_BYTES: usize = 128;

    /// The default namespace, `/`.
    #[must_use]
    pub const fn root() -> Self {
        Self(None)
    }

    /// Reads a name, adding the leading slash where it is missing.
    ///
    /// # Errors
    ///
    /// A name that is too long or has a forbidden character.
    pub fn parse(name: &str) -> Result<Self, NamespaceError> {
        if name.is_empty() || name == "/" {
            return Ok(Self::root());
        }
        if let Some(found) = name.chars().find(|character| is_forbidden(*character)) {
            return Err(NamespaceError::Forbidden { found });
        }
        let path: Arc<str> = if name.starts_with('/') {
            name.into()
        } else {
            format!("/{name}").into()
        };
        if path.len() > Self::MAX_LEN_BYTES {
            return Err(NamespaceError::TooLong {
                len_bytes: path.len(),
            });
        }
        Ok(Self(Some(path)))
    }

    /// Reads a name as a peer wrote it, which has its slash.
    pub(crate) fn from_wire(name: &str) -> Option<Self> {
        name.starts_with('/')
            .then(|| Self::parse(name).ok())
            .flatten()
    }

    /// The name, slash included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("/")
    }

    /// Whether this is the default namespace.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_none()
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '#' | '*' | '?' | '[' | ']' | '\\' | ',')
}

impl Default for NamespacePath {
    fn default() -> Self {
        Self::root()
    }
}

impl Deref for NamespacePath {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for NamespacePath {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for NamespacePath {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

// By its text, so that a map keyed by paths can be asked with a `&str`.
impl Hash for NamespacePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for NamespacePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NamespacePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialEq<str> for NamespacePath {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for NamespacePath {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl std::str::FromStr for NamespacePath {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        Self::parse(name)
    }
}

impl fmt::Display for NamespacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NamespacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespacePath({})", self.as_str())
    }
}

impl Serialize for NamespacePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A name that no namespace can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// Longer than [`NamespacePath::MAX_LEN_BYTES`].
    #[error("a namespace of {len_bytes} bytes is too long")]
    TooLong {
        /// What was given, with its slash.
        len_bytes: usize,
    },
    /// A character that the wire or channel patterns give a meaning to.
    #[error("a namespace cannot contain {found:?}")]
    Forbidden {
        /// The first such character.
        found: char,
    },
}
