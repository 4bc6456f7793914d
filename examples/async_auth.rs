//! An authenticator that is an async function: it asks a directory who holds a key.
//!
//! ```text
//! cargo run --package examples --example async_auth
//! ```
//!
//! ```js
//! io("http://localhost:3000", { auth: { key: "k-alice" } });
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use portcullis::auth::{Attempt, Identity, Refusal, RefusalCode};
use portcullis::gateway::{Registrar, Reply, User};
use portcullis::socketio::value::Value;
use portcullis::{Server, ServerBuilder, shutdown_signal};

/// Who a key belongs to: the claims of an identity may be of any type.
#[derive(Debug, Clone)]
struct Member {
    name: &'static str,
    is_staff: bool,
}

/// Stands for a database or another service.
struct Directory(HashMap<&'static str, Member>);

impl Directory {
    async fn find(&self, key: &str) -> Option<Member> {
        // A query would wait here. If it takes longer than `verify_timeout`, or panics, the client
        // is refused with `AUTH_UNAVAILABLE`.
        tokio::task::yield_now().await;
        self.0.get(key).cloned()
    }
}

async fn authenticate(
    directory: Arc<Directory>,
    attempt: Arc<Attempt>,
) -> Result<Identity, RefusalCode> {
    let auth = attempt.auth();
    let key = auth.get("key").and_then(Value::as_str);
    let key = key.ok_or(RefusalCode::TokenMissing)?;
    let member = directory.find(key).await;
    member.map(Identity::new).ok_or(RefusalCode::TokenInvalid)
}

fn anybody(r: &mut Registrar) {
    r.on("who am I", async |user: User<Member>| Reply(user.name));
}

fn staff(r: &mut Registrar) {
    r.connect_guard(async |user: User<Member>| {
        if user.is_staff {
            Ok(())
        } else {
            Err(Refusal::new("Staff only").code("STAFF_ONLY"))
        }
    });
}

pub(crate) fn server() -> ServerBuilder {
    let member = |name, is_staff| Member { name, is_staff };
    let directory = Arc::new(Directory(HashMap::from([
        ("k-alice", member("alice", true)),
        ("k-bob", member("bob", false)),
    ])));
    Server::builder()
        .authenticate_with(move |attempt| authenticate(Arc::clone(&directory), attempt))
        .verify_timeout(Duration::from_secs(2))
        .namespace("/", anybody)
        .namespace("/staff", staff)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = server().build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}
