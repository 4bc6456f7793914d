use super::*;
use crate::clock;

/// What the reference server uses unless told otherwise.
const USUAL: Timing = Timing {
    ping_interval: Duration::from_secs(25),
    ping_timeout: Duration::from_secs(20),
};

/// What the protocol's own test suite uses, with the tick that suits it.
const BRISK: Timing = Timing {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
};
const TICK: Duration = Duration::from_millis(10);

struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(clock::start())
    }

    fn at(&self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

/// A heartbeat that has sent its first ping, at 25 s sharp.
fn awaiting_pong(clock: &Clock) -> Heartbeat {
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(25_000)),
        Some(Beat::SendPing)
    );
    heartbeat
}

// One test per row of the table.

#[test]
fn resting_and_ping_at_reached_sends_a_ping() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    assert_eq!(heartbeat.deadline(), clock.at(25_000));
    assert_eq!(heartbeat.handle_timeout(&USUAL, clock.at(24_999)), None);
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(25_000)),
        Some(Beat::SendPing)
    );
    assert_eq!(heartbeat.deadline(), clock.at(45_000));
}

#[test]
fn resting_and_a_pong_changes_nothing() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    heartbeat.handle_pong(&USUAL, clock.at(24_000));
    assert_eq!(heartbeat.deadline(), clock.at(25_000));
}

#[test]
fn awaiting_pong_and_a_pong_rests_for_a_full_interval() {
    let clock = Clock::start();
    let mut heartbeat = awaiting_pong(&clock);
    heartbeat.handle_pong(&USUAL, clock.at(26_000));
    assert_eq!(heartbeat.deadline(), clock.at(51_000));
    assert_eq!(heartbeat.handle_timeout(&USUAL, clock.at(50_999)), None);
}

#[test]
fn awaiting_pong_and_another_packet_moves_the_deadline_once_a_ping() {
    let clock = Clock::start();
    let mut heartbeat = awaiting_pong(&clock);
    heartbeat.handle_packet(&USUAL, clock.at(40_000));
    assert_eq!(heartbeat.deadline(), clock.at(60_000));
    heartbeat.handle_packet(&USUAL, clock.at(50_000));
    assert_eq!(heartbeat.deadline(), clock.at(60_000));

    // The next ping brings its own extension.
    heartbeat.handle_pong(&USUAL, clock.at(55_000));
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(80_000)),
        Some(Beat::SendPing)
    );
    heartbeat.handle_packet(&USUAL, clock.at(90_000));
    assert_eq!(heartbeat.deadline(), clock.at(110_000));
}

#[test]
fn awaiting_pong_and_close_at_reached_closes() {
    let clock = Clock::start();
    let mut heartbeat = awaiting_pong(&clock);
    assert_eq!(heartbeat.handle_timeout(&USUAL, clock.at(44_999)), None);
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(45_000)),
        Some(Beat::Close)
    );
}

// What the rows do not say.

#[test]
fn a_packet_before_the_ping_does_not_move_anything() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    heartbeat.handle_packet(&USUAL, clock.at(24_000));
    assert_eq!(heartbeat.deadline(), clock.at(25_000));
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(25_000)),
        Some(Beat::SendPing)
    );
    assert_eq!(heartbeat.deadline(), clock.at(45_000));
}

#[test]
fn a_second_pong_is_not_a_timeout_and_does_not_postpone() {
    let clock = Clock::start();
    let mut heartbeat = awaiting_pong(&clock);
    heartbeat.handle_pong(&USUAL, clock.at(26_000));
    heartbeat.handle_pong(&USUAL, clock.at(27_000));
    assert_eq!(heartbeat.deadline(), clock.at(51_000));
    assert_eq!(heartbeat.handle_timeout(&USUAL, clock.at(27_000)), None);
}

#[test]
fn a_packet_right_behind_an_early_ping_does_not_shorten_the_deadline() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&BRISK, clock.at(0));
    // The wheel looks at 290 on behalf of 300.
    assert_eq!(
        heartbeat.handle_timeout(&BRISK, clock.at(300)),
        Some(Beat::SendPing)
    );
    heartbeat.handle_packet(&BRISK, clock.at(291));
    assert_eq!(heartbeat.deadline(), clock.at(500));
}

