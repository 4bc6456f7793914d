//! Every operation, between nodes over Redis.

use std::time::Duration;

use bytes::Bytes;
use portcullis::gateway::Registrar;
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{Room, SocketId};
use portcullis::socketio::value::Value;
use portcullis::{AckError, BroadcastOperator, Socket};

use portcullis_redis::Mode;

use crate::support::{Client, Journal, Node, RedisServer, enter, heard, named, until};

/// Makes a test of each function for every mode that a cluster can have.
macro_rules! in_every_mode {
    ($($test:ident,)*) => {
        in_every_mode! { @ $($test,)*;
            classic: |redis| redis;
            classic_own_rooms: |redis| redis.own_rooms_only(true);
            classic_specific: |redis| redis.specific_response(true);
            sharded_dynamic: |redis| redis.mode(Mode::ShardedDynamic);
            sharded_private: |redis| redis.mode(Mode::ShardedDynamicPrivate);
            sharded_static: |redis| redis.mode(Mode::ShardedStatic);
        }
    };
    (@ $($test:ident,)*; $mode:ident: $options:expr; $($rest:tt)*) => {
        mod $mode {
            use super::*;

            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(RedisServer::start_in($options).await).await;
                }
            )*
        }
        in_every_mode! { @ $($test,)*; $($rest)* }
    };
    (@ $($test:ident,)*;) => {};
}

in_every_mode! {
    a_broadcast_reaches_the_right_sockets_of_every_node_once,
    three_nodes_and_six_clients_hear_everything_once_and_namespaces_stay_apart,
    a_sockets_own_broadcast_leaves_it_out_on_its_node_and_reaches_the_others,
    attachments_values_and_order_survive_the_way_to_another_node,
    sockets_are_moved_and_ended_wherever_they_are,
    sockets_and_rooms_are_found_wherever_they_are_and_secrets_are_not_told,
    servers_talk_to_each_other_and_not_to_themselves,
    a_broadcast_collects_the_acks_of_every_node,
    whoever_has_all_the_time_there_is_may_ask_too,
    what_is_local_is_never_published,
    a_process_has_two_connections_and_leaves_none_behind,
    a_node_that_is_dropped_takes_its_connections_with_it,
    prefixes_separate_clusters_and_databases_do_not,
}

async fn pair(redis: &RedisServer) -> (Node, Node) {
    let (near, far) = (
        Node::join(redis.redis()).await,
        Node::join(redis.redis()).await,
    );
    (near, far)
}

