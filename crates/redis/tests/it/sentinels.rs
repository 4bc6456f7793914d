//! Sentinels that replace a master which goes on, and some that hang; nodes of a cluster that hang.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use portcullis::adapter::GapCause;
use portcullis_redis::{Mode, Redis, RedisEmitter};

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::redis_cluster::{RedisCluster, Sentinels};
use crate::support::until;

#[tokio::test]
async fn a_master_that_is_replaced_and_goes_on_is_left_with_a_gap() {
    let sentinels = Sentinels::start().await;
    let known = format!("127.0.0.1:{}", sentinels.port);
    let options = || Redis::sentinel([known.clone()], "mymaster");
    let (near, near_gaps) = joined(options()).await;
    let mut here = near.client().await;
    let emitter = RedisEmitter::connect(options()).await.unwrap();
    sentinels.replace_master().await;
    let (far, far_gaps) = joined(options()).await;
    let mut there = far.client().await;

    let mut ledger = Ledger::default();
    let together = ledger.emit_until_heard(&near, &mut there).await;
    // Two to three seconds, and what a busy machine needs to connect.
    assert!(together < Duration::from_secs(8), "{together:?}");
    near_gaps.wait_for(GapCause::Moved).await;
    // What it published itself was taken, and not heard by those who had gone.
    until(async || {
        let unheard = near_gaps.of(GapCause::PublishFailed);
        unheard.iter().any(|gap| gap.lost.is_none())
    })
    .await;
    let gaps = [&near_gaps, &far_gaps];
    ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
    far.emitter.emit("back", &()).unwrap();
    while here.event().await != r#"["back"]"# {}

    // Who only publishes has to leave it too.
    let emitting = async {
        for _ in 0..250 {
            let _ = emitter.emit("by", &()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let hearing = async { while there.event().await != r#"["by"]"# {} };
    tokio::select! {
        () = hearing => {}
        () = emitting => panic!("the emitter was left behind"),
    }
}

/// Where connections are taken, and nothing is ever said.
fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Beside one that hangs the next one is asked after half a second; waiting for it takes 4 s.
async fn assert_joined_soon(redis: Redis) {
    let started = Instant::now();
    let _joined = joined(redis).await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(3500), "{took:?}");
}

#[tokio::test]
async fn a_sentinel_that_hangs_holds_nobody_up() {
    let sentinels = Sentinels::start().await;
    let (_listener, hanging) = hanging();
    let known = [hanging, format!("127.0.0.1:{}", sentinels.port)];
    assert_joined_soon(Redis::sentinel(known, "mymaster")).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_hangs_holds_nobody_up() {
    let cluster = RedisCluster::start().await;
    let (_listener, hanging) = hanging();
    let known = [hanging, format!("127.0.0.1:{}", cluster.servers[0].port)];
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        assert_joined_soon(Redis::cluster(known.clone()).mode(mode)).await;
    }
}
