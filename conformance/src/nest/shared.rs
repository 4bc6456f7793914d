//! Two gateways on one namespace, a namespace that is made on demand, and rooms.

use portcullis::gateway;
use portcullis::gateway::{Data, EventError};
use portcullis::{EmitError, Emitter, Socket};

pub(super) struct First;

#[gateway(namespace = "/shared", public)]
impl First {
    #[on_connect]
    fn greet(&self, socket: Socket) {
        let _ = socket.emit("greeted", "by the first");
    }

    #[subscribe("first")]
    fn first(&self) -> &'static str {
        "first"
    }

    #[subscribe("both")]
    fn both(&self, socket: Socket) -> &'static str {
        let _ = socket.emit("heard", "by the first");
        "first"
    }
}

pub(super) struct Second;

#[gateway(namespace = "/shared", public)]
impl Second {
    #[on_connect]
    fn greet(&self, socket: Socket) {
        let _ = socket.emit("greeted", "by the second");
    }

    #[subscribe("second")]
    fn second(&self) -> &'static str {
        "second"
    }
}

/// A gateway that handles what [`First`] handles, and must not build beside it.
pub(super) struct Twice;

#[gateway(namespace = "/shared", public)]
impl Twice {
    #[subscribe("both")]
    fn both(&self) {}
}

pub(super) struct Dynamic;

#[gateway(namespace = "/room-{number}", public)]
impl Dynamic {
    #[subscribe("where")]
    fn place(&self, socket: Socket) -> String {
        socket.namespace().to_string()
    }
}

/// Rooms, from a socket and from the server.
pub(super) struct Rooms {
    pub(super) server: Emitter,
}

#[gateway(namespace = "/rooms", public)]
impl Rooms {
    #[subscribe("join")]
    fn join(&self, socket: Socket, Data(room): Data<String>) -> Vec<String> {
        socket.join(room);
        let own = socket.id().to_string();
        let rooms = socket.rooms().into_iter().map(|room| room.to_string());
        rooms.filter(|room| *room != own).collect()
    }

    /// The error of an emit is an error of the event.
    #[subscribe("to-others")]
    fn to_others(&self, socket: Socket, Data(room): Data<String>) -> Result<&str, EmitError> {
        socket.to(room).emit("said", "to others")?;
        Ok("ok")
    }

    #[subscribe("to-all")]
    fn to_all(&self, Data(room): Data<String>) -> Result<&'static str, EventError> {
        let said = self.server.to(room).emit("said", "to all");
        said.map(|()| "ok").map_err(EventError::unexpected)
    }
}
