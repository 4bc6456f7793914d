//! Messages that make no sense, on every channel: counted, and nothing else happens.

use portcullis_redis::{Mode, Redis};
use portcullis_testing::Witness;

use crate::support::{Node, RedisServer, enter, heard, until};

/// Bytes that are no message, or one of the wrong shape.
fn junk() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "{",
        "{}",
        "null",
        "[]",
        r#"{"type":5}"#,
        r#"{"type":2,"opts":null,"rooms":["a"]}"#,
        r#"{"type":2,"opts":{"rooms":"everyone"},"rooms":["a"]}"#,
        r#"{"type":4,"opts":[],"close":true}"#,
        r#"{"type":4,"opts":{"rooms":[1.5]},"close":true}"#,
        r#"{"type":4,"sid":"*","close":true}"#,
        r#"{"type":6,"data":{}}"#,
        r#"{"type":6,"data":["connection"]}"#,
        r#"{"type":7,"requestId":"x","packet":null,"opts":{"rooms":[]}}"#,
        r#"{"type":99,"requestId":"x"}"#,
        r#"{"type":"5","opts":{"rooms":[]}}"#,
        r#"{"requestId":{}}"#,
        r#"{"requestId":"x","sockets":{}}"#,
        r#"{"type":3,"uid":"x","nsp":"/"}"#,
        r#"{"type":6,"uid":"x","nsp":"/","data":{"close":true}}"#,
        concat!(
            r#"{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["connect"]},"#,
            r#""opts":{"rooms":[]}}}"#
        ),
    ];
    let mut junk: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    // msgpack: nil, a number, unfinished things, a map of a thousand million, a broadcast whose
    // options are nil, one that is an event of another type.
    let bytes: [&[u8]; 8] = [
        &[0xc0],
        &[0x07],
        &[0x93],
        &[0xc1],
        &[0xdf, 0x3b, 0x9a, 0xca, 0x00],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        b"\x93\xa6abcdef\x83\xa4type\x02\xa4data\x91\xa2ev\xa3nsp\xa1/\xc0",
        b"\x93\xa6abcdef\x83\xa4type\x00\xa4data\x91\xa2ev\xa3nsp\xa1/\x80",
    ];
    junk.extend(bytes.map(<[u8]>::to_vec));
    // Objects of PHP and of Python, of which the latter runs a program where it is believed.
    junk.push(b"O:8:\"stdClass\":1:{s:4:\"type\";i:5;}".to_vec());
    junk.push(b"cposix\nsystem\n(S'exit 1'\ntR.".to_vec());
    junk.push(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x06exit 1\x85R.".to_vec());
    // Deeper than anything that is sent, in both forms.
    junk.push([vec![0x91; 200_000], vec![0xc0]].concat());
    junk.push([b"{\"a\":".repeat(50_000), b"1".to_vec()].concat());
    junk
}

async fn survives(
    redis: &RedisServer,
    options: impl Fn() -> Redis,
    channels: &[&str],
    spublish: bool,
) {
    let poison = || Witness::of_process().count("portcullis_bus_poison_total", "");
    let (near, far) = (Node::join(options()).await, Node::join(options()).await);
    let mut client = far.client().await;
    enter(&mut client, &[r#""room""#]).await;
    let before = poison();
    let mut published = 0;
    for channel in channels {
        for junk in junk() {
            if spublish {
                redis.spublish(channel, &junk).await;
            } else {
                redis.publish(channel, &junk).await;
            }
            published += 1;
        }
    }
    near.emitter.to("room").emit("end", &()).unwrap();
    assert_eq!(heard(&near, &mut [&mut client]).await[0], [r#"42["end"]"#]);
    assert_eq!(
        near.emitter
            .all()
            .fetch_sockets()
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(client.ask(r#"["rooms"]"#).await, r#"[["room"]]"#);
    assert!(near.server.cluster_health().is_up());
    // Each of the two nodes met most of them; what is an answer to nobody is no poison.
    let counted = until(async || poison() - before > published / 2);
    counted.await;
}

#[tokio::test]
async fn junk_on_the_channels_of_the_classic_wire_does_nothing() {
    let redis = RedisServer::start().await;
    let channels = [
        "socket.io#/#",
        "socket.io#/#room#",
        "socket.io-request#/#",
        "socket.io-response#/#",
    ];
    survives(&redis, || redis.redis(), &channels, false).await;
}

#[tokio::test]
async fn what_is_for_another_namespace_or_another_channel_is_ignored() {
    let redis = RedisServer::start().await;
    let node = Node::join(redis.redis()).await;
    let mut client = node.client().await;
    enter(&mut client, &[r#""room""#]).await;
    let broadcast = b"\x93\xa6abcdef\x83\xa4type\x02\xa4data\x91\xa2ev\xa3nsp\xa1/\x83\
        \xa5rooms\x90\xa6except\x90\xa5flags\x80";
    let elsewhere = b"\x93\xa6abcdef\x83\xa4type\x02\xa4data\x91\xa2ev\xa3nsp\xa5/chat\x83\
        \xa5rooms\x90\xa6except\x90\xa5flags\x80";
    assert_eq!(redis.publish("socket.io#/#", elsewhere).await, 1);
    assert_eq!(redis.publish("socket.io#/#nobody#", broadcast).await, 1);
    assert_eq!(redis.publish("socket.io#/#/chat#", broadcast).await, 1);
    assert_eq!(redis.publish("socket.io#/#room", broadcast).await, 1);
    assert_eq!(redis.publish("socket.io#/#room#", broadcast).await, 1);
    assert_eq!(client.event().await, r#"["ev"]"#);
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn the_old_forms_of_requests_are_understood_and_answered() {
    let redis = RedisServer::start().await;
    let node = Node::join(redis.redis()).await;
    let mut client = node.client().await;
    let mut answers = redis.listen("socket.io-response#/#").await;
    let id = client.id.clone();
    let ask = async |request: String| {
        redis
            .publish("socket.io-request#/#", request.as_bytes())
            .await;
    };
    ask(format!(
        r#"{{"type":2,"requestId":"r1","sid":"{id}","room":"den"}}"#
    ))
    .await;
    assert_eq!(answers.next().await, r#"{"requestId":"r1"}"#);
    assert_eq!(client.ask(r#"["rooms"]"#).await, r#"[["den"]]"#);
    ask(r#"{"type":0,"requestId":"r2","rooms":["den"]}"#.to_owned()).await;
    assert_eq!(
        answers.next().await,
        format!(r#"{{"requestId":"r2","sockets":["{id}"]}}"#)
    );
    ask(format!(
        r#"{{"type":3,"requestId":"r3","sid":"{id}","room":"den"}}"#
    ))
    .await;
    assert_eq!(answers.next().await, r#"{"requestId":"r3"}"#);
    assert_eq!(client.ask(r#"["rooms"]"#).await, "[[]]");
    let other = "AAAAAAAAAAAAAAAAAAAA";
    ask(format!(r#"{{"type":4,"requestId":"r4","sid":"{other}"}}"#)).await;
    ask(format!(r#"{{"type":4,"requestId":"r5","sid":"{id}"}}"#)).await;
    assert_eq!(answers.next().await, r#"{"requestId":"r5"}"#);
    assert_eq!(client.recv().await.as_deref(), Some("41"));
}

#[tokio::test]
async fn junk_on_the_channels_of_the_sharded_wire_does_nothing() {
    let redis = RedisServer::start().await;
    let options = || redis.redis().mode(Mode::ShardedDynamic);
    let channels = ["socket.io#/#", "socket.io#/#room#"];
    survives(&redis, options, &channels, true).await;
}
