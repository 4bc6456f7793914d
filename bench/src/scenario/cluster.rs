//! Two nodes and their Redis: what is said on one is heard on the other.
//!
//! ```text
//!   trigger, 1,000 clients ──▶ node A ──PUBLISH──▶ Redis ──▶ node B ──▶ 1,000 clients
//!                                 └─ local, at once           └─ CPU per delivery counts here
//! ```
//!
//! # Invariants
//!
//! - Both nodes are measured in the same window, so that one divided by the other says what the
//!   way over Redis costs, whatever the machine does meanwhile.

use std::time::Duration;

use super::broadcast::{Load, Room};
use super::open_loop::{OpenLoop, Pace};
use super::rates::{self, Rung};
use super::{Node, Stage};
use crate::crowd::Crowd;
use crate::error::BenchError;
use crate::figures::{Figure, Figures, Findings};
use crate::fleet::Fleet;
use crate::meter::Meter;
use crate::payload::{Payload, SMALL};
use crate::{redis, wire};

const LOAD: Load = Load {
    clients: 1_000,
    deaf: None,
    per_second: 50,
    burst: 1,
    payload_len: SMALL,
    is_binary: false,
};

/// Publishes per second while system calls are traced, which slows a server down.
const TRACED_RATE: u32 = 500;

/// Publishes per second.
const RATES: [u32; 6] = [1_000, 2_000, 5_000, 10_000, 15_000, 20_000];

/// Who speak, each in a room of its own, in which one on the other node listens.
const SPEAKERS: usize = 200;

pub(super) fn run(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let (other, broker) = both(&stage)?;
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    let near = LOAD.clients + 1;
    fleet.grow_to(near)?;
    fleet.aim_at(other.address);
    fleet.grow_to(near + LOAD.clients)?;
    let mut room = Room::new(fleet, clock, LOAD, &[near, near + LOAD.clients]);
    room.broadcast_for(plan.warm_up)?;
    room.forget();

    let round_trip = redis::round_trip(broker)?;
    let heard_before = room.crowd.heard;
    if plan.is_traced() {
        let meter = Meter::start(other.pid, plan.instrument)?;
        room.fill(plan)?;
        let heard = room.crowd.heard - heard_before;
        let there = heard * LOAD.clients as u64 / (near + LOAD.clients) as u64;
        return Ok(meter.finish(there)?.into());
    }
    let meters = [target.node, other, broker].map(|node| Meter::start(node.pid, plan.instrument));
    room.fill(plan)?;
    let events = (room.crowd.heard - heard_before) / (near + LOAD.clients) as u64;
    let [here, there, between] = meters;
    let here = cpu(&here?.finish(events * near as u64)?);
    let mut figures = there?.finish(events * LOAD.clients as u64)?;
    let at_receiver = figures[&Figure::CpuPerUnit];
    figures.insert(Figure::CpuAtSender, here);
    figures.insert(Figure::RedisRoundTrip, round_trip);
    figures.insert(Figure::ReceiverShare, at_receiver / here);
    figures.insert(Figure::RedisCpu, cpu(&between?.finish(events)?));
    let [near, far] = &room.crowd.latencies[..] else {
        return Err(BenchError::void("two nodes make two classes of listeners"));
    };
    far.summarize(&mut figures);
    room.pace.summarize(&mut figures);
    for (figure, share) in [(Figure::AddedP50, 0.5), (Figure::AddedP99, 0.99)] {
        figures.insert(figure, far.quantile(share) - near.quantile(share));
    }
    Ok(figures.into())
}

/// Small broadcasts, each of which one client of the other node hears, faster and faster.
pub(super) fn run_rates(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let (other, broker) = both(&stage)?;
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    fleet.group_from(0, 1);
    fleet.grow_to(SPEAKERS)?;
    fleet.aim_at(other.address);
    fleet.group_from(SPEAKERS, 1);
    fleet.grow_to(2 * SPEAKERS)?;
    let mut speakers = Speakers {
        fleet,
        pace: Pace::new(clock),
        total: 0,
        crowd: Crowd::new(&[SPEAKERS, 2 * SPEAKERS], 1),
    };
    speakers.run_for(plan.warm_up / 2, RATES[0])?;
    if plan.is_traced() {
        let (meter, before) = (target.meter(plan)?, speakers.total);
        speakers.run_for(plan.warm_up, TRACED_RATE)?;
        return Ok(meter.finish(speakers.total - before)?.into());
    }
    rates::climb(&RATES, |rate| {
        speakers.crowd.forget_latencies();
        speakers.pace.forget();
        let before = speakers.total;
        let meters =
            [target.node, other, broker].map(|node| Meter::start(node.pid, plan.instrument));
        speakers.run_for(plan.steady / 2, rate)?;
        let said = speakers.total - before;
        let [here, there, between] = meters;
        let mut figures = here?.finish(said)?;
        let ratio = cpu(&there?.finish(said)?) / cpu(&figures);
        figures.insert(Figure::ReceiverShare, ratio);
        figures.insert(Figure::RedisCpu, cpu(&between?.finish(said)?));
        let far = &speakers.crowd.latencies[1];
        far.summarize(&mut figures);
        speakers.pace.summarize(&mut figures);
        let p99 = far.quantile(0.99);
        Ok(Rung { p99, figures })
    })
}

fn both(stage: &Stage<'_>) -> Result<(Node, Node), BenchError> {
    let alone = || BenchError::Setup("this scenario needs two nodes and a Redis".to_owned());
    stage.target.cluster.ok_or_else(alone)
}

fn cpu(figures: &Figures) -> f64 {
    figures
        .get(&Figure::CpuPerUnit)
        .copied()
        .unwrap_or(f64::NAN)
}

struct Speakers {
    fleet: Fleet,
    pace: Pace,
    total: u64,
    crowd: Crowd,
}

/// Clients speak in turn.
impl OpenLoop for Speakers {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn act(&mut self, intended: u64) -> Result<(), BenchError> {
        let client = (self.total % SPEAKERS as u64) as usize;
        let sequence = (self.total / SPEAKERS as u64) as u32;
        let at = intended;
        let payload = Payload { at, sequence }.encode(SMALL);
        let head = format!(r#"42["gcast",{client},"#);
        let text = [head.as_bytes(), &payload, b"]"].concat();
        self.total += 1;
        self.fleet.send(client, &wire::client_frame(&text))
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let crowd = &mut self.crowd;
        self.fleet.wait(timeout, &mut |index, received, now| {
            crowd.hear(index, &received, now)
        })
    }

    /// Who spoke hears it, and who listens on the other node.
    fn missing(&self) -> u64 {
        2 * self.total - self.crowd.heard
    }
}
