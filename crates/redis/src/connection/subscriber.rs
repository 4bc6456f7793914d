//! The task that keeps everything subscribed to.
//!
//! | state      | input                                   | next                             |
//! |------------|-----------------------------------------|----------------------------------|
//! | connecting | connected, all confirmed, probe is back | up; the gap is over and reported |
//! | connecting | anything else                           | connecting, a little later       |
//! | up         | closed by Redis                         | connecting; a gap has begun      |
//! | up         | messages to oneself do not come back    | connecting; a gap has begun      |
//! | up         | sentinels name another server           | connecting; a gap has begun      |
//! | up         | what moved here is subscribed to        | up; the gap is over and reported |
//!
//! A gap begins when the last message to oneself that came back was published, or earlier, when
//! others may have gone to another server.

use std::sync::Arc;
use std::time::Duration;

use portcullis::adapter::GapCause;
use redis::Value;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::error::LinkError;
use super::link::{Gap, Link, MAX_MISSES};
use super::probe::PROBE_TIMEOUT;
use super::server::Connection;
use super::status::Half;
use super::subscriptions::Subscription;

/// The most subscriptions that are sent at once.
const BATCH: usize = 1000;

/// Why a connection is over.
struct Ended {
    gap: Gap,
    error: LinkError,
}

/// Runs until the link is closed.
pub(super) async fn run(link: Arc<Link>) {
    let mut backoff = Backoff::default();
    // Which server was heard last.
    let mut used: Option<String> = None;
    loop {
        let wait = tokio::time::sleep(backoff.next());
        if link.closing.run_until_cancelled(wait).await.is_none() {
            return;
        }
        let Some(connected) = link.closing.run_until_cancelled(connect(&link)).await else {
            return;
        };
        extend_gap(&link, used.as_deref());
        let error = match connected {
            Ok(connection) => {
                backoff.reset();
                link.status.up(Half::Subscriber);
                used = Some(connection.server.clone());
                link.end_gap();
                match serve(&link, &connection).await {
                    Ok(()) => return leave(&link, connection).await,
                    Err(ended) => {
                        link.begin_gap(ended.gap);
                        extend_gap(&link, used.as_deref());
                        ended.error
                    }
                }
            }
            Err(error) => error,
        };
        link.status.down(Half::Subscriber, &error);
        link.suspect(&error);
    }
}

/// Connects, subscribes to everything, and sees a message of its own come back.
async fn connect(link: &Arc<Link>) -> Result<Connection, LinkError> {
    let server = link.resolve().await?;
    let receiver = Arc::downgrade(link);
    let connection = server
        .connect(move |pushed| {
            if let Some(link) = receiver.upgrade() {
                link.handle_pushed(pushed);
            }
        })
        .await?;
    link.subscriptions.forget_confirmed();
    // What comes meanwhile may come without end, and has lost nothing.
    let known = link.subscriptions.mark();
    while tell_changes(link, &connection).await? && !link.subscriptions.has_told(known) {}
    let closed = connection.closed.clone();
    let server = connection.server.clone();
    match closed.run_until_cancelled(link.probe.comes_back()).await {
        None => Err(LinkError::Closed { server }),
        Some(true) => Ok(connection),
        Some(false) => Err(LinkError::Probe { server }),
    }
}

/// Tells Redis of some changes; says whether there were any.
async fn tell_changes(link: &Link, connection: &Connection) -> Result<bool, LinkError> {
    let changes = link.subscriptions.next_changes(BATCH);
    if changes.is_empty() {
        return Ok(false);
    }
    let mut commands = redis::Pipeline::with_capacity(changes.len());
    for (subscription, is_wanted) in &changes {
        let command = if *is_wanted {
            subscription.subscribe()
        } else {
            subscription.unsubscribe()
        };
        commands.cmd(command).arg(&**subscription.name());
    }
    let answers = connection.send(&commands, link.answer_timeout()).await?;
    for ((subscription, is_wanted), answer) in changes.into_iter().zip(answers) {
        let answer = match answer.extract_error() {
            Ok(answer) => answer,
            Err(source) => {
                let error = LinkError::redis(&connection.server, source);
                if error.is_misdirected() && link.is_in_cluster() {
                    // It belongs to another server, which will be found.
                    link.subscriptions.refused(&subscription);
                    link.suspect(&error);
                    continue;
                }
                return Err(error);
            }
        };
        if !confirms(&answer, &subscription) {
            let server = connection.server.clone();
            return Err(LinkError::Subscription { server });
        }
        link.subscriptions.confirm(&subscription, is_wanted);
    }
    Ok(true)
}

