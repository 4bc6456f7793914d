//! One extra client says `bcast`, and everyone in the room hears `m`.
//!
//! ```text
//!  trigger:  42["bcast",{…seq n…}]   so many times a second, open loop
//!  server:   42["m",{…seq n…}]       to everyone, the trigger included
//! ```
//!
//! # Invariants
//!
//! - Each client that reads hears each number once and in order (`crowd`).

use std::time::Duration;

use super::open_loop::{OpenLoop, Pace};
use super::rates::{self, Rung};
use super::{Plan, Stage};
use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::error::BenchError;
use crate::figures::{Figure, Findings};
use crate::fleet::Fleet;
use crate::payload::{Payload, SMALL};
use crate::peak::Peak;
use crate::wire;

/// How many broadcasts, or bursts of them, are traced.
const TRACED_STEPS: u32 = 5;

/// The window where some never read: long enough to fill all that is between them and the server
/// at 200 KiB a second, which is when they cost most, and to see what comes of it.
const DEAF_WINDOW: Duration = Duration::from_secs(20);

/// Broadcasts per second, from easy to impossible.
const RATES: [u32; 13] = [
    25, 50, 100, 200, 400, 600, 800, 1_200, 1_600, 2_400, 3_200, 4_800, 6_400,
];

/// The rhythm of the broadcasts, and who hears them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Who read, beside the trigger.
    pub(super) clients: usize,
    /// Who never read, where it is measured what they cost the others.
    pub(super) deaf: Option<usize>,
    pub(super) per_second: u32,
    /// How many are said back to back.
    pub(super) burst: u32,
    pub(super) payload_len: usize,
    /// Whether the payload is an attachment.
    pub(super) is_binary: bool,
}

pub(super) fn run(stage: Stage<'_>, load: Load) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    fleet.grow_to(load.clients + 1)?;
    fleet.grow_by_deaf(load.deaf.unwrap_or(0))?;
    let peak = load.deaf.map(|_| Peak::watch(target.node.pid));
    let mut room = Room::new(fleet, clock, load, &[load.clients + 1]);
    room.broadcast_for(plan.warm_up)?;
    room.forget();

    let heard_before = room.crowd.heard;
    let meter = target.meter(plan)?;
    match load.deaf {
        Some(_) => room.broadcast_for(DEAF_WINDOW)?,
        None => room.fill(plan)?,
    }
    let mut figures = meter.finish(room.crowd.heard - heard_before)?;
    room.crowd.latencies[0].summarize(&mut figures);
    room.pace.summarize(&mut figures);
    if !room.crowd.last[0].is_empty() {
        figures.insert(Figure::LatencyLast, room.crowd.last[0].quantile(0.5));
    }
    if let Some(peak) = peak {
        figures.insert(Figure::MemoryPeak, peak.finish()? as f64 / 1_048_576.0);
    }
    Ok(figures.into())
}

/// Broadcasts faster and faster, until the deliveries are late.
pub(super) fn run_rates(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    if plan.is_traced() {
        return Err(super::untraceable());
    }
    let load = Load {
        clients: 1_000,
        deaf: None,
        per_second: 1,
        burst: 1,
        payload_len: SMALL,
        is_binary: false,
    };
    fleet.grow_to(load.clients + 1)?;
    let mut room = Room::new(fleet, clock, load, &[load.clients + 1]);
    rates::climb(&RATES, |rate| {
        room.load.per_second = rate;
        room.broadcast_for(plan.warm_up / 2)?;
        room.forget();
        let heard_before = room.crowd.heard;
        let meter = target.meter(plan)?;
        room.broadcast_for(plan.steady / 2)?;
        let mut figures = meter.finish(room.crowd.heard - heard_before)?;
        room.pace.summarize(&mut figures);
        let p99 = room.crowd.latencies[0].quantile(0.99);
        Ok(Rung { p99, figures })
    })
}

/// Everybody who hears, and the one who says it.
pub(super) struct Room {
    fleet: Fleet,
    pub(super) pace: Pace,
    load: Load,
    said: u32,
    pub(super) crowd: Crowd,
}

impl Room {
    /// The trigger is client number `load.clients`; classes of listeners end before `bounds`.
    pub(super) fn new(fleet: Fleet, clock: Clock, load: Load, bounds: &[usize]) -> Self {
        Self {
            fleet,
            pace: Pace::new(clock),
            load,
            said: 0,
            crowd: Crowd::new(bounds, 1),
        }
    }

    /// Begins a window: what was heard before does not count.
    pub(super) fn forget(&mut self) {
        self.crowd.forget_latencies();
        self.pace.forget();
    }

    /// Broadcasts for about `duration`, and waits until everyone has heard everything.
    pub(super) fn broadcast_for(&mut self, duration: Duration) -> Result<(), BenchError> {
        self.run_for(duration, self.load.per_second)
    }

    /// The load of a window.
    pub(super) fn fill(&mut self, plan: &Plan) -> Result<(), BenchError> {
        if !plan.is_traced() {
            return self.broadcast_for(plan.steady);
        }
        // A traced server cannot keep any rate worth naming: one broadcast after the other.
        for _ in 0..TRACED_STEPS {
            self.act(self.pace.clock.now())?;
            self.drain()?;
        }
        Ok(())
    }
}

/// The trigger speaks.
impl OpenLoop for Room {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn act(&mut self, intended: u64) -> Result<(), BenchError> {
        let mut frames = Vec::new();
        for _ in 0..self.load.burst {
            let (at, sequence) = (intended, self.said);
            let payload = Payload { at, sequence }.encode(self.load.payload_len);
            if self.load.is_binary {
                let head = br#"451-["bcast",{"_placeholder":true,"num":0}]"#;
                frames.extend_from_slice(&wire::client_frame(head));
                frames.extend_from_slice(&wire::client_binary_frame(&payload));
            } else {
                let text = [br#"42["bcast","#, &payload[..], b"]"].concat();
                frames.extend_from_slice(&wire::client_frame(&text));
            }
            self.said += 1;
        }
        self.fleet.send(self.load.clients, &frames)
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let crowd = &mut self.crowd;
        self.fleet.wait(timeout, &mut |index, received, now| {
            crowd.hear(index, &received, now)
        })
    }

    fn missing(&self) -> u64 {
        u64::from(self.said) * self.crowd.len() as u64 - self.crowd.heard
    }
}
