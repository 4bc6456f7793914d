//! Questions to nodes of a cluster that have nothing to do with what is published: who serves
//! what, and how many subscribe.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{ConnectionAddr, ConnectionInfo, Value};

use super::error::LinkError;
use super::first::first_good;
use super::server::{Answered, Connection, Server};
use super::slots::SlotMap;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the nodes of a cluster.
pub(crate) struct Lookups {
    template: ConnectionInfo,
    seeds: Vec<String>,
    /// Who serves what, as it was seen last.
    map: Mutex<SlotMap>,
    /// Who was counted last.
    counted: Mutex<Vec<String>>,
    turn: AtomicUsize,
    connections: Mutex<HashMap<String, Connection>>,
}

impl Lookups {
    /// The cluster that `seeds` belong to, of which there is at least one.
    pub(crate) fn new(seeds: &[ConnectionInfo]) -> Result<Self, LinkError> {
        let template = seeds.first().cloned().ok_or_else(|| LinkError::NoCluster {
            reason: "no node is known".to_owned(),
        })?;
        let seeds = seeds.iter().map(|seed| seed.addr().to_string()).collect();
        Ok(Self {
            template,
            seeds,
            map: Mutex::default(),
            counted: Mutex::default(),
            turn: AtomicUsize::new(usize::from(crate::identity::fraction() > 0.5)),
            connections: Mutex::default(),
        })
    }

    /// What logs call the cluster.
    pub(crate) fn name(&self) -> String {
        self.seeds.join(",")
    }

    /// A node, greeted like the seeds.
    pub(crate) fn server(&self, name: &str) -> Result<Server, LinkError> {
        let wrong = || LinkError::NoCluster {
            reason: format!("{name} is no address of a node"),
        };
        let (host, port) = name.rsplit_once(':').ok_or_else(wrong)?;
        let (host, port) = (host.to_owned(), port.parse().map_err(|_| wrong())?);
        let address = match self.template.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let info = self.template.clone().set_addr(address);
        Server::new(info).map_err(|error| LinkError::redis(name, error))
    }

    /// Asks who serves what: first the node that is said to know, then others, until one answers.
    pub(crate) async fn slots(&self, hint: Option<String>) -> Result<SlotMap, LinkError> {
        let known = self.map.lock().masters();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut nodes: Vec<String> = hint.into_iter().collect();
        let count = known.len().max(1);
        nodes.extend(
            known
                .iter()
                .cycle()
                .skip(turn % count)
                .take(known.len())
                .cloned(),
        );
        nodes.extend(self.seeds.iter().cloned());
        let mut named = HashSet::new();
        nodes.retain(|node| named.insert(node.clone()));
        let questions: Vec<_> = nodes.iter().map(|node| self.slots_of(node)).collect();
        match first_good(questions).await {
            Ok(map) => {
                *self.map.lock() = map.clone();
                Ok(map)
            }
            Err(failure) => Err(LinkError::NoCluster {
                reason: failure.map_or_else(String::new, |error| error.to_string()),
            }),
        }
    }

