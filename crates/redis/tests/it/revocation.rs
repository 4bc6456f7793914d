//! What is revoked, on three nodes over a real Redis: told at once, kept, written back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis::Server;
use portcullis::auth::WhenFull;
use portcullis::auth::jwt::Jwt;
use portcullis::revocation::Revocation;
use portcullis_redis::{AtStart, Mode, Redis, RedisRevoker};
use portcullis_testing::{Disconnect, TestServer, TestTokens, Witness};
use serde_json::{Value, json};

use crate::support::gaps::Gaps;
use crate::support::redis_cluster::{RedisCluster, Sentinels};
use crate::support::{Node, RedisServer, until};

/// The key under which Redis keeps what is revoked.
pub(crate) const SET: &str = "{socket.io-revocations}:set";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn node(redis: Redis, tokens: &TestTokens) -> TestServer {
    Witness::of_process();
    let jwt: Jwt<Value> = tokens.jwt();
    let builder = Server::builder()
        .authenticate(jwt)
        .namespace("/", |_| {})
        .cluster(redis);
    TestServer::start(builder)
        .await
        .patience(Duration::from_secs(8))
}

async fn three(redis: &RedisServer, tokens: &TestTokens, mode: Mode) -> [TestServer; 3] {
    [
        node(redis.redis().mode(mode), tokens).await,
        node(redis.redis().mode(mode), tokens).await,
        node(redis.redis().mode(mode), tokens).await,
    ]
}

