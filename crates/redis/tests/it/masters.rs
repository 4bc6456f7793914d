//! A Redis Cluster that is late, that loses a master, or of which one hangs.

use std::time::{Duration, Instant, SystemTime};

use portcullis::adapter::GapCause;
use portcullis_redis::{AtStart, Mode};

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::proxy::Proxy;
use crate::support::redis_cluster::RedisCluster;
use crate::support::{Node, RedisServer, enter, patiently, until};

fn is_up(node: &Node) -> bool {
    node.server.cluster_health().is_up()
}

/// A wire to a cluster that says nothing yet.
async fn silent_wire(cluster: &RedisCluster) -> Proxy {
    let wire = Proxy::start(cluster.servers[0].port).await;
    wire.swallow(true);
    wire
}

#[tokio::test]
async fn the_time_alone_before_a_cluster_came_is_a_gap_and_a_master_that_comes_later_has_none() {
    let mut cluster = RedisCluster::start().await;
    let wire = silent_wire(&cluster).await;
    let options = wire.cluster().mode(Mode::ShardedDynamic);
    let (near, gaps) = joined(options.at_start(AtStart::Degrade)).await;
    let serving = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    wire.swallow(false);
    until(async || is_up(&near)).await;
    gaps.wait_for(GapCause::Start).await;
    let at_start = gaps.of(GapCause::Start);
    for gap in &at_start {
        assert!(gap.since <= serving, "{gap:?} began after {serving:?}");
        assert!(gap.duration() >= Duration::from_millis(500), "{gap:?}");
    }

    // Whoever takes its place is connected to for the first time.
    let (_, master) = cluster.place_of("socket.io#/#").await;
    cluster.servers[master].kill().await;
    until(async || !is_up(&near)).await;
    until(async || is_up(&near)).await;
    until(async || gaps.all().len() > at_start.len()).await;
    assert_eq!(gaps.of(GapCause::Start).len(), at_start.len());
}

#[tokio::test]
async fn flushing_waits_for_what_waits_for_a_cluster() {
    let cluster = RedisCluster::start().await;
    let (far, _) = joined(cluster.redis().mode(Mode::ShardedStatic)).await;
    let mut there = far.client().await;
    let wire = silent_wire(&cluster).await;
    let options = wire.cluster().mode(Mode::ShardedStatic);
    let (near, gaps) = joined(options.at_start(AtStart::Degrade)).await;
    near.emitter.emit("early", &()).unwrap();
    let flushing = near.emitter.flush();
    tokio::pin!(flushing);
    let soon = Duration::from_millis(300);
    assert!(
        tokio::time::timeout(soon, &mut flushing).await.is_err(),
        "nothing has left"
    );
    wire.swallow(false);
    patiently(flushing).await.unwrap();
    assert_eq!(there.event().await, r#"["early"]"#);
    assert!(gaps.of(GapCause::PublishFailed).is_empty());
}

#[tokio::test]
async fn what_waits_for_a_cluster_is_bounded_in_bytes_and_the_oldest_goes_first() {
    const COUNT: u64 = 30;
    let cluster = RedisCluster::start().await;
    let (far, far_gaps) = joined(cluster.redis().mode(Mode::ShardedStatic)).await;
    let mut there = far.client().await;
    let wire = silent_wire(&cluster).await;
    let options = wire.cluster().mode(Mode::ShardedStatic);
    let options = options.publish_queue(10_000, 100_000);
    let (near, near_gaps) = joined(options.at_start(AtStart::Degrade)).await;
    let mut ledger = Ledger::default();
    let ballast = "x".repeat(10_000);
    for _ in 0..COUNT {
        ledger.emit_with(&near, &ballast);
    }
    wire.swallow(false);
    until(async || is_up(&near)).await;
    let dropped = near_gaps.wait_for(GapCause::QueueFull).await;
    let gaps = [&near_gaps, &far_gaps];
    let lost = ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await as u64;
    assert!((COUNT - 10..COUNT).contains(&lost), "{lost}");
    // The words with which it greets the others were older than all of them.
    assert_eq!(dropped.lost, Some(lost + 2));
}

/// A room whose channel `master` serves.
async fn room_on(cluster: &RedisCluster, master: usize) -> &'static str {
    for room in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        if cluster.place_of(&format!("socket.io#/#{room}#")).await.1 == master {
            return room;
        }
    }
    panic!("ten rooms are on the other two masters")
}

/// Waits until the replica of a master has taken its place, and the other masters know.
async fn is_replaced(cluster: &RedisCluster, master: usize) {
    let replica = format!(":{}@", cluster.servers[master + 3].port);
    let others = (0..3).filter(|index| *index != master);
    for server in others.map(|index| &cluster.servers[index]) {
        until(async || {
            let nodes: String = server.command(&["CLUSTER", "NODES"]).await;
            let mut lines = nodes.lines();
            lines.any(|line| line.contains(&replica) && line.contains("master"))
        })
        .await;
    }
}

