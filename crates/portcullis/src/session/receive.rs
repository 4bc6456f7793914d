//! What arrives for a session: frames of its WebSocket, HTTP requests, and a WebSocket that probes.
//!
//! # Invariants
//!
//! - The machine judges every packet before the handler sees anything of it.
//! - What comes behind the end of a session is not looked at.

use std::ops::ControlFlow;
use std::task::{Context, Poll};
use std::time::Instant;

use portcullis_engineio::{Message, Packet, Received, TransportFault, decode_payload};

use super::connection::Connection;
use super::delivery::Delivery;
use super::frame::Frame;
use super::polling::{Body, Happened, Request, Verdict};
use super::websocket::Incoming;
use super::websocket_transport::{End, WebSocketTransport};
use super::{Session, SessionHandler, Transport};
use crate::pace::Rate;

/// How many packets and frames a peer may send that carry nothing: pings and pongs of WebSocket,
/// pongs of Engine.IO, empty frames. Stock clients send one in 25 seconds.
const IDLE: Rate = Rate::per_second(100).burst(1_000);

/// The status code of a WebSocket whose peer breaks a rule of the house (RFC 6455 section 7.4.1).
const POLICY: u16 = 1008;

impl Session {
    /// Takes what is there, within a turn's bounds.
    pub(super) fn receive(&mut self, now: Instant, cx: &mut Context<'_>) {
        match self.transport {
            Transport::Polling(_) => self.receive_requests(now, cx),
            Transport::WebSocket(_) => self.receive_frames(now, cx),
            Transport::Ended(_) => {}
        }
    }

