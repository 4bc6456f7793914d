//! The task of one connection: it reads for all its sockets, answers pings, and sends.
//!
//! ```text
//!  TestClient ── Command ──▶ driver ──▶ link ──▶ server
//!      ▲                       │
//!      └──── inbox of each ◀───┘
//! ```
//!
//! # Invariants
//!
//! - It ends when the last client of the connection is dropped, after what was sent has left.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis::socketio::codec::Codec;
use portcullis::socketio::ids::{AckId, NamespacePath};
use portcullis::socketio::payload::Payload;
use tokio::sync::mpsc;

use super::Event;
use super::inbox::{Disconnect, Inbox};
use super::link::{Incoming, Link};
use super::packets::{self, Message, Reader, Said};
use crate::Received;

/// How many commands may wait for the driver. Whoever sends more waits.
const MAX_COMMANDS: usize = 64;

pub(super) enum Command {
    Send(Vec<Message>),
    /// Stop reading and answering, or go on.
    Freeze(bool),
}

type Inboxes = Arc<Mutex<HashMap<NamespacePath, Arc<Inbox>>>>;

/// The connection of one or more clients; it ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(super) codec: Codec,
    commands: mpsc::Sender<Command>,
    inboxes: Inboxes,
}

impl Connection {
    /// A connection over an open session, and the task that drives it.
    pub(crate) fn new(
        link: Link,
        codec: Codec,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (commands, received) = mpsc::channel(MAX_COMMANDS);
        let inboxes = Inboxes::default();
        let driver = Driver {
            link,
            reader: Reader::new(codec),
            codec,
            answers: commands.downgrade(),
            inboxes: Arc::clone(&inboxes),
        };
        let connection = Self {
            codec,
            commands,
            inboxes,
        };
        (connection, driver.drive(received))
    }

    /// A new inbox for a namespace.
    pub(super) fn inbox(&self, namespace: &NamespacePath) -> Arc<Inbox> {
        let inbox = Arc::<Inbox>::default();
        let mut inboxes = self.inboxes.lock();
        let before = inboxes.insert(namespace.clone(), Arc::clone(&inbox));
        let is_free = before.is_none_or(|before| before.ended().is_some());
        assert!(is_free, "this connection has a client in {namespace}");
        inbox
    }

    /// Gives the driver something to do; `false` if the connection has ended.
    pub(super) async fn tell(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }
}

/// Whom to answer. It does not keep the connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    codec: Codec,
    namespace: NamespacePath,
    commands: mpsc::WeakSender<Command>,
}

impl Peer {
    pub(crate) async fn send_ack(&self, id: AckId, payload: &Payload) {
        let messages = packets::ack(self.codec, &self.namespace, id, payload);
        let commands = self.commands.upgrade();
        let commands = commands.expect("the client that was asked is there");
        let sent = commands.send(Command::Send(messages)).await;
        assert!(sent.is_ok(), "the connection has ended");
    }
}

struct Driver {
    link: Link,
    reader: Reader,
    codec: Codec,
    answers: mpsc::WeakSender<Command>,
    inboxes: Inboxes,
}

impl Driver {
    async fn drive(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut is_frozen = false;
        let reason = loop {
            if !is_frozen {
                self.link.prepare().await;
            }
            tokio::select! {
                received = self.link.recv(), if !is_frozen => {
                    let Some(received) = received else {
                        break Disconnect::TransportClose;
                    };
                    if let Err(reason) = self.handle_all(received).await {
                        break reason;
                    }
                }
                command = commands.recv() => match command {
                    Some(Command::Send(messages)) => self.link.send(&messages).await,
                    Some(Command::Freeze(freeze)) => is_frozen = freeze,
                    None => {
                        self.link.close().await;
                        break Disconnect::ByClient;
                    }
                },
            }
        };
        // From here on commands fail, before anybody hears why.
        drop(commands);
        for inbox in self.inboxes.lock().values() {
            inbox.update(|state| {
                state.ended.get_or_insert(reason);
            });
        }
    }

    async fn handle_all(&mut self, received: Vec<Incoming>) -> Result<(), Disconnect> {
        for incoming in received {
            match incoming {
                Incoming::Message(message) => self.handle(&message)?,
                Incoming::Ping => self.link.pong().await,
                Incoming::Close => return Err(Disconnect::TransportClose),
                Incoming::Other => {}
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: &Message) -> Result<(), Disconnect> {
        let read = self.reader.read(message);
        let Some((namespace, said)) = read.map_err(|_| Disconnect::ParseError)? else {
            return Ok(());
        };
        let Some(inbox) = self.inboxes.lock().get(&namespace).cloned() else {
            return Ok(());
        };
        inbox.update(|state| match said {
            Said::Connected(id) => state.answer = Some(Ok(id)),
            Said::Refused(refused) => {
                state.answer = Some(Err(refused));
                state.ended = Some(Disconnect::ByServer);
            }
            Said::Disconnect => state.ended = Some(Disconnect::ByServer),
            Said::Ack(id, args) => state.push_ack(id, args),
            Said::Event { event, ack, args } => {
                let question = ack.map(|id| (self.peer(namespace), id));
                state.push_event(Event {
                    name: event.as_str().to_owned(),
                    args: Received::new(args, question),
                });
            }
        });
        Ok(())
    }

    fn peer(&self, namespace: NamespacePath) -> Peer {
        Peer {
            codec: self.codec,
            namespace,
            commands: self.answers.clone(),
        }
    }
}
