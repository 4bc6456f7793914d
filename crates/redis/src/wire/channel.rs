//! Names of channels, made and taken apart.
//!
//! ```text
//!  {prefix}#{namespace}#                  everyone; on the sharded wire, requests too
//!  {prefix}#{namespace}#{room}#           one room
//!  {prefix}#{namespace}#{uid}#            sharded: answers for one node
//!  {prefix}-request#{namespace}#          classic: requests
//!  {prefix}-response#{namespace}#         classic: answers for everyone
//!  {prefix}-response#{namespace}#{uid}#   classic: answers for one node
//! ```
//!
//! # Invariants
//!
//! - A namespace has no `#`, so a channel is taken apart in one way only, whatever rooms are named.
//! - Names are compared whole. The one pattern has its glob characters escaped, and what it
//!   matched is compared again.

use portcullis::socketio::ids::{NamespacePath, Room};

/// The channels of one namespace on the classic wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicChannels {
    pub(crate) broadcast: String,
    pub(crate) pattern: String,
    pub(crate) request: String,
    pub(crate) response: String,
    pub(crate) own_response: String,
}

impl ClassicChannels {
    pub(crate) fn new(prefix: &str, namespace: &NamespacePath, uid: &str) -> Self {
        let broadcast = format!("{prefix}#{namespace}#");
        let response = format!("{prefix}-response#{namespace}#");
        Self {
            pattern: format!("{}*", escape_glob(&broadcast)),
            request: format!("{prefix}-request#{namespace}#"),
            own_response: format!("{response}{uid}#"),
            broadcast,
            response,
        }
    }

    /// Where a broadcast goes: to the room's channel if it is for exactly one.
    pub(crate) fn of_rooms(&self, rooms: &[Room]) -> String {
        match rooms {
            [room] => room_channel(&self.broadcast, room),
            _ => self.broadcast.clone(),
        }
    }

    /// Where the answers for the node `uid` go.
    pub(crate) fn response_of(&self, uid: &str) -> String {
        format!("{}{uid}#", self.response)
    }
}

/// The channel of one room, below the channel of its namespace.
pub(crate) fn room_channel(namespace_channel: &str, room: &Room) -> String {
    format!("{namespace_channel}{room}#")
}

/// The namespace of `{prefix}#{namespace}#…`, and what stands behind it up to the last `#`.
pub(crate) fn split<'a>(prefix: &str, channel: &'a str) -> Option<(&'a str, Option<&'a str>)> {
    let rest = channel.strip_prefix(prefix)?.strip_prefix('#')?;
    let (namespace, rest) = rest.split_once('#')?;
    match rest {
        "" => Some((namespace, None)),
        rest => Some((namespace, Some(rest.strip_suffix('#')?))),
    }
}

/// A room by its name in a channel, where numbers and text look the same: both that it can be.
pub(crate) fn rooms_of_name(name: &str) -> (Room, Option<Room>) {
    let number = name.parse().ok().map(Room::Number);
    // Only what is written as JavaScript writes the number.
    let number = number.filter(|number| number.to_string() == name);
    (Room::from(name), number)
}

/// Takes their meaning from the characters of Redis' patterns.
fn escape_glob(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len().saturating_add(8));
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channels(prefix: &str, namespace: &str) -> ClassicChannels {
        let namespace = NamespacePath::parse(namespace).unwrap();
        ClassicChannels::new(prefix, &namespace, "abc123")
    }

    #[test]
    fn channels_are_named_as_node_names_them() {
        let root = channels("socket.io", "/");
        assert_eq!(root.broadcast, "socket.io#/#");
        assert_eq!(root.pattern, "socket.io#/#*");
        assert_eq!(root.request, "socket.io-request#/#");
        assert_eq!(root.response, "socket.io-response#/#");
        assert_eq!(root.own_response, "socket.io-response#/#abc123#");
        assert_eq!(root.of_rooms(&[Room::from("a")]), "socket.io#/#a#");
        assert_eq!(root.of_rooms(&[Room::from(7)]), "socket.io#/#7#");
        assert_eq!(root.of_rooms(&[]), "socket.io#/#");
        assert_eq!(
            root.of_rooms(&[Room::from("a"), Room::from("b")]),
            "socket.io#/#"
        );
    }

    #[test]
    fn a_prefix_with_glob_characters_becomes_no_pattern() {
        let odd = channels("app[1]*?", "/chat");
        assert_eq!(odd.pattern, r"app\[1\]\*\?#/chat#*");
    }

    #[test]
    fn a_room_that_looks_like_a_namespace_stays_in_its_own() {
        assert_eq!(split("p", "p#/#/admin#"), Some(("/", Some("/admin"))));
        assert_eq!(split("p", "p#/#a#b#"), Some(("/", Some("a#b"))));
        assert_eq!(split("p", "p#/chat#"), Some(("/chat", None)));
        for foreign in ["", "p", "p#", "p#/", "p#/#a", "pp#/#", "q#/#", "#/#"] {
            assert_eq!(split("p", foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_name_of_digits_may_be_a_number() {
        assert_eq!(rooms_of_name("7").1, Some(Room::from(7)));
        for name in ["07", "+7", "7.0", "a", "", "99999999999999999999"] {
            assert_eq!(rooms_of_name(name).1, None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart(
            prefix in "[a-z#:*]{1,8}",
            namespace in "/[a-z0-9-]{0,8}",
            room in "[^#]{0,3}#?.{1,8}",
        ) {
            let path = NamespacePath::parse(&namespace).unwrap();
            let channel = room_channel(&format!("{prefix}#{path}#"), &Room::from(room.as_str()));
            prop_assert_eq!(
                split(&prefix, &channel),
                Some((path.as_str(), Some(room.as_str())))
            );
        }
    }
}
