//! Taking tokens back, from a shell.
//!
//! # Not here
//!
//! What a revocation means and how nodes hear of it: that is the framework's
//! (`portcullis::revocation`) and the Redis crate's.

use std::time::{Duration, SystemTime};

use portcullis::revocation::{Revocation, RevokeError};
use portcullis_redis::{AtStart, Mode, Redis, RedisRevoker, StartError};

use crate::cli::RevokeArgs;

/// How long Redis is waited for.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Why nothing was revoked, or perhaps nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeFailure {
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("redis cannot be used")]
    Start(#[from] StartError),
    #[error("{}", outcome(.0))]
    Revoke(#[from] RevokeError),
    #[error("--before lies beyond all dates")]
    Date,
}

/// What became of the revocation.
const fn outcome(error: &RevokeError) -> &'static str {
    match error {
        // Redis may have taken it, and its answer be lost.
        RevokeError::Store(_) => "it is not known whether it was revoked; try again",
        _ => "nothing was revoked",
    }
}

impl RevokeFailure {
    /// Whether other arguments would help.
    pub(crate) const fn is_about_arguments(&self) -> bool {
        matches!(
            self,
            Self::Start(StartError::Options(_)) | Self::Revoke(RevokeError::Name) | Self::Date
        )
    }
}

/// Revokes what the arguments name.
pub(crate) fn run(args: &RevokeArgs) -> Result<(), RevokeFailure> {
    let revocation = revocation(args)?;
    let mode = if args.sharded {
        Mode::ShardedDynamic
    } else {
        Mode::Classic
    };
    let redis = Redis::new(args.redis.expose())
        .prefix(args.prefix.as_str())
        .mode(mode)
        .at_start(AtStart::Fail {
            after: START_TIMEOUT,
        });
    let runtime = tokio::runtime::Runtime::new().map_err(RevokeFailure::Runtime)?;
    runtime.block_on(async {
        let revoker = RedisRevoker::connect(redis).await?;
        let revoked = revoker.revoke(revocation, args.keep).await;
        revoker.close().await;
        Ok(revoked?)
    })
}

fn revocation(args: &RevokeArgs) -> Result<Revocation, RevokeFailure> {
    let mut revocation = match (&args.jti, &args.sid, &args.sub) {
        (Some(id), ..) => Revocation::token(id.as_str()),
        (None, Some(id), _) => Revocation::session(id.as_str()),
        (None, None, sub) => Revocation::user(sub.clone().unwrap_or_default()),
    };
    if let Some(seconds) = args.before {
        let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        revocation = revocation.issued_before(moment.ok_or(RevokeFailure::Date)?);
    }
    if let Some(issuer) = &args.iss {
        revocation = revocation.issuer(issuer.as_str());
    }
    Ok(revocation)
}

#[cfg(test)]
mod tests {
    use portcullis::revocation::StoreError;

    use super::*;

    #[test]
    fn what_redis_may_have_taken_is_not_said_to_be_nothing() {
        let store = RevokeFailure::from(RevokeError::Store(StoreError::new("the answer is lost")));
        assert!(store.to_string().contains("not known"), "{store}");
        assert!(!store.is_about_arguments());
        let name = RevokeFailure::from(RevokeError::Name);
        assert_eq!(name.to_string(), "nothing was revoked");
        assert!(name.is_about_arguments());
    }
}
