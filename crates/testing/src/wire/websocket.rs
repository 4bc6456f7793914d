//! A WebSocket by hand (RFC 6455): enough to be a client, and no more.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::http::{Http, Response, upgrade_request};
use super::{BoxIo, patiently};
use crate::witness;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A connection that speaks WebSocket.
pub struct WebSocket {
    io: BoxIo,
    buffer: BytesMut,
}

impl WebSocket {
    /// The opcode of text.
    pub const TEXT: u8 = 1;
    /// The opcode of binary data.
    pub const BINARY: u8 = 2;
    /// The opcode of a close.
    pub const CLOSE: u8 = 8;
    /// The opcode of a ping.
    pub const PING: u8 = 9;
    /// The opcode of a pong.
    pub const PONG: u8 = 10;

    /// Switches a connection to WebSocket.
    ///
    /// # Errors
    ///
    /// Whatever the server answers that is not 101.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn upgrade(
        io: BoxIo,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        let mut http = Http::over(io);
        http.send(&upgrade_request(target, headers)).await;
        let response = patiently(http.recv()).await.expect("the server answers");
        if response.status != 101 {
            return Err(response);
        }
        let (io, buffer) = http.into_parts();
        Ok(Self { io, buffer })
    }

    /// Writes one whole frame.
    ///
    /// # Errors
    ///
    /// If the server does not take it.
    pub async fn write(&mut self, opcode: u8, payload: &[u8]) -> std::io::Result<()> {
        witness::sent(payload);
        let mut frame = vec![FIN | opcode];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(len), _) if len < 126 => frame.push(MASKED | len),
            (_, Ok(len)) => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&len.to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves the payload as it is.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.io.write_all(&frame).await
    }

    /// Writes bytes as they are: several frames, or what is none.
    ///
    /// # Errors
    ///
    /// If the server does not take them.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await
    }

    /// The next frame, its opcode and its payload; nothing once the server has ended the
    /// connection. Not bounded in time.
    ///
    /// # Cancel safety
    ///
    /// What was read stays for the next call.
    pub async fn read(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Bytes)> {
        let (&[first, second], rest) = self.buffer.split_first_chunk::<2>()?;
        assert_eq!(second & MASKED, 0, "a server does not mask");
        assert_eq!(first & FIN, FIN, "this server does not fragment");
        let (header, len) = match second {
            126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
            len => (2, u64::from(len)),
        };
        let len = usize::try_from(len).unwrap();
        if self.buffer.len() < header + len {
            self.buffer.reserve(header + len - self.buffer.len());
            return None;
        }
        self.buffer.advance(header);
        let payload = self.buffer.split_to(len).freeze();
        witness::received(&payload);
        Some((first & 0xf, payload))
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}
