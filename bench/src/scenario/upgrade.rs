//! Sessions as stock clients begin them: polling first, then the upgrade.
//!
//! ```text
//!  GET  ─▶ 0{"sid":…}      POST 40{"token":…} ─▶ ok      GET ─▶ 40{"sid":…}
//!  WebSocket with the sid: 2probe ─▶ 3probe, 5, then one event with ack, and away
//! ```
//!
//! [`WORKERS`] threads do this one session after the other: HTTP has no place in the event loop of
//! the other scenarios, and a session is mostly waiting.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Stage;
use crate::clock::nanoseconds;
use crate::error::{Attempt, BenchError};
use crate::figures::{Figure, Findings, Latencies};
use crate::wire;

const WORKERS: usize = 8;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many sessions each worker begins while the server is traced.
const TRACED: usize = 5;

/// No answer of this scenario is longer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// Some servers send one as soon as a session is open. No session here lasts until its pong is due.
const PING: &str = "2";

pub(super) fn run(stage: &Stage<'_>) -> Result<Findings, BenchError> {
    let (target, plan) = (stage.target, stage.plan);
    let visitor = Visitor {
        address: target.node.address.to_string(),
        connect: target.token.as_deref().map_or_else(
            || "40".to_owned(),
            |token| format!(r#"40{{"token":"{token}"}}"#),
        ),
    };
    let limit = plan.is_traced().then_some(TRACED);
    visitor.visit_for(plan.warm_up, limit)?;
    let meter = target.meter(plan)?;
    let latencies = visitor.visit_for(plan.steady, limit)?;
    let mut figures = meter.finish(latencies.len() as u64)?;
    // The meter knows what one thread used, and here there were others.
    figures.remove(&Figure::GeneratorShare);
    let mut all = Latencies::new();
    latencies
        .into_iter()
        .for_each(|latency| all.record(latency));
    all.summarize(&mut figures);
    Ok(figures.into())
}

struct Visitor {
    address: String,
    connect: String,
}

impl Visitor {
    /// All workers begin sessions for `duration`, each at most `limit`; how long each took, in ns.
    fn visit_for(&self, duration: Duration, limit: Option<usize>) -> Result<Vec<u64>, BenchError> {
        let end = Instant::now() + duration;
        let visit_all = || {
            let mut latencies = Vec::new();
            while Instant::now() < end && limit.is_none_or(|limit| latencies.len() < limit) {
                let started = Instant::now();
                self.visit()?;
                latencies.push(nanoseconds(started.elapsed()));
            }
            Ok(latencies)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(visit_all)).collect();
            let mut all = Vec::new();
            for worker in workers {
                let latencies: Result<Vec<u64>, BenchError> = worker
                    .join()
                    .map_err(|_| BenchError::void("a worker of the generator panicked"))?;
                all.extend(latencies?);
            }
            Ok(all)
        })
    }

    /// One session from its first request to its first ack.
    fn visit(&self) -> Result<(), BenchError> {
        let path = "/socket.io/?EIO=4&transport=polling";
        let mut http = self.dial()?;
        let open = self.exchange(&mut http, "GET", path, "")?;
        let sid = open
            .strip_prefix(r#"0{"sid":""#)
            .and_then(|rest| rest.split('"').next())
            .ok_or_else(|| unexpected(&open))?
            .to_owned();
        let path = format!("{path}&sid={sid}");
        expect(
            &self.exchange(&mut http, "POST", &path, &self.connect)?,
            "ok",
        )?;
        expect(&self.poll(&mut http, &path)?, r#"40{"sid":""#)?;

        let mut socket = self.dial()?;
        let request = wire::upgrade_request_for(&self.address, &sid);
        socket.write_all(&request).attempt("send to the server")?;
        let mut bytes = Vec::new();
        let len = loop {
            if let Some(len) = wire::upgrade_response_len(&bytes)? {
                break len;
            }
            read_more(&mut socket, &mut bytes)?;
        };
        bytes.drain(..len);
        send(&mut socket, "2probe")?;
        expect(&next_text(&mut socket, &mut bytes)?, "3probe")?;
        send(&mut socket, "5")?;
        send(&mut socket, r#"420["ack",1]"#)?;
        expect(&next_text(&mut socket, &mut bytes)?, "430[1]")
    }

    fn dial(&self) -> Result<TcpStream, BenchError> {
        let stream = TcpStream::connect(&self.address).attempt("connect to the server")?;
        stream.set_nodelay(true).attempt("set TCP_NODELAY")?;
        stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .attempt("set a timeout")?;
        Ok(stream)
    }

    /// What polling brings besides pings, of which some servers send one at once.
    fn poll(&self, http: &mut TcpStream, path: &str) -> Result<String, BenchError> {
        loop {
            let payload = self.exchange(http, "GET", path, "")?;
            let packet = payload.split('\u{1e}').find(|packet| *packet != PING);
            if let Some(packet) = packet {
                return Ok(packet.to_owned());
            }
        }
    }

    /// One request on a connection that stays open; the body of its answer.
    fn exchange(
        &self,
        http: &mut TcpStream,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<String, BenchError> {
        let len = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {len}\r\n\r\n{body}",
            self.address
        );
        http.write_all(request.as_bytes())
            .attempt("send to the server")?;
        let mut bytes = Vec::new();
        let head_len = loop {
            if let Some(len) = wire::head_len(&bytes) {
                break len;
            }
            read_more(http, &mut bytes)?;
        };
        let head = String::from_utf8_lossy(&bytes[..head_len]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Err(unexpected(&head));
        }
        let body_len: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|len| len.trim().parse().ok())
            .ok_or_else(|| unexpected(&head))?;
        while bytes.len() < head_len + body_len {
            read_more(http, &mut bytes)?;
        }
        Ok(String::from_utf8_lossy(&bytes[head_len..]).into_owned())
    }
}

fn send(socket: &mut TcpStream, text: &str) -> Result<(), BenchError> {
    let frame = wire::client_frame(text.as_bytes());
    socket.write_all(&frame).attempt("send to the server")
}

/// The text of the next frame that is not a ping.
fn next_text(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<String, BenchError> {
    loop {
        if let Some((start, end)) = wire::server_text_bounds(bytes)? {
            let text = String::from_utf8_lossy(&bytes[start..end]).into_owned();
            bytes.drain(..end);
            if text == PING {
                continue;
            }
            return Ok(text);
        }
        read_more(socket, bytes)?;
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), BenchError> {
    let mut chunk = [0; 4_096];
    let len = stream
        .read(&mut chunk)
        .map_err(|error| BenchError::void(format_args!("no answer: {error}")))?;
    if len == 0 || bytes.len() > MAX_ANSWER {
        return Err(BenchError::void("an answer without an end"));
    }
    bytes.extend_from_slice(&chunk[..len]);
    Ok(())
}

fn expect(answer: &str, beginning: &str) -> Result<(), BenchError> {
    if answer.starts_with(beginning) {
        Ok(())
    } else {
        Err(unexpected(answer))
    }
}

fn unexpected(answer: &str) -> BenchError {
    BenchError::void(format_args!("unexpected answer {answer:?}"))
}
