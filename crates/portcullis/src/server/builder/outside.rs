//! What a builder is told of those beside this server: the other nodes, and who runs them all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{BuildError, ServerBuilder};
use crate::adapter::{Adapter, BusGap};

impl ServerBuilder {
    /// Connects the server to a cluster. Default: a cluster of one.
    #[must_use]
    pub fn cluster(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Arc::new(adapter);
        self
    }

    /// Answers probes on a port of loopback: `/livez` and `/readyz`. 0 lets the system choose, and
    /// [`Server::management_address`](crate::Server::management_address) says what it chose.
    /// Default: no such listener.
    ///
    /// `/readyz` is 503 from the moment at which shutdown begins, while the adapter cannot reach
    /// the other nodes, and while nobody can be authenticated; its body says which.
    #[must_use]
    pub fn management(self, port: u16) -> Self {
        self.management_on((Ipv4Addr::LOCALHOST, port))
    }

    /// As [`Self::management`], on any address. Whoever reaches it learns how this node is, so keep
    /// it to those who run the server.
    #[must_use]
    pub fn management_on(mut self, address: impl Into<SocketAddr>) -> Self {
        self.management = Some(address.into());
        self
    }

    /// Hears of every interval in which messages of the cluster may have been lost, once it is
    /// over: the time to ask a database what was missed. The hook must not block.
    #[must_use]
    pub fn on_bus_gap(mut self, hook: impl Fn(BusGap) + Send + Sync + 'static) -> Self {
        self.on_gap = Some(Arc::new(hook));
        self
    }
}

/// The listener at the address that was asked for, and where it really is.
pub(super) async fn listen(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, BuildError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let bound = bound.await.map(Some);
    bound.map_err(|source| BuildError::Management { address, source })
}
