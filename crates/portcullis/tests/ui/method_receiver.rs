use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("none")]
    async fn none() {}

    #[subscribe("mutable")]
    async fn mutable(&mut self) {}

    #[subscribe("owned")]
    async fn owned(self) {}

    fn untouched(self) {}
}

fn main() {}
