//! Nothing waits for ever, nor longer than it said.

use std::time::{Duration, Instant};

use portcullis::adapter::GapCause;
use portcullis_redis::{AtStart, Mode, Redis};

use crate::support::gaps::joined;
use crate::support::proxy::Proxy;
use crate::support::redis_server::free_port;
use crate::support::{Node, RedisServer, enter, patiently, until};

#[tokio::test]
async fn a_subscriber_comes_back_though_the_publisher_lost_the_message_to_itself() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
    let keep_alive = Duration::from_millis(400);
    let (far, gaps) = joined(proxy.redis().keep_alive(keep_alive)).await;
    proxy.swallow_present();
    let _: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until(async || !far.server.cluster_health().is_up()).await;
    let up = until(async || far.server.cluster_health().is_up()).await;
    assert!(up < Duration::from_secs(5), "{up:?}");
    assert_eq!(gaps.all().len(), 1);
}

#[tokio::test]
async fn a_question_takes_no_longer_than_its_timeout_though_nobody_can_be_counted() {
    let redis = RedisServer::start().await;
    let (near, _) = joined(redis.redis()).await;
    let (_far, _) = joined(redis.redis()).await;
    redis.signal("STOP").await;
    let started = Instant::now();
    let shortly = near.emitter.all().timeout(Duration::from_millis(200));
    let fetched = shortly.fetch_sockets().await.unwrap();
    let took = started.elapsed();
    redis.signal("CONT").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(fetched.missing_nodes, 1);
}

#[tokio::test]
async fn an_event_that_wants_acks_waits_out_a_stall_in_its_place() {
    let redis = RedisServer::start().await;
    let (near, gaps) = joined(redis.redis()).await;
    let (far, _) = joined(redis.redis()).await;
    let mut there = far.client().await;
    redis.signal("STOP").await;
    let asking = near.emitter.all().timeout(Duration::from_secs(8));
    let (acks, packet) = tokio::join!(asking.emit_with_ack("acked", &()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        near.emitter.emit("plain", &()).unwrap();
        // Longer than Redis may take to count.
        tokio::time::sleep(Duration::from_millis(2400)).await;
        redis.signal("CONT").await;
        let packet = patiently(there.recv()).await.unwrap();
        let id = packet
            .strip_prefix("42")
            .unwrap()
            .split('[')
            .next()
            .unwrap();
        there.send(&format!("43{id}[7]")).await;
        packet
    });
    assert!(packet.ends_with(r#"["acked"]"#), "{packet}");
    assert_eq!(there.event().await, r#"["plain"]"#);
    assert_eq!(acks.unwrap().len(), 1);
    assert!(gaps.all().is_empty(), "{:?}", gaps.all());
}

#[tokio::test]
async fn flushing_ends_though_what_it_waited_for_was_taken_back() {
    let redis = RedisServer::start().await;
    let near = Node::join(redis.redis().mode(Mode::ShardedDynamic)).await;
    let mut client = near.client().await;
    redis.signal("STOP").await;
    enter(&mut client, &[r#""x""#]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    enter(&mut client, &[r#""y""#]).await;
    let (flushed, ()) = tokio::join!(near.emitter.flush(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(client.ask(r#"["leave","y"]"#).await, "[]");
        redis.signal("CONT").await;
    });
    flushed.unwrap();
}

#[tokio::test]
async fn a_cluster_that_nobody_has_seen_is_neither_complete_nor_well_nor_without_bounds() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let redis = Redis::cluster([format!("127.0.0.1:{}", free_port())]);
        let redis = redis.mode(mode).at_start(AtStart::Degrade);
        let (mut near, gaps) = joined(redis.publish_queue(10, 1_000_000)).await;
        let fetched = near.emitter.all().fetch_sockets().await.unwrap();
        assert_eq!(fetched.missing_nodes, 1, "{mode:?}");
        assert!(near.emitter.server_count().await.is_err(), "{mode:?}");
        for number in 0..100 {
            near.emitter.emit("n", &number).unwrap();
        }
        let is_late = |health| match health {
            portcullis::adapter::Health::Up => panic!("there is no cluster"),
            portcullis::adapter::Health::Down { since, .. }
            | portcullis::adapter::Health::Degraded { since, .. } => since.as_millis() >= 200,
            other => panic!("{other:?}"),
        };
        until(async || is_late(near.server.cluster_health())).await;
        near.stop().await;
        let lost = |cause| -> u64 {
            let gaps = gaps.of(cause);
            gaps.iter().filter_map(|gap| gap.lost).sum()
        };
        // Both namespaces say hello and goodbye where the wire has words for it.
        let words = if mode == Mode::Classic { 0 } else { 4 };
        assert_eq!(lost(GapCause::QueueFull), 90 + words, "{mode:?}");
        assert_eq!(lost(GapCause::PublishFailed), 10, "{mode:?}");
    }
}

#[tokio::test]
async fn a_redis_that_greets_and_refuses_what_it_is_there_for_is_tried_ever_more_seldom() {
    let redis = RedisServer::start().await;
    let keep_alive = Duration::from_millis(200);
    let (near, _) = joined(redis.redis().keep_alive(keep_alive)).await;
    let _: String = redis
        .command(&["ACL", "SETUSER", "default", "-publish"])
        .await;
    until(async || !near.server.cluster_health().is_up()).await;
    let attempts = async || {
        let info: String = redis.command(&["INFO", "stats"]).await;
        let mut lines = info.lines();
        let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().parse::<u64>().unwrap()
    };
    // Waits double from 50 ms up to 800 ms.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = attempts().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    // The one that asked is one of them.
    let made = attempts().await - before - 1;
    assert!((2..=11).contains(&made), "{made}");
    let _: String = redis
        .command(&["ACL", "SETUSER", "default", "+publish"])
        .await;
    until(async || near.server.cluster_health().is_up()).await;
}
