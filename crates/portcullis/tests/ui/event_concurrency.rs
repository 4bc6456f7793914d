use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("none", concurrency = 0)]
    async fn none(&self) {}

    #[subscribe("many", concurency = 8)]
    async fn many(&self) {}

    #[subscribe("text", concurrency = "8")]
    async fn text(&self) {}
}

fn main() {}
