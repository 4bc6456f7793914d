//! WebSocket connections without Engine.IO on top, over the same frames and the same outbox.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use tokio::time::Sleep;

use super::frame::Frame;
use super::stream::Stream;
use super::switching;
use super::websocket::Incoming;
use super::websocket_transport::{End, LINGER, WebSocketTransport};
use crate::tasks::Tasks;

/// Answers one message with frames to send back.
pub trait WebSocketHandler: Send + Sync + 'static {
    /// A text message arrived.
    fn handle_text(&self, text: &str) -> Option<Frame>;

    /// A binary message arrived.
    fn handle_binary(&self, data: Bytes) -> Option<Frame>;
}

/// Turns upgrade requests into WebSockets. Answers every other request with 400.
#[derive(Clone)]
pub struct WebSocketService {
    handler: Arc<dyn WebSocketHandler>,
    max_message: usize,
    tasks: Tasks,
}

impl fmt::Debug for WebSocketService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketService").finish_non_exhaustive()
    }
}

impl WebSocketService {
    /// A service whose messages go to `handler`; longer ones than `max_message` bytes end their
    /// connection.
    #[must_use]
    pub fn new(handler: impl WebSocketHandler, max_message: usize) -> Self {
        Self {
            handler: Arc::new(handler),
            max_message,
            tasks: Tasks::default(),
        }
    }

    /// Answers one request.
    pub fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (mut parts, _) = request.into_parts();
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let is_asked = parts.method == Method::GET && switching::is_upgrade(&parts.headers);
        let key = switching::key(&parts.headers).ok().filter(|_| is_asked);
        let (Some(on_upgrade), Some(key)) = (on_upgrade, key) else {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        };
        let response = switching(key.as_bytes());
        let (handler, max_message) = (Arc::clone(&self.handler), self.max_message);
        self.tasks.spawn(async move {
            if let Ok(upgraded) = on_upgrade.await {
                let opened = Stream::from_upgraded_unshared(upgraded);
                let (stream, read_ahead) = opened.release();
                let websocket = WebSocketTransport::new(stream, read_ahead, max_message, false);
                converse(websocket, &*handler).await;
            }
        });
        response
    }
}

/// Reads and answers until either side closes, and then for a moment until the peer has gone.
fn converse(
    mut websocket: WebSocketTransport,
    handler: &dyn WebSocketHandler,
) -> impl Future<Output = ()> {
    let mut ended: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |cx| {
        loop {
            if let Some(deadline) = &mut ended
                && deadline.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(());
            }
            match websocket.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            if ended.is_some() {
                return websocket.poll_gone(cx);
            }
            let mut out = Vec::new();
            let mut control = Vec::new();
            let mut closed = false;
            let read = websocket.poll_messages(cx, &mut control, |incoming| {
                let answer = match incoming {
                    Incoming::Text(text) => handler.handle_text(text),
                    Incoming::Binary(data) => handler.handle_binary(data),
                    Incoming::Close => {
                        closed = true;
                        return ControlFlow::Break(());
                    }
                };
                out.extend(answer);
                ControlFlow::Continue(())
            });
            if control.is_empty() && out.is_empty() && read.is_pending() && !closed {
                return Poll::Pending;
            }
            // A ping between two fragments is answered before the message that they make.
            let answers = [control.as_slice()]
                .into_iter()
                .chain(out.iter().map(Frame::wire));
            for answer in answers {
                if websocket.queue(answer).is_err() {
                    return Poll::Ready(());
                }
            }
            match read {
                Poll::Ready(End::Eof | End::Io) => return Poll::Ready(()),
                Poll::Ready(End::Invalid(error)) => {
                    let goodbye = Frame::close(Some(error.close_code()));
                    let _ = websocket.queue(goodbye.wire());
                    closed = true;
                }
                Poll::Pending => {}
            }
            if closed {
                ended = Some(Box::pin(tokio::time::sleep(LINGER)));
            }
        }
    })
}
