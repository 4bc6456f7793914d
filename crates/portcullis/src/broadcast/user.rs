//! Addressing a user in every namespace at once.

use std::sync::{Arc, Weak};

use serde::Serialize;

use super::Emitter;
use crate::auth::UserId;
use crate::namespace::{ClusterSlot, EmitError};

/// The sockets of one user, in all namespaces that this node serves, on every node.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until an operation is called"]
pub struct UserOperator {
    slot: ClusterSlot,
    user: UserId,
}

impl UserOperator {
    pub(crate) const fn new(slot: ClusterSlot, user: UserId) -> Self {
        Self { slot, user }
    }

    /// Sends an event: a tuple is several arguments, `()` none, anything else one.
    ///
    /// # Errors
    ///
    /// If the event cannot be encoded, or the server is not running.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        for emitter in self.emitters()? {
            emitter.to_user(self.user.clone()).emit(event, args)?;
        }
        Ok(())
    }

    /// Ends all connections of the user. Whoever has a good token may come back: to keep a user
    /// out, revoke.
    ///
    /// # Errors
    ///
    /// If the server is not running.
    pub fn disconnect(&self) -> Result<(), EmitError> {
        for emitter in self.emitters()? {
            emitter
                .to_user(self.user.clone())
                .disconnect_sockets(true)?;
        }
        Ok(())
    }

    fn emitters(&self) -> Result<Vec<Emitter>, EmitError> {
        let cluster = self.slot.get().and_then(Weak::upgrade);
        let cluster = cluster.ok_or(EmitError::NotServing)?;
        let namespaces = cluster.namespaces.all().into_iter();
        let emitters = namespaces
            .map(|namespace| Emitter::new(Arc::clone(&self.slot), namespace.path().clone()));
        Ok(emitters.collect())
    }
}
