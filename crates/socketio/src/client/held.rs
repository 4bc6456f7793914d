//! Events that wait for the verdict on their namespace.

use std::collections::VecDeque;

use super::Output;
use crate::args::Args;
use crate::ids::{AckId, NamespacePath};
use crate::packet::EventName;

/// One event, whose namespace is known to whoever holds it.
#[derive(Debug)]
pub(super) struct HeldEvent {
    pub(super) ack: Option<AckId>,
    pub(super) event: EventName,
    pub(super) args: Args,
}

impl HeldEvent {
    pub(super) fn size_bytes(&self) -> usize {
        self.event.len() + self.args.size_bytes()
    }

    pub(super) fn into_output(self, namespace: NamespacePath) -> Output {
        Output::Event {
            namespace,
            ack: self.ack,
            event: self.event,
            args: self.args,
        }
    }
}

/// Events in the order in which they came. Most clients send none, which costs nothing.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Box<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<HeldEvent>,
    size_bytes: usize,
}

impl Held {
    pub(super) fn push(&mut self, event: HeldEvent) {
        let queue = self.0.get_or_insert_default();
        queue.size_bytes += event.size_bytes();
        queue.events.push_back(event);
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.events.len())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.size_bytes)
    }

    pub(super) fn into_events(self) -> impl Iterator<Item = HeldEvent> {
        self.0.into_iter().flat_map(|queue| queue.events)
    }
}
