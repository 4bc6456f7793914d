//! Payloads that are validated. The first two events do the same here: there is no way to forget
//! that the client is to be told.

use garde::Validate;
use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{EventError, EventHandler as _, Outcome, Registrar, Reply, Valid};
use portcullis::socketio::value::Value;
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
    r.on("complaints", repeated.intercept(telling_all()));
}

/// Tells the client everything that is wrong.
fn telling_all() -> impl Interceptor {
    interceptor::from_fn(|request: EventRequest, next: Next| async move {
        let outcome = next.run(request).await;
        let details = outcome.error().and_then(EventError::details).cloned();
        match details {
            Some(details) => {
                let told = Value::from_iter([("errors", details)]);
                Outcome::failed(EventError::object(&told))
            }
            None => outcome,
        }
    })
}
