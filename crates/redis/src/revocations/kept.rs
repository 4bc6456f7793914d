//! What Redis keeps: a sorted set, and in it the name of its version.
//!
//! ```text
//!  {socket.io-revocations}:set    1900086400  {"sub":"alice","before":1900000000}
//!                                 ⋮           until when each is in force
//!                                 +inf        version:9f86d081884c7d65
//! ```
//!
//! # Invariants
//!
//! - The version changes with the set, in one transaction, and is lost with it: it is in it.
//! - A revocation that is kept already is only ever kept for longer.
//! - What has expired is forgotten only some time later: a clock that is ahead, and is set back,
//!   takes nothing away from those that are right.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis::revocation::{FORGOTTEN_AFTER, Revocation};
use redis::{Pipeline, Value};

use super::history::{Change, Version};
use crate::connection::Bus;
use crate::connection::error::LinkError;
use crate::connection::queue::Outgoing;
use crate::connection::subscriptions::Subscription;
use crate::wire::revocation as wire;

/// So many are read or written at once.
pub(super) const PAGE: usize = 1000;

/// The end of the year 9999, beyond which nothing is kept.
const LAST_DATE: u64 = 253_402_300_799;

/// What stands in front of the version's name.
const VERSION: &str = "version:";

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    set: String,
    pub(super) channel: String,
    is_sharded: bool,
}

impl Names {
    pub(crate) fn new(prefix: &str, is_sharded: bool) -> Self {
        let tag = format!("{{{prefix}-revocations}}");
        Self {
            set: format!("{tag}:set"),
            channel: format!("{tag}#"),
            is_sharded,
        }
    }

    pub(super) fn subscription(&self) -> Subscription {
        if self.is_sharded {
            Subscription::Sharded(self.channel.as_str().into())
        } else {
            Subscription::Channel(self.channel.as_str().into())
        }
    }
}

/// Until when `revocation` is kept, as a score.
pub(super) fn score(revocation: &Revocation) -> u64 {
    let until = revocation.kept_until_seconds().unwrap_or(LAST_DATE);
    until.min(LAST_DATE)
}

/// The version of the set.
pub(super) async fn version(bus: &Bus, names: &Names) -> Result<Version, LinkError> {
    let mut commands = redis::pipe();
    ask_version(&mut commands, names);
    let answers = bus.ask(&names.set, &commands).await?.answers;
    first::<Vec<String>>(answers).map(|found| read_version(&found))
}

fn ask_version(commands: &mut Pipeline, names: &Names) {
    commands
        .cmd("ZRANGEBYSCORE")
        .arg(&names.set)
        .arg("+inf")
        .arg("+inf");
}

fn read_version(found: &[String]) -> Version {
    let name = found.first().and_then(|name| name.strip_prefix(VERSION));
    name.unwrap_or_default().into()
}

/// One step through the set: everything that is in it from the first step to the last is found,
/// some of it perhaps twice, if all steps are made over one connection.
pub(super) struct Page {
    /// Where to go on; `0` at the end.
    pub(super) cursor: u64,
    /// The number of the connection over which it came.
    pub(super) over: u64,
    pub(super) revocations: Vec<Revocation>,
}

/// Reads on at `cursor`, which is `0` at first.
pub(super) async fn read(bus: &Bus, names: &Names, cursor: u64) -> Result<Page, LinkError> {
    let mut commands = redis::pipe();
    commands
        .cmd("ZSCAN")
        .arg(&names.set)
        .arg(cursor)
        .arg("COUNT")
        .arg(PAGE);
    let answered = bus.ask(&names.set, &commands).await?;
    let (cursor, found): (u64, Vec<(Vec<u8>, f64)>) = first(answered.answers)?;
    let mut revocations = Vec::with_capacity(found.len());
    for (member, until) in found {
        if until.is_infinite() {
            continue;
        }
        let until = until.clamp(0.0, LAST_DATE as f64) as u64;
        match wire::read_member(&member, until) {
            Some(revocation) => revocations.push(revocation),
            None => count_poison(),
        }
    }
    Ok(Page {
        cursor,
        over: answered.over,
        revocations,
    })
}

/// Adds revocations to the set.
pub(super) async fn write(
    bus: &Bus,
    names: &Names,
    revocations: &[Revocation],
) -> Result<Change, LinkError> {
    let to = Version::random();
    let mut commands = Pipeline::new();
    commands.cmd("MULTI");
    ask_version(&mut commands, names);
    commands
        .cmd("ZREMRANGEBYSCORE")
        .arg(&names.set)
        .arg("+inf")
        .arg("+inf");
    commands
        .cmd("ZREMRANGEBYSCORE")
        .arg(&names.set)
        .arg("-inf")
        .arg(format!("({}", forgotten_until()));
    let add = commands.cmd("ZADD").arg(&names.set).arg("GT");
    for revocation in revocations {
        add.arg(score(revocation)).arg(wire::member(revocation));
    }
    commands
        .cmd("ZADD")
        .arg(&names.set)
        .arg("+inf")
        .arg(format!("{VERSION}{}", to.as_str()));
    commands.cmd("EXEC");
    let mut answers = bus.ask(&names.set, &commands).await?.answers;
    let done = answers.pop().unwrap_or(Value::Nil);
    let done: Vec<Value> = first(vec![done])?;
    // Of the commands within a transaction each has an answer, or an error, of its own.
    for answer in &done {
        let answer = answer.clone().extract_error();
        answer.map_err(|error| LinkError::redis("redis", error))?;
    }
    let from = read_version(&first::<Vec<String>>(done)?);
    Ok(Change { from, to })
}

/// Adds a revocation, and tells every node. After an error it may have been added: an answer is
/// lost as easily as a question, and those who were not told find it in the set.
pub(super) async fn publish(
    bus: &Bus,
    names: &Names,
    revocation: &Revocation,
) -> Result<(), LinkError> {
    let change = write(bus, names, std::slice::from_ref(revocation)).await?;
    let message = Outgoing {
        channel: names.channel.clone(),
        payload: wire::message(revocation, &change).into_bytes(),
        is_sharded: names.is_sharded,
    };
    bus.publish_now(message).await
}

/// Which of `held` Redis lacks, or would forget too early, if `kept` is what it keeps.
pub(super) fn lacking(mut held: Vec<Revocation>, kept: &HashMap<String, u64>) -> Vec<Revocation> {
    held.retain(|revocation| {
        let kept_until = kept.get(&wire::member(revocation));
        kept_until.is_none_or(|until| *until < score(revocation))
    });
    held
}

pub(super) fn count_poison() {
    metrics::counter!("portcullis_bus_poison_total", "kind" => "revocation").increment(1);
}

/// The first answer, as what it should be.
fn first<T: redis::FromRedisValue>(answers: Vec<Value>) -> Result<T, LinkError> {
    let answer = answers.into_iter().next().unwrap_or(Value::Nil);
    let answer = answer.extract_error();
    let answer = answer.map_err(|error| LinkError::redis("redis", error))?;
    T::from_redis_value(answer).map_err(|error| LinkError::redis("redis", error.into()))
}

/// What had expired by this date is forgotten by now.
fn forgotten_until() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let date = now.unwrap_or_default().saturating_sub(FORGOTTEN_AFTER);
    date.as_secs()
}
