use portcullis::gateway;

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

struct Chat;

#[gateway]
impl Chat {
    #[on_connect]
    #[guard(gateway::RateLimit::per_socket(1))]
    async fn join(&self) {}

    #[on_disconnect]
    #[guard(gateway::RateLimit::per_socket(1))]
    async fn left(&self) {}

    #[subscribe("slow")]
    #[layer(tower::timeout::TimeoutLayer::new(TIMEOUT))]
    async fn slow(&self) {}

    #[guard(gateway::RateLimit::per_socket(1))]
    async fn forgotten(&self) {}
}

fn main() {}
