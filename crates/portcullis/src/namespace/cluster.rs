//! What a running server lends to those who address its sockets.

use std::sync::{Arc, OnceLock, Weak};

use super::Namespaces;
use crate::adapter::Adapter;

/// The namespaces of this node, and the way to the other nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) adapter: Arc<dyn Adapter>,
    /// The headers and parameters that the authenticator reads, in lower case.
    pub(crate) secrets: Vec<String>,
}

/// Filled when the server is built; emitters may be older. The server owns what is in it until it
/// closes: gateways keep emitters, and would keep themselves alive with them.
pub(crate) type ClusterSlot = Arc<OnceLock<Weak<Cluster>>>;
