//! HTTP/1.1 by hand: one connection, one request after the other.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{BoxIo, patiently, tcp};

/// The target of a handshake by polling.
pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// The target of a handshake by WebSocket.
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

pub(crate) struct Http {
    io: BoxIo,
    buffer: BytesMut,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(Box::new(tcp(address).await))
    }

    pub(crate) fn over(io: BoxIo) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Response {
        self.get_with(target, &[]).await
    }

    pub(crate) async fn get_with(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.exchange(&request("GET", target, headers, b"")).await
    }

    pub(crate) async fn post(&mut self, target: &str, body: &str) -> Response {
        let kind = [("Content-Type", "text/plain;charset=UTF-8")];
        self.exchange(&request("POST", target, &kind, body.as_bytes()))
            .await
    }

    /// Opens a session by polling; the target of its further requests.
    pub(crate) async fn open_session(&mut self) -> String {
        let response = self.get(POLLING).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let open: serde_json::Value = serde_json::from_str(&response.text()[1..]).unwrap();
        format!("{POLLING}&sid={}", open["sid"].as_str().unwrap())
    }

    /// Opens a session by polling; `false` once the server does not answer any more.
    pub(crate) async fn try_get_session(&mut self) -> bool {
        let request = request("GET", POLLING, &[], b"");
        if self.io.write_all(&request).await.is_err() {
            return false;
        }
        match patiently(read_head(&mut self.io, &mut self.buffer)).await {
            Some(mut response) => {
                patiently(response.read_body(&mut self.io, &mut self.buffer)).await;
                true
            }
            None => false,
        }
    }

    /// Opens a session by polling, and joins `/` with it.
    pub(crate) async fn join(&mut self) -> String {
        let session = self.open_session().await;
        assert_eq!(self.post(&session, "40").await.text(), "ok");
        let joined = self.get(&session).await.text();
        assert!(joined.starts_with(r#"40{"sid":""#), "{joined}");
        session
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Response {
        self.send(request).await;
        let mut response = patiently(read_head(&mut self.io, &mut self.buffer))
            .await
            .expect("the server answers");
        patiently(response.read_body(&mut self.io, &mut self.buffer)).await;
        response
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// What comes until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> String {
        // A reset is an end too.
        while self.io.read_buf(&mut self.buffer).await.unwrap_or(0) > 0 {}
        String::from_utf8(self.buffer.split().to_vec()).unwrap()
    }
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) async fn read_body(&mut self, io: &mut BoxIo, buffer: &mut BytesMut) {
        let len = self.header("content-length").unwrap_or("0");
        let len: usize = len.parse().unwrap();
        if self.status == 304 || self.status < 200 {
            return;
        }
        while buffer.len() < len {
            assert!(io.read_buf(buffer).await.unwrap() > 0, "the body was cut");
        }
        self.body = buffer.split_to(len).freeze();
    }
}

/// The head of the answer to a handshake by WebSocket.
pub(crate) async fn upgrade_head(mut io: BoxIo, target: &str) -> Response {
    io.write_all(&upgrade_request(target, &[])).await.unwrap();
    read_head(&mut io, &mut BytesMut::new()).await.unwrap()
}

/// A request for a WebSocket, with the sample key of RFC 6455 section 1.2.
pub(super) fn upgrade_request(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    all.extend_from_slice(headers);
    request("GET", target, &all, b"")
}

/// The bytes of one request.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads the head of a response; nothing if the server ends the connection instead.
pub(super) async fn read_head(io: &mut BoxIo, buffer: &mut BytesMut) -> Option<Response> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if io.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.split_to(end).to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| {
        let name = HeaderName::try_from(name).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let mut map = HeaderMap::new();
    headers.for_each(|(name, value)| {
        map.append(name, value);
    });
    Some(Response {
        status,
        headers: map,
        body: Bytes::new(),
    })
}
