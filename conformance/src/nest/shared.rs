//! Two gateways on one namespace, a namespace that is made on demand, and rooms.

use std::borrow::Cow;
use std::sync::Arc;

use portcullis::gateway::{Data, EventError, Gateway, Registrar, Reply};
use portcullis::{Emitter, Socket};

pub(super) fn first(r: &mut Registrar) {
    r.public();
    r.on_connect(async |socket: Socket| {
        let _ = socket.emit("greeted", "by the first");
    });
    r.on("first", async || Reply("first"));
    r.on("both", async |socket: Socket| {
        let _ = socket.emit("heard", "by the first");
        Reply("first")
    });
}

pub(super) fn second(r: &mut Registrar, handles_twice: bool) {
    r.public();
    r.on_connect(async |socket: Socket| {
        let _ = socket.emit("greeted", "by the second");
    });
    r.on("second", async || Reply("second"));
    if handles_twice {
        r.on("both", async || Reply("second"));
    }
}

pub(super) fn dynamic(r: &mut Registrar) {
    r.public();
    r.on("where", async |socket: Socket| {
        Reply(socket.namespace().to_string())
    });
}

/// Rooms, from a socket and from the server.
pub(super) struct Rooms {
    server: Emitter,
}

impl Rooms {
    pub(super) const fn new(server: Emitter) -> Self {
        Self { server }
    }
}

impl Gateway for Rooms {
    fn namespace(&self) -> Cow<'static, str> {
        "/rooms".into()
    }

    fn register(self: Arc<Self>, r: &mut Registrar) {
        r.public();
        r.on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room);
            let own = socket.id().to_string();
            let rooms = socket.rooms().into_iter().map(|room| room.to_string());
            Reply(rooms.filter(|room| *room != own).collect::<Vec<_>>())
        });
        r.on(
            "to-others",
            async |socket: Socket, Data(room): Data<String>| {
                let said = socket.to(room).emit("said", "to others");
                said.map(|()| Reply("ok")).map_err(EventError::unexpected)
            },
        );
        r.on("to-all", move |Data(room): Data<String>| {
            let said = self.server.to(room).emit("said", "to all");
            std::future::ready(said.map(|()| Reply("ok")).map_err(EventError::unexpected))
        });
    }
}
