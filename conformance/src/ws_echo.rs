//! A bare WebSocket echo, for RFC 6455 fuzzers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use portcullis::engine::{WebSocketHandler, WebSocketService};
use portcullis::session::Frame;
use portcullis::{Drain, Server, shutdown_signal};

use crate::Failure;
use crate::serve::Port;

const MAX_MESSAGE: usize = 64 * 1024 * 1024;

pub(crate) async fn run(port: Port) -> Result<(), Failure> {
    // The listener of the library wants an engine; this one is asked for nothing.
    let server = Server::builder()
        .drain(Drain::at_once())
        .namespace("/", |r| {
            r.public();
        })
        .build()
        .await?;
    let listener = port.listen().await?;
    let echo = Root(WebSocketService::new(Echo, MAX_MESSAGE));
    server.serve_with(echo, listener, shutdown_signal()).await;
    Ok(())
}

struct Echo;

impl WebSocketHandler for Echo {
    fn handle_text(&self, text: &str) -> Option<Frame> {
        Some(Frame::text(text))
    }

    fn handle_binary(&self, data: Bytes) -> Option<Frame> {
        Some(Frame::binary(&data))
    }
}

/// Everything is the root here.
#[derive(Clone)]
struct Root(WebSocketService);

impl tower_service::Service<Request<Incoming>> for Root {
    type Response = Response<http_body_util::Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.0.handle(request)))
    }
}
