//! The emitter, from a process that serves no sockets.

use bytes::Bytes;
use portcullis::gateway::Registrar;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::SocketId;
use portcullis_redis::{Mode, Redis, RedisEmitter, StartError};

use crate::support::redis_cluster::RedisCluster;
use crate::support::redis_server::free_port;
use crate::support::{Client, Journal, Node, RedisServer, enter, until};

async fn does_everything(redis: impl Fn() -> Redis) {
    let journal = Journal::default();
    let noted = journal.clone();
    let register = move |r: &mut Registrar| {
        r.on_server_side("note", move |args: Args| {
            noted.note(args.get::<String>(0).unwrap());
            std::future::ready(None)
        });
    };
    let node = Node::join_with(redis(), register).await;
    let other = Node::join(redis()).await;
    let emitter = RedisEmitter::connect(redis()).await.unwrap();
    let [mut a, mut b] = [node.client().await, other.client().await];
    let mut chat = Client::connect(node.address, "/chat").await;
    enter(&mut a, &[r#""red""#, "7"]).await;
    enter(&mut chat, &[r#""red""#]).await;
    node.emitter.flush().await.unwrap();

    emitter.emit("all", &(1, "two")).await.unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(client.event().await, r#"["all",1,"two"]"#);
    }
    let photo = Bytes::from_static(b"\x01");
    emitter
        .to("red")
        .volatile()
        .emit("photo", &photo)
        .await
        .unwrap();
    let packet = a.recv().await.unwrap();
    assert_eq!(packet, r#"451-["photo",{"_placeholder":true,"num":0}]"#);
    assert_eq!(a.recv().await.unwrap(), r#"binary b"\x01""#);
    emitter
        .of("chat")
        .unwrap()
        .to("red")
        .emit("hello", &())
        .await
        .unwrap();
    assert_eq!(chat.event().await, r#"["hello"]"#);
    let id = SocketId::parse(&b.id).unwrap();
    emitter.to(id).emit("you", &()).await.unwrap();
    emitter
        .to(7)
        .to(id)
        .except("red")
        .emit("not red", &())
        .await
        .unwrap();
    assert_eq!(b.event().await, r#"["you"]"#);
    assert_eq!(b.event().await, r#"["not red"]"#);

    emitter.except("red").sockets_join(["blue"]).await.unwrap();
    until(async || b.ask(r#"["rooms"]"#).await == r#"[["blue"]]"#).await;
    emitter.to("blue").sockets_leave(["blue"]).await.unwrap();
    until(async || b.ask(r#"["rooms"]"#).await == "[[]]").await;
    emitter.server_side_emit("note", "hello").await.unwrap();
    journal.wait_for("hello").await;
    assert!(emitter.server_side_emit("connection", &()).await.is_err());
    assert!(emitter.emit("disconnect", &()).await.is_err());
    emitter.to("red").disconnect_sockets(true).await.unwrap();
    assert_eq!(a.rest().await, ["41"]);
    assert!(b.sync().await.is_empty());

    // An emitter is nobody's node.
    assert_eq!(node.emitter.server_count().await.unwrap(), 2);
    assert!(emitter.health().is_up());
    emitter.close().await;
}

#[tokio::test]
async fn an_emitter_does_everything_on_the_classic_wire() {
    let redis = RedisServer::start().await;
    does_everything(|| redis.redis()).await;
}

#[tokio::test]
async fn an_emitter_does_everything_on_the_sharded_wire() {
    for mode in [
        Mode::ShardedDynamic,
        Mode::ShardedDynamicPrivate,
        Mode::ShardedStatic,
    ] {
        let redis = RedisServer::start().await;
        does_everything(|| redis.redis().mode(mode)).await;
    }
}

#[tokio::test]
async fn an_emitter_does_everything_over_a_cluster() {
    let cluster = RedisCluster::start().await;
    does_everything(|| cluster.redis()).await;
    does_everything(|| cluster.redis().mode(Mode::ShardedDynamic)).await;
}

#[tokio::test]
async fn an_emitter_has_one_connection_and_comes_back() {
    let mut redis = RedisServer::start().await;
    let node = Node::join(redis.redis()).await;
    let emitter = RedisEmitter::connect(redis.redis()).await.unwrap();
    assert_eq!(redis.connections().await, 3);
    let clone = emitter.of("/chat").unwrap();
    redis.kill().await;
    redis.restart().await;
    until(async || node.server.cluster_health().is_up()).await;
    let mut client = node.client().await;
    until(async || emitter.emit("back", &()).await.is_ok()).await;
    assert_eq!(client.event().await, r#"["back"]"#);
    drop(emitter);
    assert_eq!(redis.connections().await, 3);
    drop(clone);
    until(async || redis.connections().await == 2).await;
}

#[tokio::test]
async fn an_emitter_without_redis_says_so() {
    let after = std::time::Duration::from_millis(200);
    let redis = Redis::new(format!("redis://127.0.0.1:{}", free_port()));
    let redis = redis.at_start(portcullis_redis::AtStart::Fail { after });
    let Err(StartError::Unreachable { reason, .. }) = RedisEmitter::connect(redis).await else {
        panic!("there is no redis");
    };
    assert!(reason.contains("refused"), "{reason}");
}
