//! A Redis Cluster of a test's own, and a master with its replica under sentinels.

use std::path::PathBuf;

use portcullis_redis::Redis;
use redis::{FromRedisValue, Value};
use tokio::process::Child;

use super::redis_server::{RedisServer, free_port, new_folder, spawn};
use super::until;

/// Three masters, each with a replica.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        Self::start_with_timeout("1000").await
    }

    /// One in which a master that hangs stays the master for longer than a test takes.
    pub(crate) async fn start_patient() -> Self {
        Self::start_with_timeout("60000").await
    }

    async fn start_with_timeout(milliseconds: &str) -> Self {
        let settings = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            milliseconds,
            "--cluster-replica-validity-factor",
            "0",
            // A replica is shown when it has heard something.
            "--repl-ping-replica-period",
            "1",
        ];
        let mut servers = Vec::new();
        for _ in 0..6 {
            servers.push(RedisServer::start_with(&settings).await);
        }
        let cluster = Self { servers };
        cluster.form().await;
        cluster
    }

    async fn form(&self) {
        let [first, rest @ ..] = &self.servers[..] else {
            panic!("six servers")
        };
        for (index, server) in self.servers.iter().enumerate().take(3) {
            let (from, to) = [(0, 5460), (5461, 10922), (10923, 16383)][index];
            let range = [from.to_string(), to.to_string()];
            let words = ["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]];
            let _: String = server.command(&words).await;
        }
        for server in rest {
            let words = ["CLUSTER", "MEET", "127.0.0.1", &first.port.to_string()];
            let _: String = server.command(&words).await;
        }
        for (index, replica) in self.servers.iter().enumerate().skip(3) {
            let master = self.id(index - 3).await;
            until(async || {
                let words = ["CLUSTER", "REPLICATE", &master];
                replica.try_command::<String>(&words).await.is_ok()
            })
            .await;
        }
        until(async || self.is_whole().await).await;
    }

    /// Whether every node sees three masters with replicas that work.
    async fn is_whole(&self) -> bool {
        for server in &self.servers {
            let info: String = server.command(&["CLUSTER", "INFO"]).await;
            let nodes: String = server.command(&["CLUSTER", "NODES"]).await;
            let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
            if !info.contains("cluster_state:ok") || replicas != 3 {
                return false;
            }
        }
        true
    }

    pub(crate) async fn id(&self, index: usize) -> String {
        self.servers[index].command(&["CLUSTER", "MYID"]).await
    }

    /// The cluster as options of which one node is known.
    pub(crate) fn redis(&self) -> Redis {
        Redis::cluster([format!("127.0.0.1:{}", self.servers[0].port)])
    }

    /// Moves an empty slot from one master to another.
    pub(crate) async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.move_slot_with(slot, from, to, &[]).await;
    }

    /// Moves a slot, and the keys that are in it, from one master to another.
    pub(crate) async fn move_slot_with(&self, slot: u16, from: usize, to: usize, keys: &[&str]) {
        let (slot, from_id, to_id) = (slot.to_string(), self.id(from).await, self.id(to).await);
        let set = async |server: &RedisServer, state: &str, id: &str| {
            let words = ["CLUSTER", "SETSLOT", &slot, state, id];
            let _: String = server.command(&words).await;
        };
        set(&self.servers[to], "IMPORTING", &from_id).await;
        set(&self.servers[from], "MIGRATING", &to_id).await;
        let port = self.servers[to].port.to_string();
        for &key in keys {
            let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
            let _: String = self.servers[from].command(&words).await;
        }
        set(&self.servers[to], "NODE", &to_id).await;
        set(&self.servers[from], "NODE", &to_id).await;
    }

    /// The slot of a channel, and which of the three masters serves it at first.
    pub(crate) async fn place_of(&self, channel: &str) -> (u16, usize) {
        let slot: u16 = self.servers[0]
            .command(&["CLUSTER", "KEYSLOT", channel])
            .await;
        (slot, usize::from(slot.saturating_sub(1) / 5461).min(2))
    }
}

/// A master, a replica and a sentinel.
pub(crate) struct Sentinels {
    pub(crate) master: RedisServer,
    replica: RedisServer,
    pub(crate) port: u16,
    _sentinel: Child,
    folder: PathBuf,
}

impl Sentinels {
    pub(crate) async fn start() -> Self {
        let master = RedisServer::start().await;
        let of = format!("127.0.0.1 {}", master.port);
        let replica = RedisServer::start_with(&["--replicaof", &of]).await;
        until(async || {
            let info: String = replica.command(&["INFO", "replication"]).await;
            info.contains("master_link_status:up")
        })
        .await;
        let (port, folder) = (free_port(), new_folder());
        let file = folder.join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds mymaster 1000\n\
             sentinel failover-timeout mymaster 10000\n",
            folder.display(),
            master.port
        );
        std::fs::write(&file, settings).unwrap();
        let sentinel = spawn("redis-sentinel", &[file.to_str().unwrap().to_owned()]);
        let sentinels = Self {
            master,
            replica,
            port,
            _sentinel: sentinel,
            folder,
        };
        // It must know of the replica before it can promote it.
        until(async || sentinels.knows_replica().await).await;
        sentinels
    }

    async fn knows_replica(&self) -> bool {
        let replicas = self.ask::<Vec<Value>>(&["REPLICAS", "mymaster"]).await;
        replicas.is_ok_and(|replicas| replicas.len() == 1)
    }

    /// Has the replica take the place of the master, which goes on; ready when the sentinel names
    /// it.
    pub(crate) async fn replace_master(&self) {
        let port = self.replica.port.to_string();
        until(async || {
            let words = ["GET-MASTER-ADDR-BY-NAME", "mymaster"];
            let named = self.ask::<Vec<String>>(&words).await;
            let is_named = named.is_ok_and(|named| named.last() == Some(&port));
            if !is_named {
                // Refused while one is under way, and begun again if that was given up.
                let _ = self.ask::<String>(&["FAILOVER", "mymaster"]).await;
            }
            is_named
        })
        .await;
    }

    /// Asks the sentinel on a connection of its own.
    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, redis::RedisError> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd("SENTINEL");
        words.iter().for_each(|word| _ = command.arg(*word));
        command.query_async(&mut connection).await
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
