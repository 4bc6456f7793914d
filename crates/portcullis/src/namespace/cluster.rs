//! What a running server lends to those who address its sockets.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use super::Namespaces;
use crate::adapter::Adapter;

/// The namespaces of this node, and the way to the other nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) adapter: Arc<dyn Adapter>,
    /// The server has closed: nobody can be reached any more.
    pub(crate) is_stopped: AtomicBool,
}

/// Filled when the server is built; emitters may be older.
pub(crate) type ClusterSlot = Arc<OnceLock<Cluster>>;
