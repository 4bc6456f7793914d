//! The ends of sessions, on streams that end as real ones seldom do.

use std::io;

use portcullis_engineio::SessionId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::stream::Opened;
use super::*;
use crate::tasks::Tasks;

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// A handler that is done with the first poll after the end, and not before.
#[derive(Default)]
struct Farewell {
    has_ended: bool,
}

impl SessionHandler for Farewell {
    fn handle_text(&mut self, _: &str, _: &mut Context<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn handle_binary(&mut self, _: Bytes, _: &mut Context<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if self.has_ended {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn handle_closed(&mut self, _: CloseReason) {
        self.has_ended = true;
    }
}

/// A stream from which nothing comes, and which takes nothing.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn start() -> (Arc<Core>, Tasks) {
    let tasks = Tasks::default();
    let core = Core::start(CoreOptions::usual(), 1, tasks.clone());
    (core, tasks)
}

fn id() -> SessionId {
    SessionId::parse("abc").unwrap()
}

fn places() -> Places {
    Places {
        session: Box::new(()),
        pending: Box::new(()),
    }
}

fn handler(_: SessionHandle) -> Box<dyn SessionHandler> {
    Box::<Farewell>::default()
}

/// Opens a session on a stream, behind what was held back of it.
fn open(core: &Arc<Core>, stream: Stream, held: &[u8]) {
    let opened = Opened {
        stream,
        read_ahead: Bytes::new(),
        held: held.to_vec(),
    };
    let opened = core.open_websocket(id(), places(), opened, false, "0{}", handler);
    assert!(opened.is_some());
}

/// Waits for all sessions, and what they leave behind.
async fn ended(tasks: &Tasks) {
    let ended = tokio::time::timeout(Duration::from_secs(10), tasks.finished());
    assert!(ended.await.is_ok(), "a task sleeps on");
}

#[tokio::test]
async fn a_session_whose_stream_breaks_while_it_is_written_says_farewell() {
    let (core, tasks) = start();
    open(&core, Stream::other(Broken), b"");
    assert_eq!(core.len(), 1);
    ended(&tasks).await;
    assert_eq!(core.len(), 0);
}

#[tokio::test]
async fn a_handshake_that_meets_the_end_of_the_server_is_answered_ahead_of_the_goodbye() {
    for is_over_before in [true, false] {
        let (core, tasks) = start();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, peer) = tokio::join!(listener.accept(), connecting);
        let (near, mut peer) = (accepted.unwrap().0, peer.unwrap());
        if is_over_before {
            core.shut_down();
        }
        open(&core, Stream::Tcp(Arc::new(near), None), RESPONSE);
        // The session's task has not had a turn yet.
        core.shut_down();
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        let goodbye = Frame::close(Some(SERVICE_RESTART));
        assert_eq!(
            bytes,
            [RESPONSE, goodbye.wire()].concat(),
            "{is_over_before}"
        );
        drop(peer);
        ended(&tasks).await;
    }
}

#[tokio::test]
async fn a_post_whose_body_is_still_coming_is_cut_off_with_its_session() {
    let (core, tasks) = start();
    core.open_polling(id(), places(), handler).unwrap();
    let connection = core.find(&id()).unwrap();
    let mailbox = connection.mailbox().unwrap();
    let (_coming, body) = oneshot::channel();
    let (verdict, answer) = oneshot::channel();
    let post = Request::Post(Post { body, verdict });
    mailbox.send(post).await.unwrap();
    // For the session to take it in.
    tokio::task::yield_now().await;
    connection.end(Ending::Shutdown);
    assert_eq!(answer.await, Ok(Verdict::Cut));
    ended(&tasks).await;
}
