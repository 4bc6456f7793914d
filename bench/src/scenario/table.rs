//! The table of scenarios: what each is called, what it does, and what its figures are per.

use super::echo as talk;
use super::{Scenario, Stage, broadcast, cluster, connect, idle, mix, rooms, storm, upgrade};
use crate::error::BenchError;
use crate::figures::Findings;
use crate::floor::Mode;
use crate::payload::{LARGE, SMALL};

/// What a scenario is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// The name that a person types.
    pub(crate) name: &'static str,
    /// What it is, in the table.
    pub(crate) title: &'static str,
    /// What a figure "per unit" is per.
    pub(crate) unit: &'static str,
    /// What the kernel alone would need.
    pub(crate) floor: Option<Mode>,
    /// How many blocks are kept of it.
    pub(crate) blocks: usize,
    /// Whether its system calls are counted, in runs of their own.
    pub(crate) is_traced: bool,
    /// The axes of its curve, if it has one.
    pub(crate) axes: Option<(&'static str, &'static str)>,
    pub(super) load: Load,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    Broadcast(broadcast::Load),
    BroadcastRates,
    Rooms,
    Echo { clients: usize, at_once: u32 },
    EchoRates,
    Connect(connect::Pace),
    Storm,
    Upgrade,
    Idle,
    ComeAndGo,
    Mix,
    Cluster,
    ClusterRates,
}

impl Load {
    pub(super) fn run(self, stage: Stage<'_>) -> Result<Findings, BenchError> {
        match self {
            Self::Broadcast(load) => broadcast::run(stage, load),
            Self::BroadcastRates => broadcast::run_rates(stage),
            Self::Rooms => rooms::run(stage),
            Self::Echo { clients, at_once } => talk::run(stage, clients, at_once),
            Self::EchoRates => talk::run_rates(stage),
            Self::Connect(pace) => connect::run(stage, pace),
            Self::Storm => storm::run(stage),
            Self::Upgrade => upgrade::run(&stage),
            Self::Idle => idle::run(stage),
            Self::ComeAndGo => storm::come_and_go(stage),
            Self::Mix => mix::run(stage),
            Self::Cluster => cluster::run(stage),
            Self::ClusterRates => cluster::run_rates(stage),
        }
    }
}

const fn once(per_second: u32) -> broadcast::Load {
    broadcast::Load {
        clients: 1_000,
        deaf: None,
        per_second,
        burst: 1,
        payload_len: SMALL,
        is_binary: false,
    }
}

/// A scenario without a floor, of which three blocks are kept.
const fn spec(name: &'static str, title: &'static str, unit: &'static str, load: Load) -> Spec {
    Spec {
        name,
        title,
        unit,
        floor: None,
        blocks: 3,
        is_traced: false,
        axes: None,
        load,
    }
}

impl Spec {
    const fn over(mut self, floor: Mode) -> Self {
        self.floor = Some(floor);
        self.traced()
    }

    const fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    const fn often(mut self) -> Self {
        self.blocks = 7;
        self
    }

    const fn drawn(mut self, x: &'static str, y: &'static str) -> Self {
        self.axes = Some((x, y));
        self
    }
}

const P99: &str = "latency p99, ms";

const B1: Spec = spec(
    "b1",
    "broadcast to 1,000, 50/s",
    "delivery",
    Load::Broadcast(once(50)),
)
.over(Mode::Broadcast)
.often();

const B1_LARGE: Spec = spec(
    "b1large",
    "broadcast of 1 KiB to 1,000, 50/s",
    "delivery",
    Load::Broadcast(broadcast::Load {
        payload_len: LARGE,
        ..once(50)
    }),
)
.over(Mode::Broadcast);

const B1_MANY: Spec = spec(
    "b1many",
    "broadcast to 10,000, 1/s",
    "delivery",
    Load::Broadcast(broadcast::Load {
        clients: 10_000,
        ..once(1)
    }),
)
.over(Mode::Broadcast);

const B1_FAST: Spec = spec(
    "b1fast",
    "broadcast to 1,000, 400/s",
    "delivery",
    Load::Broadcast(once(400)),
);

const B1_MAX: Spec = spec(
    "b1max",
    "broadcast to 1,000, faster and faster",
    "delivery",
    Load::BroadcastRates,
)
.drawn("broadcasts to 1,000 per second", P99);

const B2: Spec = spec(
    "b2",
    "broadcast to 1,000, bursts of 8, 10/s",
    "delivery",
    Load::Broadcast(broadcast::Load {
        burst: 8,
        ..once(10)
    }),
)
.over(Mode::Broadcast)
.often();

