//! The first good answer of several who may know.
//!
//! # Invariants
//!
//! - Who says nothing holds nobody up: the next one is asked beside them.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// After how long without an answer the next one is asked.
const SILENCE: Duration = Duration::from_millis(500);

/// Asks one after the other, the next as soon as one fails or nobody has said anything for a while,
/// and takes the first good answer.
///
/// # Errors
///
/// What was said by the last one that failed, if there was anybody to ask.
pub(super) async fn first_good<F, A, E>(questions: Vec<F>) -> Result<A, Option<E>>
where
    F: Future<Output = Result<A, E>>,
{
    let mut questions = questions.into_iter();
    let mut asked = FuturesUnordered::new();
    let mut failure = None;
    loop {
        asked.extend(questions.next());
        match tokio::time::timeout(SILENCE, asked.next()).await {
            Ok(Some(Ok(answer))) => return Ok(answer),
            Ok(Some(Err(error))) => failure = Some(error),
            // All were asked, and all have failed.
            Ok(None) => return Err(failure),
            // Silence.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn answer(after: Duration, answer: Result<u8, u8>) -> Result<u8, u8> {
        tokio::time::sleep(after).await;
        answer
    }

    const SOON: Duration = Duration::from_millis(10);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_holds_nobody_up() {
        let started = Instant::now();
        let questions = vec![
            answer(NEVER, Ok(1)),
            answer(SOON, Err(2)),
            answer(SOON, Ok(3)),
            answer(SOON, Ok(4)),
        ];
        assert_eq!(first_good(questions).await, Ok(3));
        let took = started.elapsed();
        assert!(took >= SILENCE && took < SILENCE + 4 * SOON, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_still_heard() {
        let slow = answer(SILENCE * 2, Ok(1));
        let questions = vec![slow, answer(SOON, Err(2)), answer(NEVER, Ok(3))];
        assert_eq!(first_good(questions).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_last_one_said_is_why_there_is_no_answer() {
        let questions = vec![answer(SOON, Err(1)), answer(SOON, Err(2))];
        assert_eq!(first_good(questions).await, Err(Some(2)));
        let nobody: Vec<std::future::Ready<Result<u8, u8>>> = Vec::new();
        assert_eq!(first_good(nobody).await, Err(None));
    }
}
