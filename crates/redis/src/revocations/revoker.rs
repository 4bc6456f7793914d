//! Revoking from a process that serves no sockets.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use portcullis::adapter::BusGap;
use portcullis::revocation::{Revocation, RevokeError, StoreError};

use super::kept::{self, Names};
use crate::connection::{Bus, Receive};
use crate::options::Redis;
use crate::start::{self, StartError};

/// Revokes in a cluster from a process that serves none of its sockets.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use portcullis::revocation::Revocation;
/// use portcullis_redis::{Redis, RedisRevoker};
///
/// let revoker = RedisRevoker::connect(Redis::new("redis://localhost:6379")).await?;
/// let day = Duration::from_secs(24 * 3600);
/// revoker.revoke(Revocation::user("alice"), day).await?;
/// # Ok(())
/// # }
/// ```
///
/// Its prefix and mode must be those of the nodes. It has one connection, over a Redis Cluster some
/// more.
pub struct RedisRevoker {
    bus: Bus,
    names: Names,
}

/// Hears nothing.
#[derive(Debug)]
struct Deaf;

impl Receive for Deaf {
    fn message(&self, _channel: &str, _payload: Bytes) {}

    fn gap(&self, _gap: BusGap) {}
}

impl RedisRevoker {
    /// Connects, as [`Redis::at_start`] says.
    ///
    /// # Errors
    ///
    /// Options that cannot work, or a Redis that is not there in time.
    pub async fn connect(redis: Redis) -> Result<Self, StartError> {
        let options = redis.options;
        let names = Names::new(&options.prefix, options.mode.is_sharded());
        let bus = start::bus(&options, Arc::new(Deaf), true)?;
        start::join(&bus, options.at_start).await?;
        Ok(Self { bus, names })
    }

    /// Takes something back on every node. It is kept for `longest_life`, the life of the longest
    /// token, unless it says itself for how long.
    ///
    /// # Errors
    ///
    /// A name that cannot be one; nothing is revoked then. Or Redis: if it failed on the way, it
    /// is not known whether it was revoked. Do it again, which does no harm.
    pub async fn revoke(
        &self,
        revocation: Revocation,
        longest_life: Duration,
    ) -> Result<(), RevokeError> {
        let revocation = revocation.resolve(SystemTime::now(), longest_life)?;
        let published = kept::publish(&self.bus, &self.names, &revocation).await;
        published.map_err(|error| RevokeError::Store(StoreError::new(error)))
    }

    /// Leaves.
    pub async fn close(self) {
        self.bus.close().await;
    }
}

impl fmt::Debug for RedisRevoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevoker")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
