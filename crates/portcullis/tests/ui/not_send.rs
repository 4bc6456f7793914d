use std::rc::Rc;

use portcullis::gateway;

struct Chat;

#[gateway]
impl Chat {
    #[subscribe("say")]
    async fn say(&self) {
        let local = Rc::new(1);
        std::future::ready(()).await;
        drop(local);
    }
}

fn main() {}
