//! The cache against a source that answers as a test says, in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;

use super::*;

const KEY: &str = r#""kty":"OKP","crv":"Ed25519",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

const TIMES: CacheTimes = CacheTimes {
    refresh_every: Duration::from_secs(600),
    max_stale: Duration::from_secs(3600),
    cool_down: Duration::from_secs(30),
};

/// Answers with one key of each name, or fails.
#[derive(Clone, Default)]
struct Source(Arc<Answers>);

#[derive(Default)]
struct Answers {
    names: Mutex<Option<Vec<&'static str>>>,
    fetches: AtomicUsize,
}

impl Source {
    fn has(&self, names: &[&'static str]) {
        *self.0.names.lock() = Some(names.to_vec());
    }

    fn is_down(&self) {
        *self.0.names.lock() = None;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }
}

impl KeySource for Source {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        async {
            self.0.fetches.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let names = self.0.names.lock().clone();
            let names = names.ok_or(FetchError::NoAddress)?;
            let keys = names
                .iter()
                .map(|name| format!(r#"{{{KEY},"kid":"{name}"}}"#));
            let keys = keys.collect::<Vec<_>>().join(",");
            Ok(format!(r#"{{"keys":[{keys}]}}"#).into_bytes())
        }
        .boxed()
    }

    fn name(&self) -> &str {
        "test"
    }

    fn secrets(&self) -> Secrets {
        Secrets::Refused
    }
}

fn cache(source: &Source) -> Arc<KeyCache> {
    Arc::new(KeyCache::new(Box::new(source.clone()), None, TIMES))
}

/// Runs the background task beside `test`.
async fn with<T>(cache: &KeyCache, test: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        result = test => result,
        () = cache.run() => unreachable!("it never ends"),
    }
}

fn has(cache: &KeyCache, name: &str) -> bool {
    cache
        .ring()
        .is_some_and(|ring| ring.named.contains_key(name))
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_unknown_names_cause_one_fetch_in_a_cool_down() {
    let source = Source::default();
    source.has(&["a"]);
    let cache = cache(&source);
    cache.fetch().await.unwrap();
    with(&cache, async {
        for round in 1..=3 {
            let misses = (0..1000).map(|_| cache.after_miss());
            futures_util::future::join_all(misses).await;
            for _ in 0..1000 {
                assert_eq!(cache.after_miss().await, AfterMiss::Unchanged);
            }
            assert_eq!(source.fetches(), 1 + round);
            sleep(31).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_there_after_the_first_miss_even_right_after_the_start() {
    let source = Source::default();
    source.has(&["old"]);
    let cache = cache(&source);
    cache.fetch().await.unwrap();
    source.has(&["old", "new"]);
    with(&cache, async {
        assert!(!has(&cache, "new"));
        assert_eq!(cache.after_miss().await, AfterMiss::Fetched);
        assert!(has(&cache, "new") && has(&cache, "old"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_in_the_background_and_a_withdrawn_one_goes() {
    let source = Source::default();
    source.has(&["old"]);
    let cache = cache(&source);
    cache.fetch().await.unwrap();
    source.has(&["new"]);
    with(&cache, sleep(601)).await;
    assert!(has(&cache, "new") && !has(&cache, "old"));
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlive_their_source_but_not_for_ever() {
    let source = Source::default();
    source.has(&["a"]);
    let cache = cache(&source);
    cache.fetch().await.unwrap();
    source.is_down();
    with(&cache, async {
        sleep(700).await;
        assert!(has(&cache, "a"));
        assert!(matches!(cache.readiness(), Readiness::Stale { .. }));
        assert_eq!(cache.after_miss().await, AfterMiss::Unavailable);
        sleep(3600).await;
        assert!(!has(&cache, "a"));
        assert!(!cache.readiness().is_ready());
        source.has(&["b"]);
        sleep(31).await;
        assert!(has(&cache, "b"));
        assert_eq!(cache.readiness(), Readiness::Ready);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_at_the_start_is_tried_again_soon() {
    let source = Source::default();
    let cache = cache(&source);
    assert!(cache.fetch().await.is_err());
    assert!(!cache.readiness().is_ready());
    source.has(&["a"]);
    with(&cache, sleep(3)).await;
    assert!(has(&cache, "a"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_fetch_may_go_away_without_stopping_it() {
    let source = Source::default();
    source.has(&["a"]);
    let cache = cache(&source);
    with(&cache, async {
        let impatient = tokio::time::timeout(Duration::from_millis(10), cache.after_miss());
        assert!(impatient.await.is_err());
        assert_eq!(cache.after_miss().await, AfterMiss::Fetched);
        assert_eq!(source.fetches(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_retries_of_a_source_that_fails() {
    let source = Source::default();
    source.has(&["a"]);
    let cache = cache(&source);
    cache.fetch().await.unwrap();
    source.is_down();
    with(&cache, async {
        assert_eq!(cache.after_miss().await, AfterMiss::Unavailable);
        let fetches = source.fetches();
        while source.fetches() == fetches {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // An attempt is under way, and takes its time.
        let answer = cache.after_miss().now_or_never();
        assert_eq!(answer, Some(AfterMiss::Unavailable));
        sleep(31).await;
        source.has(&["a", "b"]);
        assert_eq!(cache.after_miss().await, AfterMiss::Fetched);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_misses_while_a_miss_has_keys_fetched_waits_with_it() {
    let source = Source::default();
    let cache = cache(&source);
    assert!(cache.fetch().await.is_err());
    source.has(&["a"]);
    with(&cache, async {
        let misses = (0..10).map(|_| cache.after_miss());
        for outcome in futures_util::future::join_all(misses).await {
            assert_eq!(outcome, AfterMiss::Fetched);
        }
        assert_eq!(source.fetches(), 2);
    })
    .await;
}
