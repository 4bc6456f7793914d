use portcullis::gateway::guard;
use portcullis::gateway;

struct Chat;

impl Chat {
    #[portcullis::gateway::subscribe("say")]
    async fn say(&self) {}

    #[gateway::on_connect]
    async fn join(&self) {}
}

#[guard(guard::claims(|_: &()| true))]
#[gateway]
impl Chat {}

fn main() {}
