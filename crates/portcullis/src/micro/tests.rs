//! What is kept for each connection and each membership, to the byte.

use super::*;
use crate::auth::{CurrentIdentity, Identity};
use crate::client;
use portcullis_socketio::ids::Room;

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
        ("identity itself", Identity::size_of_content(), 136),
        ("place of it", size_of::<CurrentIdentity>(), 64),
        ("bond", client::size_of_bond(), 96),
        ("registry", size_of::<(SessionId, Arc<()>)>(), 32),
        ("slot", size_of::<(u32, Arc<()>)>(), 16),
        ("wheel", session::size_of_visit(), 12),
        ("sockets", size_of::<(SocketId, Arc<()>)>(), 32),
    ];
    let wrong: Vec<_> = sizes
        .iter()
        .filter(|(_, size, expected)| size != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Bytes for each membership of so many sockets in `rooms` rooms, where each is in `of_each`; when
/// all have left, nothing is left.
fn bytes_of_a_membership(sockets: usize, rooms: usize, of_each: usize) -> f64 {
    let mut world = World::new();
    let sockets: Vec<_> = (0..sockets).map(|_| world.socket()).collect();
    let names: Vec<Room> = (0..rooms)
        .map(|room| format!("room {room}").into())
        .collect();
    let before = world.namespace.rooms().footprint(&sockets);
    for (number, socket) in sockets.iter().enumerate() {
        for turn in 0..of_each {
            socket.join(&names[(number * of_each + turn) % rooms]);
        }
    }
    let after = world.namespace.rooms().footprint(&sockets);
    for socket in &sockets {
        assert!(socket.end(crate::DisconnectReason::TransportClose));
    }
    assert!(world.namespace.rooms().names().is_empty());
    (after - before) as f64 / (sockets.len() * of_each) as f64
}

/// ARCHITECTURE.md names both.
#[test]
fn a_million_memberships_take_less_than_40_mib_in_large_rooms_and_60_in_rooms_of_ten() {
    let large = bytes_of_a_membership(50_000, 20, 20);
    assert!(large < 40.0, "{large} bytes a membership");
    let small = bytes_of_a_membership(50_000, 100_000, 20);
    assert!(small < 60.0, "{small} bytes a membership");
}
