//! The name by which a user is addressed, and the room that all sockets of a user are in.
//!
//! | user                           | room                                         |
//! |--------------------------------|----------------------------------------------|
//! | `alice`                        | `portcullis:user:alice`                      |
//! | `alice` of one of many issuers | `portcullis:user-of:https://a.example alice` |
//! | of an issuer with white space  | `portcullis:user-hash:`, and a SHA-256       |
//! | whose room had over 256 bytes  | the same                                     |
//!
//! Where connections are counted, the sockets of each are in a room too: `portcullis:connection:`,
//! and a name that is nobody's secret.
//!
//! # Invariants
//!
//! - Two users never have the same room, whatever tokens say.
//! - Only the framework puts sockets into rooms of this form; whoever lets clients choose a room
//!   does not let them choose one of these.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_socketio::ids::Room;

use super::Identity;

const OF_ONE_ISSUER: &str = "portcullis:user:";
const OF_MANY_ISSUERS: &str = "portcullis:user-of:";

const HASHED: &str = "portcullis:user-hash:";

const OF_A_CONNECTION: &str = "portcullis:connection:";

/// What the names of all rooms begin with that only the framework fills.
const RESERVED: &str = "portcullis:";

/// A user of the application, wherever connected: who the `sub` of a token speaks of.
///
/// ```
/// use portcullis::auth::UserId;
///
/// let alice = UserId::from("alice");
/// // Where a token may be of one of several issuers, a subject alone names nobody.
/// let theirs = UserId::of("https://login.example.com", "alice");
/// assert_ne!(alice, theirs);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserId {
    issuer: Option<String>,
    subject: String,
}

impl UserId {
    /// A user of one of several issuers.
    #[must_use]
    pub fn of(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            subject: subject.into(),
        }
    }

    /// The user that an identity speaks of, if it names one.
    pub(crate) fn of_identity(identity: &Identity, has_several_issuers: bool) -> Option<Self> {
        let subject = identity.subject()?.to_owned();
        let issuer = if has_several_issuers {
            identity.issuer().map(str::to_owned)
        } else {
            None
        };
        Some(Self { issuer, subject })
    }

    /// The room that all sockets of the user are in, on every node: for emitters on other nodes
    /// that know rooms only, such as Node's.
    #[must_use]
    pub fn room(&self) -> Room {
        let name = match &self.issuer {
            None => format!("{OF_ONE_ISSUER}{}", self.subject),
            Some(issuer) if issuer.contains(char::is_whitespace) => {
                // Where it ends could not be told: its length goes into the hash.
                return hashed(&format!("{} {issuer} {}", issuer.len(), self.subject));
            }
            Some(issuer) => format!("{OF_MANY_ISSUERS}{issuer} {}", self.subject),
        };
        if name.len() <= Room::MAX_LEN_BYTES {
            Room::from(name)
        } else {
            hashed(&name)
        }
    }
}

fn hashed(name: &str) -> Room {
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, name.as_bytes()));
    Room::from(format!("{HASHED}{hash}"))
}

impl From<&str> for UserId {
    fn from(subject: &str) -> Self {
        Self::from(subject.to_owned())
    }
}

impl From<&String> for UserId {
    fn from(subject: &String) -> Self {
        Self::from(subject.clone())
    }
}

impl From<String> for UserId {
    fn from(subject: String) -> Self {
        Self {
            issuer: None,
            subject,
        }
    }
}

/// What happens when a user who has as many connections as allowed opens one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is refused, with the code `TOO_MANY_CONNECTIONS`.
    RejectNew,
    /// It is admitted, and the user's oldest connection goes: its client hears `auth:replaced`,
    /// and sees `io server disconnect`.
    CloseOldest,
}

/// The room of a new connection.
pub(crate) fn room_of_connection() -> Result<Room, getrandom::Error> {
    let mut random = [0; 15];
    getrandom::fill(&mut random)?;
    let name = URL_SAFE_NO_PAD.encode(random);
    Ok(Room::from(format!("{OF_A_CONNECTION}{name}")))
}

/// The name of the connection whose room this is.
pub(crate) fn connection_of_room(room: &Room) -> Option<&str> {
    match room {
        Room::Text(text) => text.strip_prefix(OF_A_CONNECTION),
        Room::Number(_) => None,
    }
}

/// Whether a room is one that only the framework fills.
pub(crate) fn is_reserved_room(room: &Room) -> bool {
    match room {
        Room::Text(text) => text.starts_with(RESERVED),
        Room::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn users_never_share_a_room_and_every_room_is_reserved() {
        let long = "x".repeat(255);
        let users = [
            UserId::from("a"),
            UserId::from("a b"),
            UserId::of("a", "b"),
            UserId::of("b", "a"),
            UserId::of("", "a b"),
            UserId::of("a b", "c"),
            UserId::of("a", "b c"),
            UserId::of("a b c", "d"),
            UserId::of("a b", "c d"),
            UserId::of("5", "a b c d"),
            UserId::from(long.as_str()),
            UserId::of("https://issuer", long.as_str()),
            UserId::of("https://other", long.as_str()),
        ];
        let rooms: HashSet<Room> = users.iter().map(UserId::room).collect();
        assert_eq!(rooms.len(), users.len());
        for room in rooms {
            assert!(is_reserved_room(&room), "{room:?}");
            assert!(room.len_bytes() <= Room::MAX_LEN_BYTES);
        }
        assert!(!is_reserved_room(&Room::from("lobby")));
    }

    #[test]
    fn a_connection_has_a_reserved_room_of_its_own() {
        let (one, other) = (room_of_connection().unwrap(), room_of_connection().unwrap());
        assert_ne!(one, other);
        assert!(is_reserved_room(&one));
        assert_eq!(connection_of_room(&one).map(str::len), Some(20));
        assert_eq!(connection_of_room(&UserId::from("alice").room()), None);
    }
}
