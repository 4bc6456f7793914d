//! The client machine: one peer, many namespaces, one state for each.
//!
//! ```text
//!                      CONNECT                    accept
//!      (unknown) ─────────────────▶ Connecting ─────────────▶ Connected
//!          ▲                        │   │ refuse                │   │
//!          │ DISCONNECT             │   ▼                       │   │ handle_left
//!          ├────────────────────────┘  Refused                  │   ▼
//!          ├────────────────────────────────────────────────────┘  Left, for 45 s
//!          └──────────────────────────── time, or newer ones ─────────┘
//! ```
//!
//! | state      | input          | output                                    | next         |
//! |------------|----------------|-------------------------------------------|--------------|
//! | unknown    | CONNECT        | `Connect`                                 | `Connecting` |
//! | unknown    | CONNECT, full  | `TooManyNamespaces`                       | `Refused`    |
//! | unknown    | anything else  | `Violation(NotConnected)`                 | –            |
//! | Connecting | CONNECT        | `Dropped(DuplicateConnect)`               | `Connecting` |
//! | Connecting | EVENT          | – (held)                                  | `Connecting` |
//! | Connecting | EVENT, no room | `Violation(Flood)`                        | –            |
//! | Connecting | ACK            | `Dropped(AckWhileConnecting)`             | `Connecting` |
//! | Connecting | DISCONNECT     | `Disconnect`; what was held is dropped    | unknown      |
//! | Connecting | `accept`       | each held `Event`, in order               | `Connected`  |
//! | Connecting | `refuse`       | –; what was held is dropped               | `Refused`    |
//! | Connecting | `handle_left`  | –; what was held is dropped               | `Left`       |
//! | Connected  | CONNECT        | `Violation(AlreadyConnected)`             | –            |
//! | Connected  | EVENT          | `Event`                                   | `Connected`  |
//! | Connected  | ACK            | `Ack`                                     | `Connected`  |
//! | Connected  | DISCONNECT     | `Disconnect`                              | unknown      |
//! | Connected  | `handle_left`  | –                                         | `Left`       |
//! | Refused    | CONNECT        | `Connect`                                 | `Connecting` |
//! | Refused    | anything else  | `Dropped(Refused)`                        | `Refused`    |
//! | Left       | CONNECT        | `Connect`                                 | `Connecting` |
//! | Left       | anything else  | `Dropped(Left)`                           | `Left`       |
//! | Left       | 45 s           | –                                         | unknown      |
//! | any        | CONNECT_ERROR  | `Violation(ConnectError)`                 | –            |
//! | any        | bad CONNECT    | `InvalidNamespace`                        | –            |
//!
//! # Invariants
//!
//! - No event comes out for a namespace that was not accepted, and none overtakes another.
//! - A client never has two sockets in one namespace.
//! - Held events are bounded over all namespaces of the client, in number and in bytes; so are
//!   the namespaces, and the memory of those that it was refused or made to leave.
//! - After a [`Violation`] the connection is to be closed; the machine needs no further input.
//!
//! # Not here
//!
//! Deciding who may join (the framework), the deadline for a first namespace, and the queue of
//! events behind a slow handler.

mod held;
mod output;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::held::{Held, HeldEvent};
pub use self::output::{DropReason, Output, Violation};
use crate::ids::NamespacePath;
use crate::packet::{Auth, Packet};

/// How many namespaces are remembered that the client was refused or made to leave.
const MAX_REMEMBERED: usize = 16;

/// For how long packets are excused that the client sent before it could know that the server had
/// made it leave: as long as a client that is cut off takes to notice.
const LEFT_GRACE: Duration = Duration::from_secs(45);

/// What one client may keep the server busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    max_namespaces: usize,
    max_held_packets: usize,
    max_held_bytes: usize,
}

impl ClientLimits {
    /// The limits that hold unless others are set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_namespaces: 16,
            max_held_packets: 64,
            max_held_bytes: 256 * 1024,
        }
    }

    /// How many namespaces a client may be in, or wait for, at once.
    ///
    /// Default: 16.
    #[must_use]
    pub const fn max_namespaces(mut self, count: usize) -> Self {
        self.max_namespaces = count;
        self
    }

    /// How many events may wait for the verdicts on their namespaces.
    ///
    /// Default: 64.
    #[must_use]
    pub const fn max_held_packets(mut self, count: usize) -> Self {
        self.max_held_packets = count;
        self
    }

    /// How large the events may be together that wait for the verdicts on their namespaces.
    ///
    /// Default: 256 KiB.
    #[must_use]
    pub const fn max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// Multiplexes the namespaces of one peer.
