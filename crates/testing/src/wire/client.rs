//! A Socket.IO client on a WebSocket, with its packets in plain sight.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{BoxIo, WEBSOCKET, WebSocket, patiently, tcp};

/// One client that has opened a session, and perhaps joined a namespace. It answers pings while it
/// is asked for something, and only then.
pub struct Client {
    websocket: WebSocket,
    /// What stands before the arguments in packets of its namespace.
    prefix: String,
    /// The public id of its socket.
    pub id: String,
}

impl Client {
    /// Opens a session.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = tcp(address).await;
        Self::open_over(Box::new(stream), WEBSOCKET, &[]).await
    }

    /// Opens a session over a connection of the test's own.
    pub async fn open_over(io: BoxIo, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut client = Self::over(io, target, headers).await;
        let open = client.recv().await.unwrap();
        assert!(open.starts_with(r#"0{"sid":""#), "{open}");
        client
    }

    async fn over(io: BoxIo, target: &str, headers: &[(&str, &str)]) -> Self {
        let upgraded = patiently(WebSocket::upgrade(io, target, headers)).await;
        Self {
            websocket: upgraded.unwrap_or_else(|response| panic!("{response:?}")),
            prefix: String::new(),
            id: String::new(),
        }
    }

    /// Opens a WebSocket for a session that polls, as far as the answered probe; `5` is next.
    pub async fn probe(address: SocketAddr, target: &str) -> Self {
        let stream = tcp(address).await;
        let mut client = Self::over(Box::new(stream), target, &[]).await;
        client.send("2probe").await;
        assert_eq!(client.recv().await.as_deref(), Some("3probe"));
        client
    }

    /// Opens a session and joins a namespace.
    pub async fn connect(address: SocketAddr, namespace: &str) -> Self {
        let mut client = Self::open(address).await;
        client.join(namespace).await;
        client
    }

    /// Joins a namespace, which is the one of all further packets.
    pub async fn join(&mut self, namespace: &str) {
        let answer = self.try_join(namespace, "").await;
        let id = answer
            .strip_prefix(&format!("40{}{{\"sid\":\"", self.prefix))
            .and_then(|rest| rest.strip_suffix("\"}"));
        self.id = id.unwrap_or_else(|| panic!("{answer}")).to_owned();
    }

    /// Asks to join a namespace with an `auth` payload; the answer.
    pub async fn try_join(&mut self, namespace: &str, auth: &str) -> String {
        self.prefix = match namespace {
            "/" => String::new(),
            _ => format!("{namespace},"),
        };
        self.send(&format!("40{}{auth}", self.prefix)).await;
        self.recv().await.expect("the connection lives")
    }

    /// Sends an Engine.IO packet.
    pub async fn send(&mut self, packet: &str) {
        self.try_send(packet).await.unwrap();
    }

    /// As [`Self::send`], where the server may have ended the connection.
    ///
    /// # Errors
    ///
    /// If it has.
    pub async fn try_send(&mut self, packet: &str) -> std::io::Result<()> {
        self.websocket
            .write(WebSocket::TEXT, packet.as_bytes())
            .await
    }

    /// Sends an attachment.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.websocket.write(WebSocket::BINARY, data).await.unwrap();
    }

    /// The next Engine.IO packet besides pings, which are answered; nothing at the end.
    pub async fn recv(&mut self) -> Option<String> {
        loop {
            let (opcode, payload) = patiently(self.websocket.read()).await?;
            match (opcode, &payload[..]) {
                (WebSocket::TEXT, b"2") => self.send("3").await,
                (WebSocket::TEXT, _) => return Some(text(payload)),
                (WebSocket::BINARY, _) => return Some(format!("binary {payload:?}")),
                (WebSocket::CLOSE, _) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Sends an event: its name and arguments as a JSON array.
    pub async fn emit(&mut self, event: &str) {
        self.send(&format!("42{}{event}", self.prefix)).await;
    }

    /// Sends an event, and takes the answer to it, which must be the next packet.
    pub async fn ask(&mut self, event: &str) -> String {
        self.send(&format!("42{}7{event}", self.prefix)).await;
        let answer = self.recv().await.expect("the connection lives");
        let answer = answer.strip_prefix(&format!("43{}7", self.prefix));
        answer.expect("an answer comes next").to_owned()
    }

    /// Takes an event, which must be the next packet, as a JSON array.
    pub async fn event(&mut self) -> String {
        let packet = self.recv().await.expect("the connection lives");
        let event = packet.strip_prefix(&format!("42{}", self.prefix));
        event.unwrap_or_else(|| panic!("{packet}")).to_owned()
    }

    /// Takes everything that the server had sent by now; needs a handler for `sync`.
    pub async fn sync(&mut self) -> Vec<String> {
        self.send(&format!("42{}999[\"sync\"]", self.prefix)).await;
        let end = format!("43{}999[]", self.prefix);
        let mut packets = Vec::new();
        loop {
            match self.recv().await.expect("the connection lives") {
                packet if packet == end => return packets,
                packet => packets.push(packet),
            }
        }
    }

    /// Takes everything until the server says goodbye: the status code that it gives, if it does.
    pub async fn goodbye(&mut self) -> Option<u16> {
        loop {
            match patiently(self.websocket.read()).await? {
                (WebSocket::CLOSE, payload) => {
                    return payload.first_chunk().copied().map(u16::from_be_bytes);
                }
                (WebSocket::TEXT, payload) if &payload[..] == b"2" => {
                    // Whether it is answered does not matter any more.
                    let _ = self.try_send("3").await;
                }
                _ => {}
            }
        }
    }

    /// Takes everything until the server ends the connection.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut packets = Vec::new();
        while let Some(packet) = self.recv().await {
            packets.push(packet);
        }
        packets
    }

    /// Reads until the server ends the connection, and ends it too.
    pub async fn gone(mut self) {
        self.rest().await;
    }
}

fn text(payload: Bytes) -> String {
    String::from_utf8(payload.into()).unwrap()
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