/// Whether an answer is about this subscription.
fn confirms(answer: &Value, subscription: &Subscription) -> bool {
    let (Value::Push { data, .. } | Value::Array(data)) = answer else {
        return false;
    };
    let name = subscription.name().as_bytes();
    data.iter()
        .any(|part| matches!(part, Value::BulkString(bytes) if bytes == name))
}

/// Keeps everything subscribed to until the connection is lost, or the link is closed.
async fn serve(link: &Link, connection: &Connection) -> Result<(), Ended> {
    let server = || connection.server.clone();
    let disconnected = |error| Ended {
        gap: Gap {
            cause: GapCause::Disconnected,
            since: link.probe.well(),
        },
        error,
    };
    let mut misses = 0;
    let mut next_probe = Instant::now() + link.look_interval();
    let mut was_publishing = true;
    let mut publishing = link.publishing.subscribe();
    loop {
        tokio::select! {
            () = connection.closed.cancelled() => {
                let error = LinkError::Closed { server: server() };
                return Err(disconnected(error));
            }
            () = link.closing.cancelled() => return Ok(()),
            () = link.master.other_than(&connection.server) => {
                return Err(deposed(link, server()));
            }
            () = link.subscriptions.changed() => {
                tell_changes(link, connection)
                    .await
                    .map_err(disconnected)?;
                // What has moved here is here.
                link.end_gap();
            }
            _ = publishing.changed() => {
                let is_publishing = publishing.borrow_and_update().is_some();
                if is_publishing && !was_publishing {
                    let comes_back = link.probe.comes_back();
                    let comes_back = tokio::time::timeout(2 * PROBE_TIMEOUT, comes_back);
                    let probed = connection.closed.run_until_cancelled(comes_back).await;
                    if let Some(Ok(false)) = probed {
                        // Both connections were cut; this one has not noticed.
                        return Err(silent(link, server()));
                    }
                }
                was_publishing = is_publishing;
            }
            () = sleep_until(next_probe) => {
                if link.probe.is_answered() {
                    misses = 0;
                } else {
                    misses += 1;
                    if misses >= MAX_MISSES {
                        return Err(silent(link, server()));
                    }
                }
                link.probe.request();
                next_probe = Instant::now() + link.look_interval();
            }
        }
    }
}

fn silent(link: &Link, server: String) -> Ended {
    Ended {
        gap: Gap {
            cause: GapCause::Silent,
            since: link.probe.well(),
        },
        error: LinkError::Timeout {
            server,
            timeout: link.answer_timeout(),
        },
    }
}

fn deposed(link: &Link, server: String) -> Ended {
    Ended {
        gap: Gap {
            cause: GapCause::Moved,
            since: link.probe.well(),
        },
        error: LinkError::Deposed { server },
    }
}

/// The gap began earlier if others may have gone to another server than the one that was left. The
/// name may change more than once before there is a connection, and back: look each time.
fn extend_gap(link: &Link, left: Option<&str>) {
    if let Some(since) = left.and_then(|left| link.master.other_since(left)) {
        let cause = GapCause::Moved;
        link.begin_gap(Gap { cause, since });
    }
}

/// Unsubscribes from everything, and says goodbye.
async fn leave(link: &Link, connection: Connection) {
    let mut commands = redis::pipe();
    for command in link.subscriptions.leave_commands() {
        commands.add_command(command);
    }
    if !commands.is_empty() {
        // The connection ends anyway.
        let _ = connection.send(&commands, Duration::from_secs(1)).await;
    }
    connection.quit().await;
}
