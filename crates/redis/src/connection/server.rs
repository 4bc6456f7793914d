//! One connection to one Redis server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    Value,
};
use tokio_util::sync::CancellationToken;

use super::error::LinkError;

/// How long connecting, TLS and the greeting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// After how long without a greeting another attempt begins beside those under way: what was lost
/// on the way there is sent again ever more seldom, and Redis may be back long before.
const ANOTHER: Duration = Duration::from_millis(500);

/// After how long without an acknowledgement the kernel gives a connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections this process has made.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// A server that can be connected to.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    /// Host and port, for logs: nothing secret.
    pub(crate) name: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

/// A connection, and the news that it has ended.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) server: String,
    /// Which of all connections of this process it is.
    pub(crate) number: u64,
    inner: MultiplexedConnection,
    pub(crate) closed: CancellationToken,
}

/// An answer to each of some commands, and over which connection they came.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answers: Vec<Value>,
    /// Its number. Over another one another server may have answered, or the same one started anew.
    pub(crate) over: u64,
}

/// Something that Redis says without being asked.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// A message on a channel that was subscribed to.
    Message { channel: Bytes, payload: Bytes },
    /// A sharded channel is not subscribed to any more.
    Unsubscribed { channel: Bytes },
}

impl Server {
    pub(crate) fn new(info: ConnectionInfo) -> Result<Self, RedisError> {
        // RESP3 carries messages beside answers, so that one kind of connection serves for both.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(USER_TIMEOUT);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let name = info.addr().to_string();
        let client = Client::open(info)?;
        Ok(Self { client, name })
    }

    /// Connects; what Redis says without being asked goes to `receive`, in the task that reads.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends all attempts.
    pub(crate) async fn connect(
        &self,
        receive: impl Fn(Pushed) + Send + Sync + 'static,
    ) -> Result<Connection, LinkError> {
        let receive = Arc::new(receive);
        // As patient as a slow server needs. The library's own timeout ends with the connection;
        // the greeting needs one too.
        let first = self.attempt(Arc::clone(&receive), 2 * CONNECT_TIMEOUT);
        tokio::pin!(first);
        let mut others = FuturesUnordered::new();
        let mut another = tokio::time::interval(ANOTHER);
        another.reset();
        loop {
            tokio::select! {
                connected = &mut first => return connected,
                Some(connected) = others.next() => {
                    if let Ok(connection) = connected {
                        return Ok(connection);
                    }
                }
                _ = another.tick() => {
                    others.push(self.attempt(Arc::clone(&receive), CONNECT_TIMEOUT));
                }
            }
        }
    }

    async fn attempt(
        &self,
        receive: Arc<impl Fn(Pushed) + Send + Sync + 'static>,
        timeout: Duration,
    ) -> Result<Connection, LinkError> {
        let closed = CancellationToken::new();
        let ended = closed.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_push_sender(move |info: PushInfo| {
                if info.kind == PushKind::Disconnection {
                    ended.cancel();
                } else if let Some(pushed) = read(info) {
                    receive(pushed);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connected = tokio::time::timeout(timeout, connecting).await;
        let inner = connected
            .map_err(|_| LinkError::Timeout {
                server: self.name.clone(),
                timeout,
            })?
            .map_err(|source| LinkError::redis(&self.name, source))?;
        Ok(Connection {
            server: self.name.clone(),
            number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            inner,
            closed,
        })
    }
}

impl Connection {
    /// Sends commands at once, and takes an answer for each; an answer may be an error.
    pub(crate) async fn send(
        &self,
        commands: &redis::Pipeline,
        timeout: Duration,
    ) -> Result<Vec<Value>, LinkError> {
        let mut connection = self.inner.clone();
        let sending = connection.send_packed_commands(commands, 0, commands.len());
        let answers = tokio::time::timeout(timeout, sending).await;
        answers
            .map_err(|_| LinkError::Timeout {
                server: self.server.clone(),
                timeout,
            })?
            .map_err(|source| LinkError::redis(&self.server, source))
    }

    /// As [`Self::send`], for whoever must know who has answered.
    pub(crate) async fn query(
        &self,
        commands: &redis::Pipeline,
        timeout: Duration,
    ) -> Result<Answered, LinkError> {
        let answers = self.send(commands, timeout).await?;
        let over = self.number;
        Ok(Answered { answers, over })
    }

    /// Sends one command.
    pub(crate) async fn ask(
        &self,
        command: redis::Cmd,
        timeout: Duration,
    ) -> Result<Value, LinkError> {
        let mut commands = redis::pipe();
        commands.add_command(command);
        let answer = self.send(&commands, timeout).await?.pop();
        let answer = answer.unwrap_or(Value::Nil).extract_error();
        answer.map_err(|source| LinkError::redis(&self.server, source))
    }

    /// Says goodbye.
    pub(crate) async fn quit(self) {
        // Whoever has gone already needs no goodbye.
        let _ = self.ask(redis::cmd("QUIT"), Duration::from_secs(1)).await;
    }
}

fn read(info: PushInfo) -> Option<Pushed> {
    let mut data = info.data.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Some(Bytes::from(bytes)),
        Value::SimpleString(text) => Some(Bytes::from(text)),
        _ => None,
    });
    match info.kind {
        PushKind::Message | PushKind::SMessage => Some(Pushed::Message {
            channel: data.next()??,
            payload: data.next()??,
        }),
        PushKind::PMessage => {
            let _pattern = data.next()??;
            Some(Pushed::Message {
                channel: data.next()??,
                payload: data.next()??,
            })
        }
        PushKind::SUnsubscribe => Some(Pushed::Unsubscribed {
            channel: data.next()??,
        }),
        // Confirmations come as answers too; what else there is concerns caches.
        _ => None,
    }
}