pub(crate) async fn code(server: &TestServer, token: &portcullis::auth::Token) -> Option<String> {
    let outcome = server.connect("/").token(token).outcome().await;
    outcome
        .err()
        .map(|refused| refused.code().unwrap_or("?").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_ends_sockets_on_every_node_within_a_second() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let redis = RedisServer::start().await;
        let tokens = TestTokens::new();
        let nodes = three(&redis, &tokens, mode).await;
        let mut took = Vec::new();
        for number in 0..100 {
            let id = format!("t{number}");
            let token = tokens.mint_with("alice", &json!({ "jti": id }));
            let mut clients = Vec::new();
            for node in &nodes {
                clients.push(node.connect("/").token(&token).await);
            }
            let started = Instant::now();
            let by = &nodes[number % 3];
            by.server().revoke(Revocation::token(id)).await.unwrap();
            for client in &clients {
                client.expect_disconnect(Disconnect::ByServer).await;
            }
            took.push(started.elapsed());
            for node in &nodes {
                assert_eq!(code(node, &token).await.as_deref(), Some("TOKEN_REVOKED"));
            }
        }
        took.sort();
        println!("{mode:?}: p50 {:?}, p99 {:?}", took[49], took[98]);
        assert!(took[98] < Duration::from_secs(1), "{:?}", took[98]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_later_refuses_and_no_connection_is_made_for_it() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let first = node(redis.redis(), &tokens).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    for revocation in [
        Revocation::token("1"),
        Revocation::session("s").issuer("i"),
        Revocation::user("bob"),
    ] {
        first.server().revoke(revocation).await.unwrap();
    }
    assert_eq!(redis.connections().await, 2);
    let late = node(redis.redis(), &tokens).await;
    assert_eq!(code(&late, &token).await.as_deref(), Some("TOKEN_REVOKED"));
    assert_eq!(late.server().revocations().len(), 3);
    assert_eq!(redis.connections().await, 4);
    let kept: Vec<String> = redis.command(&["ZRANGE", SET, "0", "-1"]).await;
    assert!(kept.contains(&r#"{"jti":"1"}"#.to_owned()), "{kept:?}");
}

#[tokio::test]
async fn a_node_that_is_dropped_lets_go_of_redis_though_it_keeps_what_is_revoked() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let builder = Server::builder()
        .authenticate(tokens.jwt::<Value>())
        .namespace("/", |_| {})
        .cluster(redis.redis());
    let node = Node::serve(builder).await;
    until(async || node.server.revocations().is_settled()).await;
    // More while it connects: another attempt begins beside one that is slow.
    until(async || redis.connections().await == 2).await;
    drop(node);
    until(async || redis.connections().await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_sockets_revokes_too() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let server = node(redis.redis(), &tokens).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    revoker
        .revoke(Revocation::user("alice"), DAY)
        .await
        .unwrap();
    alice.expect("auth:revoked").await;
    alice.expect_disconnect(Disconnect::ByServer).await;
    assert!(revoker.revoke(Revocation::user(""), DAY).await.is_err());
    revoker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tries_while_redis_loses_everything_admit_nobody() {
    let mut redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let nodes = three(&redis, &tokens, Mode::Classic).await;
    let revoked = tokens.mint_with("alice", &json!({ "jti": "1" }));
    let good = tokens.mint("bob");
    nodes[0]
        .server()
        .revoke(Revocation::token("1"))
        .await
        .unwrap();
    until(async || code(&nodes[2], &revoked).await.is_some()).await;
    let mut admitted = 0;
    let mut tries = 0;
    for round in 0..4 {
        match round {
            1 => redis.kill().await,
            // It comes back empty.
            2 => redis.restart().await,
            _ => {}
        }
        for _ in 0..2_500 / 50 {
            let batch = (0..50).map(|number| code(&nodes[number % 3], &revoked));
            for refused in futures_util::future::join_all(batch).await {
                tries += 1;
                admitted += usize::from(refused.is_none());
            }
            if round == 1 {
                // Each waits for the time that a verification may take.
                break;
            }
        }
    }
    while tries < 10_000 {
        let batch = (0..50).map(|number| code(&nodes[number % 3], &revoked));
        for refused in futures_util::future::join_all(batch).await {
            tries += 1;
            admitted += usize::from(refused.is_none());
        }
    }
    assert_eq!((admitted, tries), (0, 10_000));
    until(async || code(&nodes[1], &good).await.is_none()).await;
    // One, and the name of the version.
    until(async || redis.command::<i64>(&["ZCARD", SET]).await == 2).await;
    let late = node(redis.redis(), &tokens).await;
    assert_eq!(
        code(&late, &revoked).await.as_deref(),
        Some("TOKEN_REVOKED")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_the_connected_stay_and_nobody_new_comes_in() {
    let mut redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let nodes = [
        node(redis.redis().at_start(AtStart::Degrade), &tokens).await,
        node(redis.redis().at_start(AtStart::Degrade), &tokens).await,
    ];
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    let alice = nodes[1].connect("/").token(&token).await;
    redis.kill().await;
    let refused = until(async || code(&nodes[0], &tokens.mint("bob")).await.is_some()).await;
    assert!(refused < Duration::from_secs(8));
    assert!(!nodes[0].server().auth_readiness().is_ready());
    assert!(alice.is_connected());
    let alone = nodes[0].server().revoke(Revocation::token("1")).await;
    assert!(alone.is_err());
    redis.restart().await;
    alice.expect_disconnect(Disconnect::ByServer).await;
    until(async || code(&nodes[0], &tokens.mint("bob")).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_reached_and_limited_over_redis() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let builder = Server::builder()
            .authenticate(tokens.jwt::<Value>())
            .namespace("/", |_| {})
            .max_connections_per_user(2, WhenFull::RejectNew)
            .cluster(redis.redis());
        nodes.push(TestServer::start(builder).await);
    }
    let token = tokens.mint("alice");
    let tabs = [
        nodes[0].connect("/").token(&token).await,
        nodes[1].connect("/").token(&token).await,
    ];
    assert_eq!(
        code(&nodes[0], &token).await.as_deref(),
        Some("TOO_MANY_CONNECTIONS")
    );
    nodes[0].server().to_user("alice").emit("ping", &1).unwrap();
    for tab in &tabs {
        assert_eq!(tab.expect("ping").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_counted_in_many_namespaces_crowds_nothing_out() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let gaps = Gaps::default();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let builder = Server::builder()
            .authenticate(tokens.jwt::<Value>())
            .namespace_pattern("/room-{id}", |_| {})
            .max_connections_per_user(1, WhenFull::RejectNew)
            .on_bus_gap(gaps.listener())
            .cluster(redis.redis().publish_queue(64, 1_000_000));
        nodes.push(TestServer::start(builder).await);
    }
    // The same namespaces on both, so that each has something to say about all of them.
    let mut clients = Vec::new();
    for number in 0..12 {
        for (index, node) in nodes.iter().enumerate() {
            let token = tokens.mint(&format!("user {number} of {index}"));
            let first = node.connect(&format!("/room-{number}")).token(&token).await;
            for beside in 1..15 {
                let path = format!("/room-{number}-{beside}");
                clients.push(first.connect(&path).token(&token).await);
            }
            clients.push(first);
        }
    }
    let token = tokens.mint("bob");
    let bob = nodes[0].connect("/room-0").token(&token).await;
    let refused = nodes[1].connect("/room-0").token(&token).refused().await;
    assert_eq!(refused.code(), Some("TOO_MANY_CONNECTIONS"));
    assert!(bob.is_connected());
    assert!(gaps.all().is_empty(), "{:?}", gaps.all());
}

/// Revokes until the cluster takes it: a fail-over takes its time.
async fn revoke_in_the_end(by: &TestServer, revocation: Revocation) -> Duration {
    until(async || by.server().revoke(revocation.clone()).await.is_ok()).await
}

/// What holds of a cluster of nodes whose Redis loses its master between two revocations.
async fn survives_a_fail_over(
    tokens: &TestTokens,
    connect: impl Fn() -> Redis,
    kill_master: impl AsyncFnOnce(),
) {
    let nodes = [node(connect(), tokens).await, node(connect(), tokens).await];
    let token = |id: &str| tokens.mint_with("alice", &json!({ "jti": id }));
    let (before, after, good) = (token("before"), token("after"), token("good"));
    let alice = nodes[1].connect("/").token(&before).await;
    let revocation = Revocation::token("before");
    let started = Instant::now();
    nodes[0].server().revoke(revocation).await.unwrap();
    alice.expect_disconnect(Disconnect::ByServer).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    let late = node(connect(), tokens).await;
    assert_eq!(code(&late, &before).await.as_deref(), Some("TOKEN_REVOKED"));

    let bob = nodes[1].connect("/").token(&after).await;
    kill_master().await;
    assert!(bob.is_connected());
    let took = revoke_in_the_end(&nodes[0], Revocation::token("after")).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    bob.expect_disconnect(Disconnect::ByServer).await;
    let later = node(connect(), tokens).await;
    for (number, node) in nodes.iter().chain([&late, &later]).enumerate() {
        until(async || code(node, &good).await.is_none()).await;
        for (name, revoked) in [("before", &before), ("after", &after)] {
            let refused = code(node, revoked).await;
            assert_eq!(refused.as_deref(), Some("TOKEN_REVOKED"), "{number} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_survives_the_fail_over_of_a_redis_cluster() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let mut cluster = RedisCluster::start().await;
        let tokens = TestTokens::new();
        let (_, master) = cluster.place_of(SET).await;
        let known = format!("127.0.0.1:{}", cluster.servers[(master + 1) % 3].port);
        let connect = || Redis::cluster([known.clone()]).mode(mode);
        let server = &mut cluster.servers[master];
        let kill = async || {
            // What no replica has is lost with its master; the nodes write it back, in their time.
            let replicas: i64 = server.command(&["WAIT", "1", "5000"]).await;
            assert_eq!(replicas, 1);
            server.kill().await;
        };
        survives_a_fail_over(&tokens, connect, kill).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_survives_a_new_master_under_sentinels() {
    let mut sentinels = Sentinels::start().await;
    let tokens = TestTokens::new();
    let known = format!("127.0.0.1:{}", sentinels.port);
    let connect = || Redis::sentinel([known.clone()], "mymaster");
    let master = &mut sentinels.master;
    survives_a_fail_over(&tokens, connect, async || master.kill().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_sockets_revokes_over_a_redis_cluster_too() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let cluster = RedisCluster::start().await;
        let tokens = TestTokens::new();
        let server = node(cluster.redis().mode(mode), &tokens).await;
        let alice = server.connect("/").token(&tokens.mint("alice")).await;
        let revoker = RedisRevoker::connect(cluster.redis().mode(mode)).await;
        let revoker = revoker.unwrap();
        let revocation = Revocation::user("alice");
        revoker.revoke(revocation, DAY).await.unwrap();
        alice.expect_disconnect(Disconnect::ByServer).await;
        revoker.close().await;
    }
}

#[tokio::test]
async fn a_process_without_sockets_follows_the_set_to_another_master() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let cluster = RedisCluster::start().await;
        let revoker = RedisRevoker::connect(cluster.redis().mode(mode)).await;
        let revoker = revoker.unwrap();
        let (slot, from) = cluster.place_of(SET).await;
        let to = (from + 1) % 3;
        cluster.move_slot(slot, from, to).await;
        revoker.revoke(Revocation::token("1"), DAY).await.unwrap();
        let kept: i64 = cluster.servers[to].command(&["ZCARD", SET]).await;
        assert_eq!(kept, 2);
        revoker.close().await;
    }
}

/// Puts `count` revocations of tokens into Redis, as if they had always been there.
async fn fill(redis: &RedisServer, count: u64, name: &str) {
    let script = "for i = 1, tonumber(ARGV[1]) do redis.call('ZADD', KEYS[1], ARGV[2], \
                  string.format('{\"jti\":\"%s%d\"}', ARGV[3], i)) end return 1";
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let until = (since + DAY).as_secs().to_string();
    let arguments = ["EVAL", script, "1", SET, &count.to_string(), &until, name];
    assert_eq!(redis.command::<i64>(&arguments).await, 1);
}

/// Takes back one token after the other, for ever.
pub(crate) async fn go_on_revoking(revoker: &RedisRevoker) {
    for number in 0_u32.. {
        let revocation = Revocation::token(format!("more {number}"));
        revoker.revoke(revocation, DAY).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_set_that_keeps_changing_is_read_once_and_known() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    for part in 0..4 {
        fill(&redis, 25_000, &format!("p{part}-")).await;
    }
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    let going = go_on_revoking(&revoker);
    tokio::select! {
        () = going => {}
        () = it_stays_known(&redis, &tokens) => {}
    }
}

async fn it_stays_known(redis: &RedisServer, tokens: &TestTokens) {
    let node = node(redis.redis(), tokens).await;
    let revoked = tokens.mint_with("alice", &json!({ "jti": "p3-25000" }));
    until(async || node.server().revocations().is_settled()).await;
    assert_eq!(
        code(&node, &revoked).await.as_deref(),
        Some("TOKEN_REVOKED")
    );

    let scans = async || {
        let statistics: String = redis.command(&["INFO", "commandstats"]).await;
        let scans = statistics.lines().find(|line| line.contains("zscan"));
        scans.map(str::to_owned)
    };
    let before = scans().await;
    for _ in 0..40 {
        assert!(node.server().revocations().is_settled());
        assert_eq!(code(&node, &tokens.mint("bob")).await, None);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scans().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_again_for_a_shorter_time_weakens_nothing() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let first = node(redis.redis(), &tokens).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    first.server().revoke(Revocation::token("1")).await.unwrap();
    let score = async || {
        redis
            .command::<f64>(&["ZSCORE", SET, r#"{"jti":"1"}"#])
            .await
    };
    let until = score().await;
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    let again = revoker.revoke(Revocation::token("1"), Duration::ZERO);
    again.await.unwrap();
    assert_eq!(score().await, until);
    let late = node(redis.redis(), &tokens).await;
    assert_eq!(code(&late, &token).await.as_deref(), Some("TOKEN_REVOKED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_was_evicted_is_written_back() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let first = node(redis.redis(), &tokens).await;
    first.server().revoke(Revocation::token("1")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(redis.command::<i64>(&["DEL", SET]).await, 1);
        until(async || redis.command::<i64>(&["ZCARD", SET]).await == 2).await;
    }
    let kept = async || {
        redis
            .command::<Vec<String>>(&["ZRANGE", SET, "0", "-1"])
            .await
    };
    assert!(kept().await.contains(&r#"{"jti":"1"}"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_another_master_lost_is_written_back() {
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    let first = node(redis.redis(), &tokens).await;
    let version = async || {
        let found: Vec<String> = redis.command(&["ZRANGEBYSCORE", SET, "+inf", "+inf"]).await;
        found.first().cloned()
    };
    first.server().revoke(Revocation::token("1")).await.unwrap();
    let before = version().await.unwrap();
    first.server().revoke(Revocation::token("2")).await.unwrap();
    let after = version().await.unwrap();
    // A replica that had not heard of the second takes over.
    let _: i64 = redis
        .command(&["ZREM", SET, &after, r#"{"jti":"2"}"#])
        .await;
    let _: i64 = redis.command(&["ZADD", SET, "+inf", &before]).await;
    let second = r#"{"jti":"2"}"#.to_owned();
    until(async || {
        let kept: Vec<String> = redis.command(&["ZRANGE", SET, "0", "-1"]).await;
        kept.contains(&second)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_manual_names_are_enough() {
    let manual = include_str!("../../../../docs/manual/redis.md");
    let commands = manual.split("```text").skip(1).take(2);
    let commands = commands.map(|block| block.split("```").next().unwrap());
    let redis = RedisServer::start().await;
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let _: String = redis.command(&words).await;
    }
    let tokens = TestTokens::new();
    let user = redis.redis().credentials(Some("gateway"), "password");
    let server = node(user, &tokens).await;
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    assert_eq!(code(&server, &token).await, None);
    server
        .server()
        .revoke(Revocation::token("1"))
        .await
        .unwrap();
    assert_eq!(
        code(&server, &token).await.as_deref(),
        Some("TOKEN_REVOKED")
    );
}
