use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[subcribe("say")]
    async fn say(&self) {}

    #[on_conect]
    async fn join(&self) {}

    #[cfg_attr(unix, subscribe("unix"))]
    async fn unix(&self) {}
}

fn main() {}