#[tokio::test]
async fn others_are_found_while_a_master_that_was_replaced_is_still_being_left() {
    let cluster = RedisCluster::start().await;
    let options = || cluster.redis().mode(Mode::ShardedDynamic);
    let (near, _) = joined(options()).await;
    let (far, _) = joined(options()).await;
    let mut client = far.client().await;
    let hanging = 1;
    let (lost, moved) = (room_on(&cluster, hanging).await, room_on(&cluster, 2).await);
    for room in [lost, moved] {
        enter(&mut client, &[&format!("{room:?}")]).await;
    }
    far.emitter.flush().await.unwrap();

    cluster.servers[hanging].signal("STOP").await;
    // It is under way, and will not be answered, so that leaving takes time.
    near.emitter.to(lost).emit("stuck", &()).unwrap();
    is_replaced(&cluster, hanging).await;
    let (slot, from) = cluster.place_of(&format!("socket.io#/#{moved}#")).await;
    let mut ledger = Ledger::of_room(moved);
    // The first makes both look at the cluster, and leave who hangs; the second is to be seen all
    // the same.
    for (from, to) in [(from, 0), (0, from)] {
        cluster.move_slot(slot, from, to).await;
        let back = ledger.emit_until_heard(&near, &mut client).await;
        assert!(back < Duration::from_secs(2) || to == 0, "{back:?}");
    }
    cluster.servers[hanging].signal("CONT").await;
}

/// Whether a node publishes or subscribes on a server.
async fn is_in_use(server: &RedisServer) -> bool {
    let list: String = server.command(&["CLIENT", "LIST"]).await;
    let words = ["cmd=publish", "cmd=ping", "subscribe"];
    let is_used = |line: &str| words.iter().any(|word| line.contains(word));
    // Masters and replicas ping each other.
    let is_client = |line: &&str| line.contains("flags=N") || line.contains("flags=P");
    list.lines().filter(is_client).any(is_used)
}

#[tokio::test]
async fn subscribers_are_counted_wherever_a_failover_has_left_them() {
    const CHANNEL: &str = "socket.io-request#/#";
    let mut cluster = RedisCluster::start().await;
    let (near, _) = joined(cluster.redis()).await;
    let counts = async |count| {
        let is_counted = async || near.emitter.server_count().await.ok() == Some(count);
        until(is_counted).await;
    };
    counts(1).await;
    let _at_replica = cluster.servers[3].listen(CHANNEL).await;
    counts(2).await;

    // A failover that takes too long is given up.
    until(async || {
        let failing_over = cluster.servers[3].try_command::<String>(&["CLUSTER", "FAILOVER"]);
        let _ = failing_over.await;
        tokio::time::timeout(Duration::from_secs(6), is_replaced(&cluster, 0))
            .await
            .is_ok()
    })
    .await;
    let _at_former_master = cluster.servers[0].listen(CHANNEL).await;
    counts(3).await;
    // Near publishes and subscribes at whichever master it likes.
    cluster.servers[3].kill().await;
    counts(2).await;
}

#[tokio::test]
async fn nodes_that_may_not_be_counted_are_not_taken_for_none() {
    let cluster = RedisCluster::start().await;
    let (near, _) = joined(cluster.redis()).await;
    assert_eq!(near.emitter.server_count().await.unwrap(), 1);
    for server in &cluster.servers {
        let _: String = server
            .command(&["ACL", "SETUSER", "default", "-pubsub"])
            .await;
    }
    assert!(near.emitter.server_count().await.is_err());
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!(fetched.missing_nodes, 1);
}

#[tokio::test]
async fn a_master_that_hangs_may_have_subscribers_and_one_that_is_gone_has_none() {
    let mut cluster = RedisCluster::start_patient().await;
    let (near, _) = joined(cluster.redis()).await;
    let (_far, _) = joined(cluster.redis()).await;
    assert_eq!(near.emitter.server_count().await.unwrap(), 2);
    let mut idle = None;
    for (index, server) in cluster.servers.iter().enumerate().take(3) {
        if !is_in_use(server).await {
            idle = Some(index);
        }
    }
    // Two nodes may use all three.
    let hanging = idle.unwrap_or(2);
    cluster.servers[hanging].signal("STOP").await;
    let count = near.emitter.server_count().await;
    assert!(count.is_err(), "{count:?}");
    let started = Instant::now();
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!(fetched.missing_nodes, 1);
    assert!(started.elapsed() < Duration::from_secs(6));

    cluster.servers[hanging].kill().await;
    until(async || {
        near.emitter
            .server_count()
            .await
            .is_ok_and(|count| count == 2)
    })
    .await;
}
