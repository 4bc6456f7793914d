//! The chat: rooms, who is in them, and what they say.
//!
//! | the client         | it is answered                        | the room gets                 |
//! |--------------------|---------------------------------------|-------------------------------|
//! | connects           | `welcome {name, node, room, members}` | `presence {room, members}`    |
//! | `join {room}`      | ack `{room, members}`                 | `presence {room, members}`    |
//! | `leave {room}`     | ack `{room}`                          | `presence {room, members}`    |
//! | `say {room, text}` | ack `{id, at}`                        | `message {id, room, from, …}` |
//! | `kick`             | by being disconnected                 | `presence {room, members}`    |
//! | disconnects        |                                       | `presence {room, members}`    |
//!
//! `members` are `{name, node}` each, of every node; a list has a `version` besides. What cannot be
//! done is acked with `{status: "error", code, message}`.
//!
//! # Invariants
//!
//! - A room that a client names is never the room of a socket's id: see [`RoomName::delivery`].
//! - The id of a message is its node's own, so that no two nodes give the same.
//!
//! # Not here
//!
//! Who may connect (`dev` says whose tokens are good), the shape of what is asked and answered
//! (`message`), and who is where in the cluster (`presence`).

mod message;
mod presence;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use portcullis::gateway::{EventError, Extension, User, Valid};
use portcullis::socketio::payload::EncodeError;
use portcullis::{EmitError, Socket, gateway};

use self::message::{InRoom, Message, RoomName, Said, Say, Welcome};
use self::presence::RoomMembers;
pub(crate) use self::presence::{OtherNodes, Presence};
use crate::token::Claims;

/// The room that everybody starts in.
const LOBBY: &str = "lobby";

/// The gateway on `/`.
#[derive(Debug)]
pub(crate) struct Chat {
    presence: Arc<Presence>,
    last_message: AtomicU64,
}

/// The rooms of one socket: by the time it is gone, the framework has forgotten them.
#[derive(Debug)]
struct Joined(Mutex<BTreeSet<RoomName>>);

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
    /// The same.
    #[error("the socket's data could not be encoded")]
    #[event(internal)]
    Encode(#[from] EncodeError),
}

#[gateway(namespace = "/")]
impl Chat {
    /// A chat that tells people of each other through `presence`.
    pub(crate) const fn new(presence: Arc<Presence>) -> Self {
        Self {
            presence,
            last_message: AtomicU64::new(0),
        }
    }

    /// Puts a socket that is connecting into the lobby.
    #[on_connect]
    async fn welcome(&self, socket: Socket, user: User<Claims>) -> Result<(), ChatError> {
        let (lobby, name) = (RoomName::from(LOBBY), user.display_name());
        self.presence.introduce(&socket, name)?;
        socket.insert(Joined(Mutex::new(BTreeSet::from([lobby.clone()]))));
        socket.join(lobby.delivery());
        self.presence.arrives(&socket, &lobby);
        let welcome = Welcome {
            name,
            node: self.presence.node(),
            lobby: self.presence.members(&lobby).await,
        };
        Ok(socket.emit("welcome", &welcome)?)
    }

    #[subscribe("join")]
    async fn join(
        &self,
        socket: Socket,
        joined: Extension<Joined>,
        Valid(InRoom { room }): Valid<InRoom>,
    ) -> Result<RoomMembers, ChatError> {
        socket.join(room.delivery());
        if !socket.is_in(room.delivery()) {
            return Err(ChatError::TooManyRooms);
        }
        joined.0.lock().insert(room.clone());
        self.presence.changed(&room);
        Ok(self.presence.members(&room).await)
    }

    #[subscribe("leave")]
    fn leave(
        &self,
        socket: Socket,
        joined: Extension<Joined>,
        Valid(left): Valid<InRoom>,
    ) -> InRoom {
        socket.leave(left.room.delivery());
        if joined.0.lock().remove(&left.room) {
            self.presence.changed(&left.room);
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
        let number = self.last_message.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}-{number}", self.presence.node());
        let message = Message::new(id, user.display_name(), &say, now_millis());
        let everyone = socket.within(say.room.delivery());
        everyone.emit("message", &message)?;
        Ok(message.into())
    }

    #[subscribe("kick")]
    fn kick(&self, socket: Socket) {
        socket.disconnect(true);
    }

    /// Tells every room that a socket was in that it has gone.
    #[on_disconnect]
    fn forget(&self, joined: Extension<Joined>) {
        let rooms = std::mem::take(&mut *joined.0.lock());
        rooms.iter().for_each(|room| self.presence.changed(room));
    }
}

fn now_millis() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