    fn receive_frames(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Self {
            connection,
            machine,
            handler,
            idle,
            transport: Transport::WebSocket(websocket),
            ..
        } = self
        else {
            return;
        };
        let mut control = Vec::new();
        let mut heard = Heard::default();
        // The waker is lent to both the stream and the handler.
        let waker = cx.waker();
        let end = websocket.poll_messages(cx, &mut control, |incoming| {
            let cx = &mut Context::from_waker(waker);
            match incoming {
                Incoming::Text(text) => match Packet::decode(text) {
                    Ok(packet) => deliver(machine, &mut **handler, packet, &mut heard, cx)?,
                    Err(_) => machine.handle_invalid_packet(),
                },
                Incoming::Binary(data) => {
                    deliver(
                        machine,
                        &mut **handler,
                        Packet::Binary(data),
                        &mut heard,
                        cx,
                    )?;
                }
                Incoming::Close => machine.handle_transport_closed(None),
            }
            if machine.transport().is_none() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        heard.idle = heard.idle.saturating_add(websocket.take_idle());
        heard.tell(connection, now);
        if !control.is_empty() {
            connection.send(&Frame::from_wire(control), Delivery::Protocol);
        }
        if idle.take_many(heard.idle, IDLE, now).is_err() {
            websocket.say_goodbye(connection, Some(POLICY));
            machine.handle_transport_closed(Some(TransportFault::Flood));
            return;
        }
        let fault = match end {
            Poll::Pending => return,
            // Also of one that is reset: so it is in Node, where only writing fails.
            Poll::Ready(End::Eof | End::Io) => None,
            Poll::Ready(End::Invalid(error)) => {
                websocket.say_goodbye(connection, Some(error.close_code()));
                Some(error.fault())
            }
        };
        machine.handle_transport_closed(fault);
    }

    fn receive_requests(&mut self, now: Instant, cx: &mut Context<'_>) {
        // First the WebSocket: a request that was sent after the upgrade must find it done.
        self.receive_probe(now, cx);
        while let Transport::Polling(polling) = &mut self.transport {
            let Some(happened) = polling.poll_happened(cx) else {
                break;
            };
            match happened {
                Happened::PollAborted => self.machine.handle_poll_aborted(),
                Happened::PostAborted => {
                    polling.end_post(Verdict::Cut);
                    self.machine.handle_post_aborted();
                }
                Happened::Body(Body::TooLarge) => {
                    polling.end_post(Verdict::Ok);
                    self.machine.handle_post_end();
                }
                Happened::Body(Body::Complete(body)) => self.receive_payload(&body, now, cx),
                Happened::Request(request) => self.receive_request(request, now),
            }
            self.drain(cx);
        }
        self.receive_probe(now, cx);
    }

    fn receive_request(&mut self, request: Request, now: Instant) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        match request {
            Request::Poll(reply) => {
                let nothing_queued = self.connection.with_outbox(|outbox| outbox.is_empty());
                polling.poll_came(reply);
                self.machine.handle_poll(nothing_queued);
            }
            Request::Post(post) => {
                polling.post_came(post);
                self.machine.handle_post();
            }
            Request::InvalidContent => self.machine.handle_invalid_content(),
            Request::Upgrade(stream, read_ahead, base64) => {
                let max_payload = self.core.max_payload();
                let probe = WebSocketTransport::new(stream, read_ahead, max_payload, base64);
                if self.machine.handle_probe_opened(now) {
                    polling.probe = Some(probe.probing());
                } else {
                    // The first WebSocket is not affected.
                    self.core.spawn(probe.go_away(None));
                }
            }
        }
    }

    /// The body of a POST: its packets, up to the first one that ends the session.
    fn receive_payload(&mut self, body: &[u8], now: Instant, cx: &mut Context<'_>) {
        let mut heard = Heard::default();
        let max_packets = self.core.max_packets();
        match std::str::from_utf8(body) {
            Ok(text) => {
                for packet in decode_payload(text, max_packets) {
                    let Ok(packet) = packet else {
                        self.machine.handle_invalid_packet();
                        break;
                    };
                    let flow = deliver(
                        &mut self.machine,
                        &mut *self.handler,
                        packet,
                        &mut heard,
                        cx,
                    );
                    if flow.is_break() || self.machine.transport().is_none() {
                        break;
                    }
                }
            }
            Err(_) => self.machine.handle_invalid_packet(),
        }
        heard.tell(&self.connection, now);
        if self.idle.take_many(heard.idle, IDLE, now).is_err() {
            self.machine
                .handle_transport_closed(Some(TransportFault::Flood));
        }
        self.machine.handle_post_end();
        if let Transport::Polling(polling) = &mut self.transport {
            polling.end_post(Verdict::Ok);
        }
    }

    /// A WebSocket that probes has the session's pace, and its answers a bound of their own.
    fn receive_probe(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Self {
            core,
            machine,
            idle,
            transport: Transport::Polling(polling),
            ..
        } = self
        else {
            return;
        };
        let Some(mut probe) = polling.probe.take() else {
            return;
        };
        let mut control = Vec::new();
        let (mut decided, mut lost) = (false, false);
        let end = probe.poll_messages(cx, &mut control, |incoming| {
            match incoming {
                Incoming::Text(text) => {
                    let packet = Packet::decode(text).ok();
                    machine.handle_probe_packet(packet.as_ref(), now);
                }
                Incoming::Binary(_) => machine.handle_probe_packet(None, now),
                Incoming::Close => {
                    lost = true;
                    return ControlFlow::Break(());
                }
            }
            decided = !machine.is_probing();
            if decided {
                // What follows is for the session, or for nobody: it stays in the reader.
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if idle.take_many(probe.take_idle(), IDLE, now).is_err() {
            core.spawn(probe.go_away(Some(POLICY)));
            machine.handle_transport_closed(Some(TransportFault::Flood));
            self.drain(cx);
            return;
        }
        if !control.is_empty() {
            lost |= probe.send_direct(&Frame::from_wire(control), cx).is_err();
        }
        lost |= matches!(end, Poll::Ready(_));
        if lost && !decided {
            machine.handle_probe_lost();
            core.spawn(probe.go_away(None));
        } else {
            polling.probe = Some(probe);
        }
        self.drain(cx);
    }
}

/// What kinds of packets a read brought, for the heartbeat.
#[derive(Debug, Default)]
struct Heard {
    pong: bool,
    other: bool,
    /// Packets and frames that carried nothing.
    idle: u32,
}

impl Heard {
    fn tell(&self, connection: &Connection, now: Instant) {
        if self.pong {
            connection.handle_pong(now);
        } else if self.other {
            connection.handle_packet(now);
        }
    }
}

/// Lets the machine judge a packet, and hands a message to the handler.
fn deliver(
    machine: &mut portcullis_engineio::Session,
    handler: &mut dyn SessionHandler,
    packet: Packet<'_>,
    heard: &mut Heard,
    cx: &mut Context<'_>,
) -> ControlFlow<()> {
    match machine.handle_packet(packet) {
        Received::Pong => {
            heard.pong = true;
            heard.idle += 1;
        }
        Received::Nothing => {
            heard.other = true;
            heard.idle += 1;
        }
        Received::Message(message) => {
            heard.other = true;
            return match message {
                Message::Text(text) => handler.handle_text(text, cx),
                Message::Binary(data) => handler.handle_binary(data, cx),
            };
        }
    }
    ControlFlow::Continue(())
}
