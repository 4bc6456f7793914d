//! What only the sharded wire has: channels for rooms, and names of nodes.

use std::time::Duration;

use portcullis::{Server, Socket};
use portcullis_redis::{Mode, Redis};

use crate::support::gaps::joined;
use crate::support::{Client, Node, RedisServer, enter, until};

/// The sharded channels that somebody subscribes to, but for those of nodes and probes.
async fn channels(redis: &RedisServer) -> Vec<String> {
    let mut channels: Vec<String> = redis.command(&["PUBSUB", "SHARDCHANNELS"]).await;
    let is_uid = |name: &str| name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit());
    channels.retain(|name| !name.split('#').any(is_uid));
    channels.sort();
    channels
}

#[tokio::test]
async fn each_mode_subscribes_to_the_rooms_that_node_would() {
    for (mode, room, private) in [
        (Mode::ShardedStatic, false, false),
        (Mode::ShardedDynamic, true, false),
        (Mode::ShardedDynamicPrivate, true, true),
    ] {
        let redis = RedisServer::start().await;
        let node = Node::join(redis.redis().mode(mode)).await;
        let mut client = node.client().await;
        enter(&mut client, &[r#""room""#, "7"]).await;
        node.emitter.flush().await.unwrap();
        let mut expected = vec!["socket.io#/#".to_owned(), "socket.io#/chat#".to_owned()];
        if room {
            expected.push("socket.io#/#7#".to_owned());
            expected.push("socket.io#/#room#".to_owned());
        }
        if private {
            expected.push(format!("socket.io#/#{}#", client.id));
        }
        expected.sort();
        assert_eq!(channels(&redis).await, expected, "{mode:?}");

        client.send("41").await;
        until(async || channels(&redis).await.len() == 2).await;
    }
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_named() {
    let redis = RedisServer::start().await;
    let options = || {
        let redis = redis.redis().mode(Mode::ShardedDynamic);
        redis.requests_timeout(Duration::from_millis(300))
    };
    let (near, _) = joined(options()).await;
    let (_far, _) = joined(options()).await;
    let mut mute = redis.slisten("socket.io#/#").await;
    let hello = br#"{"type":1,"uid":"00000000000000aa","nsp":"/"}"#;
    redis.spublish("socket.io#/#", hello).await;
    // Both nodes say who they are.
    for _ in 0..3 {
        mute.next().await;
    }
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!(fetched.missing_nodes, 1);
    assert_eq!(fetched.missing, ["00000000000000aa"]);
    drop(mute);
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert!(fetched.is_complete(), "{fetched:?}");
}

#[tokio::test]
async fn a_room_that_is_named_like_a_node_does_not_cut_it_off() {
    let redis = RedisServer::start().await;
    let options = || redis.redis().mode(Mode::ShardedDynamic);
    let near = Node::join(options()).await;
    let mut all: Vec<String> = redis
        .command(&["PUBSUB", "SHARDCHANNELS", "socket.io#/#?*"])
        .await;
    let own = all.pop().unwrap();
    let uid = own.trim_start_matches("socket.io#/#").trim_end_matches('#');
    let far = Node::join(options()).await;
    let mut client = near.client().await;
    let room = format!(r#""{uid}""#);
    enter(&mut client, &[&room]).await;
    far.emitter.to(uid).emit("hello", &()).unwrap();
    assert_eq!(client.event().await, r#"["hello"]"#);
    client.ask(&format!(r#"["leave",{room}]"#)).await;
    near.emitter.flush().await.unwrap();
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    assert!(fetched.is_complete(), "{fetched:?}");
}

async fn assert_rooms_of_one_name_are_two(options: impl Fn() -> Redis) {
    let near = Node::join(options()).await;
    let far = Node::join(options()).await;
    let mut there = far.client().await;
    enter(&mut there, &["7", r#""7""#]).await;
    assert_eq!(there.ask(r#"["leave",7]"#).await, "[]");
    far.emitter.flush().await.unwrap();
    near.emitter.to("7").emit("hello", &()).unwrap();
    assert_eq!(there.event().await, r#"["hello"]"#);
}

#[tokio::test]
async fn a_room_is_heard_though_another_one_with_its_channel_was_left() {
    let redis = RedisServer::start().await;
    assert_rooms_of_one_name_are_two(|| redis.redis().own_rooms_only(true)).await;
    assert_rooms_of_one_name_are_two(|| redis.redis().mode(Mode::ShardedDynamic)).await;
}

#[tokio::test]
async fn rooms_of_a_namespace_that_goes_leave_no_subscription() {
    let redis = RedisServer::start().await;
    for options in [
        redis.redis().own_rooms_only(true),
        redis.redis().mode(Mode::ShardedDynamicPrivate),
    ] {
        let builder = Server::builder()
            .namespace("/", |r| _ = r.public().on("sync", async || {}))
            .namespace_pattern("/tenant-{id}", |r| {
                r.public().on("sync", async |socket: Socket| {
                    socket.join("room");
                });
            });
        let node = Node::serve(builder.cluster(options)).await;
        let of_tenant = async || {
            let mut all: Vec<String> = redis.command(&["PUBSUB", "SHARDCHANNELS"]).await;
            all.extend(redis.channels().await);
            all.retain(|name| name.contains("/tenant-7"));
            all.len()
        };
        for _ in 0..3 {
            let mut client = Client::connect(node.address, "/tenant-7").await;
            client.send(r#"42/tenant-7,1["sync"]"#).await;
            until(async || of_tenant().await >= 4).await;
            client.send("41/tenant-7,").await;
            until(async || of_tenant().await == 0).await;
        }
    }
}
