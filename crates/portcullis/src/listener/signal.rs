//! What asks a server to stop, and what asks it to hurry.

use std::fmt;
use std::future::Future;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

/// How a server is to stop. A future that is ready with `()` stands for the usual way.
///
/// ```
/// use portcullis::Shutdown;
///
/// // As in a test, which does not want to wait.
/// let stop = async { Shutdown::at_once() };
/// # drop(stop);
/// ```
#[must_use]
pub struct Shutdown {
    pub(crate) is_paced: bool,
    pub(crate) hurry: BoxFuture<'static, ()>,
}

impl Shutdown {
    /// With the pace that the builder was told (`drain`).
    pub fn paced() -> Self {
        Self {
            is_paced: true,
            hurry: std::future::pending().boxed(),
        }
    }

    /// All transports at once. Handlers and `on_disconnect` are waited for all the same.
    pub fn at_once() -> Self {
        Self {
            is_paced: false,
            ..Self::paced()
        }
    }

    /// With its pace, until `hurry` is ready: then at once, and without waiting for anybody.
    pub fn paced_until(hurry: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            hurry: hurry.boxed(),
            ..Self::paced()
        }
    }
}

impl From<()> for Shutdown {
    fn from((): ()) -> Self {
        Self::paced()
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("is_paced", &self.is_paced)
            .finish_non_exhaustive()
    }
}

/// Ready when the process is asked to stop, by SIGTERM or Ctrl-C. When it is asked again, the
/// server stops at once.
///
/// # Panics
///
/// If the system does not let the process listen for signals.
pub async fn shutdown_signal() -> Shutdown {
    let mut signals = Signals::listen();
    signals.next().await;
    Shutdown::paced_until(async move { signals.next().await })
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).expect("a process may listen for signals");
        Self {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    const fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
