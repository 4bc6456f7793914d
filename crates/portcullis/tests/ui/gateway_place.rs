use portcullis::gateway;

#[gateway(namespace = "/chat")]
struct Chat;

#[gateway]
impl Clone for Chat {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
