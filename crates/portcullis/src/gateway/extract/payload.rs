//! The arguments of an event, as types.

use std::any::type_name;

use portcullis_socketio::args::Args as RawArgs;
use portcullis_socketio::packet::EventName;
use serde::de::DeserializeOwned;

use super::{EventContext, FromEvent};
use crate::gateway::describe::Parameters;
use crate::gateway::error::EventError;

/// The first argument of an event, as a type. An absent argument is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "taken apart in the handler's parameters"
)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Data<T> {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        context
            .args()
            .get(0)
            .map(Self)
            .map_err(|error| EventError::from_argument(&error))
    }

    fn describe(parameters: &mut Parameters) {
        parameters.takes_payload(type_name::<T>());
    }
}

/// All arguments of an event, as a tuple. Absent ones are null, surplus ones are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "taken apart in the handler's parameters"
)]
pub struct Args<T>(pub T);

impl<T: DeserializeOwned> FromEvent for Args<T> {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(Self(context.args().parse()?))
    }

    fn describe(parameters: &mut Parameters) {
        parameters.takes_payload(type_name::<T>());
    }
}

impl FromEvent for RawArgs {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(context.args().clone())
    }

    fn describe(parameters: &mut Parameters) {
        parameters.takes_payload(type_name::<Self>());
    }
}

impl FromEvent for EventName {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        Ok(context.event().clone())
    }
}
