//! The load generator: many clients in one thread, each as cheap as the kernel lets a client be.
//!
//! ```text
//!  Connecting ──▶ Upgrading ──▶ Opening ──▶ Joining ──▶ Ready ──▶ Received::{Event, Ack}
//!     writable      101           0{…}       40{…}       │
//!                                                        └ 2 is answered with 3 in every stage
//! ```
//!
//! One epoll instance, one read buffer for all, and frames of a fixed length. A connection costs a
//! descriptor, a stage and an empty vector.
//!
//! # Invariants
//!
//! - Nothing unexpected is tolerated: a packet out of place, a close, a frame that the kernel does
//!   not take whole void the run.
//! - At most [`MAX_CONNECTIONS`] connections at a time, to 127.0.0.1 only.
//! - A deaf client is never read from, and what its server does about that is not judged.
//! - A packet is stamped after the read that brought it, and not later.
//!
//! # Not here
//!
//! What is sent and what the answers mean (`scenario`).

use std::borrow::Cow;
use std::mem;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::clock::{Clock, nanoseconds};
use crate::error::{Attempt, BenchError};
use crate::wire::{self, Packet};

/// How many connections one process opens: below the usual limit of 20,000 descriptors, and below
/// the number of ports that a kernel hands out towards one server.
pub(crate) const MAX_CONNECTIONS: usize = 19_000;

const READ_BUFFER_LEN: usize = 256 * 1024;
const EVENTS_PER_WAIT: usize = 1_024;

/// What the kernel may keep for a deaf client, in bytes: little, so that its server notices.
const DEAF_BUFFER_LEN: usize = 4_096;

/// How many connections are between SYN and CONNECT at a time while a fleet is opened.
const OPENING_AT_ONCE: usize = 64;

/// How long opening a fleet may take, however many connections it has.
const OPENING_TIMEOUT: Duration = Duration::from_secs(60);

