//! The chat: rooms, who is in them, and what they say.
//!
//! | the client         | it is answered                          | the room gets                 |
//! |--------------------|-----------------------------------------|-------------------------------|
//! | connects           | `welcome {name, node, room, members}`   | `presence {room, members}`    |
//! | `join {room}`      | ack `{room, members}`                   | `presence {room, members}`    |
//! | `leave {room}`     | ack `{room}`                            | `presence {room, members}`    |
//! | `say {room, text}` | ack `{id, at}`                          | `message {id, room, from, …}` |
//! | `kick`             | by being disconnected                   | `presence {room, members}`    |
//! | disconnects        |                                         | `presence {room, members}`    |
//!
//! `members` are `{name, node}` each, of every node; a list has a `version` besides. What cannot be
//! done is acked with `{error, code}`.
//!
//! # Invariants
//!
//! - A room that a client names is never the room of a socket's id: see [`delivery_room`].
//! - The id of a message is its node's own, so that no two nodes give the same.
//!
//! # Not here
//!
//! Who may connect (`dev` says whose tokens are good), what an answer looks like (`answer`), and
//! who is where in the cluster (`presence`).

mod answer;
mod presence;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use portcullis::Socket;
use portcullis::gateway::{Gateway, Registrar, User};
use portcullis::socketio::ids::Room;
use serde::{Deserialize, Serialize};

use self::answer::{Fault, Request, answer};
pub(crate) use self::presence::Presence;
use self::presence::RoomMembers;
use crate::token::Claims;

/// The room that everybody starts in.
const LOBBY: &str = "lobby";

const MAX_ROOM_CHARS: usize = 64;
const MAX_TEXT_CHARS: usize = 2_000;

/// The longest name of a room, in bytes: the framework's limit, less one for [`delivery_room`].
const MAX_ROOM_BYTES: usize = 255;

/// The gateway on `/`.
#[derive(Debug)]
pub(crate) struct Chat {
    presence: Arc<Presence>,
    last_message: AtomicU64,
}

/// The rooms of one socket: by the time it is gone, the framework has forgotten them.
#[derive(Debug, Default)]
struct Joined(Mutex<BTreeSet<String>>);

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
    node: &'a str,
    #[serde(flatten)]
    lobby: RoomMembers,
}

/// The answer to `leave`.
#[derive(Debug, Serialize)]
struct Left {
    room: String,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    id: &'a str,
    room: &'a str,
    from: &'a str,
    text: &'a str,
    at: u64,
}

/// The answer to `say`; `at` is in milliseconds since 1970, as everywhere in JavaScript.
#[derive(Debug, Serialize)]
struct Said {
    id: String,
    at: u64,
}

impl Gateway for Chat {
    fn namespace(&self) -> Cow<'static, str> {
        "/".into()
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar) {
        self.presence.register(registrar);
        let [connect, join, leave, say, disconnect] = std::array::from_fn(|_| Arc::clone(&self));
        registrar
            .on_connect(move |socket: Socket, user: User<Claims>| {
                let chat = Arc::clone(&connect);
                async move { chat.welcome(&socket, user.display_name()).await }
            })
            .on(
                "join",
                move |socket: Socket, asked: Request<RoomRequest>| {
                    let chat = Arc::clone(&join);
                    async move { answer(chat.join(&socket, asked).await) }
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
    /// A chat that tells people of each other through `presence`.
    pub(crate) const fn new(presence: Arc<Presence>) -> Self {
        Self {
            presence,
            last_message: AtomicU64::new(0),
        }
    }

    /// Puts a socket that is connecting into the lobby.
    async fn welcome(&self, socket: &Socket, name: &str) -> Result<(), Fault> {
        self.presence
            .introduce(socket, name)
            .map_err(|error| internal(&error))?;
        socket.insert(Joined(Mutex::new(BTreeSet::from([LOBBY.to_owned()]))));
        socket.join(delivery_room(LOBBY));
        self.presence.arrives(socket, LOBBY);
        let welcome = Welcome {
            name,
            node: self.presence.node(),
            lobby: self.presence.members(LOBBY).await,
        };
        let sent = socket.emit("welcome", &welcome);
        sent.map_err(|error| internal(&error))
    }

    async fn join(
        &self,
        socket: &Socket,
        asked: Request<RoomRequest>,
    ) -> Result<RoomMembers, Fault> {
        let RoomRequest { room } = asked.0?;
        check_room(&room)?;
        socket.join(delivery_room(&room));
        if !socket.is_in(delivery_room(&room)) {
            return Err(Fault::new("TOO_MANY_ROOMS", "leave another room first"));
        }
        if let Some(joined) = socket.get::<Joined>() {
            joined.0.lock().insert(room.clone());
        }
        self.presence.changed(&room);
        Ok(self.presence.members(&room).await)
    }

    fn leave(&self, socket: &Socket, asked: Request<RoomRequest>) -> Result<Left, Fault> {
        let RoomRequest { room } = asked.0?;
        check_room(&room)?;
        socket.leave(delivery_room(&room));
        let joined = socket.get::<Joined>();
        if joined.is_some_and(|joined| joined.0.lock().remove(&room)) {
            self.presence.changed(&room);
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
        let number = self.last_message.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}-{number}", self.presence.node());
        let at = now_millis();
        let message = Message {
            id: &id,
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
        let Some(joined) = socket.get::<Joined>() else {
            return;
        };
        let rooms = std::mem::take(&mut *joined.0.lock());
        rooms.iter().for_each(|room| self.presence.changed(room));
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
fn internal(error: &dyn std::error::Error) -> Fault {
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
    use portcullis::socketio::ids::SocketId;

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
