//! A client that is in a namespace, and says what production clients say.
//!
//! # Invariants
//!
//! - What the server sends is kept until it is asked for, in order, and answered by nobody but the
//!   test; pings are answered in the background.
//! - Every wait is bounded, and says what came instead.

mod driver;
mod inbox;
mod link;
mod packets;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::socketio::ids::{AckId, NamespacePath, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;
use serde::Serialize;

pub(crate) use driver::{Connection, Peer};
pub use inbox::Disconnect;
pub(crate) use link::Link;

use crate::{Connecting, Received, Refused};
use driver::Command;
use inbox::Inbox;

/// A client in one namespace. See [`TestServer::connect`](crate::TestServer::connect).
///
/// Dropping the last client of a connection ends that, as closing a browser's tab does.
pub struct TestClient {
    connection: Connection,
    inbox: Arc<Inbox>,
    namespace: NamespacePath,
    id: SocketId,
    patience: Duration,
    next_ack: AtomicU64,
}

/// One event that a client received.
#[derive(Clone)]
#[non_exhaustive]
pub struct Event {
    /// The name.
    pub name: String,
    /// The arguments.
    pub args: Received,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.name, self.args)
    }
}

impl TestClient {
    pub(crate) async fn join(
        connection: Connection,
        namespace: NamespacePath,
        auth: Option<Value>,
        patience: Duration,
        caller: &Location<'_>,
    ) -> Result<Self, Refused> {
        let inbox = connection.inbox(&namespace);
        let message = packets::connect(connection.codec, &namespace, auth.as_ref());
        // A connection that has ended says so in the inbox.
        connection.tell(Command::Send(vec![message])).await;
        let answer = inbox.wait(patience, |state| state.answer.take()).await;
        let Some(answer) = answer else {
            panic!("{caller}: no answer from {namespace} in {patience:?}; {inbox}");
        };
        Ok(Self {
            connection,
            inbox,
            namespace,
            id: answer?,
            patience,
            next_ack: AtomicU64::new(0),
        })
    }

    /// The public id of its socket.
    #[must_use]
    pub const fn id(&self) -> SocketId {
        self.id
    }

    /// The namespace that it is in.
    #[must_use]
    pub const fn namespace(&self) -> &NamespacePath {
        &self.namespace
    }

    /// A client in another namespace, by the same connection.
    ///
    /// # Panics
    ///
    /// If the name cannot be a namespace.
    #[track_caller]
    pub fn connect(&self, namespace: &str) -> Connecting<'static> {
        Connecting::over(self.connection.clone(), namespace, self.patience)
    }

    /// Emits an event. A tuple is several arguments, `()` is none, anything else is one; what
    /// serialises as bytes is an attachment.
    #[track_caller]
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> impl Future<Output = ()> {
        let messages = self.event(event, None, args);
        self.send(messages, Location::caller())
    }

    /// Emits an event, and waits for the answer to it.
    #[track_caller]
    pub fn emit_with_ack<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> impl Future<Output = Received> {
        let caller = Location::caller();
        let id = AckId::from(self.next_ack.fetch_add(1, Ordering::Relaxed));
        let messages = self.event(event, Some(id), args);
        async move {
            self.send(messages, caller).await;
            let answer = self.inbox.wait(self.patience, |state| state.take_ack(id));
            match answer.await {
                Some(args) => Received::new(args, None),
                None => self.fail(caller, format_args!("an ack of {event:?}")),
            }
        }
    }

    fn event<T: Serialize + ?Sized>(
        &self,
        event: &str,
        ack: Option<AckId>,
        args: &T,
    ) -> Vec<packets::Message> {
        let payload = Payload::event(event, args);
        let payload = payload.unwrap_or_else(|error| panic!("{event:?} cannot be sent: {error}"));
        packets::event(self.connection.codec, &self.namespace, ack, &payload)
    }

    async fn send(&self, messages: Vec<packets::Message>, caller: &Location<'_>) {
        if !self.connection.tell(Command::Send(messages)).await {
            panic!("{caller}: the connection has ended; {}", self.inbox);
        }
    }

    /// Takes the earliest event of this name, or waits for it. Other events stay where they are.
    #[track_caller]
    pub fn expect(&self, event: &str) -> impl Future<Output = Received> {
        let caller = Location::caller();
        async move {
            let waiting = self
                .inbox
                .wait(self.patience, |state| state.take_event(event));
            match waiting.await {
                Some(event) => event.args,
                None => self.fail(caller, format_args!("{event:?}")),
            }
        }
    }

    /// Takes the next event, whatever its name, or waits for it.
    #[track_caller]
    pub fn next_event(&self) -> impl Future<Output = Event> {
        let caller = Location::caller();
        async move {
            let next = self
                .inbox
                .wait(self.patience, |state| state.events.pop_front());
            match next.await {
                Some(event) => event,
                None => self.fail(caller, format_args!("an event")),
            }
        }
    }

    /// Waits so long, and fails if there is an event by then that nobody has asked for. Under a
    /// paused clock the wait takes no time, and covers all that the server does within it.
    #[track_caller]
    pub fn expect_nothing(&self, within: Duration) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let event = self.inbox.wait(within, |state| state.events.pop_front());
            if let Some(event) = event.await {
                panic!(
                    "{caller}: the client of {} expected nothing, but there came {event:?}",
                    self.namespace
                );
            }
        }
    }

    /// Waits for the end of this socket, which must have this reason.
    #[track_caller]
    pub fn expect_disconnect(&self, reason: Disconnect) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let ended = self.inbox.wait(self.patience, |state| state.ended);
            if ended.await != Some(reason) {
                self.fail(caller, format_args!("its end, {reason}"));
            }
        }
    }

    /// Leaves the namespace. The connection stays until the client is dropped.
    pub async fn disconnect(&self) {
        let message = packets::disconnect(self.connection.codec, &self.namespace);
        self.connection.tell(Command::Send(vec![message])).await;
        self.inbox.update(|state| {
            state.ended.get_or_insert(Disconnect::ByClient);
        });
    }

    /// Whether the socket is connected, as far as the client knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inbox.ended().is_none()
    }

    /// Hangs: reads nothing and answers no ping, until it is thawed. All clients of its connection
    /// hang with it. It can still send.
    pub async fn freeze(&self) {
        self.connection.tell(Command::Freeze(true)).await;
    }

    /// Reads and answers again.
    pub async fn thaw(&self) {
        self.connection.tell(Command::Freeze(false)).await;
    }

    fn fail(&self, caller: &Location<'_>, expected: fmt::Arguments<'_>) -> ! {
        panic!(
            "{caller}: the client of {} expected {expected} within {:?}; {}",
            self.namespace, self.patience, self.inbox
        );
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("namespace", &self.namespace)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
