//! One Engine.IO session: a WebSocket, or requests that poll.
//!
//! | transport | receiving                                 | sending                             |
//! |-----------|-------------------------------------------|-------------------------------------|
//! | WebSocket | frames                                    | frames                              |
//! | polling   | a GET that always waits, on a connection  | a POST at a time, on another        |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::engineio::{Packet, SEPARATOR};

use super::packets::Message;
use crate::Refused;
use crate::connecting::Route;
use crate::network::Network;
use crate::wire::{BoxIo, Http, Response, WebSocket, request};

/// How much a connection over memory holds in each direction.
const CAPACITY: usize = 64 * 1024;

/// What comes from the server.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Message),
    Ping,
    Close,
    /// Of no meaning to a client that stays with its transport.
    Other,
}

/// The open session of a client.
#[derive(Debug)]
pub(crate) enum Link {
    WebSocket(WebSocket),
    Polling(Box<Polling>),
}

#[derive(Debug)]
pub(crate) struct Polling {
    target: String,
    headers: Vec<(String, String)>,
    getting: Http,
    posting: Http,
    is_waiting: bool,
    /// What came in the same body as the open packet.
    first: Vec<Incoming>,
}

impl Link {
    /// Opens a session, or says what the server answers instead.
    pub(crate) async fn open(network: &Network, route: &Route) -> Result<Self, Refused> {
        let transport = if route.by_polling {
            "polling"
        } else {
            "websocket"
        };
        let (path, query) = (network.server.path(), &route.query);
        let target = format!("{path}?EIO=4&transport={transport}{query}");
        let headers = as_pairs(&route.headers);
        let first = dial(network, route).await;
        if route.by_polling {
            let second = dial(network, route).await;
            let polling = Polling::open(target, route, Http::over(first), Http::over(second));
            return Ok(Self::Polling(Box::new(polling.await?)));
        }
        let upgraded = WebSocket::upgrade(first, &target, &headers).await;
        let mut websocket = upgraded.map_err(|response| Refused::by_http(&response))?;
        let open = websocket.read().await;
        assert!(
            open.is_some_and(|(_, packet)| packet.starts_with(b"0{")),
            "a session begins with its open packet"
        );
        Ok(Self::WebSocket(websocket))
    }

    /// Asks for whatever comes next, where that must be asked for.
    pub(crate) async fn prepare(&mut self) {
        if let Self::Polling(polling) = self {
            polling.prepare().await;
        }
    }

    /// What comes next, at least one packet; nothing once the session has ended.
    ///
    /// Cancel safe.
    pub(crate) async fn recv(&mut self) -> Option<Vec<Incoming>> {
        match self {
            Self::WebSocket(websocket) => {
                let (opcode, payload) = websocket.read().await?;
                let incoming = match opcode {
                    WebSocket::TEXT => incoming(std::str::from_utf8(&payload).ok()?)?,
                    WebSocket::BINARY => Incoming::Message(Message::Binary(payload)),
                    WebSocket::CLOSE => Incoming::Close,
                    _ => Incoming::Other,
                };
                Some(vec![incoming])
            }
            Self::Polling(polling) => polling.recv().await,
        }
    }

    /// Sends messages. What fails to arrive is seen where the session ends: in [`Self::recv`].
    pub(crate) async fn send(&mut self, messages: &[Message]) {
        match self {
            Self::WebSocket(websocket) => {
                for message in messages {
                    let _ = match message {
                        Message::Text(text) => {
                            let packet = format!("4{text}");
                            websocket.write(WebSocket::TEXT, packet.as_bytes()).await
                        }
                        Message::Binary(bytes) => websocket.write(WebSocket::BINARY, bytes).await,
                    };
                }
            }
            Self::Polling(polling) => {
                let packets = messages.iter().map(|message| match message {
                    Message::Text(text) => format!("4{text}"),
                    Message::Binary(bytes) => format!("b{}", STANDARD.encode(bytes)),
                });
                let body = Vec::from_iter(packets).join(&SEPARATOR.to_string());
                polling.post(&body).await;
            }
        }
    }

    /// Answers a ping.
    pub(crate) async fn pong(&mut self) {
        match self {
            Self::WebSocket(websocket) => {
                let _ = websocket.write(WebSocket::TEXT, b"3").await;
            }
            Self::Polling(polling) => polling.post("3").await,
        }
    }

    /// Ends the session as a client does that is closed.
    pub(crate) async fn close(&mut self) {
        match self {
            Self::WebSocket(websocket) => {
                let _ = websocket.write(WebSocket::CLOSE, b"").await;
            }
            Self::Polling(polling) => polling.post("1").await,
        }
    }
}

impl Polling {
    async fn open(
        target: String,
        route: &Route,
        mut getting: Http,
        posting: Http,
    ) -> Result<Self, Refused> {
        let response = getting.get_with(&target, &as_pairs(&route.headers)).await;
        if response.status != 200 {
            return Err(Refused::by_http(&response));
        }
        let body = response.text();
        let (open, rest) = body.split_once(SEPARATOR).unwrap_or((&body, ""));
        let open = open
            .strip_prefix('0')
            .expect("a session begins with its open packet");
        let open: serde_json::Value = serde_json::from_str(open).unwrap();
        let session = open["sid"].as_str().unwrap();
        Ok(Self {
            target: format!("{target}&sid={session}"),
            headers: route.headers.clone(),
            getting,
            posting,
            is_waiting: false,
            first: packets(rest).unwrap_or_default(),
        })
    }

    async fn prepare(&mut self) {
        if self.is_waiting || !self.first.is_empty() {
            return;
        }
        let request = request("GET", &self.target, &as_pairs(&self.headers), b"");
        let _ = self.getting.try_send(&request).await;
        self.is_waiting = true;
    }

    async fn recv(&mut self) -> Option<Vec<Incoming>> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        let response: Response = self.getting.recv().await?;
        self.is_waiting = false;
        if response.status != 200 {
            return None;
        }
        packets(&response.text())
    }

    async fn post(&mut self, body: &str) {
        let mut headers = as_pairs(&self.headers);
        headers.push(("Content-Type", "text/plain;charset=UTF-8"));
        let request = request("POST", &self.target, &headers, body.as_bytes());
        if self.posting.try_send(&request).await.is_ok() {
            let _ = self.posting.recv().await;
        }
    }
}

async fn dial(network: &Network, route: &Route) -> BoxIo {
    if route.by_tcp {
        network.tcp().await
    } else {
        network.memory(CAPACITY)
    }
}

fn as_pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The packets of a polling body.
fn packets(body: &str) -> Option<Vec<Incoming>> {
    let packets = body.split(SEPARATOR).filter(|packet| !packet.is_empty());
    packets.map(incoming).collect()
}

fn incoming(packet: &str) -> Option<Incoming> {
    Some(match Packet::decode(packet).ok()? {
        Packet::Message(text) => Incoming::Message(Message::Text(text.to_owned())),
        Packet::Binary(bytes) => Incoming::Message(Message::Binary(bytes)),
        Packet::Ping(_) => Incoming::Ping,
        Packet::Close => Incoming::Close,
        _ => Incoming::Other,
    })
}
