//! Emitting from a background task, to those who asked for it, and only to those who keep up.
//!
//! ```text
//! cargo run --package examples --example ticker
//! ```
//!
//! ```js
//! const socket = io("http://localhost:3000");
//! socket.on("tick", (number) => console.log(number));
//! socket.emit("follow", "even");
//! ```

use std::error::Error;
use std::time::Duration;

use portcullis::gateway::{Data, EventError, Registrar, Reply};
use portcullis::{Emitter, Server, ServerBuilder, Socket, shutdown_signal};

fn ticks(r: &mut Registrar) {
    r.public().on("follow", follow);
}

async fn follow(
    socket: Socket,
    Data(which): Data<String>,
) -> Result<Reply<&'static str>, EventError> {
    match which.as_str() {
        "even" | "odd" => {
            socket.join(which);
            Ok(Reply("following"))
        }
        _ => Err(EventError::new("UNKNOWN", "There are even and odd ticks")),
    }
}

/// Ends with the server, whose last act is to let go of its emitters.
pub(crate) async fn tick(emitter: Emitter, period: Duration) {
    let mut interval = tokio::time::interval(period);
    for number in 0_u64.. {
        interval.tick().await;
        let room = if number % 2 == 0 { "even" } else { "odd" };
        // A late tick is worth nothing, so it is dropped for clients that cannot take it at once.
        let ticked = emitter.to(room).volatile().emit("tick", &number);
        if ticked.is_err() {
            return;
        }
    }
}

pub(crate) fn server() -> ServerBuilder {
    Server::builder().namespace("/", ticks)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = server().build().await?;
    let ticking = tick(server.emitter("/")?, Duration::from_secs(1));
    let serving = server.serve("127.0.0.1:3000", shutdown_signal());
    let (served, ()) = tokio::join!(serving, ticking);
    served?;
    Ok(())
}
