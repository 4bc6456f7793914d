//! A network that swallows what is sent to it, with the times that are in force by default.

use std::time::{Duration, Instant};

use portcullis::adapter::GapCause;
use portcullis_redis::Mode;

use crate::support::gaps::joined;
use crate::support::ledger::Ledger;
use crate::support::proxy::Proxy;
use crate::support::{RedisServer, until};

/// Within which a connection that is swallowed is noticed.
const NOTICED: Duration = Duration::from_secs(10);

/// Within which delivery is back when the network is.
const BACK: Duration = Duration::from_secs(2);

async fn assert_it_is_noticed_and_left(mode: Mode) {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
    let (near, near_gaps) = joined(redis.redis().mode(mode)).await;
    let (far, far_gaps) = joined(proxy.redis().mode(mode)).await;
    let [mut here, mut there] = [far.client().await, far.client().await];
    let mut ledger = Ledger::default();
    ledger.emit_until_heard(&near, &mut there).await;
    let is_up = || far.server.cluster_health().is_up();

    proxy.swallow(true);
    let swallowed = Instant::now();
    let mut worst = Duration::ZERO;
    while is_up() {
        ledger.emit(&near);
        let emitted = Instant::now();
        far.emitter.all().local().emit("here", &()).unwrap();
        while here.event().await != r#"["here"]"# {}
        worst = worst.max(emitted.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(swallowed.elapsed() < NOTICED, "it is not noticed");
    }
    assert!(worst < Duration::from_millis(250), "{worst:?}");
    // As long as a network may be away.
    let fifteen = Duration::from_secs(15).saturating_sub(swallowed.elapsed());
    ledger
        .emit_for(&near, fifteen, Duration::from_millis(20))
        .await;

    proxy.swallow(false);
    let back = ledger.emit_until_heard(&near, &mut there).await;
    assert!(back < BACK, "{back:?}");
    until(async || is_up()).await;
    far_gaps.wait_for(GapCause::Silent).await;
    let gaps = [&near_gaps, &far_gaps];
    let lost = ledger
        .assert_losses_are_told(&near, &mut there, &gaps)
        .await;
    assert!(lost > 100, "{lost}");
}

#[tokio::test]
async fn on_the_classic_wire_it_is_noticed_within_ten_seconds_and_left_within_two() {
    assert_it_is_noticed_and_left(Mode::Classic).await;
}

#[tokio::test]
async fn on_the_sharded_wire_it_is_noticed_within_ten_seconds_and_left_within_two() {
    assert_it_is_noticed_and_left(Mode::ShardedDynamic).await;
}
