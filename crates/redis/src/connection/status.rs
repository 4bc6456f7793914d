//! Whether both connections to a server work, since when, and why not.
//!
//! # Invariants
//!
//! - There is one log line for each time that the server is lost or reached, however many messages
//!   wait meanwhile.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis::adapter::Health;
use tokio::sync::watch;

use super::error::LinkError;

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Publisher,
    Subscriber,
}

impl Half {
    const fn label(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Subscriber => "subscriber",
        }
    }
}

/// Whether both connections to a server work.
#[derive(Debug)]
pub(crate) struct Status {
    name: String,
    state: Mutex<State>,
    is_up: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    publisher: Result<(), String>,
    subscriber: Result<(), String>,
    since: Instant,
    /// Whether the last log line says that the server was reached.
    is_told: bool,
    refusal_told: Option<Instant>,
}

/// How often refusals are told.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(60);

impl Status {
    pub(crate) fn new(name: String) -> Self {
        let starting = || Err("not connected yet".to_owned());
        Self {
            name,
            state: Mutex::new(State {
                publisher: starting(),
                subscriber: starting(),
                since: Instant::now(),
                is_told: false,
                refusal_told: None,
            }),
            is_up: watch::Sender::new(false),
        }
    }

    /// A connection works.
    pub(crate) fn up(&self, half: Half) {
        let mut state = self.state.lock();
        *state.half(half) = Ok(());
        let is_up = state.publisher.is_ok() && state.subscriber.is_ok();
        if is_up && !state.is_told {
            let seconds = state.since.elapsed().as_secs_f64();
            state.is_told = true;
            state.since = Instant::now();
            tracing::info!(redis = self.name, seconds, "redis is reached");
            self.count("up");
            self.is_up.send_replace(true);
        }
    }

    /// A connection does not work.
    pub(crate) fn down(&self, half: Half, error: &LinkError) {
        let reason = error.label();
        metrics::counter!(
            "portcullis_redis_failures_total",
            "connection" => half.label(), "reason" => reason
        )
        .increment(1);
        let mut state = self.state.lock();
        *state.half(half) = Err(error.to_string());
        if state.is_told {
            state.is_told = false;
            state.since = Instant::now();
            let connection = half.label();
            tracing::warn!(redis = self.name, connection, reason, %error, "redis is lost");
            self.count("down");
            self.is_up.send_replace(false);
        }
    }

    /// Redis refuses what is published, on a connection that works; told once a minute. Its own
    /// words are not: it may quote what it refuses.
    pub(crate) fn refused(&self, error: &LinkError) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let is_quiet = state
            .refusal_told
            .is_some_and(|told| now - told < REFUSAL_INTERVAL);
        if !is_quiet {
            state.refusal_told = Some(now);
            let reason = error.label();
            tracing::warn!(redis = self.name, reason, "redis refuses what is published");
        }
    }

    fn count(&self, to: &'static str) {
        metrics::counter!("portcullis_redis_transitions_total", "to" => to).increment(1);
        metrics::gauge!("portcullis_redis_up", "redis" => self.name.clone())
            .set(f64::from(u8::from(to == "up")));
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.state.lock();
        let since = state.since.elapsed();
        match (&state.publisher, &state.subscriber) {
            (Ok(()), Ok(())) => Health::Up,
            (Err(reason), Err(_)) => down(reason, since),
            (Err(reason), Ok(())) | (Ok(()), Err(reason)) => Health::Degraded {
                reason: reason.clone(),
                since,
            },
        }
    }

    /// Whether what others publish is heard.
    pub(crate) fn hears(&self) -> bool {
        self.state.lock().subscriber.is_ok()
    }

    /// What keeps the server from being reached, for a person.
    pub(crate) fn reason(&self) -> String {
        let state = self.state.lock();
        let halves = [&state.subscriber, &state.publisher];
        let reason = halves.into_iter().find_map(|half| half.as_ref().err());
        reason.cloned().unwrap_or_default()
    }

    /// Ready when both connections work.
    pub(crate) async fn reached(&self) {
        // The sender lives in `self`, so this only ends one way.
        let _ = self.is_up.subscribe().wait_for(|is_up| *is_up).await;
    }
}

impl State {
    const fn half(&mut self, half: Half) -> &mut Result<(), String> {
        match half {
            Half::Publisher => &mut self.publisher,
            Half::Subscriber => &mut self.subscriber,
        }
    }
}

fn down(reason: &str, since: Duration) -> Health {
    Health::Down {
        reason: reason.to_owned(),
        since,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_testing::Witness;
    use redis::{Value, parse_redis_value};

    use super::*;

    #[test]
    fn the_log_has_nothing_that_redis_quotes_of_what_it_refuses() {
        let witness = Witness::of_process();
        let status = Status::new("the redis that quotes".to_owned());
        let answer = parse_redis_value(b"-ERR what is this: 'the payload'\r\n");
        let error = answer.and_then(Value::extract_error).unwrap_err();
        status.refused(&LinkError::redis("server", error));
        let log = witness.log();
        assert!(log.contains("the redis that quotes"), "{log}");
        assert!(!log.contains("the payload"), "{log}");
    }
}
