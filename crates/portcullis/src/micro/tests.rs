//! What is kept for each connection and each membership, to the byte.

use super::*;
use crate::auth::Identity;
use crate::client;

/// ARCHITECTURE.md has the same table: whoever changes a number changes both.
#[test]
fn what_is_kept_for_a_connection_is_as_large_as_the_table_says() {
    let sizes = [
        ("session", session::size_of_session(), 256),
        ("connection", session::size_of_connection(), 240),
        ("client", client::size_of_client(), 192),
        ("socket", size_of::<SocketInner>(), 192),
        ("request", size_of::<RequestFacts>(), 88),
        ("handshake", size_of::<Handshake>(), 24),
        ("identity", size_of::<Identity>(), 8),
    ];
    let wrong: Vec<_> = sizes
        .iter()
        .filter(|(_, size, expected)| size != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_million_memberships_take_less_than_40_mib() {
    const SOCKETS: usize = 50_000;
    const ROOMS: usize = 20;
    let mut world = World::new();
    let sockets: Vec<_> = (0..SOCKETS).map(|_| world.socket()).collect();
    let before: usize = world.namespace.rooms().footprint(&sockets);
    for room in 0..ROOMS {
        let room = format!("room {room}").into();
        sockets.iter().for_each(|socket| socket.join(&room));
    }
    let after = world.namespace.rooms().footprint(&sockets);
    let per_membership = (after - before) as f64 / (SOCKETS * ROOMS) as f64;
    assert!(per_membership < 40.0, "{per_membership} bytes a membership");

    for socket in &sockets {
        assert!(socket.end(crate::DisconnectReason::TransportClose));
    }
    assert!(world.namespace.rooms().names().is_empty());
}
