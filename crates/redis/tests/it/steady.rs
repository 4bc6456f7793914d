//! What goes on all the time, or moves, and must not look as if something were wrong or missing.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_redis::Mode;
use portcullis_testing::TestTokens;

use crate::revocation::{DAY, SET, node};
use crate::support::gaps::joined;
use crate::support::redis_cluster::RedisCluster;
use crate::support::{RedisServer, enter, until};

#[tokio::test]
async fn a_node_of_a_cluster_is_well_while_rooms_are_joined() {
    let cluster = RedisCluster::start().await;
    let (near, _) = joined(cluster.redis().mode(Mode::ShardedDynamic)).await;
    let mut client = near.client().await;
    // So many that there is a link to each master afterwards.
    for number in 0..20 {
        enter(&mut client, &[&format!(r#""first-{number}""#)]).await;
    }
    near.emitter.flush().await.unwrap();
    until(async || near.server.cluster_health().is_up()).await;
    for number in 0..200 {
        enter(&mut client, &[&format!(r#""room-{number}""#)]).await;
        let health = near.server.cluster_health();
        assert!(health.is_up(), "{health:?}");
    }
}

/// How many revocations each of the parts has.
const PART: usize = 25_000;

/// Puts revocations of tokens into Redis, as if they had always been there.
async fn fill(redis: &RedisServer, part: usize) {
    let script = "for i = 1, tonumber(ARGV[1]) do redis.call('ZADD', KEYS[1], ARGV[2], \
                  string.format('{\"jti\":\"p%s-%d\"}', ARGV[3], i)) end return 1";
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let until = (since + DAY).as_secs().to_string();
    let (count, part) = (PART.to_string(), part.to_string());
    let words = ["EVAL", script, "1", SET, &count, &until, &part];
    assert_eq!(redis.command::<i64>(&words).await, 1);
}

/// How many pages of sorted sets a server was asked for.
async fn scans(redis: &RedisServer) -> u64 {
    let statistics: String = redis.command(&["INFO", "commandstats"]).await;
    let mut lines = statistics.lines();
    let calls = lines.find_map(|line| line.strip_prefix("cmdstat_zscan:calls="));
    let calls = calls.and_then(|calls| calls.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_moves_to_another_master_while_it_is_read_is_known_whole() {
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let cluster = RedisCluster::start_patient().await;
        let tokens = TestTokens::new();
        let (slot, from) = cluster.place_of(SET).await;
        let to = (from + 1) % 3;
        for part in 0..4 {
            fill(&cluster.servers[from], part).await;
        }
        let moving = async {
            until(async || scans(&cluster.servers[from]).await > 4).await;
            cluster.move_slot_with(slot, from, to, &[SET]).await;
        };
        let starting = node(cluster.redis().mode(mode), &tokens);
        let (reader, ()) = tokio::join!(starting, moving);
        let revocations = reader.server().revocations();
        until(async || revocations.is_settled()).await;
        assert_eq!(revocations.len(), 4 * PART, "{mode:?}");
        // It was not read to its end before it moved.
        assert!(scans(&cluster.servers[to]).await > 0, "{mode:?}");
    }
}