///
/// Each call of a `handle_*` method, [`accept`](Self::accept) or [`refuse`](Self::refuse) is
/// followed by [`poll_output`](Self::poll_output) until it returns `None`.
///
/// ```
/// use std::time::Instant;
/// use portcullis_socketio::client::{Client, ClientLimits, Output};
/// use portcullis_socketio::codec::{Codec, Decoder, Limits};
///
/// # #[expect(clippy::disallowed_methods)]
/// let now = Instant::now();
/// let mut decoder = Decoder::new(Codec::Json);
/// let mut client = Client::new();
/// let mut received = |client: &mut Client, text| {
///     let packet = decoder.handle_text(text, &Limits::new()).unwrap().unwrap();
///     client.handle_packet(packet, &ClientLimits::new(), now);
/// };
///
/// received(&mut client, "0");
/// let Some(Output::Connect { namespace, .. }) = client.poll_output() else { panic!() };
///
/// // While somebody looks at its token, the client's first event waits.
/// received(&mut client, r#"2["hello"]"#);
/// assert!(client.poll_output().is_none());
///
/// client.accept(&namespace, now);
/// assert!(matches!(client.poll_output(), Some(Output::Event { .. })));
/// ```
#[derive(Debug, Default)]
pub struct Client {
    /// Few, so that looking through them is faster than hashing; oldest first.
    namespaces: Vec<Entry>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Entry {
    namespace: NamespacePath,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Somebody decides; events wait.
    Connecting(Held),
    Connected,
    /// The server said no. What was in flight then is excused.
    Refused,
    /// The server said goodbye. What was in flight then is excused.
    Left {
        until: Instant,
    },
}

impl State {
    const fn is_remembered(&self) -> bool {
        matches!(self, Self::Refused | Self::Left { .. })
    }
}

impl Client {
    /// A client in no namespace.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            namespaces: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one packet of the client.
    pub fn handle_packet(&mut self, packet: Packet, limits: &ClientLimits, now: Instant) {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs are drained between inputs"
        );
        self.forget(now);
        let output = match packet {
            Packet::Connect { namespace, auth } => Some(self.connect(namespace, auth, limits)),
            Packet::InvalidConnect { raw } => Some(Output::InvalidNamespace { raw }),
            Packet::Disconnect { namespace } => Some(self.disconnect(namespace)),
            Packet::Event {
                namespace,
                ack,
                event,
                args,
            } => self.event(namespace, HeldEvent { ack, event, args }, limits),
            Packet::Ack {
                namespace,
                id,
                args,
            } => Some(match self.state(&namespace) {
                Some(State::Connected) => Output::Ack {
                    namespace,
                    id,
                    args,
                },
                Some(State::Connecting(_)) => Output::Dropped(DropReason::AckWhileConnecting),
                other => out_of_place(other.as_deref()),
            }),
            Packet::ConnectError { .. } => Some(Output::Violation(Violation::ConnectError)),
        };
        self.outputs.extend(output);
    }

    /// Lets the client in: what waited comes out, in order. The caller sends the CONNECT reply
    /// before it looks at the outputs.
    ///
    /// Returns false, and does nothing, if nobody waits any more: the client has left meanwhile,
    /// and no socket may come of it.
    pub fn accept(&mut self, namespace: &NamespacePath, now: Instant) -> bool {
        self.forget(now);
        let Some(state @ State::Connecting(_)) = self.state(namespace) else {
            return false;
        };
        if let State::Connecting(held) = std::mem::replace(state, State::Connected) {
            let events = held.into_events();
            self.outputs
                .extend(events.map(|event| event.into_output(namespace.clone())));
        }
        true
    }

    /// Keeps the client out: what waited is dropped, and what may still be in flight is excused.
    ///
    /// Returns false, and does nothing, if nobody waits any more.
    pub fn refuse(&mut self, namespace: &NamespacePath) -> bool {
        let Some(state @ State::Connecting(_)) = self.state(namespace) else {
            return false;
        };
        *state = State::Refused;
        self.forget_oldest();
        true
    }

    /// The server has made the client leave a namespace.
    pub fn handle_left(&mut self, namespace: &NamespacePath, now: Instant) {
        self.forget(now);
        let Some(state @ (State::Connected | State::Connecting(_))) = self.state(namespace) else {
            return;
        };
        *state = State::Left {
            until: now + LEFT_GRACE,
        };
        self.forget_oldest();
    }

    /// What comes of the last input, in order, until it is `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // An idle connection should cost nothing.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// Whether the client is in `namespace`.
    #[must_use]
    pub fn is_connected(&self, namespace: &NamespacePath) -> bool {
        self.connected().any(|connected| connected == namespace)
    }

