//! Handlers that panic or hang in great numbers: others do not notice, and nothing is left of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_testing::TestServer;
use portcullis_testing::wire::Client;
use tokio::time::Instant;

use crate::support::{Wire, public, witness};

const PANICKING: usize = 20;
const PANICS_EACH: usize = 500;
const HANGING: usize = 1_000;
const HANDLER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may take beside all that: less than any timeout.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts handlers from their first step to when they are dropped.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn panics_in_a_row(mut client: Client) -> Client {
    for _ in 0..PANICS_EACH {
        let answer = client.ask(r#"["panic"]"#).await;
        assert!(answer.contains("INTERNAL"), "{answer}");
    }
    client
}

#[tokio::test]
async fn ten_thousand_panics_cost_ten_thousand_answers_and_nobody_anything_else() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let server = TestServer::start(public(|r| {
        r.on("panic", move || {
            let alive = Alive::new(&count);
            async move {
                let _alive = alive;
                tokio::task::yield_now().await;
                assert!(tokio::task::try_id().is_none(), "on purpose");
            }
        });
        r.on("well", async || {});
    }))
    .await;
    let before = witness().count("portcullis_panics_total", "place=handler");
    let mut healthy = server.client().await;
    let clients = join_all((0..PANICKING).map(|_| server.client())).await;
    let panicking = join_all(clients.into_iter().map(panics_in_a_row));
    tokio::pin!(panicking);
    let mut slowest = Duration::ZERO;
    let clients = loop {
        let asked = Instant::now();
        tokio::select! {
            clients = &mut panicking => break clients,
            answer = healthy.ask(r#"["well"]"#) => assert_eq!(answer, "[]"),
        }
        slowest = slowest.max(asked.elapsed());
    };
    assert!(slowest < PATIENCE, "{slowest:?}");
    let panics = witness().count("portcullis_panics_total", "place=handler") - before;
    assert!(panics >= (PANICKING * PANICS_EACH) as u64, "{panics}");
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert_eq!(server.server().sessions(), PANICKING + 1);
    for mut client in clients {
        assert_eq!(client.ask(r#"["well"]"#).await, "[]");
    }
}

#[tokio::test]
async fn a_thousand_handlers_that_hang_are_dropped_in_time_and_nobody_waits_for_them() {
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let builder = public(|r| {
        r.on("hang", move || {
            let alive = Alive::new(&count);
            async move {
                let _alive = alive;
                std::future::pending::<()>().await;
            }
        });
        r.on("well", async || {});
    });
    let server = TestServer::start(builder.handler_timeout(HANDLER_TIMEOUT)).await;
    let before = witness().count("portcullis_handler_timeouts_total", "");
    let mut healthy = server.client().await;
    let mut clients = join_all((0..HANGING).map(|_| server.client_in_memory())).await;
    for client in &mut clients {
        client.send(r#"421["hang"]"#).await;
    }
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    let answers = {
        let answers = join_all(clients.iter_mut().map(Client::recv));
        tokio::pin!(answers);
        loop {
            let asked = Instant::now();
            tokio::select! {
                answers = &mut answers => break answers,
                answer = healthy.ask(r#"["well"]"#) => assert_eq!(answer, "[]"),
            }
            slowest = slowest.max(asked.elapsed());
            most = most.max(alive.load(Ordering::SeqCst));
        }
    };
    for answer in answers {
        let answer = answer.unwrap();
        assert!(
            answer.starts_with("431") && answer.contains("TIMEOUT"),
            "{answer}"
        );
    }
    assert!(slowest < PATIENCE, "{slowest:?}");
    assert_eq!((most, alive.load(Ordering::SeqCst)), (HANGING, 0));
    let timeouts = witness().count("portcullis_handler_timeouts_total", "") - before;
    assert!(timeouts >= HANGING as u64, "{timeouts}");
    for client in &mut clients {
        assert_eq!(client.ask(r#"["well"]"#).await, "[]");
    }
}
