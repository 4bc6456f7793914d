//! Whatever fails, each message that does not arrive was handed over within a gap that its sender
//! or its receiver is told of.

use std::time::Duration;

use portcullis::adapter::GapCause;
use portcullis_redis::Mode;

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::proxy::Proxy;
use crate::support::redis_cluster::RedisCluster;
use crate::support::{Node, RedisServer, enter, until};

const PAUSE: Duration = Duration::from_millis(10);

async fn are_up(nodes: [&Node; 2]) {
    until(async || {
        nodes
            .iter()
            .all(|node| node.server.cluster_health().is_up())
    })
    .await;
}

#[tokio::test]
async fn what_a_silent_connection_loses_is_told() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
    let keep_alive = Duration::from_millis(800);
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(proxy.redis().keep_alive(keep_alive)).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    ledger.emit_for(&near, keep_alive, PAUSE).await;
    proxy.swallow_present();
    ledger.emit_for(&near, keep_alive * 4, PAUSE).await;
    far_gaps.wait_for(GapCause::Silent).await;
    are_up([&near, &far]).await;
    let gaps = [&near_gaps, &far_gaps];
    let lost = ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
    assert!(lost > 50, "{lost}");
}

#[tokio::test]
async fn what_a_slow_subscriber_that_is_cut_off_loses_is_told() {
    let limit = ["--client-output-buffer-limit", "pubsub 1mb 512kb 1"];
    let redis = RedisServer::start_with(&limit).await;
    let proxy = Proxy::start(redis.port).await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(proxy.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    proxy.hold_answers(true);
    let ballast = "x".repeat(400_000);
    for _ in 0..60 {
        ledger.emit_with(&near, &ballast);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    proxy.hold_answers(false);
    far_gaps.wait_for(GapCause::Disconnected).await;
    are_up([&near, &far]).await;
    let gaps = [&near_gaps, &far_gaps];
    let lost = ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
    assert!(lost > 10, "{lost}");
}

#[tokio::test]
async fn what_a_killed_subscriber_loses_is_told() {
    let redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    for round in 1..=3 {
        ledger
            .emit_for(&near, Duration::from_millis(200), Duration::from_millis(1))
            .await;
        let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        ledger
            .emit_for(&near, Duration::from_millis(200), Duration::from_millis(1))
            .await;
        far_gaps.wait_for_count(GapCause::Disconnected, round).await;
    }
    are_up([&near, &far]).await;
    let gaps = [&near_gaps, &far_gaps];
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
}

#[tokio::test]
async fn what_a_killed_redis_loses_is_told() {
    let mut redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    ledger
        .emit_for(&near, Duration::from_millis(300), Duration::from_millis(1))
        .await;
    redis.kill().await;
    ledger
        .emit_for(&near, Duration::from_millis(300), PAUSE)
        .await;
    redis.restart().await;
    ledger
        .emit_for(&near, Duration::from_millis(300), PAUSE)
        .await;
    are_up([&near, &far]).await;
    far_gaps.wait_for(GapCause::Disconnected).await;
    let gaps = [&near_gaps, &far_gaps];
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
}

#[tokio::test]
async fn what_could_not_be_published_is_told_from_when_it_was_handed_over() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
    let keep_alive = Duration::from_millis(500);
    let (near, near_gaps) = joined(proxy.redis().keep_alive(keep_alive)).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    proxy.swallow_present();
    ledger.emit(&near);
    near_gaps.wait_for(GapCause::PublishFailed).await;
    are_up([&near, &far]).await;
    let gaps = [&near_gaps, &far_gaps];
    assert_eq!(
        ledger
            .assert_losses_are_told(&near, &mut there, &gaps)
            .await,
        1
    );
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_told_from_when_it_was_handed_over() {
    let redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis().publish_queue(10, 1_000_000)).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    redis.signal("STOP").await;
    ledger
        .emit_for(&near, Duration::from_millis(500), PAUSE)
        .await;
    redis.signal("CONT").await;
    near_gaps.wait_for(GapCause::QueueFull).await;
    let gaps = [&near_gaps, &far_gaps];
    let lost = ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
    assert!(lost > 10, "{lost}");
}

#[tokio::test]
async fn what_waits_at_closing_and_what_is_under_way_is_counted_and_told() {
    let redis = RedisServer::start().await;
    let (mut near, gaps) = joined(redis.redis()).await;
    redis.signal("STOP").await;
    near.emitter.emit("n", &0).unwrap();
    // It is under way, and will not be answered.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for number in 1..10 {
        near.emitter.emit("n", &number).unwrap();
    }
    near.stop().await;
    redis.signal("CONT").await;
    let lost: u64 = gaps
        .of(GapCause::PublishFailed)
        .iter()
        .filter_map(|gap| gap.lost)
        .sum();
    assert_eq!(lost, 10, "{:?}", gaps.all());
}

#[tokio::test]
async fn what_a_slot_that_moves_loses_is_told() {
    let cluster = RedisCluster::start().await;
    let options = || cluster.redis().mode(Mode::ShardedStatic);
    let (near, near_gaps) = joined(options()).await;
    let (far, far_gaps) = joined(options()).await;
    let mut there = far.client().await;
    enter(&mut there, &[r#""room""#]).await;
    let mut ledger = Ledger::default();
    let (slot, from) = cluster.place_of("socket.io#/#").await;
    let moving = cluster.move_slot(slot, from, (from + 1) % 3);
    let emitting = ledger.emit_for(&near, Duration::from_secs(2), PAUSE);
    tokio::join!(moving, emitting);
    are_up([&near, &far]).await;
    far_gaps.wait_for(GapCause::Moved).await;
    let gaps = [&near_gaps, &far_gaps];
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
}

#[tokio::test]
async fn a_slot_that_moves_away_and_back_at_once_has_a_gap() {
    let cluster = RedisCluster::start().await;
    let options = || cluster.redis().mode(Mode::ShardedStatic);
    let (slot, master) = cluster.place_of("socket.io#/#").await;
    let other = (master + 1) % 3;
    for breaks in [false, true] {
        let (near, near_gaps) = joined(options()).await;
        let (far, far_gaps) = joined(options()).await;
        let mut there = far.client().await;
        enter(&mut there, &[r#""room""#]).await;
        let mut ledger = Ledger::default();
        ledger.emit(&near);
        cluster.move_slot(slot, master, other).await;
        ledger.emit(&near);
        cluster.move_slot(slot, other, master).await;
        if breaks {
            // It subscribes to everything again before it hears that anything had moved.
            let words = ["CLIENT", "KILL", "TYPE", "pubsub"];
            let _: i64 = cluster.servers[master].command(&words).await;
        }
        far_gaps.wait_for(GapCause::Moved).await;
        are_up([&near, &far]).await;
        let gaps = [&near_gaps, &far_gaps];
        ledger
            .assert_losses_are_told(&near, &mut there, &gaps)
            .await;
    }
}
