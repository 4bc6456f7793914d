use portcullis::gateway::{Data, User};
use portcullis::{DisconnectReason, gateway};

struct Claims;

struct Chat;

#[gateway]
impl Chat {
    #[on_init]
    async fn start(&self, _user: User<Claims>) {}

    #[on_connect]
    async fn join(&self, _user: User<Claims>, _data: Data<String>) {}

    #[on_disconnect]
    async fn left(&self, _reason: DisconnectReason, _claims: Claims) {}
}

fn main() {}
