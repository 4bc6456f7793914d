//! From what the builder was told to a server that runs.

use std::sync::Arc;

use parking_lot::Mutex;

use super::declared::Assembled;
use super::{BuildError, ServerBuilder, outside};
use crate::broadcast::{AdapterWatcher, NodeState};
use crate::client::{Clients, Gate};
use crate::handshake::{Admission, Door};
use crate::listener::Entrance;
use crate::management::{self, Readiness};
use crate::namespace::{Cluster, Namespaces};
use crate::server::{Server, Shared};
use crate::session::Core;
use crate::tasks::Tasks;

impl ServerBuilder {
    /// Builds the server and joins the cluster.
    ///
    /// # Errors
    ///
    /// All problems together; or the cluster that cannot be joined.
    pub async fn build(mut self) -> Result<Server, BuildError> {
        self.check();
        if !self.problems.is_empty() {
            let problems = self.problems;
            return Err(BuildError::Invalid { problems });
        }
        let secrets = self.settle();
        let Assembled {
            declared,
            gateways,
            inits,
        } = self.assemble();
        for gateway in &gateways {
            tracing::info!("{gateway}");
        }
        let namespaces = Arc::new(Namespaces::new(
            self.gate.codec,
            self.namespace_limits,
            self.cleanup_children,
            Arc::new(AdapterWatcher(Arc::clone(&self.adapter))),
            &self.slot,
            declared,
        ));
        // Before the cluster hears of this node: it must not, if this fails.
        let management = outside::listen(self.management).await?;
        let tasks = Tasks::default();
        let admission = Admission::new(self.admission);
        let node = NodeState {
            namespaces: Arc::downgrade(&namespaces),
            tasks: tasks.clone(),
            on_gap: self.on_gap,
        };
        let paths = namespaces.all().into_iter();
        let paths = paths.map(|namespace| namespace.path().clone()).collect();
        self.adapter.start(Arc::new(node), paths).await?;
        let gate = Gate::new(self.gate, Arc::clone(&namespaces), self.authenticator);
        let door = Arc::new(Door {
            core: Core::start(self.core, self.shards, tasks.clone()),
            admission,
            options: self.http,
            accept: Box::new(Clients(Arc::new(gate))),
        });
        let cluster = Arc::new(Cluster {
            namespaces,
            adapter: Arc::clone(&self.adapter),
            secrets,
        });
        // The slot is this builder's own, and a builder builds once.
        let _ = self.slot.set(Arc::downgrade(&cluster));
        let readiness = Arc::new(Readiness::new(Arc::clone(&self.adapter)));
        let management = management.map(|(listener, address)| {
            management::start(listener, Arc::clone(&readiness), &tasks);
            address
        });
        let server = Server(Arc::new(Shared {
            entrance: Entrance::new(Arc::clone(&door), self.listener),
            drain: self.drain,
            door,
            slot: self.slot,
            gateways,
            cluster: Mutex::new(Some(cluster)),
            adapter: self.adapter,
            readiness,
            management,
            tasks,
        }));
        if let Err(error) = inits.run(&server, &self.everywhere.states).await {
            server.close().await;
            return Err(error);
        }
        Ok(server)
    }

    /// Draws the conclusions from options that belong together; says under which names handshakes
    /// hold secrets.
    fn settle(&mut self) -> Vec<String> {
        self.fill_in_limits();
        self.warn_of_pressure();
        let path = self.http.path.trim_end_matches('/').to_owned();
        self.http.path = if self.trailing_slash {
            path + "/"
        } else {
            path
        };
        let mut secrets = Vec::new();
        if let Some(authenticator) = &self.authenticator {
            if authenticator.reads_query() {
                tracing::warn!("tokens are taken from the query, which others write to their logs");
            }
            let headers = authenticator.headers();
            secrets.extend(headers.iter().map(|name| name.as_str().to_owned()));
            let parameters = authenticator.secret_parameters().into_iter();
            secrets.extend(parameters.map(|name| name.to_ascii_lowercase()));
            self.http.header_policy = std::mem::take(&mut self.http.header_policy).with(headers);
        }
        secrets
    }
}
