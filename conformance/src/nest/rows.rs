//! What types and authentication make different: a handler for each row of the manual's table.

use portcullis::auth::{Attempt, Identity, RefusalCode};
use portcullis::gateway;
use portcullis::gateway::Data;
use portcullis::socketio::value::Value;

pub(super) struct Typed;

#[gateway(namespace = "/typed", public)]
impl Typed {
    #[subscribe("one")]
    fn one(&self, Data(data): Data<Value>) -> Value {
        data
    }

    #[subscribe("maybe")]
    fn maybe(&self, Data(data): Data<Option<Value>>) -> Result<String, serde_json::Error> {
        data.map_or_else(
            || Ok("null".to_owned()),
            |data| serde_json::to_string(&data),
        )
    }
}

/// The gateway that is not public.
pub(super) struct Guarded;

#[gateway(namespace = "/guarded")]
impl Guarded {}

/// Lets in who says the right word.
pub(super) fn authenticate(attempt: &Attempt) -> Result<Identity, RefusalCode> {
    match attempt.auth().get("token").and_then(Value::as_str) {
        Some("right") => Ok(Identity::new(())),
        Some(_) => Err(RefusalCode::TokenInvalid),
        None => Err(RefusalCode::TokenMissing),
    }
}
