use portcullis::gateway;
use portcullis::gateway::EventError;

struct NoText;

#[gateway(crate = portcullis)]
impl NoText {}

struct NoPath;

#[gateway(crate = "not a path")]
impl NoPath {}

struct Alone;

#[gateway(crate)]
impl Alone {}

struct Nowhere;

#[gateway(crate = "no_such_crate")]
impl Nowhere {
    #[subscribe("say")]
    fn say(&self) {}
}

#[derive(Debug, thiserror::Error, EventError)]
#[error("no")]
enum Failed {
    #[event(crate = "portcullis")]
    OfAVariant,
}

fn main() {}
