//! Payloads that are validated. Both events do the same here: there is no way to forget that the
//! client is to be told.

use garde::Validate;
use portcullis::gateway::{Registrar, Reply, Valid};
use serde::Deserialize;

#[derive(Deserialize, Validate)]
struct Say {
    #[garde(length(utf16, max = 5))]
    text: String,
    #[garde(range(min = 1, max = 100))]
    times: usize,
}

pub(super) fn register(r: &mut Registrar) {
    r.public();
    let repeated = async |Valid(say): Valid<Say>| Reply(say.text.repeat(say.times));
    r.on("with-factory", repeated);
    r.on("without-factory", repeated);
}
