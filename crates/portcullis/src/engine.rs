//! Engine.IO without Socket.IO on top: for other protocols, and for those who judge this one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_engineio::Timing;

use crate::handshake::{Accept, Admission, Cors, Door, HttpOptions, Origins};
use crate::server::SocketService;
use crate::session::{Core, CoreOptions, OutboxLimits};
use crate::tasks::Tasks;

pub use crate::session::websocket_only::{WebSocketHandler, WebSocketService};

/// An engine whose messages go to handlers of the application's own.
///
/// It pings and flushes for as long as it, a service of it, or a session is there.
pub struct Engine {
    door: Arc<Door>,
    tasks: Tasks,
}

/// Between these every time of a heartbeat is, so that clocks can count to it.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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
        let CoreOptions {
            timing,
            max_payload,
            ..
        } = CoreOptions::usual();
        Self {
            ping_interval: timing.ping_interval,
            ping_timeout: timing.ping_timeout,
            max_payload,
            cors: None,
            origins: Origins::own(),
        }
    }
}

impl EngineOptions {
    /// How often the server pings, at most once a ms and at least once a day. Default: 25 s.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval.clamp(SHORTEST, LONGEST);
        self
    }

    /// How long the answer may take, from 1 ms to a day. Default: 20 s.
    #[must_use]
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout.clamp(SHORTEST, LONGEST);
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
        let usual = CoreOptions::usual();
        let core = CoreOptions {
            timing: Timing {
                ping_interval: options.ping_interval,
                ping_timeout: options.ping_timeout,
            },
            outbox: OutboxLimits {
                max_bytes: options
                    .max_payload
                    .saturating_mul(4)
                    .max(usual.outbox.max_bytes),
                ..usual.outbox
            },
            join_timeout: None,
            max_payload: options.max_payload,
            ..usual
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
