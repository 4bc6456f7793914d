use portcullis::gateway;

const SAY: &str = "say";

struct Chat;

#[gateway]
impl Chat {
    #[subscribe]
    async fn nothing(&self) {}

    #[subscribe("")]
    async fn empty(&self) {}

    #[subscribe(SAY)]
    async fn constant(&self) {}

    #[subscribe("one", "two")]
    async fn two(&self) {}

    #[subscribe("connect")]
    async fn connect(&self) {}

    #[subscribe("connect_error")]
    async fn connect_error(&self) {}

    #[subscribe("disconnect")]
    async fn disconnect(&self) {}

    #[subscribe("disconnecting")]
    async fn disconnecting(&self) {}

    #[subscribe("newListener")]
    async fn new_listener(&self) {}

    #[subscribe("removeListener")]
    async fn remove_listener(&self) {}
}

fn main() {}
