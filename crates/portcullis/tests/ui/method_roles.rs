use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[on_connect]
    #[on_disconnect]
    async fn both(&self) {}

    #[subscribe("start")]
    #[on_init]
    async fn start(&self) {}

    #[on_connect]
    #[on_connect]
    async fn twice(&self) {}

    #[on_connect("hello")]
    async fn hello(&self) {}

    #[subscribe("limit")]
    const LIMIT: usize = 1;
}

struct Other;

#[gateway]
#[subscribe("say")]
impl Other {}

fn main() {}