#[test]
fn a_ping_that_goes_out_a_little_late_does_not_move_the_close() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    assert_eq!(
        heartbeat.handle_timeout(&USUAL, clock.at(26_500)),
        Some(Beat::SendPing)
    );
    assert_eq!(heartbeat.deadline(), clock.at(45_000));
}

#[test]
fn a_stopped_process_leaves_its_clients_most_of_the_timeout() {
    let cases = [
        USUAL,
        BRISK,
        // A timeout far shorter than the interval must not be used up by the stop.
        Timing {
            ping_interval: Duration::from_mins(1),
            ping_timeout: Duration::from_secs(5),
        },
        Timing {
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_mins(1),
        },
    ];
    for timing in cases {
        for stopped in [Duration::from_secs(6), Duration::from_mins(10)] {
            let start = clock::start();
            let mut heartbeat = Heartbeat::new(&timing, start);
            let resumed = start + timing.ping_interval + stopped;
            assert_eq!(
                heartbeat.handle_timeout(&timing, resumed),
                Some(Beat::SendPing)
            );
            let left = heartbeat.deadline().saturating_duration_since(resumed);
            let due = (start + timing.ping_interval + timing.ping_timeout)
                .saturating_duration_since(resumed);
            assert!(
                left >= timing.ping_timeout * 9 / 10,
                "{timing:?} {stopped:?}: {left:?}"
            );
            assert!(left >= due);
        }
    }
}

/// Looks as a wheel does, at every tick and one tick ahead, until the end. Returns when the pings
/// went out and when it ended; pongs come `pong_after` each of the first `pongs` pings.
fn run_wheel(offset: u64, pong_after: u64, pongs: usize) -> (Vec<u64>, u64) {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&BRISK, clock.at(offset));
    let mut pings = Vec::new();
    let mut pong_at = None;
    for now in 0..10_000 {
        if pong_at == Some(now) {
            heartbeat.handle_pong(&BRISK, clock.at(now));
        }
        if now % 10 != 0 {
            continue;
        }
        match heartbeat.handle_timeout(&BRISK, clock.at(now) + TICK) {
            Some(Beat::SendPing) => {
                pings.push(now);
                pong_at = (pings.len() <= pongs).then_some(now + pong_after);
            }
            Some(Beat::Close) => return (pings, now),
            None => {}
        }
    }
    panic!("it never ended");
}

#[test]
fn a_silent_client_is_gone_500_ms_after_the_opening_and_not_much_earlier() {
    for offset in 0..10 {
        let (pings, end) = run_wheel(offset, 0, 0);
        assert_eq!(pings.len(), 1);
        let (ping, end) = (pings[0] - offset, end - offset);
        assert!(
            (290..=300).contains(&ping),
            "offset {offset}: ping after {ping} ms"
        );
        assert!(
            (490..=500).contains(&end),
            "offset {offset}: end after {end} ms"
        );
    }
}

#[test]
fn a_client_that_answers_in_time_is_not_cut_off_by_the_early_wheel() {
    for offset in 0..10 {
        let (pings, _) = run_wheel(offset, 189, 3);
        assert_eq!(pings.len(), 4, "offset {offset}");
        for pair in pings.windows(2) {
            // From a pong to the next ping: one interval, at most a tick less.
            let gap = pair[1] - pair[0] - 189;
            assert!((290..=300).contains(&gap), "offset {offset}: {gap} ms");
        }
    }
}

#[test]
fn a_day_of_heartbeats_keeps_the_session() {
    let clock = Clock::start();
    let mut heartbeat = Heartbeat::new(&USUAL, clock.at(0));
    let mut pings = 0;
    let day = clock.at(24 * 60 * 60 * 1000);
    while heartbeat.deadline() < day {
        let now = heartbeat.deadline();
        assert_eq!(heartbeat.handle_timeout(&USUAL, now), Some(Beat::SendPing));
        heartbeat.handle_pong(&USUAL, now + Duration::from_millis(40));
        pings += 1;
    }
    assert_eq!(pings, 86_400_000 / 25_040);
}

#[test]
fn a_heartbeat_takes_at_most_24_bytes() {
    assert!(size_of::<Heartbeat>() <= 24, "{}", size_of::<Heartbeat>());
}
