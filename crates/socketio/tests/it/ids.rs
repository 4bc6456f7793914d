//! Names and numbers.

use std::collections::{HashMap, HashSet};

use portcullis_socketio::ids::{AckId, NamespaceError, NamespacePath, Room, SocketId};
use proptest::prelude::*;

#[test]
fn a_socket_id_is_the_base64url_of_its_random_bytes() {
    let id = |random: [u8; 15]| SocketId::from_random(random).to_string();

    assert_eq!(id([0; 15]), "AAAAAAAAAAAAAAAAAAAA");
    assert_eq!(id([0xff; 15]), "____________________");
    assert_eq!(
        id(*b"any carnal pleas"[..15].first_chunk().unwrap()),
        "YW55IGNhcm5hbCBwbGVh"
    );
}

#[test]
fn only_twenty_characters_of_base64url_are_a_socket_id() {
    assert!(SocketId::parse("KufXbHtN1lflCFkO-_AA").is_ok());
    for bad in [
        "",
        "KufXbHtN1lflCFkO-_A",
        "KufXbHtN1lflCFkO-_AAA",
        "KufXbHtN1lflCFkO+/AA",
        "KufXbHtN1lflCFkO-_A=",
        "KufXbHtN1lflCFkO-_A ",
        "KufXbHtN1lflCFkO-éA",
    ] {
        assert!(SocketId::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_socket_id_survives_text_and_json(random: [u8; 15]) {
        let id = SocketId::from_random(random);
        prop_assert_eq!(SocketId::parse(id.as_str()), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<SocketId>(&json).unwrap(), id);
    }

    #[test]
    fn a_namespace_that_parses_keeps_its_rules(name in "\\PC{0,140}") {
        if let Ok(path) = NamespacePath::parse(&name) {
            prop_assert!(path.starts_with('/'));
            prop_assert!(path.len() <= NamespacePath::MAX_LEN_BYTES);
            prop_assert!(!path.contains(['#', '*', '?', '[', ']', '\\', ',']));
            prop_assert_eq!(NamespacePath::parse(&path).unwrap(), path);
        }
    }
}

#[test]
fn different_bytes_make_different_ids() {
    let ids: HashSet<SocketId> = (0_u32..10_000)
        .map(|number| {
            let mut random = [7; 15];
            random[11..].copy_from_slice(&number.to_be_bytes());
            SocketId::from_random(random)
        })
        .collect();
    assert_eq!(ids.len(), 10_000);
}

#[test]
fn a_namespace_gets_its_missing_slash_and_nothing_else() {
    let parsed = |name| NamespacePath::parse(name).map(|path| path.to_string());

    assert_eq!(parsed("").unwrap(), "/");
    assert_eq!(parsed("/").unwrap(), "/");
    assert_eq!(parsed("chat").unwrap(), "/chat");
    assert_eq!(parsed("/chat").unwrap(), "/chat");
    assert_eq!(parsed("/tenants/7").unwrap(), "/tenants/7");
    assert_eq!(parsed("//").unwrap(), "//");
    assert_eq!(parsed("/ünïcode 🎉").unwrap(), "/ünïcode 🎉");
}

#[test]
fn a_namespace_with_a_meaning_to_the_wire_or_to_patterns_is_refused() {
    for found in [
        '#', '*', '?', '[', ']', '\\', ',', '\n', '\0', '\u{1e}', '\u{7f}',
    ] {
        assert_eq!(
            NamespacePath::parse(&format!("/a{found}b")),
            Err(NamespaceError::Forbidden { found }),
        );
    }
}

#[test]
fn a_namespace_is_at_most_128_bytes_with_its_slash() {
    assert!(NamespacePath::parse(&"a".repeat(127)).is_ok());
    assert_eq!(
        NamespacePath::parse(&"a".repeat(128)),
        Err(NamespaceError::TooLong { len_bytes: 129 }),
    );
}

#[test]
fn a_map_of_namespaces_can_be_asked_with_text() {
    let map = HashMap::from([
        (NamespacePath::root(), 1),
        (NamespacePath::parse("/chat").unwrap(), 2),
    ]);
    assert_eq!(map.get("/"), Some(&1));
    assert_eq!(map.get("/chat"), Some(&2));
    assert_eq!(map.get("/other"), None);
}

#[test]
fn a_room_of_text_is_not_the_room_of_the_same_number() {
    assert_ne!(Room::from("1"), Room::from(1));
    assert_eq!(Room::from(1_u32), Room::from(1_i64));
    assert_eq!(Room::from("a".to_owned()), Room::from("a"));

    let id = SocketId::from_random([9; 15]);
    assert_eq!(Room::from(id), Room::from(id.as_str()));
}

#[test]
fn a_room_is_json_as_it_is_and_comes_back() {
    let rooms = [Room::from("lobby"), Room::from(-7), Room::from("7")];
    let json = serde_json::to_string(&rooms).unwrap();
    assert_eq!(json, r#"["lobby",-7,"7"]"#);
    assert_eq!(serde_json::from_str::<[Room; 3]>(&json).unwrap(), rooms);

    for bad in ["1.5", "null", "true", "[]", "{}", "18446744073709551615"] {
        assert!(serde_json::from_str::<Room>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_length_of_a_room_is_that_of_its_text() {
    for number in [0, 1, 9, 10, 99, 100, -1, -10, i64::MAX, i64::MIN] {
        assert_eq!(Room::from(number).len_bytes(), number.to_string().len());
    }
    assert_eq!(Room::from("é").len_bytes(), 2);
}

#[test]
fn an_ack_id_is_its_number() {
    let id = AckId::from(13);
    assert_eq!((u64::from(id), id.to_string()), (13, "13".to_owned()));
    assert_eq!(AckId::MAX, 9_007_199_254_740_991);
}

#[test]
fn names_are_small() {
    assert_eq!(size_of::<SocketId>(), 20);
    assert!(size_of::<NamespacePath>() <= 16);
    assert!(size_of::<Room>() <= 24);
}
