//! The two protocols with short timings, for the suites of their specifications.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use portcullis::engine::{Engine, EngineOptions};
use portcullis::engineio::{CloseReason, Message};
use portcullis::gateway::{Ack, Registrar};
use portcullis::handshake::{Accept, Cors, Handshake, RequestFacts};
use portcullis::session::{SessionHandle, SessionHandler};
use portcullis::socketio::args::Args;
use portcullis::{Drain, Server, Socket, shutdown_signal};

use crate::Failure;
use crate::serve::Port;

const PING_INTERVAL: Duration = Duration::from_millis(300);
const PING_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_PAYLOAD: usize = 1_000_000;

pub(crate) async fn run(port: Port) -> Result<(), Failure> {
    let options = EngineOptions::default()
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .cors(Cors::any());
    let engine = Engine::start(options, Echoes);
    let server = Server::builder()
        .drain(Drain::at_once())
        .ping_interval(PING_INTERVAL)
        .ping_timeout(PING_TIMEOUT)
        .max_payload(MAX_PAYLOAD)
        .auth_timeout(Duration::from_secs(1))
        .cors(Cors::any())
        .namespace("/", |r| {
            announce(r);
            r.on("message", async |socket: Socket, args: Args| {
                let _ = socket.emit("message-back", &args);
            });
            r.on("message-with-ack", async |args: Args, ack: Ack| {
                let _ = ack.send(&args);
            });
        })
        .namespace("/custom", announce)
        .build()
        .await?;
    let listener = port.listen().await?;
    server
        .serve_with(engine.service(), listener, shutdown_signal())
        .await;
    engine.close().await;
    Ok(())
}

/// Emits `auth` with the connect payload.
fn announce(r: &mut Registrar) {
    r.public()
        .on_connect(async |socket: Socket, handshake: Handshake| {
            let _ = socket.emit("auth", &handshake.auth_value());
        });
}

/// Sends back whatever comes.
struct Echoes;

struct Echo {
    session: SessionHandle,
    is_closed: bool,
}

impl Accept for Echoes {
    fn accept(&self, session: SessionHandle, _: Arc<RequestFacts>) -> Box<dyn SessionHandler> {
        Box::new(Echo {
            session,
            is_closed: false,
        })
    }
}

impl SessionHandler for Echo {
    fn handle_text(&mut self, text: &str, _: &mut Context<'_>) -> ControlFlow<()> {
        self.session.send(&Message::Text(text));
        ControlFlow::Continue(())
    }

    fn handle_binary(&mut self, data: Bytes, _: &mut Context<'_>) -> ControlFlow<()> {
        self.session.send(&Message::Binary(data));
        ControlFlow::Continue(())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if self.is_closed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn handle_closed(&mut self, _: CloseReason) {
        self.is_closed = true;
    }
}
