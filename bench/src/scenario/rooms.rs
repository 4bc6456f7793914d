//! Many small rooms: each client says something to the ten of its room, in turn.
//!
//! ```text
//!  client n:  42["gcast",<room>,{…seq n…}]      one for ten deliveries that are asked for
//!  server:    42["m",{…seq n…}]                 to the ten of the room
//! ```
//!
//! CPU counts at the first rate, which every server keeps; the others are for the curve.

use std::time::Duration;

use super::Stage;
use super::open_loop::{OpenLoop, Pace};
use super::rates::{self, Rung};
use crate::crowd::{Crowd, SENDER_STRIDE};
use crate::error::BenchError;
use crate::figures::Findings;
use crate::fleet::Fleet;
use crate::payload::{Payload, SMALL};
use crate::wire;

const CLIENTS: usize = 2_000;
const ROOM_LEN: usize = 10;

/// Deliveries per second; ten times as many as are said.
const RATES: [u32; 14] = [
    20_000, 40_000, 60_000, 80_000, 120_000, 160_000, 200_000, 240_000, 320_000, 400_000, 480_000,
    640_000, 800_000, 1_000_000,
];

pub(super) fn run(stage: Stage<'_>) -> Result<Findings, BenchError> {
    let Stage {
        mut fleet,
        clock,
        target,
        plan,
    } = stage;
    fleet.group_from(0, ROOM_LEN);
    fleet.grow_to(CLIENTS)?;
    let mut rooms = Rooms {
        fleet,
        pace: Pace::new(clock),
        said: vec![0; CLIENTS],
        speaker: 0,
        total: 0,
        crowd: Crowd::new(&[CLIENTS], ROOM_LEN),
    };
    if plan.is_traced() {
        let meter = target.meter(plan)?;
        for _ in 0..CLIENTS / ROOM_LEN {
            for _ in 0..ROOM_LEN {
                rooms.act(clock.now())?;
            }
            rooms.drain()?;
        }
        return Ok(meter.finish(rooms.crowd.heard)?.into());
    }
    rates::climb(&RATES, |rate| {
        rooms.run_for(plan.warm_up / 2, rate / ROOM_LEN as u32)?;
        rooms.crowd.forget_latencies();
        rooms.pace.forget();
        let heard_before = rooms.crowd.heard;
        let meter = target.meter(plan)?;
        rooms.run_for(plan.steady / 2, rate / ROOM_LEN as u32)?;
        let mut figures = meter.finish(rooms.crowd.heard - heard_before)?;
        rooms.crowd.latencies[0].summarize(&mut figures);
        rooms.pace.summarize(&mut figures);
        let p99 = rooms.crowd.latencies[0].quantile(0.99);
        Ok(Rung { p99, figures })
    })
}

struct Rooms {
    fleet: Fleet,
    pace: Pace,
    /// How many events each client has said.
    said: Vec<u32>,
    /// Whose turn it is.
    speaker: usize,
    total: u64,
    crowd: Crowd,
}

/// Clients speak in turn.
impl OpenLoop for Rooms {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn act(&mut self, intended: u64) -> Result<(), BenchError> {
        let client = self.speaker;
        self.speaker = (client + 1) % CLIENTS;
        let (room, place) = (client / ROOM_LEN, client % ROOM_LEN);
        let sequence = place as u32 * SENDER_STRIDE + self.said[client];
        let at = intended;
        let payload = Payload { at, sequence }.encode(SMALL);
        let head = format!(r#"42["gcast",{room},"#);
        let text = [head.as_bytes(), &payload, b"]"].concat();
        self.said[client] += 1;
        self.total += 1;
        self.fleet.send(client, &wire::client_frame(&text))
    }

    fn listen(&mut self, timeout: Duration) -> Result<(), BenchError> {
        let crowd = &mut self.crowd;
        self.fleet.wait(timeout, &mut |index, received, now| {
            crowd.hear(index, &received, now)
        })
    }

    fn missing(&self) -> u64 {
        self.total * ROOM_LEN as u64 - self.crowd.heard
    }
}
