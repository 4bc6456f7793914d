//! The task that publishes: batches of what waits, one round trip each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::{Pipeline, Value};

use super::backoff::Backoff;
use super::error::LinkError;
use super::link::Link;
use super::queue::{Lost, Queued};
use super::server::Connection;
use super::status::Half;

/// The server that was published to last, and until when.
struct Left {
    server: String,
    at: SystemTime,
}

/// Runs until the link is closed.
pub(super) async fn run(link: Arc<Link>) {
    let mut backoff = Backoff::default();
    let mut left: Option<Left> = None;
    loop {
        let wait = tokio::time::sleep(backoff.next());
        if link.closing.run_until_cancelled(wait).await.is_none() {
            return;
        }
        let Some(connected) = link.closing.run_until_cancelled(connect(&link)).await else {
            return;
        };
        note_unheard(&link, left.as_ref());
        let error = match connected {
            Ok(connection) => {
                link.publishing.send_replace(Some(connection.clone()));
                link.status.up(Half::Publisher);
                let ended = serve(&link, &connection, &mut backoff).await;
                link.publishing.send_replace(None);
                left = Some(Left {
                    server: connection.server.clone(),
                    at: SystemTime::now(),
                });
                note_unheard(&link, left.as_ref());
                let Err(error) = ended else {
                    connection.quit().await;
                    return;
                };
                error
            }
            Err(error) => error,
        };
        link.status.down(Half::Publisher, &error);
        link.suspect(&error);
    }
}

async fn connect(link: &Link) -> Result<Connection, LinkError> {
    let server = link.resolve().await?;
    // This connection subscribes to nothing.
    let connection = server.connect(|_| {}).await?;
    connection
        .ask(redis::cmd("PING"), link.answer_timeout())
        .await?;
    Ok(connection)
}

/// What a server has taken is unheard by those who had gone to another one by then. The name may
/// change more than once before there is a connection, and back: look each time.
fn note_unheard(link: &Link, left: Option<&Left>) {
    if let Some(left) = left
        && let Some(since) = link.master.other_since(&left.server)
        && since < left.at
    {
        link.note_unheard(since);
    }
}

/// Publishes until the connection is lost, or the link is closed.
async fn serve(
    link: &Link,
    connection: &Connection,
    backoff: &mut Backoff,
) -> Result<(), LinkError> {
    // Nobody knows what became of the last batch of the connection before.
    link.publishing_works();
    loop {
        let does_its_work = tokio::select! {
            biased;
            () = connection.closed.cancelled() => {
                let server = connection.server.clone();
                return Err(LinkError::Closed { server });
            }
            () = link.closing.cancelled() => return Ok(()),
            () = link.master.other_than(&connection.server) => {
                let server = connection.server.clone();
                return Err(LinkError::Deposed { server });
            }
            () = link.probe.requested() => probe(link, connection).await?,
            batch = link.queue.next_batch() => publish(link, connection, batch).await?,
            () = tokio::time::sleep(link.look_interval()) => {
                connection.ask(redis::cmd("PING"), link.answer_timeout()).await?;
                // A Redis that greets may refuse all the same what it is there for.
                false
            }
        };
        if does_its_work {
            backoff.reset();
        }
    }
}

/// Says whether Redis has taken it.
async fn probe(link: &Link, connection: &Connection) -> Result<bool, LinkError> {
    let number = link.probe.next();
    let mut command = redis::cmd(publish_command(link.is_sharded()));
    command.arg(link.probe.channel()).arg(number);
    match connection.ask(command, link.answer_timeout()).await {
        Ok(_) => {
            link.probe.sent(number);
            Ok(true)
        }
        // Its channel has moved, and another one will be found.
        Err(error) if error.is_misdirected() && link.is_in_cluster() => {
            link.suspect(&error);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Says whether Redis has taken any of it.
async fn publish(
    link: &Link,
    connection: &Connection,
    batch: Vec<Queued>,
) -> Result<bool, LinkError> {
    let count = batch.len();
    let mut commands = Pipeline::with_capacity(count);
    for Queued { message, .. } in &batch {
        commands
            .cmd(publish_command(message.is_sharded))
            .arg(&message.channel)
            .arg(&message.payload);
    }
    let started = std::time::Instant::now();
    let answered = connection.send(&commands, link.answer_timeout()).await;
    let result = match answered {
        Ok(answers) => {
            observe(started.elapsed());
            Ok(settle(link, connection, batch, answers))
        }
        Err(error) => {
            link.lost(Lost::of(&batch));
            Err(error)
        }
    };
    link.queue.done(count);
    result
}

/// Counts what Redis refused. The connection stays; what another server should have got goes there.
/// Says whether anything was taken.
fn settle(link: &Link, connection: &Connection, batch: Vec<Queued>, answers: Vec<Value>) -> bool {
    let count = batch.len();
    let mut refused = Vec::new();
    let mut misdirected = Vec::new();
    for (queued, answer) in batch.into_iter().zip(answers) {
        let Err(error) = answer.extract_error() else {
            continue;
        };
        let error = LinkError::redis(&connection.server, error);
        let reason = error.label();
        metrics::counter!(
            "portcullis_redis_failures_total", "connection" => "publisher", "reason" => reason
        )
        .increment(1);
        if error.is_misdirected() {
            misdirected.push(queued);
            link.suspect(&error);
        } else {
            refused.push(queued);
            link.status.refused(&error);
        }
    }
    let is_complete = misdirected.is_empty();
    let has_taken = refused.len() + misdirected.len() < count;
    if !is_complete {
        refused.extend(link.misdirected(misdirected).err().unwrap_or_default());
    }
    link.lost(Lost::of(&refused));
    // A channel that is refused for ever must not keep what others have lost from being told.
    let is_due = refused.is_empty() || link.has_lost_for(link.look_interval());
    if is_complete && has_taken && is_due {
        link.publishing_works();
    }
    has_taken
}

fn observe(elapsed: Duration) {
    metrics::histogram!("portcullis_redis_publish_seconds").record(elapsed.as_secs_f64());
}

/// How a message is published.
pub(super) const fn publish_command(is_sharded: bool) -> &'static str {
    if is_sharded { "SPUBLISH" } else { "PUBLISH" }
}
