//! What the nodes of a bus have revoked, kept as long as the bus is.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use portcullis::revocation::{LocalRevocations, Revocation, RevocationStore, StoreError};

use super::{MemoryBus, Station};

/// The store as one node sees it: out of reach while the node is cut off.
#[derive(Debug)]
pub(super) struct BusRevocations {
    pub(super) bus: MemoryBus,
    pub(super) own: Arc<Station>,
}

/// Applies to a node everything that is kept, unless it is cut off.
pub(super) fn read(bus: &MemoryBus, station: &Station) {
    if let Some(local) = station.revocations.get()
        && !station.is_cut_off()
    {
        let kept = bus.revoked.lock().clone();
        assert!(local.apply(kept), "a test revokes little");
    }
}

impl RevocationStore for BusRevocations {
    fn start(&self, local: Arc<dyn LocalRevocations>) {
        assert!(self.own.revocations.set(local).is_ok(), "started once");
        read(&self.bus, &self.own);
    }

    fn publish(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        let result = if self.own.is_cut_off() {
            Err(StoreError::new("the node is cut off"))
        } else {
            self.bus.revoked.lock().push(revocation);
            for station in self.bus.stations.lock().iter() {
                read(&self.bus, station);
            }
            Ok(())
        };
        std::future::ready(result).boxed()
    }

    fn settled(&self) -> BoxFuture<'_, ()> {
        async {
            loop {
                let healed = self.own.healed.notified();
                if !self.own.is_cut_off() {
                    return;
                }
                healed.await;
            }
        }
        .boxed()
    }

    fn is_settled(&self) -> bool {
        !self.own.is_cut_off()
    }
}
