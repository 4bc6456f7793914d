//! HTTP/1.1 by hand: one connection, one request after the other.
//!
//! # Not here
//!
//! Chunked bodies: the engine sends none.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{BoxIo, POLLING, patiently, tcp};
use crate::witness;

/// An HTTP connection.
pub struct Http {
    io: BoxIo,
    buffer: BytesMut,
}

/// One answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as long as `Content-Length` says.
    pub body: Bytes,
}

impl Http {
    /// Opens a TCP connection.
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(Box::new(tcp(address).await))
    }

    /// Speaks HTTP on a connection.
    #[must_use]
    pub fn over(io: BoxIo) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    /// The connection, and what was read of it and not used.
    pub(super) fn into_parts(self) -> (BoxIo, BytesMut) {
        (self.io, self.buffer)
    }

    /// A GET request.
    pub async fn get(&mut self, target: &str) -> Response {
        self.get_with(target, &[]).await
    }

    /// A GET request with headers.
    pub async fn get_with(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.exchange(&request("GET", target, headers, b"")).await
    }

    /// A POST request with text.
    pub async fn post(&mut self, target: &str, body: &str) -> Response {
        let kind = [("Content-Type", "text/plain;charset=UTF-8")];
        self.exchange(&request("POST", target, &kind, body.as_bytes()))
            .await
    }

    /// Opens a session by polling; the target of its further requests.
    ///
    /// # Panics
    ///
    /// If the server opens none.
    pub async fn open_session(&mut self) -> String {
        let response = self.get(POLLING).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let open: serde_json::Value = serde_json::from_str(&response.text()[1..]).unwrap();
        format!("{POLLING}&sid={}", open["sid"].as_str().unwrap())
    }

    /// Asks for a session by polling; `false` if the server ends the connection instead.
    pub async fn try_get_session(&mut self) -> bool {
        let request = request("GET", POLLING, &[], b"");
        if self.io.write_all(&request).await.is_err() {
            return false;
        }
        patiently(self.recv()).await.is_some()
    }

    /// Opens a session by polling, and joins `/` with it; the target of its further requests.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub async fn join(&mut self) -> String {
        let session = self.open_session().await;
        assert_eq!(self.post(&session, "40").await.text(), "ok");
        let joined = self.get(&session).await.text();
        assert!(joined.starts_with(r#"40{"sid":""#), "{joined}");
        session
    }

    /// Sends a whole request, and takes the answer.
    ///
    /// # Panics
    ///
    /// If the server ends the connection, or does not answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Response {
        self.send(request).await;
        patiently(self.recv()).await.expect("the server answers")
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If the server has ended the connection.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        witness::requested(bytes);
        self.io.write_all(bytes).await
    }

    /// The next answer; nothing once the server has ended the connection. Not bounded in time.
    ///
    /// # Cancel safety
    ///
    /// What was read stays for the next call.
    pub async fn recv(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = Response::take(&mut self.buffer) {
                return Some(response);
            }
            if self.io.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// What comes until the server ends the connection. Not bounded in time.
    ///
    /// # Panics
    ///
    /// If it is not text.
    pub async fn rest(&mut self) -> String {
        // A reset is an end too.
        while self.io.read_buf(&mut self.buffer).await.unwrap_or(0) > 0 {}
        String::from_utf8(self.buffer.split().to_vec()).unwrap()
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Response {
    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// A header, if it is there.
    ///
    /// # Panics
    ///
    /// If it is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Takes a whole response from what has arrived.
    fn take(buffer: &mut BytesMut) -> Option<Self> {
        let end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = HeaderName::try_from(name).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let mut response = Self {
            status,
            headers,
            body: Bytes::new(),
        };
        let len = response.len_bytes();
        if buffer.len() < end + len {
            return None;
        }
        drop(buffer.split_to(end));
        response.body = buffer.split_to(len).freeze();
        witness::received(&response.body);
        Some(response)
    }

    fn len_bytes(&self) -> usize {
        if self.status == 304 || self.status < 200 {
            return 0;
        }
        let len = self.header("content-length").unwrap_or("0");
        len.parse().unwrap()
    }
}

/// The bytes of a request for a WebSocket, with the sample key of RFC 6455 section 1.2.
#[must_use]
pub fn upgrade_request(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
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
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
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
