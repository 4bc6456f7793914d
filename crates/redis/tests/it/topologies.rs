//! Redis as a cluster, and under sentinels.

use std::time::{Duration, Instant};

use portcullis::adapter::GapCause;
use portcullis_redis::{Mode, Redis};

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::redis_cluster::{RedisCluster, Sentinels};
use crate::support::{Node, enter, until};

fn is_up(node: &Node) -> bool {
    node.server.cluster_health().is_up()
}

/// How many connections of others than replicas and masters there are, over all servers.
async fn connections(cluster: &RedisCluster) -> usize {
    let mut count = 0;
    for server in &cluster.servers {
        let list: String = server.command(&["CLIENT", "LIST", "TYPE", "normal"]).await;
        count += list.lines().count() - 1;
        let list: String = server.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        count += list.lines().count();
    }
    count
}

#[tokio::test]
async fn the_classic_wire_works_over_a_cluster_with_two_connections_and_lookups() {
    let cluster = RedisCluster::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(joined(cluster.redis()).await.0);
    }
    let [mut a, mut b] = [nodes[1].client().await, nodes[2].client().await];
    enter(&mut a, &[r#""room""#]).await;
    nodes[0].emitter.emit("all", &()).unwrap();
    nodes[0].emitter.to("room").emit("some", &()).unwrap();
    assert_eq!(a.event().await, r#"["all"]"#);
    assert_eq!(a.event().await, r#"["some"]"#);
    assert_eq!(b.event().await, r#"["all"]"#);
    assert_eq!(nodes[0].emitter.server_count().await.unwrap(), 3);
    let fetched = nodes[0].emitter.all().fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (2, 0));
    // Two of each node, look-ups everywhere by the one that counted, and of masters by the others.
    let count = connections(&cluster).await;
    assert!((6..=6 + 6 + 3 + 3).contains(&count), "{count}");
    for node in &mut nodes {
        node.stop().await;
    }
    until(async || connections(&cluster).await == 0).await;
}

#[tokio::test]
async fn the_sharded_wire_follows_its_channels_over_a_cluster() {
    let cluster = RedisCluster::start().await;
    let options = || cluster.redis().mode(Mode::ShardedDynamic);
    let (mut near, near_gaps) = joined(options()).await;
    let (mut far, gaps) = joined(options()).await;
    let mut client = far.client().await;
    let rooms: Vec<String> = (0..20).map(|number| format!("room-{number}")).collect();
    for room in &rooms {
        enter(&mut client, &[&format!("{room:?}")]).await;
    }
    far.emitter.flush().await.unwrap();
    for room in &rooms {
        near.emitter.to(room).emit("hello", room).unwrap();
    }
    let mut heard = Vec::new();
    for _ in &rooms {
        heard.push(client.event().await);
    }
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), rooms.len());
    assert_eq!(near.emitter.server_count().await.unwrap(), 2);
    let fetched = near.emitter.to("room-7").fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (1, 0));
    // Two connections for each of three shards, and look-ups.
    let count = connections(&cluster).await;
    assert!((12..=12 + 6).contains(&count), "{count}");

    // A slot moves: its channel is found again.
    let (slot, from) = cluster.place_of("socket.io#/#room-7#").await;
    let to = (from + 1) % 3;
    let mut ledger = Ledger::of_room("room-7");
    ledger.emit_until_heard(&near, &mut client).await;
    ledger.emit(&near);
    cluster.move_slot(slot, from, to).await;
    let moved = ledger.emit_until_heard(&near, &mut client).await;
    assert!(moved < Duration::from_secs(2), "{moved:?}");
    let gap = gaps.wait_for(GapCause::Moved).await;
    // It began with the last message to itself that came back.
    assert!(gap.duration() < Duration::from_secs(5), "{gap:?}");
    until(async || is_up(&near) && is_up(&far)).await;
    let gaps = [&near_gaps, &gaps];
    ledger
        .assert_losses_are_told(&near, &mut client, &gaps)
        .await;

    near.stop().await;
    far.stop().await;
    until(async || connections(&cluster).await == 0).await;
}

#[tokio::test]
async fn a_master_of_a_cluster_that_dies_is_replaced() {
    let mut cluster = RedisCluster::start().await;
    let options = || cluster.redis().mode(Mode::ShardedDynamic);
    let (near, near_gaps) = joined(options()).await;
    let (far, gaps) = joined(options()).await;
    let mut client = far.client().await;
    enter(&mut client, &[r#""room""#]).await;
    far.emitter.flush().await.unwrap();
    let mut ledger = Ledger::of_room("room");
    ledger.emit_until_heard(&near, &mut client).await;
    let (_, master) = cluster.place_of("socket.io#/#room#").await;
    cluster.servers[master].kill().await;
    while is_up(&far) {
        ledger.emit(&near);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let back = ledger.emit_until_heard(&near, &mut client).await;
    assert!(back < Duration::from_secs(10), "{back:?}");
    until(async || is_up(&near) && is_up(&far)).await;
    until(async || !gaps.all().is_empty()).await;
    let gaps = [&near_gaps, &gaps];
    ledger
        .assert_losses_are_told(&near, &mut client, &gaps)
        .await;
}

#[tokio::test]
async fn sentinels_lead_to_the_new_master() {
    let mut sentinels = Sentinels::start().await;
    let by_url = format!("redis+sentinel://127.0.0.1:{}/mymaster", sentinels.port);
    let (near, near_gaps) = joined(Redis::new(by_url)).await;
    let by_list = Redis::sentinel([format!("127.0.0.1:{}", sentinels.port)], "mymaster");
    let (far, gaps) = joined(by_list).await;
    let mut client = far.client().await;
    enter(&mut client, &[r#""room""#]).await;
    let mut ledger = Ledger::of_room("room");
    ledger.emit_until_heard(&near, &mut client).await;
    sentinels.master.kill().await;
    let killed = Instant::now();
    let back = ledger.emit_until_heard(&near, &mut client).await;
    assert!(back < Duration::from_secs(1 + 4), "{:?}", killed.elapsed());
    let gap = gaps.wait_for(GapCause::Disconnected).await;
    assert!(gap.duration() > Duration::from_millis(500), "{gap:?}");
    until(async || is_up(&near) && is_up(&far)).await;
    let gaps = [&near_gaps, &gaps];
    ledger
        .assert_losses_are_told(&near, &mut client, &gaps)
        .await;
}