/// What a scenario learns of what a server sent.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// The connection is in the namespace `/`.
    Connect,
    /// An event: the JSON array.
    Event(&'a [u8]),
    /// The attachment of an event.
    Attachment(&'a [u8]),
    /// An ack: its id, then the JSON array.
    Ack(&'a [u8]),
}

/// Clients of one server.
pub(crate) struct Fleet {
    address: SocketAddrV4,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    free: Vec<usize>,
    ready: usize,
    events: Vec<epoll::Event>,
    read_buffer: Vec<u8>,
    greeting: Greeting,
    clock: Clock,
}

#[derive(Debug)]
struct Connection {
    /// `None` once it is closed.
    socket: Option<OwnedFd>,
    stage: Stage,
    /// The next frame is the attachment of an event.
    awaits_attachment: bool,
    /// The beginning of a frame whose end has not arrived. Empty almost always.
    partial: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Upgrading,
    Opening,
    Joining,
    Ready,
    Closed,
}

/// The frames that are the same for every connection.
#[derive(Debug)]
struct Greeting {
    upgrade: Vec<u8>,
    connect: Vec<u8>,
    pong: Vec<u8>,
    token: Option<String>,
    /// Which group clients are in, if they are in any.
    grouping: Option<Grouping>,
}

/// Clients with adjacent numbers are in one group.
#[derive(Debug, Clone, Copy)]
struct Grouping {
    /// The first client of group 0.
    first: usize,
    /// How many there are in a group.
    len: usize,
}

impl Greeting {
    /// The CONNECT of the client with this number.
    fn connect(&self, index: usize) -> Cow<'_, [u8]> {
        let Some(Grouping { first, len }) = self.grouping else {
            return Cow::Borrowed(&self.connect);
        };
        let group = index.saturating_sub(first) / len;
        let packet = self.token.as_ref().map_or_else(
            || format!(r#"40{{"group":{group}}}"#),
            |token| format!(r#"40{{"group":{group},"token":"{token}"}}"#),
        );
        Cow::Owned(wire::client_frame(packet.as_bytes()))
    }
}

impl Fleet {
    /// A fleet without connections. `token` is what its clients put into `auth.token`.
    pub(crate) fn new(
        address: SocketAddrV4,
        token: Option<&str>,
        clock: Clock,
    ) -> Result<Self, BenchError> {
        let connect = token.map_or_else(
            || "40".to_owned(),
            |token| format!(r#"40{{"token":"{token}"}}"#),
        );
        Ok(Self {
            address,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).attempt("make an epoll instance")?,
            connections: Vec::new(),
            free: Vec::new(),
            ready: 0,
            events: Vec::with_capacity(EVENTS_PER_WAIT),
            read_buffer: vec![0; READ_BUFFER_LEN],
            greeting: Greeting {
                upgrade: wire::upgrade_request(address),
                connect: wire::client_frame(connect.as_bytes()),
                pong: wire::client_frame(wire::PONG),
                token: token.map(str::to_owned),
                grouping: None,
            },
            clock,
        })
    }

    /// The server of the connections that are opened from now on.
    pub(crate) fn aim_at(&mut self, address: SocketAddrV4) {
        self.address = address;
        self.greeting.upgrade = wire::upgrade_request(address);
    }

    /// Puts clients that connect from now on into groups of `len`, the first of which begins with
    /// the client `first`.
    pub(crate) fn group_from(&mut self, first: usize, len: usize) {
        self.greeting.grouping = Some(Grouping { first, len });
    }

    /// How many connections are in the namespace.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// How many connections are open or being opened.
    pub(crate) fn len(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    /// Opens connections until there are `target`, and waits until each is in the namespace.
    pub(crate) fn grow_to(&mut self, target: usize) -> Result<(), BenchError> {
        let deadline = self.clock.now() + nanoseconds(OPENING_TIMEOUT);
        while self.ready < target {
            while self.len() < target && self.len() - self.ready < OPENING_AT_ONCE {
                self.open()?;
            }
            if self.clock.now() > deadline {
                return Err(BenchError::overload(format_args!(
                    "{} of {target} clients connected within {OPENING_TIMEOUT:?}",
                    self.ready
                )));
            }
            // Others may be in a room already and hear of nothing: events come later.
            self.wait(
                Duration::from_secs(1),
                &mut |index, received, _| match received {
                    Received::Connect => Ok(()),
                    _ => Err(BenchError::void(format_args!(
                        "client {index} got an event before anything was emitted"
                    ))),
                },
            )?;
        }
        Ok(())
    }

    /// Begins to open one connection, and says which number it has.
    pub(crate) fn open(&mut self) -> Result<usize, BenchError> {
        self.open_with(None)
    }

    /// Opens connections for which the kernel keeps little, until there are `count` more.
    pub(crate) fn grow_by_deaf(&mut self, count: usize) -> Result<(), BenchError> {
        let target = self.len() + count;
        let first = self.len();
        for _ in 0..count {
            self.open_with(Some(DEAF_BUFFER_LEN))?;
            self.grow_to(self.len())?;
        }
        for index in first..target {
            if let Some(socket) = &self.connections[index].socket {
                epoll::delete(&self.epoll, socket).attempt("stop watching a socket")?;
            }
        }
        Ok(())
    }

    fn open_with(&mut self, receive_buffer: Option<usize>) -> Result<usize, BenchError> {
        if self.len() >= MAX_CONNECTIONS {
            return Err(BenchError::void(format_args!(
                "more than {MAX_CONNECTIONS} connections at a time"
            )));
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            flags,
            Some(ipproto::TCP),
        )
        .attempt("make a socket")?;
        sockopt::set_tcp_nodelay(&socket, true).attempt("set TCP_NODELAY")?;
        if let Some(len) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, len).attempt("set SO_RCVBUF")?;
        }
        match net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(BenchError::void(format_args!("connect: {errno}"))),
        }
        let index = self.free.pop().unwrap_or(self.connections.len());
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::OUT).attempt("watch a socket")?;
        let connection = Connection {
            socket: Some(socket),
            stage: Stage::Connecting,
            awaits_attachment: false,
            partial: Vec::new(),
        };
        match self.connections.get_mut(index) {
            Some(slot) => *slot = connection,
            None => self.connections.push(connection),
        }
        Ok(index)
    }

    /// Ends one connection without a word, as a browser that is closed does.
    pub(crate) fn close(&mut self, index: usize) -> Result<(), BenchError> {
        let Some(socket) = self.forget(index) else {
            return Ok(());
        };
        match net::shutdown(&socket, net::Shutdown::Both) {
            // The server may have been first.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno).attempt("close a connection"),
        }
    }

    /// Ends all connections with a reset, as a balancer that dies does.
    pub(crate) fn reset_all(&mut self) -> Result<(), BenchError> {
        for index in 0..self.connections.len() {
            if let Some(socket) = self.forget(index) {
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))
                    .attempt("set SO_LINGER")?;
            }
        }
        Ok(())
    }

    /// Closing the socket, which the caller does, takes it out of the epoll instance.
    fn forget(&mut self, index: usize) -> Option<OwnedFd> {
        let connection = &mut self.connections[index];
        if connection.stage == Stage::Ready {
            self.ready -= 1;
        }
        connection.stage = Stage::Closed;
        connection.partial = Vec::new();
        let socket = connection.socket.take()?;
        self.free.push(index);
        Some(socket)
    }

    /// Sends finished frames on one connection.
    pub(crate) fn send(&self, index: usize, frames: &[u8]) -> Result<(), BenchError> {
        self.connections[index].send(frames)
    }

    /// Waits for the network at most until `timeout` has passed, and tells `sink` what came: the
    /// connection's number, what it received, and when, in ns.
    pub(crate) fn wait(
        &mut self,
        timeout: Duration,
        sink: &mut impl FnMut(usize, Received<'_>, u64) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let timeout = Timespec::try_from(timeout).unwrap_or_default();
        let mut events = mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).attempt("wait for the network"),
        }
        for event in &events {
            let data = event.data;
            let index = usize::try_from(data.u64()).unwrap_or(usize::MAX);
            self.handle_event(index, sink)?;
        }
        self.events = events;
        Ok(())
    }

    fn handle_event(
        &mut self,
        index: usize,
        sink: &mut impl FnMut(usize, Received<'_>, u64) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let connection = &mut self.connections[index];
        let is_first = connection.stage == Stage::Connecting;
        if is_first {
            connection.start_upgrade(&self.greeting)?;
        }
        let Some(socket) = &connection.socket else {
            return Ok(());
        };
        if is_first {
            let data = epoll::EventData::new_u64(index as u64);
            return epoll::modify(&self.epoll, socket, data, epoll::EventFlags::IN)
                .attempt("watch a socket");
        }
        let len = match rustix::io::read(socket, &mut self.read_buffer) {
            Ok(0) => return Err(closed(index, "closed its connection")),
            Ok(len) => len,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(errno) => return Err(closed(index, errno)),
        };
        let now = self.clock.now();
        let joined;
        let bytes = if connection.partial.is_empty() {
            &self.read_buffer[..len]
        } else {
            let mut partial = mem::take(&mut connection.partial);
            partial.extend_from_slice(&self.read_buffer[..len]);
            joined = partial;
            &joined
        };
        let was_ready = connection.stage == Stage::Ready;
        let rest = connection.handle_bytes(index, bytes, &self.greeting, &mut |received| {
            sink(index, received, now)
        })?;
        if !rest.is_empty() {
            connection.partial = rest.to_vec();
        }
        if !was_ready && connection.stage == Stage::Ready {
            self.ready += 1;
        }
        Ok(())
    }
}

