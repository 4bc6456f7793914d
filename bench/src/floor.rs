//! The floor: what the kernel alone asks for the same work.
//!
//! | mode | answer to an event |
//! |---|---|
//! | `raw-bcast` | `bcast`: one frame is built, then one `send` per client |
//! | `raw-bcast-coalesce` | the same, but one `send` per client for all that came at once |
//! | `raw-echo` | `ack`: one `send` for each, all that came at once in one |
//! | `raw-accept` | none; connections come and go |
//!
//! ```text
//!  accept ─▶ Request ─ 101 and 0{…} in one send ─▶ Open ─ 40{…} ─▶ Joined ─▶ events
//! ```
//!
//! One thread, one epoll instance, one read buffer. No queues, timers, names, rooms or tokens; the
//! only parts of the protocols are those without which the generator would not talk to it.
//!
//! # Invariants
//!
//! - Per unit of work there is no system call that a server could do without, and no allocation
//!   per client.
//! - It never waits for a client: a `send` that the kernel does not take whole ends the process,
//!   and so voids the run.

use std::io::{self, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use clap::ValueEnum;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use tungstenite::handshake::derive_accept_key;

use crate::error::{Attempt, BenchError};
use crate::wire;

const READ_BUFFER_LEN: usize = 64 * 1024;
const EVENTS_PER_WAIT: usize = 1_024;
const BACKLOG: i32 = 4_096;

/// The defaults of Engine.IO, without the session id's randomness.
const OPEN: &str = concat!(
    r#"0{"sid":"AAAAAAAAAAAAAAAAAAAA","upgrades":[],"#,
    r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
);
/// An event with one attachment, which is the next frame.
const ATTACHED: &[u8] = br#"451-["m",{"_placeholder":true,"num":0}]"#;

const CONNECT: &str = r#"40{"sid":"BBBBBBBBBBBBBBBBBBBB"}"#;

/// What kind of floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One `send` per client and broadcast.
    #[value(name = "raw-bcast")]
    Broadcast,
    /// One `send` per client for all broadcasts that came at once.
    #[value(name = "raw-bcast-coalesce")]
    CoalescedBroadcast,
    /// One `send` for all events that came at once.
    #[value(name = "raw-echo")]
    Echo,
    /// Connections only.
    #[value(name = "raw-accept")]
    Accept,
}

impl Mode {
    /// The name a person types.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "raw-bcast",
            Self::CoalescedBroadcast => "raw-bcast-coalesce",
            Self::Echo => "raw-echo",
            Self::Accept => "raw-accept",
        }
    }
}

/// Serves `mode` on 127.0.0.1 until the process is told to end.
pub(crate) fn serve(mode: Mode, port: u16) -> Result<(), BenchError> {
    let listener = listen(port).attempt("listen")?;
    let address = net::getsockname(&listener).attempt("read the address")?;
    let address = SocketAddrV4::try_from(address).attempt("read the address")?;
    writeln!(io::stdout(), "listening on {address}").attempt("write to standard output")?;
    Floor::new(mode, listener)
        .and_then(|mut floor| floor.run())
        .attempt("serve")
}

/// Serves `mode` on a free port, for as long as the tests run.
#[cfg(test)]
pub(crate) fn serve_in_thread(mode: Mode) -> SocketAddrV4 {
    let listener = listen(0).unwrap();
    let address = SocketAddrV4::try_from(net::getsockname(&listener).unwrap()).unwrap();
    std::thread::spawn(move || Floor::new(mode, listener).and_then(|mut floor| floor.run()));
    address
}

fn listen(port: u16) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        Some(ipproto::TCP),
    )?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    // Linux hands this down to accepted sockets.
    sockopt::set_tcp_nodelay(&listener, true)?;
    net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

struct Floor {
    mode: Mode,
    epoll: OwnedFd,
    listener: OwnedFd,
    /// By descriptor.
    clients: Vec<Option<Client>>,
    /// Finished frames that go to everyone.
    broadcasts: Vec<Vec<u8>>,
    read_buffer: Vec<u8>,
}

struct Client {
    socket: OwnedFd,
    stage: Stage,
    /// The next frame is the attachment of a broadcast.
    awaits_attachment: bool,
    /// The beginning of a frame or of a request. Empty almost always.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Request,
    Open,
    Joined,
}

