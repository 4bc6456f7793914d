//! The runtime that suits a gateway, for a `main` that has no other wishes.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// So often a worker looks at the queue that all workers share: for every second task.
///
/// A worker keeps at most 256 tasks that are ready to itself and gives the others to that queue.
/// Tokio looks there for one task in about sixty, so that of a thousand busy connections some wait
/// for sixty turns of others each.
const SHARED_QUEUE_INTERVAL: u32 = 2;

/// A Tokio runtime with a worker for each processor, which treats its connections alike when many
/// of them are busy at once.
///
/// It is what `#[tokio::main]` makes, except that workers look at the queue that all of them share
/// for every second task. With 1,000 clients who each ask and wait for the answer without a pause,
/// the slowest hundredth waits less than a tenth of the time that it waits on the runtime of
/// `#[tokio::main]`, at the price of the others: half of all answers take two to three times as
/// long as they did (`e1many` of the benchmark). With up to 256 there is no difference.
///
/// # Errors
///
/// If the system gives no thread or no event queue.
///
/// # Example
///
/// ```no_run
/// use portcullis::auth::jwt::Jwt;
/// use portcullis::{Server, shutdown_signal};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let secret = std::env::var("PORTCULLIS_JWT_SECRET")?;
///     portcullis::runtime()?.block_on(async {
///         let server = Server::builder()
///             .authenticate(Jwt::<serde_json::Value>::hs256(secret))
///             .namespace("/", |_| {});
///         server.build().await?.serve("127.0.0.1:3000", shutdown_signal()).await?;
///         Ok(())
///     })
/// }
/// ```
pub fn runtime() -> io::Result<Runtime> {
    build(&mut Builder::new_multi_thread())
}

fn build(builder: &mut Builder) -> io::Result<Runtime> {
    builder
        .enable_all()
        .global_queue_interval(SHARED_QUEUE_INTERVAL)
        .build()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use super::*;

    const TASKS: usize = 1_000;
    const TURNS: usize = 200 * TASKS;

    /// How many turns of others one of many tasks, which are always ready, had to wait at most.
    fn longest_wait(runtime: &Runtime) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let turns = Arc::clone(&turns);
                let (mut last, mut longest) = (None, 0);
                runtime.spawn(poll_fn(move |cx| {
                    let now = turns.fetch_add(1, Ordering::Relaxed);
                    // The first turn is as late as the task was spawned.
                    longest = longest.max(now - last.unwrap_or(now));
                    last = Some(now);
                    if now >= TURNS {
                        return Poll::Ready(longest);
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }))
            })
            .collect();
        let waits = tasks.into_iter().map(|task| runtime.block_on(task));
        waits.map(Result::unwrap).max().unwrap()
    }

    #[test]
    fn of_many_tasks_that_are_always_ready_none_waits_for_long() {
        // With one worker nothing depends on what else the machine does.
        let runtime = build(Builder::new_multi_thread().worker_threads(1)).unwrap();
        let longest = longest_wait(&runtime);
        assert!(longest < 5 * TASKS, "{longest} turns of others");
    }
}