const B3: Spec = spec("b3", "200 rooms of 10, 2,000/s", "delivery", Load::Rooms)
    .drawn("deliveries per second to rooms of 10", P99)
    .traced();

const B4: Spec = spec(
    "b4",
    "broadcast of a 1 KiB attachment to 1,000, 50/s",
    "delivery",
    Load::Broadcast(broadcast::Load {
        payload_len: LARGE,
        is_binary: true,
        ..once(50)
    }),
)
.over(Mode::Broadcast);

const B5_NONE: Spec = deaf("b5none", "1 KiB to 1,000, 200/s, all read", 0);
const B5: Spec = deaf("b5", "1 KiB to 1,000, 200/s, 1 % never read", 10);
const B5_MANY: Spec = deaf("b5many", "1 KiB to 1,000, 200/s, 20 % never read", 200);

const E1: Spec = spec(
    "e1",
    "event + ack, 64 clients, closed loop",
    "round trip",
    echo(64, 1),
)
.over(Mode::Echo)
.often();

const E1_MANY: Spec = spec(
    "e1many",
    "event + ack, 1,000 clients, closed loop",
    "round trip",
    echo(1_000, 1),
)
.over(Mode::Echo);

const E1_OPEN: Spec = spec(
    "e1open",
    "event + ack, 100 clients, faster and faster",
    "round trip",
    Load::EchoRates,
)
.drawn("events with ack per second", P99);

const E2: Spec = spec(
    "e2",
    "event + ack, 16 in one segment",
    "round trip",
    echo(100, 16),
)
.over(Mode::Echo);

const C1: Spec = spec(
    "c1",
    "connect, 32 at a time",
    "connection",
    Load::Connect(connect::Pace::AtOnce),
)
.over(Mode::Accept)
.often();

const C1_PACED: Spec = spec(
    "c1paced",
    "connect, 500/s",
    "connection",
    Load::Connect(connect::Pace::PerSecond(500)),
)
.over(Mode::Accept);

const C1_RSA: Spec = spec(
    "c1rsa",
    "connect with RS256, 32 at a time",
    "connection",
    Load::Connect(connect::Pace::AtOnce),
)
.over(Mode::Accept);

const C2: Spec = spec("c2", "10,000 reset, back in 1 s", "connection", Load::Storm);
const C3: Spec = spec("c3", "polling, then upgrade", "session", Load::Upgrade).traced();

const M1: Spec = spec("m1", "idle, 2,000 to 18,000", "connection", Load::Idle)
    .often()
    .drawn("idle connections", "RssAnon, MiB");
const M2: Spec = spec("m2", "18,000, none, 18,000", "connection", Load::ComeAndGo);

const L1: Spec = spec(
    "l1",
    "5,000 idle, broadcasts, echo and connects",
    "round trip",
    Load::Mix,
);

const R1: Spec = spec(
    "r1",
    "over Redis: broadcast to 1,000 + 1,000, 50/s",
    "delivery",
    Load::Cluster,
)
.traced();

const R2: Spec = spec(
    "r2",
    "over Redis: to rooms of 1 + 1, faster and faster",
    "publish",
    Load::ClusterRates,
)
.drawn("small broadcasts per second over Redis", P99)
.traced();

const fn echo(clients: usize, at_once: u32) -> Load {
    Load::Echo { clients, at_once }
}

/// Broadcasts that some never read.
const fn deaf(name: &'static str, title: &'static str, count: usize) -> Spec {
    let load = broadcast::Load {
        clients: 1_000 - count,
        deaf: Some(count),
        payload_len: LARGE,
        ..once(200)
    };
    spec(name, title, "delivery", Load::Broadcast(load))
}

impl Scenario {
    /// All that is to be known of it.
    pub(crate) const fn spec(self) -> Spec {
        match self {
            Self::B1 => B1,
            Self::B1Large => B1_LARGE,
            Self::B1Many => B1_MANY,
            Self::B1Fast => B1_FAST,
            Self::B1Max => B1_MAX,
            Self::B2 => B2,
            Self::B3 => B3,
            Self::B4 => B4,
            Self::B5None => B5_NONE,
            Self::B5 => B5,
            Self::B5Many => B5_MANY,
            Self::E1 => E1,
            Self::E1Many => E1_MANY,
            Self::E1Open => E1_OPEN,
            Self::E2 => E2,
            Self::C1 => C1,
            Self::C1Paced => C1_PACED,
            Self::C1Rsa => C1_RSA,
            Self::C2 => C2,
            Self::C3 => C3,
            Self::M1 => M1,
            Self::M2 => M2,
            Self::L1 => L1,
            Self::R1 => R1,
            Self::R2 => R2,
        }
    }
}