    /// The namespaces that the client is in.
    pub fn connected(&self) -> impl Iterator<Item = &NamespacePath> {
        self.in_state(|state| matches!(state, State::Connected))
    }

    /// The namespaces on which a verdict is due.
    pub fn connecting(&self) -> impl Iterator<Item = &NamespacePath> {
        self.in_state(|state| matches!(state, State::Connecting(_)))
    }

    fn in_state(&self, is_wanted: fn(&State) -> bool) -> impl Iterator<Item = &NamespacePath> {
        self.namespaces
            .iter()
            .filter(move |entry| is_wanted(&entry.state))
            .map(|entry| &entry.namespace)
    }

    fn connect(&mut self, namespace: NamespacePath, auth: Auth, limits: &ClientLimits) -> Output {
        match self.state(&namespace) {
            Some(State::Connecting(_)) => return Output::Dropped(DropReason::DuplicateConnect),
            Some(State::Connected) => return Output::Violation(Violation::AlreadyConnected),
            Some(State::Refused | State::Left { .. }) | None => {}
        }
        self.remove(&namespace);
        let active = self.connected().count() + self.connecting().count();
        if active >= limits.max_namespaces {
            self.insert(namespace.clone(), State::Refused);
            self.forget_oldest();
            return Output::TooManyNamespaces { namespace };
        }
        self.insert(namespace.clone(), State::Connecting(Held::default()));
        Output::Connect { namespace, auth }
    }

    fn disconnect(&mut self, namespace: NamespacePath) -> Output {
        match self.state(&namespace) {
            Some(State::Connecting(_) | State::Connected) => {
                self.remove(&namespace);
                Output::Disconnect { namespace }
            }
            other => out_of_place(other.as_deref()),
        }
    }

    fn event(
        &mut self,
        namespace: NamespacePath,
        event: HeldEvent,
        limits: &ClientLimits,
    ) -> Option<Output> {
        let is_over = self.is_over(&event, limits);
        match self.state(&namespace) {
            Some(State::Connected) => Some(event.into_output(namespace)),
            Some(State::Connecting(_)) if is_over => Some(Output::Violation(Violation::Flood)),
            Some(State::Connecting(held)) => {
                held.push(event);
                None
            }
            other => Some(out_of_place(other.as_deref())),
        }
    }

    /// Whether one more held event would be too much.
    fn is_over(&self, event: &HeldEvent, limits: &ClientLimits) -> bool {
        let (mut packets, mut bytes) = (1, event.size_bytes());
        for entry in &self.namespaces {
            if let State::Connecting(held) = &entry.state {
                packets += held.len();
                bytes += held.size_bytes();
            }
        }
        packets > limits.max_held_packets || bytes > limits.max_held_bytes
    }

    fn state(&mut self, namespace: &NamespacePath) -> Option<&mut State> {
        let entry = self
            .namespaces
            .iter_mut()
            .find(|entry| entry.namespace == *namespace)?;
        Some(&mut entry.state)
    }

    fn insert(&mut self, namespace: NamespacePath, state: State) {
        // Most clients are in one namespace; room for four would be mostly unused.
        self.namespaces.reserve_exact(1);
        self.namespaces.push(Entry { namespace, state });
    }

    fn remove(&mut self, namespace: &NamespacePath) {
        self.namespaces
            .retain(|entry| entry.namespace != *namespace);
    }

    /// Forgets the namespaces whose time is over.
    fn forget(&mut self, now: Instant) {
        self.namespaces.retain(|entry| match entry.state {
            State::Left { until } => now < until,
            State::Connecting(_) | State::Connected | State::Refused => true,
        });
    }

    /// Forgets the oldest namespace of those that need not be known, if there are too many.
    fn forget_oldest(&mut self) {
        let is_remembered = |entry: &Entry| entry.state.is_remembered();
        if self.namespaces.iter().filter(|e| is_remembered(e)).count() > MAX_REMEMBERED
            && let Some(oldest) = self.namespaces.iter().position(is_remembered)
        {
            self.namespaces.remove(oldest);
        }
    }
}

/// The answer to a packet for a namespace that the client is neither in nor waits for.
const fn out_of_place(state: Option<&State>) -> Output {
    match state {
        Some(State::Refused) => Output::Dropped(DropReason::Refused),
        Some(State::Left { .. }) => Output::Dropped(DropReason::Left),
        Some(State::Connecting(_) | State::Connected) | None => {
            Output::Violation(Violation::NotConnected)
        }
    }
}
