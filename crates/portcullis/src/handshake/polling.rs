//! The two requests that an existing polling session has: one waits for packets, one brings them.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_engineio::RejectionCode;
use tokio::sync::{mpsc, oneshot};

use super::compress::Coding;
use super::respond::{self, Body};
use super::service::{Door, Exchange, Failure};
use crate::session::{self, PollReply, Post, Request as SessionRequest, Verdict};

impl Door {
    /// Waits for packets of the session.
    pub(super) async fn poll(
        &self,
        mailbox: mpsc::Sender<SessionRequest>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, Failure> {
        let (reply, answer) = oneshot::channel();
        let sent = mailbox.send(SessionRequest::Poll(reply)).await;
        drop(mailbox);
        sent.map_err(|_| RejectionCode::SessionUnknown)?;
        match answer.await {
            Ok(PollReply::Payload { body, compress }) => {
                Ok(self.payload(body, exchange.coding.filter(|_| compress)))
            }
            Ok(PollReply::Rejected) => Err(Failure::Status(StatusCode::BAD_REQUEST)),
            Err(_) => Err(RejectionCode::SessionUnknown.into()),
        }
    }

    fn payload(&self, body: Bytes, coding: Option<Coding>) -> Response<Body> {
        let threshold = self.options.compression_threshold.unwrap_or(usize::MAX);
        let coding = coding.filter(|_| body.len() >= threshold);
        let compressed = coding.and_then(|coding| Some((coding, coding.compress(&body)?)));
        let Some((coding, compressed)) = compressed else {
            return respond::payload(body);
        };
        let mut response = respond::payload(compressed);
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, coding.header());
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    }

    /// Hands the packets of a body to the session.
    pub(super) async fn post<B>(
        &self,
        mailbox: mpsc::Sender<SessionRequest>,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let gone = |_| Failure::from(RejectionCode::SessionUnknown);
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(Failure::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if is_octet_stream(&parts.headers) {
            mailbox
                .send(SessionRequest::InvalidContent)
                .await
                .map_err(gone)?;
            return Err(Failure::Status(StatusCode::BAD_REQUEST));
        }
        let (body_sender, body_receiver) = oneshot::channel();
        let (verdict_sender, mut verdict) = oneshot::channel();
        let post = Post {
            body: body_receiver,
            verdict: verdict_sender,
        };
        mailbox
            .send(SessionRequest::Post(post))
            .await
            .map_err(gone)?;
        drop(mailbox);
        let received = tokio::select! {
            received = self.receive(body) => received?,
            // The session ended, or it is busy with another POST.
            early = &mut verdict => return conclude(early.unwrap_or(Verdict::Cut)),
        };
        let too_large = matches!(received, session::Body::TooLarge);
        let _ = body_sender.send(received);
        // A session that has gone before it took the body has not handled it.
        let verdict = verdict.await.unwrap_or(Verdict::Cut);
        if too_large {
            return Err(Failure::Status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        conclude(verdict)
    }

    /// Receives a body, counting as it comes.
    async fn receive<B>(&self, body: B) -> Result<session::Body, Failure>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let limit = self.core.max_payload();
        let receive = async {
            let mut body = std::pin::pin!(body);
            let mut received = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else {
                    return Err(Failure::Cut);
                };
                if let Ok(mut data) = frame.into_data() {
                    if received.len() + data.remaining() > limit {
                        return Ok(session::Body::TooLarge);
                    }
                    while data.has_remaining() {
                        let chunk = data.chunk();
                        received.extend_from_slice(chunk);
                        let taken = chunk.len();
                        data.advance(taken);
                    }
                }
            }
            Ok(session::Body::Complete(received.freeze()))
        };
        let timeout = self.options.body_timeout;
        match tokio::time::timeout(timeout, receive).await {
            Ok(received) => received,
            Err(_) => Err(Failure::Status(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

fn conclude(verdict: Verdict) -> Result<Response<Body>, Failure> {
    match verdict {
        Verdict::Ok => Ok(respond::ok()),
        Verdict::Rejected => Err(Failure::Status(StatusCode::BAD_REQUEST)),
        Verdict::Cut => Err(Failure::Cut),
    }
}

fn is_octet_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    kind.split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use http_body_util::Full;

    use super::*;
    use crate::handshake::{Accept, Admission, HttpOptions, RequestFacts};
    use crate::session::{Core, CoreOptions, SessionHandle, SessionHandler};
    use crate::tasks::Tasks;

    /// Lets nobody in.
    struct Nobody;

    impl Accept for Nobody {
        fn accept(&self, _: SessionHandle, _: Arc<RequestFacts>) -> Box<dyn SessionHandler> {
            panic!("no session opens here")
        }
    }

    #[tokio::test]
    async fn a_post_whose_session_has_gone_ahead_of_its_body_is_cut_off() {
        let door = Door {
            core: Core::start(CoreOptions::usual(), 1, Tasks::default()),
            options: HttpOptions::default(),
            admission: Admission::default(),
            accept: Box::new(Nobody),
        };
        let (parts, ()) = Request::new(()).into_parts();
        let (mailbox, mut session) = mpsc::channel(1);
        let body = Full::new(Bytes::from_static(b"42[\"x\"]"));
        // The body is here before the session looks at the request at all.
        let (answer, ()) = tokio::join!(door.post(mailbox, &parts, body), async {
            drop(session.recv().await);
        });
        assert!(matches!(answer, Err(Failure::Cut)));
    }
}
