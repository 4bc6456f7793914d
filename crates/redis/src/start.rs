//! From options to a bus that works, or a reason why not.

use std::sync::Arc;
use std::time::Duration;

use crate::connection::error::LinkError;
use crate::connection::{Bus, BusOptions, Receive};
use crate::identity;
use crate::options::{AtStart, Options};

/// How long a server that may run alone waits for Redis before it does.
const DEGRADE_AFTER: Duration = Duration::from_secs(1);

/// How long connections can be allowed to be silent, at least and at most.
const KEEP_ALIVE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(300);

/// Redis cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// What was said about it cannot work.
    #[error("{0}")]
    Options(String),
    /// It was not there in time.
    #[error("redis could not be reached within {after:?}: {reason}")]
    Unreachable {
        /// How long it was waited for.
        after: Duration,
        /// Why it was not there, for a person.
        reason: String,
    },
    /// One value of [`Redis`](crate::Redis) is one node; it is one already.
    #[error("the adapter was started before")]
    Twice,
}

/// Prepares the way to Redis; nothing is connected yet.
pub(crate) fn bus(
    options: &Options,
    receive: Arc<dyn Receive>,
    publishes_only: bool,
) -> Result<Bus, StartError> {
    let address = options.address.as_ref();
    let address = address.map_err(|error| StartError::Options(error.clone()))?;
    check(options).map_err(StartError::Options)?;
    let address = match &options.certificates {
        None => address.clone(),
        Some(certificates) => {
            let dressed = address.clone().with_certificates(certificates);
            dressed.map_err(|error| StartError::Options(error.to_string()))?
        }
    };
    let bus_options = BusOptions {
        limits: options.queue,
        probe: format!("{}-probe#{}#", options.prefix, identity::sharded_id()),
        is_sharded: options.mode.is_sharded(),
        keep_alive: options.keep_alive,
        publishes_only,
    };
    let refused = |error: LinkError| StartError::Options(error.to_string());
    Bus::new(&address, bus_options, receive).map_err(refused)
}

/// What cannot work.
fn check(options: &Options) -> Result<(), String> {
    if options.prefix.is_empty() || options.prefix.chars().any(char::is_control) {
        return Err("the prefix of channels must be text without control characters".to_owned());
    }
    if !KEEP_ALIVE.contains(&options.keep_alive) {
        return Err("keep_alive must be between 50 ms and 5 min".to_owned());
    }
    if options.queue.messages == 0 {
        return Err("the publish queue must hold at least one message".to_owned());
    }
    Ok(())
}

/// Connects; what happens if that takes long was said.
pub(crate) async fn join(bus: &Bus, at_start: AtStart) -> Result<(), StartError> {
    bus.start();
    match at_start {
        AtStart::Fail { after } => {
            if tokio::time::timeout(after, bus.reached()).await.is_err() {
                let reason = bus.reason();
                bus.close().await;
                return Err(StartError::Unreachable { after, reason });
            }
        }
        AtStart::Degrade => {
            let reached = tokio::time::timeout(DEGRADE_AFTER, bus.reached());
            if reached.await.is_err() {
                let reason = bus.reason();
                tracing::warn!(reason, "redis is not there: this node is on its own");
                bus.runs_alone();
            }
        }
    }
    Ok(())
}
