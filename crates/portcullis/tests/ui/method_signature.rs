use portcullis::gateway;
use portcullis::gateway::{Data, FromSocket, User};

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("generic")]
    async fn generic<T: serde::de::DeserializeOwned>(&self, _data: Data<T>) {}

    #[subscribe("nameless")]
    async fn nameless(&self, _socket: impl FromSocket) {}

    #[subscribe("conditional")]
    async fn conditional(&self, #[cfg(unix)] _user: User<()>) {}

    #[subscribe("unsafe")]
    async unsafe fn not_safe(&self) {}

    #[subscribe("nine")]
    async fn nine(
        &self,
        _1: Data<u8>,
        _2: Data<u8>,
        _3: Data<u8>,
        _4: Data<u8>,
        _5: Data<u8>,
        _6: Data<u8>,
        _7: Data<u8>,
        _8: Data<u8>,
        _9: Data<u8>,
    ) {
    }
}

fn main() {}
