//! Namespaces that come and go with their clients.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis::adapter::{Adapter as _, BusGap, Envelope, LocalNode, SocketDescription, Target};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room};
use portcullis::socketio::payload::Payload;
use portcullis::{AckError, Server};
use portcullis_redis::Mode;

use crate::support::{Client, Journal, Node, RedisServer, until};

#[tokio::test]
async fn a_namespace_made_on_demand_is_heard_of_while_it_exists() {
    let redis = RedisServer::start().await;
    let node = async || {
        let builder = Server::builder()
            .namespace("/", |r| _ = r.public().on("sync", async || {}))
            .namespace_pattern("/tenant-{id}", |r| _ = r.public().on("sync", async || {}));
        Node::serve(builder.cluster(redis.redis())).await
    };
    let (near, far) = (node().await, node().await);
    let of_tenant = async || {
        let mut channels = redis.channels().await;
        channels.retain(|name| name.contains("/tenant-7"));
        channels.len()
    };
    assert_eq!(of_tenant().await, 0);

    let mut client = Client::connect(far.address, "/tenant-7").await;
    far.emitter.flush().await.unwrap();
    // Requests, answers, and answers to this node; the pattern is not a channel.
    assert_eq!(of_tenant().await, 3);
    let tenant = near.server.emitter("/tenant-7").unwrap();
    // This node does not serve the namespace, and reaches it all the same.
    tenant.emit("hello", &7).unwrap();
    assert_eq!(client.event().await, r#"["hello",7]"#);
    let other = near.server.emitter("/tenant-8").unwrap();
    other.emit("nobody", &()).unwrap();
    near.emitter.flush().await.unwrap();
    assert!(client.sync().await.is_empty());

    client.send("41/tenant-7,").await;
    until(async || of_tenant().await == 0).await;
}

/// A node hears answers where it serves, and says of those elsewhere that they are missing.
#[tokio::test]
async fn a_question_where_this_node_does_not_serve_is_put_and_is_not_taken_for_answered() {
    let redis = RedisServer::start().await;
    for mode in [Mode::Classic, Mode::ShardedDynamic] {
        let journal = Journal::default();
        let node = async || {
            let noted = journal.clone();
            let builder = Server::builder()
                .namespace("/", |r| _ = r.public())
                .namespace_pattern("/tenant-{id}", move |r| {
                    r.public().on_server_side("note", move |_| {
                        noted.note("noted");
                        std::future::ready(None)
                    });
                });
            Node::serve(builder.cluster(redis.redis().mode(mode))).await
        };
        let (near, far) = (node().await, node().await);
        let mut client = Client::connect(far.address, "/tenant-7").await;
        far.emitter.flush().await.unwrap();

        let tenant = near.server.emitter("/tenant-7").unwrap();
        let asked = tenant.all().emit_with_ack("asked", &()).await;
        assert!(matches!(asked, Err(AckError::Timeout { .. })), "{asked:?}");
        let packet = client.recv().await.unwrap();
        assert!(packet.ends_with(r#"["asked"]"#), "{packet}");

        let second = Duration::from_secs(1);
        let noting = tenant.server_side_emit_with_ack("note", &(), second);
        assert_eq!(noting.await.unwrap().missing_nodes, 1);
        journal.wait_for("noted").await;

        let fetched = tenant.all().fetch_sockets().await.unwrap();
        assert_eq!((fetched.items.len(), fetched.missing_nodes), (0, 1));
        let rooms = tenant.all_rooms().await.unwrap();
        assert_eq!((rooms.items.len(), rooms.missing_nodes), (0, 1));
        assert_eq!(tenant.server_count().await.unwrap(), 1);

        // Where nobody serves, nobody is missing.
        let nobody = near.server.emitter("/tenant-8").unwrap();
        let acks = nobody.all().emit_with_ack("asked", &()).await;
        assert!(acks.unwrap().is_empty());
        assert_eq!(nobody.server_count().await.unwrap(), 0);
    }
}

/// A node without sockets.
#[derive(Debug)]
struct Nobody;

impl LocalNode for Nobody {
    fn apply(&self, _: &NamespacePath, _: Envelope) {}

    fn broadcast_with_ack(
        &self,
        _: &NamespacePath,
        _: &Payload,
        _: &Target,
        _: Duration,
        _: Box<dyn FnMut(Args) + Send>,
    ) -> usize {
        0
    }

    fn fetch_sockets(&self, _: &NamespacePath, _: &Target) -> Vec<SocketDescription> {
        Vec::new()
    }

    fn rooms(&self, _: &NamespacePath) -> Vec<Room> {
        Vec::new()
    }

    fn has_room(&self, _: &NamespacePath, _: &Room) -> bool {
        false
    }

    fn server_side_event(&self, _: &NamespacePath, _: Args) -> BoxFuture<'static, Option<Args>> {
        Box::pin(std::future::ready(None))
    }

    fn report_gap(&self, _: BusGap) {}
}

/// Openings and closings are told by whoever did them, so that they may come in any order.
#[tokio::test]
async fn a_room_that_closes_after_its_namespace_leaves_no_subscription() {
    let redis = RedisServer::start().await;
    for adapter in [
        redis.redis().own_rooms_only(true),
        redis.redis().mode(Mode::ShardedDynamicPrivate),
    ] {
        let of_late = async || {
            adapter.flush().await;
            let mut all: Vec<String> = redis.command(&["PUBSUB", "SHARDCHANNELS"]).await;
            all.extend(redis.channels().await);
            all.retain(|name| name.contains("/late#"));
            all.len()
        };
        adapter.start(Arc::new(Nobody), Vec::new()).await.unwrap();
        let namespace = NamespacePath::parse("/late").unwrap();
        let room = Room::from("room");
        adapter.namespace_opened(&namespace);
        let without_rooms = of_late().await;
        adapter.room_opened(&namespace, &room);
        assert_eq!(of_late().await, without_rooms + 1);
        adapter.namespace_closed(&namespace);
        adapter.room_closed(&namespace, &room);
        assert_eq!(of_late().await, 0);
        // Nor is a count left that would be wrong the next time.
        adapter.room_opened(&namespace, &room);
        adapter.namespace_opened(&namespace);
        assert_eq!(of_late().await, without_rooms + 1);
        adapter.room_closed(&namespace, &room);
        assert_eq!(of_late().await, without_rooms);
        adapter.namespace_closed(&namespace);
        assert_eq!(of_late().await, 0);
        adapter.close().await;
    }
}