impl Connection {
    fn start_upgrade(&mut self, greeting: &Greeting) -> Result<(), BenchError> {
        if let Some(socket) = &self.socket {
            sockopt::socket_error(socket)
                .attempt("ask for the state of a socket")?
                .map_err(|errno| BenchError::void(format_args!("connect: {errno}")))?;
        }
        self.send(&greeting.upgrade)?;
        self.stage = Stage::Upgrading;
        Ok(())
    }

    /// Handles all that is complete in `bytes`, and returns the rest.
    fn handle_bytes<'a>(
        &mut self,
        index: usize,
        mut bytes: &'a [u8],
        greeting: &Greeting,
        sink: &mut impl FnMut(Received<'_>) -> Result<(), BenchError>,
    ) -> Result<&'a [u8], BenchError> {
        if self.stage == Stage::Upgrading {
            let Some(len) = wire::upgrade_response_len(bytes)? else {
                return Ok(bytes);
            };
            self.stage = Stage::Opening;
            bytes = &bytes[len..];
        }
        while let Some((packet, len)) = wire::parse_server_packet(bytes)? {
            self.handle_packet(index, &packet, greeting, sink)?;
            bytes = &bytes[len..];
        }
        Ok(bytes)
    }

    fn handle_packet(
        &mut self,
        index: usize,
        packet: &Packet<'_>,
        greeting: &Greeting,
        sink: &mut impl FnMut(Received<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let awaits_attachment = mem::take(&mut self.awaits_attachment);
        match (self.stage, packet) {
            (Stage::Ready, Packet::Attachment(data)) if awaits_attachment => {
                sink(Received::Attachment(data))
            }
            (Stage::Ready, Packet::BinaryEvent) => {
                self.awaits_attachment = true;
                Ok(())
            }
            (_, Packet::Ping) => self.send(&greeting.pong),
            (Stage::Ready, Packet::Event(array)) => sink(Received::Event(array)),
            (Stage::Ready, Packet::Ack(rest)) => sink(Received::Ack(rest)),
            (Stage::Opening, Packet::Open) => {
                self.stage = Stage::Joining;
                self.send(&greeting.connect(index))
            }
            (Stage::Joining, Packet::Connect) => {
                self.stage = Stage::Ready;
                sink(Received::Connect)
            }
            (stage, packet) => Err(BenchError::void(format_args!(
                "a client in stage {stage:?} got {packet:?}"
            ))),
        }
    }

    fn send(&self, frames: &[u8]) -> Result<(), BenchError> {
        let Some(socket) = &self.socket else {
            return Err(BenchError::void("a closed client was to send"));
        };
        match net::send(socket, frames, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == frames.len() => Ok(()),
            Ok(_) | Err(Errno::AGAIN) => Err(BenchError::overload("the server reads too slowly")),
            Err(errno) => Err(BenchError::void(format_args!("send: {errno}"))),
        }
    }
}

fn closed(index: usize, why: impl std::fmt::Display) -> BenchError {
    BenchError::overload(format_args!("client {index}: the server: {why}"))
}
