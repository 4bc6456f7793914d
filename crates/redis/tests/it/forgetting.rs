//! What was revoked is forgotten when it has expired, and nothing else is, whatever clocks say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::Server;
use portcullis::revocation::{FORGOTTEN_AFTER, Revocation};
use portcullis_redis::RedisRevoker;
use portcullis_testing::{TestClock, TestServer, TestTokens, Witness};
use serde_json::{Value, json};

use crate::revocation::{DAY, SET, code, go_on_revoking, node};
use crate::support::proxy::Proxy;
use crate::support::{RedisServer, until};

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

/// Puts revocations of tokens into Redis, `a_second` of which are kept until each second from
/// `first` on.
async fn fill(redis: &RedisServer, name: &str, count: u32, first: f64, a_second: u32) {
    let script = "for i = 1, tonumber(ARGV[2]) do redis.call('ZADD', KEYS[1], \
                  ARGV[3] + math.floor(i / ARGV[4]), \
                  string.format('{\"jti\":\"%s%d\"}', ARGV[1], i)) end return 1";
    let (count, first) = (count.to_string(), first.floor().to_string());
    let arguments = [
        "EVAL",
        script,
        "1",
        SET,
        name,
        &count,
        &first,
        &a_second.to_string(),
    ];
    assert_eq!(redis.command::<i64>(&arguments).await, 1);
}

async fn held(redis: &RedisServer) -> i64 {
    redis.command(&["ZCARD", SET]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_while_a_long_set_is_read_takes_nothing_else_with_it() {
    const COUNT: u32 = 40_000;
    let redis = RedisServer::start().await;
    let tokens = TestTokens::new();
    fill(&redis, "good", COUNT, seconds() + DAY.as_secs_f64(), COUNT).await;
    let soon = seconds() - FORGOTTEN_AFTER.as_secs_f64() + 1.0;
    fill(&redis, "gone", COUNT, soon, 8_000).await;
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    let going = go_on_revoking(&revoker);
    let wire = Proxy::start(redis.port).await;
    // Each page takes its time, so that there are seconds between the first and the last.
    let slowing = async {
        loop {
            wire.hold_answers(true);
            tokio::time::sleep(Duration::from_millis(120)).await;
            wire.hold_answers(false);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reading = async {
        let before = held(&redis).await;
        let node = node(wire.redis(), &tokens).await;
        until(async || node.server().revocations().is_settled()).await;
        let after = held(&redis).await;
        assert!(after < before - 1_000, "{before} {after}");
        node
    };
    let node = tokio::select! {
        () = going => unreachable!("it goes on"),
        () = slowing => unreachable!("it goes on"),
        node = reading => node,
    };
    wire.hold_answers(false);
    for number in (1..=COUNT).step_by(199) {
        let token = tokens.mint_with("alice", &json!({ "jti": format!("good{number}") }));
        let refused = code(&node, &token).await;
        assert_eq!(refused.as_deref(), Some("TOKEN_REVOKED"), "{number}");
    }
}

#[tokio::test]
async fn what_has_expired_is_forgotten_an_hour_later() {
    let redis = RedisServer::start().await;
    let hour = FORGOTTEN_AFTER.as_secs_f64();
    fill(&redis, "expired", 1, seconds() - hour + 60.0, 100).await;
    fill(&redis, "forgotten", 1, seconds() - hour - 60.0, 100).await;
    assert_eq!(held(&redis).await, 2);
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    revoker.revoke(Revocation::token("new"), DAY).await.unwrap();
    let kept: Vec<String> = redis.command(&["ZRANGE", SET, "0", "-1"]).await;
    // And the name of the version.
    assert_eq!(kept[..2], [r#"{"jti":"expired1"}"#, r#"{"jti":"new"}"#]);
    assert_eq!(kept.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_was_ahead_when_it_read_the_set_refuses_what_is_revoked() {
    Witness::of_process();
    let redis = RedisServer::start().await;
    let now = SystemTime::now();
    let clock = TestClock::at(now);
    let tokens = TestTokens::new().clock(&clock);
    let token = tokens.mint_with("alice", &json!({ "jti": "1" }));
    let revoker = RedisRevoker::connect(redis.redis()).await.unwrap();
    let life = Duration::from_secs(600);
    revoker.revoke(Revocation::token("1"), life).await.unwrap();
    clock.advance(FORGOTTEN_AFTER - life);
    let builder = Server::builder()
        .clock(clock.clone())
        .authenticate(tokens.jwt::<Value>())
        .namespace("/", |_| {})
        .cluster(redis.redis());
    let node = TestServer::start(builder).await;
    until(async || node.server().revocations().is_settled()).await;
    clock.set(now);
    assert_eq!(code(&node, &token).await.as_deref(), Some("TOKEN_REVOKED"));
}
