use portcullis::gateway;

struct Opaque;

struct Chat;

#[gateway]
impl Chat {
    #[on_init]
    async fn start(&self) -> bool {
        true
    }

    #[on_connect]
    async fn join(&self) -> bool {
        true
    }

    #[subscribe("say")]
    async fn say(&self) -> Opaque {
        Opaque
    }

    #[subscribe("try")]
    fn attempt(&self) -> Result<u8, Opaque> {
        Err(Opaque)
    }

    #[on_disconnect]
    async fn left(&self) -> Result<u8, String> {
        Ok(1)
    }
}

fn main() {}