impl Floor {
    fn new(mode: Mode, listener: OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &listener)?;
        Ok(Self {
            mode,
            epoll,
            listener,
            clients: Vec::new(),
            broadcasts: Vec::new(),
            read_buffer: vec![0; READ_BUFFER_LEN],
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_PER_WAIT);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            for event in &events {
                let data = event.data;
                let index = usize::try_from(data.u64()).unwrap_or(usize::MAX);
                if index == descriptor(&self.listener) {
                    self.accept()?;
                } else {
                    self.read(index)?;
                }
                if self.mode != Mode::CoalescedBroadcast {
                    self.flush()?;
                }
            }
            self.flush()?;
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let socket = match net::accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            watch(&self.epoll, &socket)?;
            let index = descriptor(&socket);
            if index >= self.clients.len() {
                self.clients.resize_with(index + 1, || None);
            }
            self.clients[index] = Some(Client {
                socket,
                stage: Stage::Request,
                awaits_attachment: false,
                partial: Vec::new(),
            });
        }
    }

    fn read(&mut self, index: usize) -> io::Result<()> {
        let Some(client) = &mut self.clients[index] else {
            return Ok(());
        };
        let len = match rustix::io::read(&client.socket, &mut self.read_buffer) {
            Ok(len @ 1..) => len,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            // Dropping the socket closes it, and epoll forgets it.
            Ok(0) | Err(_) => {
                self.clients[index] = None;
                return Ok(());
            }
        };
        let mut joined;
        let bytes = if client.partial.is_empty() {
            &mut self.read_buffer[..len]
        } else {
            joined = mem::take(&mut client.partial);
            joined.extend_from_slice(&self.read_buffer[..len]);
            &mut joined[..]
        };
        let used = client.handle_bytes(self.mode, bytes, &mut self.broadcasts)?;
        if used < bytes.len() {
            client.partial = bytes[used..].to_vec();
        }
        Ok(())
    }

    /// Sends what is to go to everyone.
    fn flush(&mut self) -> io::Result<()> {
        if self.broadcasts.is_empty() {
            return Ok(());
        }
        let mut broadcasts = mem::take(&mut self.broadcasts);
        if self.mode == Mode::CoalescedBroadcast {
            broadcasts = vec![broadcasts.concat()];
        }
        for frames in &broadcasts {
            for client in self.clients.iter().flatten() {
                if client.stage == Stage::Joined {
                    client.send(frames)?;
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Handles all that is complete in `bytes`, and says how much that was.
    fn handle_bytes(
        &mut self,
        mode: Mode,
        bytes: &mut [u8],
        broadcasts: &mut Vec<Vec<u8>>,
    ) -> io::Result<usize> {
        let mut used = 0;
        let mut answers = Vec::new();
        if self.stage == Stage::Request {
            let Some(len) = wire::head_len(bytes) else {
                return Ok(0);
            };
            self.send(&upgrade_response(&bytes[..len])?)?;
            self.stage = Stage::Open;
            used = len;
        }
        while let Some((start, end)) =
            wire::unmask_client_frame(&mut bytes[used..]).map_err(io::Error::other)?
        {
            let payload = &bytes[used + start..used + end];
            if mem::take(&mut self.awaits_attachment) {
                let head = wire::server_frame(ATTACHED);
                broadcasts.push([head, wire::server_binary_frame(payload)].concat());
            } else if payload.starts_with(br#"451-["bcast","#) {
                self.awaits_attachment = true;
            } else if let Some(broadcast) = self.handle_text(mode, payload, &mut answers)? {
                broadcasts.push(broadcast);
            }
            used += end;
        }
        if !answers.is_empty() {
            self.send(&answers)?;
        }
        Ok(used)
    }

    /// Answers one packet; returns a frame that is to go to everyone.
    fn handle_text(
        &mut self,
        mode: Mode,
        text: &[u8],
        answers: &mut Vec<u8>,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.stage == Stage::Open && text.starts_with(b"40") {
            self.stage = Stage::Joined;
            self.send(&wire::server_frame(CONNECT.as_bytes()))?;
            return Ok(None);
        }
        match mode {
            Mode::Broadcast | Mode::CoalescedBroadcast => Ok(text
                .strip_prefix(br#"42["bcast","#)
                .map(|rest| wire::server_frame(&[br#"42["m","#, rest].concat()))),
            Mode::Echo => {
                if let Some(answer) = ack(text) {
                    answers.extend_from_slice(&wire::server_frame(&answer));
                }
                Ok(None)
            }
            Mode::Accept => Ok(None),
        }
    }

    fn send(&self, frames: &[u8]) -> io::Result<()> {
        match net::send(&self.socket, frames, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == frames.len() => Ok(()),
            // A client that left is noticed by the next read.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Ok(_) => Err(io::Error::other("a client reads too slowly")),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// `43<id>[x]` for `42<id>["ack",x]`.
fn ack(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(b"42")?;
    let id_len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (id, array) = rest.split_at(id_len);
    let args = array.strip_prefix(br#"["ack","#)?;
    Some([b"43", id, b"[", args].concat())
}

/// The answer to the request, with the Engine.IO open packet behind it.
fn upgrade_response(head: &[u8]) -> io::Result<Vec<u8>> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .ok_or_else(|| io::Error::other("a request without a WebSocket key"))?;
    let accept = derive_accept_key(key.as_bytes());
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes();
    response.extend_from_slice(&wire::server_frame(OPEN.as_bytes()));
    Ok(response)
}

fn watch(epoll: &OwnedFd, socket: &OwnedFd) -> rustix::io::Result<()> {
    let data = epoll::EventData::new_u64(descriptor(socket) as u64);
    epoll::add(epoll, socket, data, epoll::EventFlags::IN)
}

fn descriptor(socket: &OwnedFd) -> usize {
    usize::try_from(socket.as_raw_fd()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_carries_the_id_and_the_arguments_of_its_event() {
        assert_eq!(ack(br#"4212["ack",{"a":1}]"#).unwrap(), br#"4312[{"a":1}]"#);
        assert_eq!(ack(br#"4212["other",{"a":1}]"#), None);
        assert_eq!(ack(b"3"), None);
    }

    #[test]
    fn the_upgrade_of_the_floor_is_one_that_the_generator_accepts() {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let response = upgrade_response(&wire::upgrade_request(address)).unwrap();
        let len = wire::upgrade_response_len(&response).unwrap().unwrap();
        let packet = wire::parse_server_packet(&response[len..]).unwrap();
        assert!(matches!(packet, Some((wire::Packet::Open, _))));
    }
}
