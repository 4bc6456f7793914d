use portcullis::gateway;

struct Chat {
    limit: u32,
}

#[gateway]
impl Chat {
    #[subscribe("none")]
    #[guard]
    async fn none(&self) {}

    #[subscribe("empty")]
    #[guard()]
    async fn empty(&self) {}

    #[subscribe("two")]
    #[guard(gateway::RateLimit::per_socket(1), gateway::RateLimit::per_socket(2))]
    async fn two(&self) {}

    #[subscribe("own")]
    #[guard(gateway::RateLimit::per_socket(self.limit))]
    async fn own(&self) {}
}

fn main() {}