    async fn slots_of(&self, node: &str) -> Result<SlotMap, LinkError> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let answer = self.ask(node, command).await?;
        let map = SlotMap::read(&answer, node).filter(|map| !map.is_empty());
        map.ok_or_else(|| LinkError::NoCluster {
            reason: format!("{node} knows of no slots"),
        })
    }

    /// How many subscribe to a channel at any node that masters speak of now, replicas too, which
    /// keep the subscribers that they had as masters; and at those of before that still answer: a
    /// replica that starts from nothing is not spoken of until it is done.
    ///
    /// # Errors
    ///
    /// If some node of now may know of more, and cannot be asked. One that refuses connections is
    /// gone, with its subscribers.
    pub(crate) async fn count(&self, channel: &str) -> Result<usize, LinkError> {
        let before = self.counted.lock().clone();
        // Others may have gone to a master that was none when this node last looked.
        let (counted, map) = tokio::join!(self.count_at(&before, channel), self.slots(None));
        let mut nodes = map?.nodes();
        let new: Vec<_> = nodes
            .iter()
            .filter(|node| !before.contains(node))
            .cloned()
            .collect();
        let mut total = 0;
        for (node, count) in counted
            .into_iter()
            .chain(self.count_at(&new, channel).await)
        {
            let is_of_now = nodes.contains(&node);
            match count {
                Ok(count) => total += count,
                Err(error) if is_of_now && !error.is_refused() => return Err(error),
                Err(_) => continue,
            }
            if !is_of_now {
                nodes.push(node);
            }
        }
        self.keep_only(&nodes);
        *self.counted.lock() = nodes;
        Ok(total)
    }

    /// How many subscribe to a channel at each of these nodes.
    async fn count_at(
        &self,
        nodes: &[String],
        channel: &str,
    ) -> Vec<(String, Result<usize, LinkError>)> {
        let counts = nodes.iter().map(|node| async {
            let mut command = redis::cmd("PUBSUB");
            command.arg("NUMSUB").arg(channel);
            let answer = self.ask(node, command).await;
            (node.clone(), answer.map(|answer| super::count_of(&answer)))
        });
        futures_util::future::join_all(counts).await
    }

    /// Asks the master of `key`; once more if that has not done it because another node is the
    /// master.
    pub(crate) async fn ask_master_of(
        &self,
        key: &str,
        commands: &redis::Pipeline,
    ) -> Result<Answered, LinkError> {
        let known = self.map.lock().master_of(key).map(str::to_owned);
        let error = match known {
            Some(master) => match self.send(&master, commands).await {
                Ok(answered) => match first_error(&master, &answered.answers) {
                    Some(error) if error.is_misdirected() => Some(error),
                    _ => return Ok(answered),
                },
                Err(error) => Some(error),
            },
            None => None,
        };
        let map = self.slots(error.as_ref().and_then(LinkError::hint)).await;
        if let Some(error) = error
            && !error.is_misdirected()
            && !error.is_refused()
        {
            // It may be done. Two versions of the revocations would have one name if it were done
            // twice, with the changes of others in between.
            return Err(error);
        }
        let map = map?;
        let master = map.master_of(key).ok_or_else(|| LinkError::NoCluster {
            reason: "nobody serves the slot of the revocations".to_owned(),
        })?;
        self.send(master, commands).await
    }

    /// A server for whatever any master can do; another one each time.
    pub(crate) async fn any_master(&self) -> Result<Server, LinkError> {
        let masters = self.slots(None).await?.masters();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let name = masters.get(turn % masters.len().max(1));
        self.server(name.map_or("", String::as_str))
    }

    /// Asks one node something that may be asked twice.
    async fn ask(&self, node: &str, command: redis::Cmd) -> Result<Value, LinkError> {
        let mut commands = redis::pipe();
        commands.add_command(command);
        let answered = match self.send(node, &commands).await {
            // The connection that was kept may have ended with a node that is back.
            Err(LinkError::Redis { source, .. }) if source.is_connection_dropped() => {
                self.connections.lock().remove(node);
                self.send(node, &commands).await
            }
            answered => answered,
        };
        let answer = answered?.answers.pop();
        let answer = answer.unwrap_or(Value::Nil).extract_error();
        answer.map_err(|source| LinkError::redis(node, source))
    }

    /// Sends commands to one node, over a connection that is kept.
    async fn send(&self, node: &str, commands: &redis::Pipeline) -> Result<Answered, LinkError> {
        let kept = self.connections.lock().get(node).cloned();
        let connection = match kept.filter(|connection| !connection.closed.is_cancelled()) {
            Some(connection) => connection,
            None => {
                let connecting = self.server(node)?;
                let connection = connecting.connect(|_| {}).await?;
                let mut connections = self.connections.lock();
                connections.insert(node.to_owned(), connection.clone());
                connection
            }
        };
        let answered = connection.query(commands, TIMEOUT).await;
        if matches!(&answered, Err(LinkError::Timeout { .. })) {
            self.connections.lock().remove(node);
        }
        answered
    }

    /// Forgets nodes that are none any more.
    pub(crate) fn keep_only(&self, nodes: &[String]) {
        let mut connections = self.connections.lock();
        connections
            .retain(|name, connection| nodes.contains(name) && !connection.closed.is_cancelled());
    }

    /// Says goodbye everywhere.
    pub(crate) async fn close(&self) {
        let connections: Vec<_> = self.connections.lock().drain().collect();
        for (_, connection) in connections {
            connection.quit().await;
        }
    }
}

/// What went wrong first, where commands were answered one by one.
pub(super) fn first_error(node: &str, answers: &[Value]) -> Option<LinkError> {
    let mut errors = answers.iter().filter_map(|answer| match answer {
        Value::ServerError(_) => answer.clone().extract_error().err(),
        _ => None,
    });
    errors.next().map(|error| LinkError::redis(node, error))
}

/// Names only: how nodes are greeted is secret.
impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}
