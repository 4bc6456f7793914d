use portcullis::gateway;

struct Chat;

#[gateway]
#[intercept(())]
impl Chat {
    #[subscribe("say")]
    #[guard("admins")]
    async fn say(&self) {}
}

fn main() {}
