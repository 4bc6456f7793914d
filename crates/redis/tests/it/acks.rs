//! Questions for acks while nodes answer late, or die having answered.

use std::time::{Duration, Instant};

use portcullis_redis::{Mode, Redis};
use serde_json::{Value, json};

use crate::support::gaps::joined;
use crate::support::redis_server::ShardedListener;
use crate::support::{RedisServer, patiently, until};

const TIMEOUT: Duration = Duration::from_secs(8);

/// A node of the sharded wire that is played by hand.
struct Played<'a> {
    redis: &'a RedisServer,
    uid: &'static str,
    all: ShardedListener,
    own: ShardedListener,
}

impl<'a> Played<'a> {
    async fn join(redis: &'a RedisServer, uid: &'static str) -> Self {
        let own = redis.slisten(&format!("socket.io#/#{uid}#")).await;
        let all = redis.slisten("socket.io#/#").await;
        Self {
            redis,
            uid,
            all,
            own,
        }
    }

    /// The next question for acks: who asks, and its name.
    async fn question(&mut self) -> (String, String) {
        loop {
            let text = self.all.next().await;
            let message: Value = serde_json::from_str(&text).unwrap();
            if let Some(id) = message["data"]["requestId"].as_str() {
                return (message["uid"].as_str().unwrap().to_owned(), id.to_owned());
            }
        }
    }

    async fn answer(&self, question: &(String, String), kind: u8, key: &str, value: Value) {
        let (asker, id) = question;
        let message = json!({
            "type": kind, "uid": self.uid, "nsp": "/", "data": { "requestId": id, key: value },
        });
        let channel = format!("socket.io#/#{asker}#");
        let text = message.to_string();
        let heard = self.redis.spublish(&channel, text.as_bytes()).await;
        assert_eq!(heard, 1);
    }

    async fn has_clients(&self, question: &(String, String), count: u64) {
        self.answer(question, 11, "clientCount", json!(count)).await;
    }

    async fn ack(&self, question: &(String, String), value: Value) {
        self.answer(question, 12, "packet", value).await;
    }

    /// Dies; ready when Redis has seen it.
    async fn die(self) {
        let channel = format!("socket.io#/#{}#", self.uid);
        let redis = self.redis;
        drop((self.all, self.own));
        until(async || {
            let words = ["PUBSUB", "SHARDNUMSUB", &channel];
            let counted: (String, i64) = redis.command(&words).await;
            counted.1 == 0
        })
        .await;
    }
}

fn sharded(redis: &RedisServer) -> Redis {
    redis.redis().mode(Mode::ShardedDynamic)
}

#[tokio::test]
async fn a_node_that_dies_having_answered_does_not_take_the_place_of_one_that_is_late() {
    let redis = RedisServer::start().await;
    let (near, _) = joined(sharded(&redis)).await;
    let mut dying = Played::join(&redis, "00000000000000aa").await;
    let mut late = Played::join(&redis, "00000000000000bb").await;
    let asking = near.emitter.all().timeout(TIMEOUT);
    let (acks, ()) = tokio::join!(asking.emit_with_ack("q", &()), async {
        let question = dying.question().await;
        dying.has_clients(&question, 0).await;
        dying.die().await;
        let question = late.question().await;
        // The nodes are counted again meanwhile, more than once.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        late.has_clients(&question, 1).await;
        late.ack(&question, json!("late")).await;
    });
    let acks = acks.unwrap();
    assert_eq!(acks.len(), 1);
}

#[tokio::test]
async fn acks_that_died_with_their_node_are_not_waited_for() {
    let redis = RedisServer::start().await;
    let (near, _) = joined(sharded(&redis)).await;
    let mut dying = Played::join(&redis, "00000000000000aa").await;
    let mut living = Played::join(&redis, "00000000000000bb").await;
    let asking = near.emitter.all().timeout(Duration::from_secs(30));
    let started = Instant::now();
    let (acks, ()) = tokio::join!(asking.emit_with_ack("q", &()), async {
        let question = dying.question().await;
        dying.has_clients(&question, 2).await;
        dying.ack(&question, json!(1)).await;
        living.has_clients(&question, 1).await;
        dying.die().await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let question = living.question().await;
        living.ack(&question, json!(2)).await;
    });
    let took = started.elapsed();
    let Err(portcullis::AckError::Timeout { responses }) = acks else {
        panic!("{acks:?}")
    };
    assert_eq!(responses.len(), 2, "what came is kept");
    assert!(took >= Duration::from_millis(1200), "one lives: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// The asked node keeps its part of the question for as long as the asking one waits.
#[tokio::test]
async fn an_ack_counts_though_it_comes_late_and_another_socket_has_left() {
    let redis = RedisServer::start().await;
    for options in [|redis: &RedisServer| redis.redis(), sharded] {
        let (near, _) = joined(options(&redis)).await;
        let (far, _) = joined(options(&redis)).await;
        let [mut leaving, mut late] = [far.client().await, far.client().await];
        let asking = near.emitter.all().timeout(Duration::from_secs(3));
        let (acks, ()) = tokio::join!(asking.emit_with_ack("q", &()), async {
            let packet = patiently(late.recv()).await.unwrap();
            patiently(leaving.recv()).await.unwrap();
            leaving.send("41").await;
            tokio::time::sleep(Duration::from_millis(2000)).await;
            let id = packet.strip_prefix("42").unwrap();
            let id = id.split('[').next().unwrap();
            late.send(&format!("43{id}[7]")).await;
        });
        let Err(portcullis::AckError::Timeout { responses }) = acks else {
            panic!("one has left: {acks:?}")
        };
        assert_eq!(responses.len(), 1);
    }
}
