//! The chat: rooms, who is in them, and what they say.
//!
//! | the client         | it is answered                  | the room gets                        |
//! |--------------------|---------------------------------|--------------------------------------|
//! | connects           | `welcome {name, room, members}` | `presence {room, members}`           |
//! | `join {room}`      | ack `{room, members}`           | `presence {room, members}`           |
//! | `leave {room}`     | ack `{room}`                    | `presence {room, members}`           |
//! | `say {room, text}` | ack `{id, at}`                  | `message {id, room, from, text, at}` |
//! | `kick`             | by being disconnected           | `presence {room, members}`           |
//! | disconnects        |                                 | `presence {room, members}`           |
//!
//! What cannot be done is acked with `{error, code}`.
//!
//! # Invariants
//!
//! - Whoever is in a room hears the same `presence` events in the same order, and the last of them
//!   is true: they are emitted under the lock that guards the list.
//! - A room that a client names is never the room of a socket's id: see [`delivery_room`].
//!
//! # Not here
//!
//! Who may connect (`dev` says whose tokens are good), and what an answer looks like (`answer`).

mod answer;
mod presence;

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use portcullis::gateway::{Gateway, Registrar, User};
use portcullis::socketio::ids::{Room, SocketId};
use portcullis::{EmitError, Socket};
use serde::{Deserialize, Serialize};

use self::answer::{Fault, Request, answer};
use self::presence::{Members, Presence};
use crate::token::Claims;

/// The room that everybody starts in.
const LOBBY: &str = "lobby";

const MAX_ROOM_CHARS: usize = 64;
const MAX_TEXT_CHARS: usize = 2_000;

/// The longest name of a room, in bytes: the framework's limit, less one for [`delivery_room`].
const MAX_ROOM_BYTES: usize = 255;

/// The gateway on `/`.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    lists: Mutex<Lists>,
    last_message: AtomicU64,
}

/// Who is where, and how they are told of it.
#[derive(Debug, Default)]
struct Lists {
    presence: Presence<SocketId>,
    /// Sockets in the lobby that are still connecting: broadcasts do not reach them yet.
    newcomers: Vec<Socket>,
}

#[derive(Debug, Deserialize)]
struct RoomRequest {
    room: String,
}

#[derive(Debug, Deserialize)]
struct SayRequest {
    room: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Welcome<'a> {
    name: &'a str,
    room: &'a str,
    members: &'a Members,
}

/// The answer to `join`, and the event `presence`.
#[derive(Debug, Serialize)]
struct RoomMembers {
    room: String,
    members: Members,
}

/// The answer to `leave`.
#[derive(Debug, Serialize)]
struct Left {
    room: String,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    id: u64,
    room: &'a str,
    from: &'a str,
    text: &'a str,
    at: u64,
}

/// The answer to `say`; `at` is in milliseconds since 1970, as everywhere in JavaScript.
#[derive(Debug, Serialize)]
struct Said {
    id: u64,
    at: u64,
}

impl Gateway for Chat {
    fn namespace(&self) -> Cow<'static, str> {
        "/".into()
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar) {
        let [connect, join, leave, say, disconnect] = std::array::from_fn(|_| Arc::clone(&self));
        registrar
            .on_connect(move |socket: Socket, user: User<Claims>| {
                let welcomed = connect.welcome(&socket, user.display_name());
                ready(welcomed.map_err(|error| internal(&error)))
            })
            .on(
                "join",
                move |socket: Socket, user: User<Claims>, asked: Request<RoomRequest>| {
                    ready(answer(join.join(&socket, user.display_name(), asked)))
                },
            )
            .on(
                "leave",
                move |socket: Socket, asked: Request<RoomRequest>| {
                    ready(answer(leave.leave(&socket, asked)))
                },
            )
            .on(
                "say",
                move |socket: Socket, user: User<Claims>, asked: Request<SayRequest>| {
                    ready(answer(say.say(&socket, user.display_name(), asked)))
                },
            )
            .on("kick", async |socket: Socket| socket.disconnect(true))
            .on_disconnect(move |socket: Socket| {
                disconnect.forget(&socket);
                ready(())
            });
    }
}

impl Chat {
    /// Puts a socket that is connecting into the lobby.
    fn welcome(&self, socket: &Socket, name: &str) -> Result<(), EmitError> {
        let mut lists = self.lists.lock();
        lists.presence.join(LOBBY, socket.id(), name);
        let welcome = Welcome {
            name,
            room: LOBBY,
            members: &lists.presence.members(LOBBY),
        };
        if let Err(error) = socket.emit("welcome", &welcome) {
            // It is refused then, and nobody will say that it has gone.
            lists.presence.leave(LOBBY, socket.id());
            return Err(error);
        }
        socket.join(delivery_room(LOBBY));
        lists.newcomers.push(socket.clone());
        lists.announce(socket, LOBBY);
        Ok(())
    }

