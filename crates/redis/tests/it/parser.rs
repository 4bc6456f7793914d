//! A codec of the application's own.

use std::time::Duration;

use bytes::Bytes;
use portcullis::socketio::value::Value;
use portcullis_redis::{Parser, ParserError};

use crate::support::{Node, RedisServer};

/// JSON behind a byte that marks it.
#[derive(Debug)]
struct Marked;

impl Parser for Marked {
    fn encode(&self, value: &Value) -> Vec<u8> {
        [b"#".to_vec(), serde_json::to_vec(value).unwrap()].concat()
    }

    fn decode(&self, bytes: &Bytes) -> Result<Value, ParserError> {
        let text = bytes.strip_prefix(b"#").ok_or_else(ParserError::new)?;
        serde_json::from_slice(text).map_err(|_| ParserError::new())
    }
}

#[tokio::test]
async fn broadcasts_and_acks_use_the_codec_of_the_application_and_requests_stay_json() {
    let redis = RedisServer::start().await;
    let options = || redis.redis().parser(Marked);
    let (near, far) = (Node::join(options()).await, Node::join(options()).await);
    let mut client = far.client().await;
    let mut broadcasts = redis.listen("socket.io#/#").await;
    let mut requests = redis.listen("socket.io-request#/#").await;

    near.emitter.emit("hello", &1).unwrap();
    assert!(broadcasts.next().await.starts_with("#["));
    assert_eq!(client.event().await, r#"["hello",1]"#);
    let everyone = near.emitter.all().timeout(Duration::from_millis(500));
    let (answers, ()) = tokio::join!(everyone.emit_with_ack("q", &()), async {
        let packet = client.recv().await.unwrap();
        let id = packet.trim_start_matches("42").trim_end_matches(r#"["q"]"#);
        client.send(&format!(r#"43{id}["yes"]"#)).await;
    });
    // The listener counts as a node, and never answers.
    assert!(answers.is_err());
    assert!(requests.next().await.starts_with("#{"));
    everyone.sockets_join(["room"]).unwrap();
    assert!(requests.next().await.starts_with(r#"{"uid":"#));
}
