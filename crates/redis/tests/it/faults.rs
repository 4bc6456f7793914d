//! What happens when Redis, or the way to it, fails: local delivery goes on, the rest comes back,
//! and every gap is told.

use std::time::{Duration, Instant};

use portcullis::adapter::{BusGap, GapCause, Health};
use portcullis::{BuildError, Server};
use portcullis_redis::{AtStart, Redis};

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::redis_server::free_port;
use crate::support::{Client, Node, RedisServer, builder, until};

/// What counts as at once on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(250);

fn is_up(node: &Node) -> bool {
    node.server.cluster_health().is_up()
}

/// The longest that an event takes to a client of the same node.
async fn local_delay(node: &Node, client: &mut Client, rounds: usize) -> Duration {
    let mut worst = Duration::ZERO;
    for round in 0..rounds {
        let started = Instant::now();
        node.emitter.emit("local", &round).unwrap();
        while client.event().await != format!(r#"["local",{round}]"#) {}
        worst = worst.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worst
}

#[tokio::test]
async fn a_killed_redis_delays_nothing_here_and_is_found_again_within_two_seconds() {
    let mut redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let [mut here, mut there] = [near.client().await, far.client().await];

    let mut ledger = Ledger::default();
    ledger.emit_until_heard(&near, &mut there).await;
    redis.kill().await;
    ledger.emit(&near);
    until(async || !is_up(&near) && !is_up(&far)).await;
    assert!(local_delay(&near, &mut here, 50).await < AT_ONCE);
    let Health::Down { reason, .. } = near.server.cluster_health() else {
        panic!("{:?}", near.server.cluster_health())
    };
    assert!(reason.contains("127.0.0.1"), "{reason}");
    assert!(
        near_gaps
            .all()
            .iter()
            .all(|gap| gap.cause != GapCause::Disconnected)
    );

    redis.restart().await;
    let back = ledger.emit_until_heard(&near, &mut there).await;
    assert!(back < Duration::from_secs(2), "{back:?}");
    until(async || is_up(&near) && is_up(&far)).await;
    for gaps in [&near_gaps, &far_gaps] {
        gaps.wait_for(GapCause::Disconnected).await;
        assert_eq!(gaps.of(GapCause::Disconnected).len(), 1);
    }
    let gaps = [&near_gaps, &far_gaps];
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
}

#[tokio::test]
async fn messages_that_waited_out_an_outage_are_delivered_after_it_or_told() {
    let mut redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, far_gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    redis.kill().await;
    until(async || !is_up(&near) && !is_up(&far)).await;
    let mut ledger = Ledger::default();
    ledger.emit(&near);
    redis.restart().await;
    until(async || is_up(&near) && is_up(&far)).await;
    far_gaps.wait_for(GapCause::Disconnected).await;
    let gaps = [&near_gaps, &far_gaps];
    // The sender may be back before the receiver: then it is lost, and that is told.
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
}

#[tokio::test]
async fn a_killed_subscriber_comes_back_with_everything_and_the_gap_is_told() {
    let redis = RedisServer::start().await;
    let (near, near_gaps) = joined(redis.redis()).await;
    let (far, gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    let mut ledger = Ledger::default();
    for round in 1..=3 {
        ledger.emit(&near);
        let before = Instant::now();
        let killed: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, 2);
        gaps.wait_for_count(GapCause::Disconnected, round).await;
        assert!(before.elapsed() < Duration::from_secs(2));
        until(async || is_up(&near) && is_up(&far)).await;
        ledger.emit_until_heard(&near, &mut there).await;
        assert_eq!(near.emitter.server_count().await.unwrap(), 2);
    }
    let all = [&near_gaps, &gaps];
    ledger.assert_losses_are_told(&near, &mut there, &all).await;
    let gap = gaps.of(GapCause::Disconnected)[0];
    assert!(gap.duration() < Duration::from_secs(2), "{gap:?}");
}

#[tokio::test]
async fn a_node_that_hears_nobody_does_not_say_that_it_is_alone() {
    let redis = RedisServer::start().await;
    let (near, _) = joined(redis.redis()).await;
    let (_far, _) = joined(redis.redis()).await;
    let rights = async |rights: &str| -> String {
        redis.command(&["ACL", "SETUSER", "default", rights]).await
    };
    rights("-subscribe").await;
    let killed: i64 = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(killed, 2);
    until(async || !is_up(&near)).await;
    assert!(near.emitter.server_count().await.is_err());
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (0, 1));

    rights("+subscribe").await;
    until(async || near.emitter.server_count().await.ok() == Some(2)).await;
}

#[tokio::test]
async fn a_sleeping_redis_delays_nothing_here_and_loses_nothing_there() {
    let redis = RedisServer::start().await;
    let (near, gaps) = joined(redis.redis()).await;
    let (far, _) = joined(redis.redis()).await;
    let [mut here, mut there] = [near.client().await, far.client().await];
    let sleeping = redis.command::<String>(&["DEBUG", "SLEEP", "1.5"]);
    let (_, delay) = tokio::join!(sleeping, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        local_delay(&near, &mut here, 50).await
    });
    assert!(delay < AT_ONCE, "{delay:?}");
    for round in 0..50 {
        assert_eq!(there.event().await, format!(r#"["local",{round}]"#));
    }
    assert!(gaps.all().is_empty(), "{:?}", gaps.all());
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_dropped_counted_and_told() {
    let redis = RedisServer::start().await;
    let (near, gaps) = joined(redis.redis().publish_queue(10, 1_000_000)).await;
    let (far, _) = joined(redis.redis()).await;
    let mut there = far.client().await;
    redis.signal("STOP").await;
    near.emitter.emit("n", &-1).unwrap();
    // The first is under way, and will not be answered.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for number in 0..100 {
        near.emitter.emit("n", &number).unwrap();
    }
    redis.signal("CONT").await;
    assert_eq!(there.event().await, r#"["n",-1]"#);
    for number in 90..100 {
        assert_eq!(there.event().await, format!(r#"["n",{number}]"#));
    }
    gaps.wait_for(GapCause::QueueFull).await;
    assert_eq!(gaps.of(GapCause::QueueFull)[0].lost, Some(90));
}

#[tokio::test]
async fn a_server_without_redis_is_not_built_and_says_why() {
    let address = format!("redis://:hidden@127.0.0.1:{}", free_port());
    let after = Duration::from_millis(300);
    let redis = Redis::new(address).at_start(AtStart::Fail { after });
    let started = Instant::now();
    let Err(BuildError::Adapter(error)) = builder(|_| {}).cluster(redis).build().await else {
        panic!("there is no redis");
    };
    assert!(started.elapsed() < Duration::from_secs(3));
    let text = told(&error);
    assert!(text.contains("could not be reached within 300ms"), "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn options_that_cannot_work_are_refused() {
    for (redis, expected) in [
        (Redis::new("localhost"), "scheme"),
        (Redis::new("redis://localhost").prefix(""), "prefix"),
        (Redis::new("redis://localhost").publish_queue(0, 1), "queue"),
        (
            Redis::new("redis://localhost").keep_alive(Duration::ZERO),
            "keep_alive",
        ),
        (Redis::sentinel(["a:1"], ""), "master"),
        (Redis::cluster(Vec::<String>::new()), "nodes"),
    ] {
        let built: Result<Server, BuildError> = builder(|_| {}).cluster(redis).build().await;
        let Err(BuildError::Adapter(error)) = built else {
            panic!("{expected}")
        };
        let text = told(&error);
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_may_run_alone_does_and_joins_when_redis_comes() {
    let mut redis = RedisServer::start().await;
    redis.kill().await;
    let (near, gaps) = joined(redis.redis().at_start(AtStart::Degrade)).await;
    let mut here = near.client().await;
    assert!(matches!(near.server.cluster_health(), Health::Down { .. }));
    assert!(local_delay(&near, &mut here, 10).await < AT_ONCE);
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (1, 1));
    assert!(near.emitter.server_count().await.is_err());

    redis.restart().await;
    let up = until(async || is_up(&near)).await;
    assert!(up < Duration::from_secs(2), "{up:?}");
    let gap: BusGap = gaps.wait_for(GapCause::Start).await;
    assert!(gap.duration() > Duration::ZERO);
    let (far, _) = joined(redis.redis()).await;
    Ledger::default().emit_until_heard(&far, &mut here).await;
}

#[tokio::test]
async fn wrong_passwords_are_told_and_users_need_few_rights() {
    let redis = RedisServer::start().await;
    let channels = "&socket.io* &socket.io#/#* &socket.io#/chat#*";
    let rules = "SETUSER chat on >secret -@all +@connection +publish +subscribe +psubscribe \
                 +unsubscribe +punsubscribe +pubsub resetchannels";
    let rules = format!("{rules} {channels}");
    let words: Vec<&str> = std::iter::once("ACL")
        .chain(rules.split_whitespace())
        .collect();
    let _: String = redis.command(&words).await;

    let wrong = redis.redis().credentials(Some("chat"), "hidden");
    assert!(!format!("{wrong:?}").contains("hidden"));
    let after = Duration::from_millis(300);
    let wrong = wrong.at_start(AtStart::Fail { after });
    let Err(BuildError::Adapter(error)) = builder(|_| {}).cluster(wrong).build().await else {
        panic!("the password is wrong");
    };
    let text = told(&error);
    assert!(
        text.contains("WRONGPASS") && !text.contains("hidden"),
        "{text}"
    );

    let (near, _) = joined(redis.redis().credentials(Some("chat"), "secret")).await;
    let url = format!("redis://chat:secret@127.0.0.1:{}", redis.port);
    let (far, _) = joined(Redis::new(url)).await;
    let mut there = far.client().await;
    near.emitter.emit("x", &()).unwrap();
    assert_eq!(there.event().await, r#"["x"]"#);

    let denied = redis
        .redis()
        .credentials(Some("chat"), "secret")
        .prefix("other");
    let denied = denied.at_start(AtStart::Fail { after });
    let Err(BuildError::Adapter(error)) = builder(|_| {}).cluster(denied).build().await else {
        panic!("the channels are not allowed");
    };
    let text = told(&error).to_lowercase();
    assert!(text.contains("perm"), "{text}");
}

#[tokio::test]
async fn closing_publishes_what_waits_first() {
    let redis = RedisServer::start().await;
    let (mut near, _) = joined(redis.redis()).await;
    let (far, gaps) = joined(redis.redis()).await;
    let mut there = far.client().await;
    for number in 0..2000 {
        near.emitter.emit("n", &number).unwrap();
    }
    near.stop().await;
    for number in 0..2000 {
        assert_eq!(there.event().await, format!(r#"["n",{number}]"#));
    }
    assert!(gaps.all().is_empty());
    until(async || redis.connections().await == 2).await;
}

/// A subscriber that counts as a node and never answers.
async fn mute_node(redis: &RedisServer) -> redis::aio::PubSub {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut subscriber = client.get_async_pubsub().await.unwrap();
    subscriber.subscribe("socket.io-request#/#").await.unwrap();
    subscriber
}

#[tokio::test]
async fn a_node_that_hangs_costs_the_timeout_and_not_the_answers_of_the_others() {
    let redis = RedisServer::start().await;
    let timeout = Duration::from_millis(400);
    let (near, _) = joined(redis.redis().requests_timeout(timeout)).await;
    let (far, _) = joined(redis.redis()).await;
    let _there = far.client().await;
    let _mute = mute_node(&redis).await;
    let started = Instant::now();
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (1, 1));
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout * 3);
    let rooms = near.emitter.all_rooms().await.unwrap();
    assert_eq!((rooms.items.len(), rooms.missing_nodes), (1, 1));
}

#[tokio::test]
async fn a_node_that_dies_is_not_waited_for() {
    let redis = RedisServer::start().await;
    let (near, _) = joined(redis.redis().requests_timeout(Duration::from_secs(30))).await;
    let mute = mute_node(&redis).await;
    let started = Instant::now();
    let everyone = near.emitter.all().timeout(Duration::from_secs(30));
    let (fetched, ()) = tokio::join!(everyone.fetch_sockets(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(mute);
    });
    let fetched = fetched.unwrap();
    assert_eq!((fetched.items.len(), fetched.missing_nodes), (0, 1));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
