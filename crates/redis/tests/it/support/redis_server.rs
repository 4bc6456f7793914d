//! A Redis of a test's own, on a port of the system's choice, in a folder of its own.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_redis::Redis;
use redis::{FromRedisValue, Value};
use tokio::process::{Child, Command};

use super::until;

/// What to type if there is none.
const INSTALL: &str = "apt-get install -y redis-server redis-sentinel";

/// How often a server that ends at once is tried again.
const ATTEMPTS: usize = 5;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running server; it ends when this is dropped.
pub(crate) struct RedisServer {
    pub(crate) port: u16,
    process: Child,
    folder: PathBuf,
    arguments: Vec<String>,
    options: fn(Redis) -> Redis,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with settings besides the usual ones: `["--name", "value", …]`.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        for _ in 0..ATTEMPTS {
            let mut server = Self::spawn_with(settings);
            if server.answers_or_ends().await {
                return server;
            }
            // Somebody else was faster to take the port, or the one of the cluster's bus.
        }
        panic!("redis-server ends at once with {settings:?}");
    }

    fn spawn_with(settings: &[&str]) -> Self {
        let port = free_port();
        let folder = new_folder();
        let mut arguments: Vec<String> = [
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--enable-debug-command",
            "yes",
            "--dir",
            folder.to_str().unwrap(),
        ]
        .map(str::to_owned)
        .into();
        arguments.extend(settings.iter().map(|&setting| setting.to_owned()));
        Self {
            port,
            process: spawn("redis-server", &arguments),
            folder,
            arguments,
            options: |redis| redis,
        }
    }

    /// A server whose clusters have some options in common.
    pub(crate) async fn start_in(options: fn(Redis) -> Redis) -> Self {
        let mut server = Self::start().await;
        server.options = options;
        server
    }

    /// The server as a cluster's options.
    pub(crate) fn redis(&self) -> Redis {
        self.redis_at(&self.url())
    }

    pub(crate) fn redis_at(&self, url: &str) -> Redis {
        (self.options)(Redis::new(url))
    }

    pub(crate) fn is_sharded(&self) -> bool {
        format!("{:?}", self.redis()).contains("Sharded")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Waits until the server answers, it and not another one on the same port; `false` if it
    /// ended instead.
    async fn answers_or_ends(&mut self) -> bool {
        let own = format!("process_id:{}\r", self.process.id().unwrap());
        let mut is_running = true;
        until(async || {
            is_running = self.process.try_wait().unwrap().is_none();
            let info = self.try_command::<String>(&["INFO", "server"]).await;
            !is_running || info.is_ok_and(|info| info.contains(&own))
        })
        .await;
        is_running
    }

    /// Runs a command on a connection of its own.
    pub(crate) async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap()
    }

    pub(crate) async fn try_command<T: FromRedisValue>(
        &self,
        words: &[&str],
    ) -> Result<T, redis::RedisError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.raw_command(&words).await
    }

    /// Publishes any bytes; says to how many.
    pub(crate) async fn publish(&self, channel: &str, payload: &[u8]) -> i64 {
        let words = [b"PUBLISH", channel.as_bytes(), payload];
        self.raw_command(&words).await.unwrap()
    }

    /// As [`Self::publish`], on a sharded channel.
    pub(crate) async fn spublish(&self, channel: &str, payload: &[u8]) -> i64 {
        let words = [b"SPUBLISH", channel.as_bytes(), payload];
        self.raw_command(&words).await.unwrap()
    }

    /// Hears what is published on a channel from now on.
    pub(crate) async fn listen(&self, channel: &str) -> Listener {
        let client = redis::Client::open(self.url()).unwrap();
        let mut subscriber = client.get_async_pubsub().await.unwrap();
        subscriber.subscribe(channel).await.unwrap();
        Listener(subscriber)
    }

    /// As [`Self::listen`], on a sharded channel; counts as a subscriber of it.
    pub(crate) async fn slisten(&self, channel: &str) -> ShardedListener {
        let (sender, messages) = tokio::sync::mpsc::channel(1000);
        let config =
            redis::AsyncConnectionConfig::new().set_push_sender(move |info: redis::PushInfo| {
                if let (redis::PushKind::SMessage, [_, Value::BulkString(payload)]) =
                    (&info.kind, &info.data[..])
                {
                    let text = String::from_utf8_lossy(payload).into_owned();
                    return sender.try_send(text).map_err(|_| ());
                }
                Ok(())
            });
        let client = redis::Client::open(format!("{}?protocol=resp3", self.url())).unwrap();
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.unwrap();
        let mut command = redis::cmd("SSUBSCRIBE");
        command.arg(channel);
        connection.send_packed_command(&command).await.unwrap();
        ShardedListener {
            messages,
            _connection: connection,
        }
    }

    async fn raw_command<T: FromRedisValue>(
        &self,
        words: &[&[u8]],
    ) -> Result<T, redis::RedisError> {
        let client = redis::Client::open(self.url()).unwrap();
        let config =
            redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| _ = command.arg(*word));
        command.query_async(&mut connection).await
    }

    /// The names of the channels that somebody subscribes to, in order.
    pub(crate) async fn channels(&self) -> Vec<String> {
        let mut channels: Vec<String> = self.command(&["PUBSUB", "CHANNELS"]).await;
        channels.sort();
        channels
    }

    /// How many connections there are, besides the one that asks.
    pub(crate) async fn connections(&self) -> usize {
        let list: String = self.command(&["CLIENT", "LIST"]).await;
        list.lines().count() - 1
    }

    /// Kills the server at once.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts a killed server again, on the same port.
    pub(crate) async fn restart(&mut self) {
        for _ in 0..ATTEMPTS {
            self.process = spawn("redis-server", &self.arguments);
            if self.answers_or_ends().await {
                return;
            }
            // Another test's server may have taken the port, and may give it back.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        panic!("the port of the server is taken");
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.process.id().unwrap().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(status.unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new folder for a program's files.
pub(crate) fn new_folder() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("portcullis-redis-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Starts one of Redis' programs.
pub(crate) fn spawn(program: &str, arguments: &[String]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started ({error}): {INSTALL}"))
}

/// A port that nobody listens on, nor on the one of a cluster's bus, 10,000 above it; another one
/// each time.
///
/// Both lie below the ports that the system gives to connections: a client that tries a dead
/// server's port again and again would sooner or later be given that very port, be connected to
/// itself, and keep the server from coming back.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let random = RandomState::new().build_hasher().finish();
        let port = 10_000 + (random % 10_000) as u16;
        if GIVEN.lock().unwrap().insert(port) && is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// What is published on one channel.
pub(crate) struct Listener(redis::aio::PubSub);

impl Listener {
    /// The next message, as text.
    pub(crate) async fn next(&mut self) -> String {
        let mut messages = self.0.on_message();
        let message = super::patiently(messages.next()).await.unwrap();
        String::from_utf8_lossy(message.get_payload_bytes()).into_owned()
    }
}

/// What is published on one sharded channel.
pub(crate) struct ShardedListener {
    messages: tokio::sync::mpsc::Receiver<String>,
    _connection: redis::aio::MultiplexedConnection,
}

impl ShardedListener {
    /// The next message, as text.
    pub(crate) async fn next(&mut self) -> String {
        super::patiently(self.messages.recv()).await.unwrap()
    }
}