    fn join(
        &self,
        socket: &Socket,
        name: &str,
        asked: Request<RoomRequest>,
    ) -> Result<RoomMembers, Fault> {
        let RoomRequest { room } = asked.0?;
        check_room(&room)?;
        let mut lists = self.lists.lock();
        socket.join(delivery_room(&room));
        if !socket.is_in(delivery_room(&room)) {
            return Err(Fault::new("TOO_MANY_ROOMS", "leave another room first"));
        }
        lists.presence.join(&room, socket.id(), name);
        Ok(lists.announce(socket, &room))
    }

    fn leave(&self, socket: &Socket, asked: Request<RoomRequest>) -> Result<Left, Fault> {
        let RoomRequest { room } = asked.0?;
        check_room(&room)?;
        let mut lists = self.lists.lock();
        socket.leave(delivery_room(&room));
        if lists.presence.leave(&room, socket.id()) {
            lists.announce(socket, &room);
        }
        Ok(Left { room })
    }

    fn say(&self, socket: &Socket, from: &str, asked: Request<SayRequest>) -> Result<Said, Fault> {
        let SayRequest { room, text } = asked.0?;
        check_room(&room)?;
        if !(1..=MAX_TEXT_CHARS).contains(&text.chars().count()) {
            return Err(Fault::new("BAD_TEXT", "a text has 1 to 2000 characters"));
        }
        if !socket.is_in(delivery_room(&room)) {
            return Err(Fault::new("NOT_A_MEMBER", "join the room first"));
        }
        let id = self.last_message.fetch_add(1, Ordering::Relaxed) + 1;
        let at = now_millis();
        let message = Message {
            id,
            room: &room,
            from,
            text: &text,
            at,
        };
        let everyone = socket.within(delivery_room(&room));
        everyone
            .emit("message", &message)
            .map_err(|error| internal(&error))?;
        Ok(Said { id, at })
    }

    /// Tells every room that a socket was in that it has gone.
    fn forget(&self, socket: &Socket) {
        let mut lists = self.lists.lock();
        for room in lists.presence.leave_all(socket.id()) {
            lists.announce(socket, &room);
        }
    }
}

impl Lists {
    /// Tells a room who is in it.
    fn announce(&mut self, socket: &Socket, room: &str) -> RoomMembers {
        let announced = RoomMembers {
            room: room.to_owned(),
            members: self.presence.members(room),
        };
        if room == LOBBY {
            // To each of these by itself: that is held until it is connected, and not lost.
            self.newcomers.retain(|newcomer| {
                !newcomer.is_connected() && newcomer.emit("presence", &announced).is_ok()
            });
        }
        let everyone = socket.within(delivery_room(room));
        if let Err(error) = everyone.emit("presence", &announced) {
            tracing::warn!(%error, "presence was not announced");
        }
        announced
    }
}

/// The framework's room for a room of the chat.
///
/// A socket's id is a room too: without a prefix a client could join that of another, and would
/// read whatever is sent to it alone.
fn delivery_room(name: &str) -> Room {
    Room::from(format!("#{name}"))
}

fn check_room(room: &str) -> Result<(), Fault> {
    if !(1..=MAX_ROOM_CHARS).contains(&room.chars().count()) || room.len() > MAX_ROOM_BYTES {
        return Err(Fault::new("BAD_ROOM", "a room name has 1 to 64 characters"));
    }
    Ok(())
}

/// For what the client can neither cause nor mend.
fn internal(error: &EmitError) -> Fault {
    tracing::error!(%error, "an event could not be emitted");
    Fault::new("INTERNAL", "something went wrong on the server")
}

fn now_millis() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_name_has_1_to_64_characters_however_many_bytes() {
        assert!(check_room("").is_err());
        assert!(check_room("x").is_ok());
        assert!(check_room(&"é".repeat(64)).is_ok());
        assert!(check_room(&"x".repeat(65)).is_err());
        assert!(
            check_room(&"\u{1f600}".repeat(64)).is_err(),
            "256 bytes would not fit"
        );
    }

    #[test]
    fn no_name_of_a_room_is_the_room_of_a_socket() {
        let id = SocketId::from_random([7; 15]);
        assert_ne!(delivery_room(id.as_str()), Room::from(id));
    }
}
