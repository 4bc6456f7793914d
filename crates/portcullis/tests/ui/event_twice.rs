use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("say")]
    async fn say(&self) {}

    #[subscribe("shout")]
    #[subscribe("say")]
    async fn shout(&self) {}
}

fn main() {}
