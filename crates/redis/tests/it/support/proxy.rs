//! A wire between a node and Redis that can be made to fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_redis::Redis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How the wire fails.
#[derive(Debug, Default)]
struct Faults {
    /// Bytes go in and do not come out; connections of that time never work again.
    swallow: AtomicBool,
    /// What Redis says waits.
    hold: AtomicBool,
    /// How many connections were made.
    made: AtomicUsize,
    /// Bytes of so many, the oldest, go in and do not come out; that they are closed does.
    dead: AtomicUsize,
}

/// A wire between a node and Redis.
pub(crate) struct Proxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        let mut tasks = JoinSet::new();
        let given = Arc::clone(&faults);
        tasks.spawn(async move {
            let mut copies = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                let index = given.made.fetch_add(1, Ordering::Relaxed);
                copies.spawn(copy(near_read, far_write, Arc::clone(&given), index, false));
                copies.spawn(copy(far_read, near_write, Arc::clone(&given), index, true));
            }
        });
        Self {
            address,
            faults,
            _tasks: tasks,
        }
    }

    pub(crate) fn redis(&self) -> Redis {
        Redis::new(format!("redis://{}", self.address))
    }

    /// The wire as the one node of a cluster that is known.
    pub(crate) fn cluster(&self) -> Redis {
        Redis::cluster([self.address.to_string()])
    }

    pub(crate) fn swallow(&self, swallow: bool) {
        self.faults.swallow.store(swallow, Ordering::Relaxed);
    }

    /// What is connected now never works again; what connects later does.
    pub(crate) fn swallow_present(&self) {
        let made = self.faults.made.load(Ordering::Relaxed);
        self.faults.dead.store(made, Ordering::Relaxed);
    }

    pub(crate) fn hold_answers(&self, hold: bool) {
        self.faults.hold.store(hold, Ordering::Relaxed);
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    faults: Arc<Faults>,
    index: usize,
    is_answer: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut is_dead = false;
    loop {
        while is_answer && faults.hold.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        is_dead |= faults.swallow.load(Ordering::Relaxed);
        is_dead |= index < faults.dead.load(Ordering::Relaxed);
        if !is_dead && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
