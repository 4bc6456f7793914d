//! Revocations that fall into the middle of something: at every moment at which a server asks what
//! time it is, which it does between all steps that matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use portcullis::clock::Clock;
use portcullis::revocation::{Revocation, Revocations};
use portcullis_testing::{Disconnect, TestClock, TestServer, TestTokens};
use serde_json::{Value, json};

use super::{clock_and_tokens, seconds, server};

/// How long the sockets may take to be looked through.
const LOOK: Duration = Duration::from_millis(100);

/// A clock that, asked for the so-manieth time, has something revoked before it answers.
#[derive(Debug, Clone)]
struct Trap {
    clock: TestClock,
    left: Arc<AtomicUsize>,
    armed: Arc<Mutex<Option<(Revocations, Revocation)>>>,
}

impl Trap {
    fn new(clock: TestClock) -> Self {
        Self {
            clock,
            left: Arc::default(),
            armed: Arc::default(),
        }
    }

    fn arm(&self, moment: usize, by: &Revocations, revocation: Revocation) {
        *self.armed.lock() = Some((by.clone(), revocation));
        self.left.store(moment, Ordering::SeqCst);
    }

    fn has_sprung(&self) -> bool {
        self.armed.lock().is_none()
    }
}

impl Clock for Trap {
    fn now(&self) -> SystemTime {
        let counted = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if counted == Ok(1)
            && let Some((revocations, revocation)) = self.armed.lock().take()
        {
            let (revoked, is_revoked) = channel();
            std::thread::spawn(move || {
                let revoking = revocations.revoke(revocation).now_or_never();
                revoking.expect("nothing to wait for").unwrap();
                let _ = revoked.send(());
            });
            // Whoever asks may be reading what is revoked; then it is revoked a moment later.
            let _ = is_revoked.recv_timeout(LOOK);
            std::thread::sleep(LOOK);
        }
        self.clock.now()
    }
}

/// A server, its trap, and what may be revoked of a token whose id is `new`.
async fn trapped() -> (TestServer, Trap, Revocations, TestTokens) {
    let (clock, tokens) = clock_and_tokens();
    let trap = Trap::new(clock.clone());
    let builder = server(&clock, &tokens).clock(trap.clone());
    let revocations = builder.revocations();
    let server = TestServer::start(builder).await;
    (server, trap, revocations, tokens)
}

fn revocations() -> [(&'static str, Revocation); 3] {
    let later = SystemTime::now() + seconds(1 << 32);
    [
        ("token", Revocation::token("new")),
        ("session", Revocation::session("s")),
        ("user", Revocation::user("alice").issued_before(later)),
    ]
}

fn claims(id: &str) -> Value {
    json!({ "jti": id, "sid": "s", "role": id })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_socket_lives_on_with_a_token_that_is_revoked_while_it_is_taken_on() {
    for (what, revocation) in revocations() {
        for moment in 1.. {
            let (server, trap, revocations, tokens) = trapped().await;
            let old = tokens.mint_with("alice", &claims("old"));
            let alice = server.connect("/").token(&old).await;
            trap.arm(moment, &revocations, revocation.clone());
            let new = tokens.mint_with("alice", &claims("new"));
            alice.emit("auth:refresh", new.expose()).await;
            tokio::time::sleep(4 * LOOK).await;
            if !trap.has_sprung() {
                assert!(moment > 4, "{what}: {moment} moments at least");
                break;
            }
            if what == "token" && alice.is_connected() {
                // It was refused, and the old token holds on.
                let who = alice.emit_with_ack("whoami", &()).await;
                let role = who.get::<Value>(1).unwrap();
                assert_eq!(role, json!("old"), "moment {moment}");
            } else {
                alice.expect_disconnect(Disconnect::ByServer).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_socket_stays_whose_token_is_revoked_while_it_comes_in() {
    for (what, revocation) in revocations() {
        for moment in 1.. {
            let (server, trap, revocations, tokens) = trapped().await;
            let token = tokens.mint_with("alice", &claims("new"));
            trap.arm(moment, &revocations, revocation.clone());
            let outcome = server.connect("/").token(&token).outcome().await;
            tokio::time::sleep(4 * LOOK).await;
            if !trap.has_sprung() {
                assert!(moment > 4, "{what}: {moment} moments at least");
                break;
            }
            match outcome {
                Ok(alice) => alice.expect_disconnect(Disconnect::ByServer).await,
                Err(refused) => assert_eq!(refused.code(), Some("TOKEN_REVOKED")),
            }
        }
    }
}