async fn a_broadcast_reaches_the_right_sockets_of_every_node_once(redis: RedisServer) {
    let (near, far) = pair(&redis).await;
    let [mut a, mut b, mut c, mut d] = [
        near.client().await,
        near.client().await,
        far.client().await,
        far.client().await,
    ];
    enter(&mut a, &[r#""red""#]).await;
    enter(&mut b, &[r#""red""#, r#""blue""#]).await;
    enter(&mut c, &[r#""red""#, r#""blue""#]).await;
    enter(&mut d, &[r#""blue""#, "7"]).await;
    far.emitter.flush().await.unwrap();
    let id = |client: &Client| SocketId::parse(&client.id).unwrap();

    let all = near.emitter.all();
    let to = |room: &str| near.emitter.to(room);
    let targets: [(BroadcastOperator, [bool; 4]); 9] = [
        (all.clone(), [true, true, true, true]),
        (to("red"), [true, true, true, false]),
        (to("red").to("blue"), [true, true, true, true]),
        (to("red").except("blue"), [true, false, false, false]),
        (near.emitter.except("red"), [false, false, false, true]),
        (near.emitter.to(7), [false, false, false, true]),
        (to("7"), [false; 4]),
        (near.emitter.to(id(&c)), [false, false, true, false]),
        (
            all.except(id(&d)).except(id(&a)),
            [false, true, true, false],
        ),
    ];
    for (number, (operator, reached)) in targets.into_iter().enumerate() {
        operator.emit("n", &number).unwrap();
        let packets = heard(&near, &mut [&mut a, &mut b, &mut c, &mut d]).await;
        for (packets, reached) in packets.into_iter().zip(reached) {
            let expected = reached.then(|| format!(r#"42["n",{number}]"#));
            assert_eq!(packets, Vec::from_iter(expected), "target {number}");
        }
    }
}

async fn three_nodes_and_six_clients_hear_everything_once_and_namespaces_stay_apart(
    redis: RedisServer,
) {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::join(redis.redis()).await);
    }
    let mut clients = Vec::new();
    for node in nodes.iter().chain(&nodes) {
        clients.push(node.client().await);
    }
    let mut chat = Client::connect(nodes[2].address, "/chat").await;
    for number in 0..50 {
        nodes[number % 3].emitter.emit("n", &number).unwrap();
    }
    nodes[0]
        .server
        .emitter("/chat")
        .unwrap()
        .emit("c", &1)
        .unwrap();
    for client in &mut clients {
        let mut numbers = Vec::new();
        while numbers.len() < 50 {
            numbers.push(client.event().await);
        }
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
    assert_eq!(chat.event().await, r#"["c",1]"#);
    for client in &mut clients {
        assert!(client.sync().await.is_empty());
    }
}

async fn a_sockets_own_broadcast_leaves_it_out_on_its_node_and_reaches_the_others(
    redis: RedisServer,
) {
    let shout = |r: &mut Registrar| {
        r.on("shout", async |socket: Socket| {
            socket.broadcast().emit("heard", &()).unwrap();
            socket.local().emit("heard here", &()).unwrap();
        });
    };
    let near = Node::join_with(redis.redis(), shout).await;
    let far = Node::join(redis.redis()).await;
    let [mut a, mut b, mut c] = [near.client().await, near.client().await, far.client().await];
    assert_eq!(a.ask(r#"["shout"]"#).await, "[]");
    let [a, b, c] = &heard(&near, &mut [&mut a, &mut b, &mut c]).await[..] else {
        panic!("three clients");
    };
    assert!(a.is_empty());
    assert_eq!(b[..], [r#"42["heard"]"#, r#"42["heard here"]"#]);
    assert_eq!(c[..], [r#"42["heard"]"#]);
}

async fn attachments_values_and_order_survive_the_way_to_another_node(redis: RedisServer) {
    let (near, far) = pair(&redis).await;
    let mut client = far.client().await;
    near.emitter.emit("first", &1).unwrap();
    near.emitter
        .emit("photo", &Bytes::from_static(b"\x01\x02"))
        .unwrap();
    let values = (1.5, u64::MAX, -7, "ä€😀", Option::<u8>::None, [[true]]);
    near.emitter.emit("values", &values).unwrap();
    assert_eq!(
        heard(&near, &mut [&mut client]).await[0],
        [
            r#"42["first",1]"#,
            r#"451-["photo",{"_placeholder":true,"num":0}]"#,
            r#"binary b"\x01\x02""#,
            r#"42["values",1.5,18446744073709551615,-7,"ä€😀",null,[[true]]]"#,
        ]
    );
}

async fn sockets_are_moved_and_ended_wherever_they_are(redis: RedisServer) {
    let (near, far) = pair(&redis).await;
    let [mut a, mut b] = [near.client().await, far.client().await];
    let all = near.emitter.all();
    all.sockets_join([Room::from("x"), Room::from(9)]).unwrap();
    heard(&near, &mut [&mut a, &mut b]).await;
    far.emitter.flush().await.unwrap();
    near.emitter.flush().await.unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(client.ask(r#"["rooms"]"#).await, r#"[["x",9]]"#);
    }
    let target = near.emitter.to(9).except(SocketId::parse(&a.id).unwrap());
    target.sockets_leave(["x"]).unwrap();
    heard(&near, &mut [&mut a, &mut b]).await;
    assert_eq!(a.ask(r#"["rooms"]"#).await, r#"[["x",9]]"#);
    assert_eq!(b.ask(r#"["rooms"]"#).await, "[[9]]");

    far.emitter.to("x").disconnect_sockets(false).unwrap();
    assert_eq!(a.recv().await.as_deref(), Some("41"));
    near.emitter.to(9).disconnect_sockets(true).unwrap();
    assert_eq!(b.rest().await, ["41"]);
}

async fn sockets_and_rooms_are_found_wherever_they_are_and_secrets_are_not_told(
    redis: RedisServer,
) {
    let set_data = |r: &mut Registrar| {
        r.on_connect(async |socket: Socket| {
            socket.set_data(&("alice", 7)).unwrap();
            socket.join("lobby");
            socket.join(3);
        });
    };
    let near = Node::join(redis.redis()).await;
    let far = Node::join_with(redis.redis(), set_data).await;
    let mut here = near.client().await;
    enter(&mut here, &[r#""den""#]).await;
    let stream = portcullis_testing::wire::tcp(far.address).await;
    let headers = [
        ("Authorization", "Bearer hidden-1"),
        ("Cookie", "token=hidden-2"),
        ("User-Agent", "tests"),
    ];
    let target = "/socket.io/?EIO=4&transport=websocket&token=hidden-3&color=red";
    let mut there = Client::open_over(Box::new(stream), target, &headers).await;
    there.try_join("/", r#"{"token":"hidden-4"}"#).await;
    far.emitter.flush().await.unwrap();

    let fetched = near.emitter.to("lobby").fetch_sockets().await.unwrap();
    assert!(fetched.is_complete());
    let [socket] = &fetched.items[..] else {
        panic!("{fetched:?}")
    };
    let data: (String, i32) = socket.data().unwrap();
    assert_eq!(data, ("alice".to_owned(), 7));
    assert_eq!(named(socket.rooms()), [Room::from("lobby"), Room::from(3)]);
    let handshake = format!("{:?}", socket.handshake());
    assert!(!handshake.contains("hidden"), "{handshake}");
    assert!(
        handshake.contains("color") && handshake.contains("tests"),
        "{handshake}"
    );
    socket.address().emit("hello", &()).unwrap();
    assert_eq!(there.event().await, r#"["hello"]"#);

    let rooms = near.emitter.all_rooms().await.unwrap();
    let expected = [Room::from("den"), Room::from("lobby"), Room::from(3)];
    assert_eq!(named(&rooms.items), expected);
    assert_eq!(rooms.items.len(), 5, "a socket's id is a room: {rooms:?}");
    assert_eq!(near.emitter.server_count().await.unwrap(), 2);
    assert_eq!(
        far.emitter.all().fetch_sockets().await.unwrap().items.len(),
        2
    );
}

async fn servers_talk_to_each_other_and_not_to_themselves(redis: RedisServer) {
    let journal = Journal::default();
    let node = |name: &'static str| {
        let journal = journal.clone();
        move |r: &mut Registrar| {
            r.on_server_side("note", move |args: Args| {
                journal.note(format!("{name} {}", args.get::<String>(0).unwrap()));
                std::future::ready(None)
            });
            r.on_server_side("double", async |args: Args| {
                let number: i64 = args.get(0).ok()?;
                Some(Args::from_values(vec![Value::from(number * 2)]))
            });
        }
    };
    let a = Node::join_with(redis.redis(), node("a")).await;
    let _b = Node::join_with(redis.redis(), node("b")).await;
    let _c = Node::join_with(redis.redis(), node("c")).await;

    a.emitter.server_side_emit("note", "hello").unwrap();
    journal.wait_for("b hello").await;
    journal.wait_for("c hello").await;
    let asked = |event: &'static str, millis| {
        let timeout = Duration::from_millis(millis);
        a.emitter.server_side_emit_with_ack(event, &21, timeout)
    };
    let answers = asked("double", 5000).await.unwrap();
    let numbers: Vec<i64> = answers
        .items
        .iter()
        .map(|args| args.get(0).unwrap())
        .collect();
    assert_eq!((numbers, answers.missing_nodes), (vec![42, 42], 0));
    assert_eq!(asked("nobody listens", 200).await.unwrap().missing_nodes, 2);
    assert_eq!(journal.lines().len(), 2);
}

async fn a_broadcast_collects_the_acks_of_every_node(redis: RedisServer) {
    let (near, far) = pair(&redis).await;
    let [mut a, mut b, mut c] = [near.client().await, far.client().await, far.client().await];
    let everyone = near.emitter.all();
    let asked = tokio::join!(everyone.emit_with_ack("q", &1), async {
        for client in [&mut a, &mut b, &mut c] {
            answer(client).await;
        }
    });
    let answers = asked.0.unwrap();
    let mut answers: Vec<String> = answers.iter().map(|args| args.get(0).unwrap()).collect();
    answers.sort();
    let mut expected = vec![a.id.clone(), b.id.clone(), c.id.clone()];
    expected.sort();
    assert_eq!(answers, expected);

    let quick = everyone.clone().timeout(Duration::from_millis(300));
    let (asked, ()) = tokio::join!(quick.emit_with_ack("q", &2), async {
        for client in [&mut a, &mut b] {
            answer(client).await;
        }
    });
    let Err(AckError::Timeout { responses }) = asked else {
        panic!("{asked:?}")
    };
    assert_eq!(responses.len(), 2);
    let nobody = near
        .emitter
        .to("nobody")
        .emit_with_ack("q", &3)
        .await
        .unwrap();
    assert!(nobody.is_empty());
}

async fn whoever_has_all_the_time_there_is_may_ask_too(redis: RedisServer) {
    let near = Node::join(redis.redis().requests_timeout(Duration::MAX)).await;
    let far = Node::join(redis.redis()).await;
    let mut client = far.client().await;
    let patient = near.emitter.all().timeout(Duration::MAX);
    let (asked, ()) = tokio::join!(patient.emit_with_ack("q", &()), answer(&mut client));
    let ids: Vec<String> = asked
        .unwrap()
        .iter()
        .map(|args| args.get(0).unwrap())
        .collect();
    assert_eq!(ids, [client.id.clone()]);
    let fetched = patient.fetch_sockets().await.unwrap();
    assert!(fetched.is_complete() && fetched.items.len() == 1);
}

/// Answers the question that comes next with the client's id.
async fn answer(client: &mut Client) {
    let packet = client.recv().await.unwrap();
    let id = packet
        .strip_prefix("42")
        .and_then(|rest| rest.split_once('['));
    let (id, _) = id.unwrap_or_else(|| panic!("{packet}"));
    let own = client.id.clone();
    client.send(&format!(r#"43{id}["{own}"]"#)).await;
}

async fn what_is_local_is_never_published(redis: RedisServer) {
    let (near, far) = pair(&redis).await;
    let [mut here, mut there] = [near.client().await, far.client().await];
    let local = near.emitter.all().local();
    local.emit("x", &()).unwrap();
    local.sockets_join(["a"]).unwrap();
    assert_eq!(local.fetch_sockets().await.unwrap().items.len(), 1);
    let packets = heard(&near, &mut [&mut here, &mut there]).await;
    assert_eq!(packets[0], [r#"42["x"]"#]);
    assert!(packets[1].is_empty());
    assert_eq!(there.ask(r#"["rooms"]"#).await, "[[]]");
}

async fn a_process_has_two_connections_and_leaves_none_behind(redis: RedisServer) {
    let mut node = Node::join(redis.redis()).await;
    for _ in 0..3 {
        drop(node.client().await);
    }
    assert_eq!(redis.connections().await, 2);
    if !redis.is_sharded() {
        let mut requests = redis.channels().await;
        requests.retain(|name| name.contains("-request#"));
        let expected = ["socket.io-request#/#", "socket.io-request#/chat#"];
        assert_eq!(requests, expected);
    }
    node.emitter.emit("last", &()).unwrap();
    node.stop().await;
    until(async || redis.connections().await == 0).await;
}

async fn a_node_that_is_dropped_takes_its_connections_with_it(redis: RedisServer) {
    let node = Node::join(redis.redis()).await;
    drop(node.client().await);
    assert_eq!(redis.connections().await, 2);
    drop(node);
    until(async || redis.connections().await == 0).await;
}

async fn prefixes_separate_clusters_and_databases_do_not(redis: RedisServer) {
    let a = Node::join(redis.redis().prefix("app[1]*")).await;
    let b = Node::join(redis.redis().prefix("app[1]*")).await;
    let other = Node::join(redis.redis()).await;
    let glob = Node::join(redis.redis().prefix("app1x")).await;
    let elsewhere = redis.redis_at(&format!("{}/3", redis.url()));
    let elsewhere = Node::join(elsewhere.prefix("app[1]*")).await;
    let mut clients = [
        b.client().await,
        elsewhere.client().await,
        other.client().await,
        glob.client().await,
    ];
    a.emitter.emit("x", &()).unwrap();
    let [near, far, rest @ ..] = &mut clients;
    assert_eq!(near.event().await, r#"["x"]"#);
    assert_eq!(far.event().await, r#"["x"]"#);
    for (client, node) in rest.iter_mut().zip([&other, &glob]) {
        assert!(heard(node, &mut [client]).await[0].is_empty());
    }
}
