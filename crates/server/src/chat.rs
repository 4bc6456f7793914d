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
//! What cannot be done is acked with `{status: "error", code, message}`.
//!
//! # Invariants
//!
//! - Whoever is in a room hears the same `presence` events in the same order, and the last of them
//!   is true: they are emitted under the lock that guards the list.
//! - A room that a client names is never the room of a socket's id: see [`RoomName::delivery`].
//!
//! # Not here
//!
//! Who may connect (`dev` says whose tokens are good), and the shape of what is asked and answered
//! (`message`).

mod message;
mod presence;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use portcullis::gateway::{EventError, User, Valid};
use portcullis::socketio::ids::SocketId;
use portcullis::{EmitError, Socket, gateway};

use self::message::{InRoom, Message, RoomMembers, RoomName, Said, Say, Welcome};
use self::presence::Presence;
use crate::token::Claims;

/// The room that everybody starts in.
const LOBBY: &str = "lobby";

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

/// Why something was not done.
#[derive(Debug, thiserror::Error, EventError)]
enum ChatError {
    #[error("join the room first")]
    NotAMember,
    #[error("leave another room first")]
    TooManyRooms,
    /// What the client can neither cause nor mend.
    #[error("an event could not be emitted")]
    #[event(internal)]
    Emit(#[from] EmitError),
}

#[gateway(namespace = "/")]
impl Chat {
    /// Puts a socket that is connecting into the lobby.
    #[on_connect]
    fn welcome(&self, socket: Socket, user: User<Claims>) -> Result<(), ChatError> {
        let (lobby, name) = (RoomName::from(LOBBY), user.display_name());
        let mut lists = self.lists.lock();
        lists.presence.join(&lobby, socket.id(), name);
        let welcome = Welcome {
            name,
            room: &lobby,
            members: &lists.presence.members(&lobby),
        };
        if let Err(error) = socket.emit("welcome", &welcome) {
            // It is refused then, and nobody will say that it has gone.
            lists.presence.leave(&lobby, socket.id());
            return Err(error.into());
        }
        socket.join(lobby.delivery());
        lists.newcomers.push(socket.clone());
        lists.announce(&socket, lobby);
        Ok(())
    }

    #[subscribe("join")]
    fn join(
        &self,
        socket: Socket,
        user: User<Claims>,
        Valid(InRoom { room }): Valid<InRoom>,
    ) -> Result<RoomMembers, ChatError> {
        let mut lists = self.lists.lock();
        socket.join(room.delivery());
        if !socket.is_in(room.delivery()) {
            return Err(ChatError::TooManyRooms);
        }
        lists.presence.join(&room, socket.id(), user.display_name());
        Ok(lists.announce(&socket, room))
    }

    #[subscribe("leave")]
    fn leave(&self, socket: Socket, Valid(left): Valid<InRoom>) -> InRoom {
        let mut lists = self.lists.lock();
        socket.leave(left.room.delivery());
        if lists.presence.leave(&left.room, socket.id()) {
            lists.announce(&socket, left.room.clone());
        }
        left
    }

    #[subscribe("say")]
    fn say(
        &self,
        socket: Socket,
        user: User<Claims>,
        Valid(say): Valid<Say>,
    ) -> Result<Said, ChatError> {
        if !socket.is_in(say.room.delivery()) {
            return Err(ChatError::NotAMember);
        }
        let id = self.last_message.fetch_add(1, Ordering::Relaxed) + 1;
        let message = Message::new(id, user.display_name(), &say, now_millis());
        let everyone = socket.within(say.room.delivery());
        everyone.emit("message", &message)?;
        Ok(Said::of(&message))
    }

    #[subscribe("kick")]
    fn kick(&self, socket: Socket) {
        socket.disconnect(true);
    }

    /// Tells every room that a socket was in that it has gone.
    #[on_disconnect]
    fn forget(&self, socket: Socket) {
        let mut lists = self.lists.lock();
        for room in lists.presence.leave_all(socket.id()) {
            lists.announce(&socket, room.as_str().into());
        }
    }
}

impl Lists {
    /// Tells a room who is in it.
    fn announce(&mut self, socket: &Socket, room: RoomName) -> RoomMembers {
        let members = self.presence.members(&room);
        let announced = RoomMembers { room, members };
        if &*announced.room == LOBBY {
            // To each of these by itself: that is held until it is connected, and not lost.
            self.newcomers.retain(|newcomer| {
                !newcomer.is_connected() && newcomer.emit("presence", &announced).is_ok()
            });
        }
        let everyone = socket.within(announced.room.delivery());
        if let Err(error) = everyone.emit("presence", &announced) {
            tracing::warn!(%error, "presence was not announced");
        }
        announced
    }
}

fn now_millis() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
