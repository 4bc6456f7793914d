//! The first argument of an event, validated.

use std::any::type_name;

use garde::Validate;
use portcullis_socketio::value::Value;
use serde::de::DeserializeOwned;

use super::{Data, EventContext, FromEvent};
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;

/// So many complaints about one payload are told to the client.
const MAX_COMPLAINTS: usize = 32;

/// The first argument of an event, as a type whose rules it keeps.
///
/// The rules are those of [garde](https://docs.rs/garde), which the application depends on itself
/// to derive them. A payload that breaks one is answered with the code `VALIDATION`, the message
/// `Validation failed`, and `details`: a list of `{path, message}`.
///
/// ```
/// use garde::Validate;
/// use portcullis::gateway::Valid;
///
/// #[derive(serde::Deserialize, Validate)]
/// struct Say {
///     #[garde(length(chars, min = 1, max = 64))]
///     room: String,
///     #[garde(length(chars, min = 1, max = 500))]
///     text: String,
/// }
///
/// async fn say(Valid(say): Valid<Say>) {
///     assert!(!say.text.is_empty());
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "taken apart in the handler's parameters"
)]
pub struct Valid<T>(pub T);

impl<T> FromEvent for Valid<T>
where
    T: DeserializeOwned + Validate,
    T::Context: Default,
{
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        let Data(value) = Data::<T>::from_event(context)?;
        match value.validate() {
            Ok(()) => Ok(Self(value)),
            Err(report) => {
                let complaints = report.iter().take(MAX_COMPLAINTS);
                let details = complaints.map(|(path, error)| {
                    Value::from_iter([
                        ("path", path.to_string()),
                        ("message", error.message().to_owned()),
                    ])
                });
                Err(EventError::validation(details.collect()))
            }
        }
    }

    fn describe(parameters: &mut Parameters) {
        parameters.takes_payload(type_name::<T>());
    }
}
