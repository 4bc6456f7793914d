use portcullis::Socket;
use portcullis::gateway::{FromEvent, IntoReply, Registrar};

struct Say;

fn is_taken<T: FromEvent>() {}

fn is_reply<T: IntoReply>() {}

fn register(r: &mut Registrar) {
    is_taken::<Say>();
    is_reply::<Say>();
    r.on("say", async |_socket: Socket, _say: Say| {});
}

fn main() {}
