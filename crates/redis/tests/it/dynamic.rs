//! Namespaces that come and go with their clients.

use portcullis::Server;

use crate::support::{Client, Node, RedisServer, until};

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
