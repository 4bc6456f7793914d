//! Two masters that nobody can reach, and slots that move between them.

use portcullis::adapter::GapCause;
use redis::{IntoConnectionInfo as _, Value};

use super::*;
use crate::connection::queue::QueueLimits;
use crate::connection::server::Pushed;

/// What a node was told of.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<GapCause>>);

impl Receive for Told {
    fn message(&self, _channel: &str, _payload: Bytes) {}

    fn gap(&self, gap: BusGap) {
        self.0.lock().push(gap.cause);
    }
}

fn cluster(publishes_only: bool) -> (Arc<Cluster>, Arc<Told>) {
    let seed = "redis://127.0.0.1:1".into_connection_info().unwrap();
    let options = BusOptions {
        limits: QueueLimits {
            messages: 10,
            bytes: 10_000,
        },
        probe: "probe#".to_owned(),
        is_sharded: true,
        keep_alive: Duration::from_secs(1),
        publishes_only,
    };
    let told = Arc::new(Told::default());
    let lookups = Lookups::new(&[seed]).unwrap();
    let cluster = Cluster::new(lookups, options, Arc::clone(&told) as _);
    (cluster, told)
}

/// The first master serves the slots up to `last`, the second one the others.
fn map(last: i64) -> SlotMap {
    map_between(last, last + 1)
}

/// The first master serves the slots up to `last`, the second one those from `first` on.
fn map_between(last: i64, first: i64) -> SlotMap {
    let range = |first, last, port| {
        let host = Value::BulkString(b"127.0.0.1".to_vec());
        let master = Value::Array(vec![host, Value::Int(port)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    };
    let ranges = vec![range(0, last, 1), range(first, 16_383, 2)];
    SlotMap::read(&Value::Array(ranges), "127.0.0.1:1").unwrap()
}

fn channel(name: &str) -> Subscription {
    Subscription::Sharded(name.into())
}

/// The master answers: it refuses this one, and confirms all others.
fn answer(link: &Link, refused: Option<&Subscription>) {
    for (subscription, is_wanted) in link.subscriptions.next_changes(10) {
        if Some(&subscription) == refused {
            link.subscriptions.refused(&subscription);
        } else {
            link.subscriptions.confirm(&subscription, is_wanted);
        }
    }
}

#[tokio::test]
async fn whoever_only_publishes_subscribes_to_nothing_wherever_slots_go() {
    let (cluster, _) = cluster(true);
    cluster.settle_on(map(8191));
    let link = cluster.link_to_master_of("b").unwrap();
    let probe = link.probe.channel();
    assert_eq!(map(8191).master_of(&probe), Some("127.0.0.1:1"));
    cluster.settle_on(map(2925));
    assert_eq!(map(2925).master_of(&probe), Some("127.0.0.1:2"));
    assert!(link.is_settled());
}

#[tokio::test]
async fn where_nothing_has_moved_only_what_was_refused_is_asked_for_again() {
    let (cluster, _) = cluster(false);
    cluster.settle_on(map(8191));
    cluster.subscribe(channel("b"));
    let link = cluster.link_to_master_of("b").unwrap();
    answer(&link, Some(&channel("b")));
    assert!(link.has_open());
    cluster.settle_on(map(8191));
    let changes = link.subscriptions.next_changes(10);
    assert_eq!(changes, [(channel("b"), true)]);
    link.subscriptions.confirm(&channel("b"), true);
    assert!(!link.has_open());
    cluster.settle_on(map(8191));
    assert!(link.subscriptions.next_changes(10).is_empty());
}

#[tokio::test]
async fn where_nothing_has_moved_what_was_taken_away_has_a_gap() {
    let (cluster, told) = cluster(false);
    cluster.settle_on(map(8191));
    cluster.subscribe(channel("b"));
    let link = cluster.link_to_master_of("b").unwrap();
    answer(&link, None);
    let lost = Bytes::from_static(b"b");
    link.handle_pushed(Pushed::Unsubscribed { channel: lost });
    cluster.settle_on(map(8191));
    link.end_gap();
    assert!(told.0.lock().is_empty());
    answer(&link, None);
    link.end_gap();
    assert_eq!(*told.0.lock(), [GapCause::Moved]);
}

#[tokio::test]
async fn where_nobody_serves_a_channel_nobody_is_asked_for_it() {
    let (cluster, _) = cluster(false);
    cluster.settle_on(map(8191));
    cluster.subscribe(channel("b"));
    let link = cluster.link_to_master_of("b").unwrap();
    answer(&link, Some(&channel("b")));
    cluster.settle_on(map_between(2925, 8192));
    // Its messages to itself may go elsewhere.
    answer(&link, None);
    cluster.settle_on(map_between(2925, 8192));
    assert!(link.subscriptions.next_changes(10).is_empty());
    assert!(link.has_open());
    cluster.settle_on(map(8191));
    let changes = link.subscriptions.next_changes(10);
    assert_eq!(changes, [(channel("b"), true)]);
}

#[tokio::test]
async fn what_moves_is_adopted_by_its_new_master_with_a_gap() {
    let (cluster, told) = cluster(false);
    cluster.settle_on(map(8191));
    cluster.subscribe(channel("b"));
    let former = cluster.link_to_master_of("b").unwrap();
    answer(&former, None);
    cluster.settle_on(map(2925));
    let link = cluster.link_to_master_of("b").unwrap();
    assert!(!Arc::ptr_eq(&link, &former) && link.has_open() && !former.has_open());
    answer(&link, None);
    link.end_gap();
    assert_eq!(*told.0.lock(), [GapCause::Moved]);
}

#[tokio::test]
async fn flushing_follows_what_is_handed_on_and_waits_for_nothing_that_is_new() {
    let (cluster, _) = cluster(true);
    let message = || Outgoing {
        channel: "b".to_owned(),
        payload: Vec::new(),
        is_sharded: true,
    };
    let soon = Duration::from_millis(20);
    cluster.publish(message());
    let flushing = cluster.flush();
    tokio::pin!(flushing);
    assert!(tokio::time::timeout(soon, &mut flushing).await.is_err());
    cluster.settle_on(map(8191));
    assert!(tokio::time::timeout(soon, &mut flushing).await.is_err());
    let link = cluster.link_to_master_of("b").unwrap();
    let batch = link.queue.next_batch().await;
    cluster.publish(message());
    link.queue.done(batch.len());
    let flushed = tokio::time::timeout(Duration::from_secs(5), flushing).await;
    assert!(flushed.is_ok());
    assert_eq!(link.queue.take_all().len(), 1);
}

#[tokio::test]
async fn flushing_waits_for_a_cluster_to_be_seen_if_there_is_something_to_subscribe_to() {
    let (cluster, _) = cluster(false);
    cluster.subscribe(channel("b"));
    let soon = Duration::from_millis(30);
    let flushing = cluster.flush();
    tokio::pin!(flushing);
    assert!(tokio::time::timeout(soon, &mut flushing).await.is_err());
    cluster.settle_on(map(8191));
    cluster.is_mapped.send_replace(true);
    let link = cluster.link_to_master_of("b").unwrap();
    assert!(tokio::time::timeout(soon, &mut flushing).await.is_err());
    answer(&link, None);
    let flushed = tokio::time::timeout(Duration::from_secs(5), flushing).await;
    assert!(flushed.is_ok());
}
