//! Several nodes in one process.

mod bus;

use portcullis::ServerBuilder;

pub use bus::{BusNode, MemoryAdapter, MemoryBus};

use crate::TestServer;

/// A cluster whose nodes are servers of this process, over a [`MemoryBus`].
///
/// ```
/// use portcullis::{Server, Socket};
/// use portcullis_testing::TestCluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cluster = TestCluster::start(2, |_| {
///     Server::builder().namespace("/", |r| {
///         r.public().on("shout", async |socket: Socket| {
///             let _ = socket.broadcast().emit("shouted", &());
///         });
///     })
/// })
/// .await;
/// let alice = cluster.server(0).connect("/").await;
/// let bob = cluster.server(1).connect("/").await;
/// alice.emit("shout", &()).await;
/// bob.expect("shouted").await;
/// # }
/// ```
#[derive(Debug)]
pub struct TestCluster {
    nodes: Vec<(TestServer, BusNode)>,
}

impl TestCluster {
    /// Starts `count` nodes; `builder` is called with the number of each, from 0.
    ///
    /// # Panics
    ///
    /// If one cannot be built.
    pub async fn start(count: usize, builder: impl Fn(usize) -> ServerBuilder) -> Self {
        let bus = MemoryBus::default();
        let mut nodes = Vec::with_capacity(count);
        for number in 0..count {
            let (adapter, node) = bus.node();
            let server = TestServer::start(builder(number).cluster(adapter)).await;
            nodes.push((server, node));
        }
        Self { nodes }
    }

    /// The server of a node.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn server(&self, number: usize) -> &TestServer {
        &self.nodes[number].0
    }

    /// A node's place on the bus, where it can be cut off.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn node(&self, number: usize) -> &BusNode {
        &self.nodes[number].1
    }
}
