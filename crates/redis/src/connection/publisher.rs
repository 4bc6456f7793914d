//! The task that publishes: batches of what waits, one round trip each.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, Value};

use super::backoff::Backoff;
use super::error::LinkError;
use super::link::{ANSWER_TIMEOUT, KEEP_ALIVE, Link};
use super::queue::Outgoing;
use super::server::Connection;
use super::status::Half;

/// Runs until the link is closed.
pub(super) async fn run(link: Arc<Link>) {
    let mut backoff = Backoff::default();
    loop {
        let wait = tokio::time::sleep(backoff.next());
        if link.closing.run_until_cancelled(wait).await.is_none() {
            return;
        }
        let Some(connected) = link.closing.run_until_cancelled(connect(&link)).await else {
            return;
        };
        let error = match connected {
            Ok(connection) => {
                backoff.reset();
                link.publishing.send_replace(Some(connection.clone()));
                link.status.up(Half::Publisher);
                let ended = serve(&link, &connection).await;
                link.publishing.send_replace(None);
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
    let server = link.endpoint.resolve().await?;
    // This connection subscribes to nothing.
    let connection = server.connect(|_| {}).await?;
    connection.ask(redis::cmd("PING"), ANSWER_TIMEOUT).await?;
    Ok(connection)
}

/// Publishes until the connection is lost, or the link is closed.
async fn serve(link: &Link, connection: &Connection) -> Result<(), LinkError> {
    // Nobody knows what became of the last batch of the connection before.
    link.publishing_works();
    loop {
        tokio::select! {
            biased;
            () = connection.closed.cancelled() => {
                let server = connection.server.clone();
                return Err(LinkError::Closed { server });
            }
            () = link.closing.cancelled() => return Ok(()),
            () = link.probe.requested() => probe(link, connection).await?,
            batch = link.queue.next_batch() => publish(link, connection, batch).await?,
            () = tokio::time::sleep(KEEP_ALIVE) => {
                connection.ask(redis::cmd("PING"), ANSWER_TIMEOUT).await?;
            }
        }
    }
}

async fn probe(link: &Link, connection: &Connection) -> Result<(), LinkError> {
    let number = link.probe.next();
    let mut command = redis::cmd(publish_command(link.is_sharded()));
    command.arg(&link.probe.channel).arg(number);
    connection.ask(command, ANSWER_TIMEOUT).await?;
    link.probe.sent(number);
    Ok(())
}

async fn publish(
    link: &Link,
    connection: &Connection,
    batch: Vec<Outgoing>,
) -> Result<(), LinkError> {
    let count = batch.len();
    let mut commands = Pipeline::with_capacity(count);
    for message in &batch {
        commands
            .cmd(publish_command(message.is_sharded))
            .arg(&message.channel)
            .arg(&message.payload);
    }
    let started = std::time::Instant::now();
    let answered = connection.send(&commands, ANSWER_TIMEOUT).await;
    let result = match answered {
        Ok(answers) => {
            observe(started.elapsed());
            refused(link, connection, answers)
        }
        Err(error) => {
            link.lost(count as u64);
            Err(error)
        }
    };
    link.queue.done(count);
    result
}

/// Counts what Redis refused; the connection stays, unless this server is the wrong one.
fn refused(link: &Link, connection: &Connection, answers: Vec<Value>) -> Result<(), LinkError> {
    let errors = answers
        .into_iter()
        .filter_map(|answer| answer.extract_error().err());
    let mut count = 0_u64;
    let mut last = None;
    for error in errors {
        count += 1;
        last = Some(error);
    }
    let Some(error) = last else {
        link.publishing_works();
        return Ok(());
    };
    link.lost(count);
    let error = LinkError::redis(&connection.server, error);
    let reason = error.label();
    metrics::counter!(
        "portcullis_redis_failures_total", "connection" => "publisher", "reason" => reason
    )
    .increment(count);
    link.status.refused(&error);
    if reason == "moved" || reason == "cluster_down" {
        link.suspect(&error);
    }
    Ok(())
}

fn observe(elapsed: Duration) {
    metrics::histogram!("portcullis_redis_publish_seconds").record(elapsed.as_secs_f64());
}

const fn publish_command(is_sharded: bool) -> &'static str {
    if is_sharded { "SPUBLISH" } else { "PUBLISH" }
}
