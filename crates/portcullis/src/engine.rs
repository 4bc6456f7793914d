//! Engine.IO without Socket.IO on top: for other protocols, and for those who judge this one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engineio::Timing;

use crate::handshake::{Accept, Admission, Cors, Door, HttpOptions, Origins};
use crate::server::SocketService;
use crate::session::{Core, CoreOptions, IfSlow, OutboxLimits};
use crate::tasks::Tasks;

pub use crate::session::websocket_only::{WebSocketHandler, WebSocketService};

/// An engine whose messages go to handlers of the application's own.
///
/// It pings and flushes for as long as it, a service of it, or a session is there.
pub struct Engine {
    door: Arc<Door>,
    tasks: Tasks,
}

/// What an engine is told before it runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    ping_interval: Duration,
    ping_timeout: Duration,
    max_payload: usize,
    cors: Option<Cors>,
    origins: Origins,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
            cors: None,
            origins: Origins::own(),
        }
    }
}

impl EngineOptions {
    /// How often the server pings. Default: 25 s.
    #[must_use]
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How long the answer may take. Default: 20 s.
    #[must_use]
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// The largest message and the largest polling body, in bytes. Default: 1,000,000.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Which pages of other origins may read polling responses. Default: none.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Which pages may connect, on every transport. Default: [`Origins::own`].
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }
}

impl Engine {
    /// Starts an engine; must be called on a tokio runtime.
    #[must_use]
    pub fn start(options: EngineOptions, accept: impl Accept) -> Self {
        let tasks = Tasks::default();
        let core = CoreOptions {
            timing: Timing {
                ping_interval: options.ping_interval,
                ping_timeout: options.ping_timeout,
            },
            outbox: OutboxLimits {
                max_bytes: options.max_payload.saturating_mul(4).max(1024 * 1024),
                max_frames: 4096,
                if_slow: IfSlow::Disconnect,
            },
            upgrade_timeout: Duration::from_secs(10),
            join_timeout: None,
            max_payload: options.max_payload,
            max_packets: 1000,
        };
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        let door = Door {
            core: Core::start(core, shards, tasks.clone()),
            options: HttpOptions {
                cors: options.cors,
                origins: options.origins,
                ..HttpOptions::default()
            },
            admission: Admission::default(),
            accept: Box::new(accept),
        };
        Self {
            door: Arc::new(door),
            tasks,
        }
    }

    /// The engine as a tower service, to be mounted at the path of your choice. What is mounted
    /// runs on when nothing else of the engine is kept.
    #[must_use]
    pub fn service(&self) -> SocketService {
        SocketService::new(Arc::clone(&self.door))
    }

    /// Ends every session and waits for their handlers.
    pub async fn close(&self) {
        self.door.core.shut_down();
        self.tasks.finished().await;
        self.tasks.stop_services();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}
