//! Two nodes through an adapter that was written from outside: the seam is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::HeaderName;
use parking_lot::Mutex;
use portcullis::adapter::{Envelope, Flags, Target};
use portcullis::auth::{Attempt, Authenticator, Identity, RefusalCode};
use portcullis::gateway::{Data, Registrar, Reply};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::{NamespacePath, Room, SocketId};
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;
use portcullis::{AckError, BroadcastOperator, DisconnectReason, Emitter, Socket};
use portcullis_testing::wire::{Client, WEBSOCKET, tcp};
use portcullis_testing::{BusNode, Journal, MemoryBus, TestServer};

use crate::support::{Wire, patiently, public, witness};

/// One node of a test's cluster.
struct Node {
    server: TestServer,
    station: BusNode,
    emitter: Emitter,
}

impl Node {
    async fn join(bus: &MemoryBus, register: impl FnOnce(&mut Registrar)) -> Self {
        let (adapter, station) = bus.node();
        let builder = public(|r| {
            r.on("join", async |socket: Socket, Data(room): Data<Value>| {
                socket.join(room_of(&room));
            });
            r.on("leave", async |socket: Socket, Data(room): Data<Value>| {
                socket.leave(room_of(&room));
            });
            r.on("rooms", async |socket: Socket| {
                Reply(named(&socket.rooms()))
            });
            register(r);
        });
        let server = TestServer::start(builder.cluster(adapter)).await;
        let emitter = server.server().emitter("/").unwrap();
        Self {
            server,
            station,
            emitter,
        }
    }

    async fn client(&self) -> Client {
        self.server.client().await
    }
}

async fn pair() -> (Node, Node) {
    let bus = MemoryBus::default();
    (
        Node::join(&bus, |_| {}).await,
        Node::join(&bus, |_| {}).await,
    )
}

fn room_of(value: &Value) -> Room {
    match value {
        Value::String(name) => Room::from(name),
        other => Room::from(other.as_i64().unwrap()),
    }
}

/// The rooms besides the sockets' own, in order: text first.
fn named(rooms: &[Room]) -> Vec<Room> {
    let is_own = |room: &Room| SocketId::parse(&room.to_string()).is_ok();
    let mut named = rooms.to_vec();
    named.retain(|room| !is_own(room));
    named.sort();
    named
}

fn ids(sockets: &[portcullis::broadcast::RemoteSocket]) -> Vec<String> {
    let mut ids: Vec<_> = sockets
        .iter()
        .map(|socket| socket.id().to_string())
        .collect();
    ids.sort();
    ids
}

async fn enter(client: &mut Client, rooms: &[&str]) {
    for room in rooms {
        assert_eq!(client.ask(&format!(r#"["join",{room}]"#)).await, "[]");
    }
}

#[tokio::test]
async fn a_broadcast_reaches_the_right_sockets_of_every_node_once() {
    let (near, far) = pair().await;
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
        for (client, reached) in [&mut a, &mut b, &mut c, &mut d].into_iter().zip(reached) {
            let expected = reached.then(|| format!(r#"42["n",{number}]"#));
            let heard = client.sync().await;
            assert_eq!(heard, Vec::from_iter(expected), "target {number}");
        }
    }
}

#[tokio::test]
async fn a_sockets_own_broadcast_leaves_it_out_on_its_node_and_reaches_the_others() {
    let bus = MemoryBus::default();
    let shout = |r: &mut Registrar| {
        r.on("shout", async |socket: Socket| {
            socket.broadcast().emit("heard", &()).unwrap();
            socket.local().emit("heard here", &()).unwrap();
        });
    };
    let (near, far) = (Node::join(&bus, shout).await, Node::join(&bus, shout).await);
    let [mut a, mut b, mut c] = [near.client().await, near.client().await, far.client().await];
    assert_eq!(a.ask(r#"["shout"]"#).await, "[]");
    assert!(a.sync().await.is_empty());
    assert_eq!(b.sync().await, [r#"42["heard"]"#, r#"42["heard here"]"#]);
    assert_eq!(c.sync().await, [r#"42["heard"]"#]);
}

#[tokio::test]
async fn attachments_and_order_survive_the_way_to_another_node() {
    let (near, far) = pair().await;
    let mut client = far.client().await;
    near.emitter.emit("first", &1).unwrap();
    near.emitter
        .emit("photo", &Bytes::from_static(b"\x01\x02"))
        .unwrap();
    near.emitter.emit("last", &2).unwrap();
    assert_eq!(
        client.sync().await,
        [
            r#"42["first",1]"#,
            r#"451-["photo",{"_placeholder":true,"num":0}]"#,
            r#"binary b"\x01\x02""#,
            r#"42["last",2]"#,
        ]
    );
}

#[tokio::test]
async fn what_is_local_never_reaches_the_adapter() {
    let (near, far) = pair().await;
    let [mut here, mut there] = [near.client().await, far.client().await];
    let local = near.emitter.all().local();
    let before = near.station.told().lines();
    local.emit("x", &()).unwrap();
    local.sockets_join(["a"]).unwrap();
    local.sockets_leave(["a"]).unwrap();
    assert_eq!(local.fetch_sockets().await.unwrap().items.len(), 1);
    let quick = local.clone().timeout(Duration::from_millis(10));
    assert!(quick.emit_with_ack("y", &()).await.is_err());
    let published = |lines: &[String]| lines.iter().filter(|line| line.contains("pub")).count();
    assert_eq!(published(&near.station.told().lines()), published(&before));
    assert_eq!(here.sync().await, [r#"42["x"]"#, r#"420["y"]"#]);
    assert!(there.sync().await.is_empty());

    local.disconnect_sockets(false).unwrap();
    assert_eq!(here.recv().await.as_deref(), Some("41"));
    assert!(there.sync().await.is_empty());
}

#[tokio::test]
async fn sockets_are_moved_and_ended_wherever_they_are() {
    let (near, far) = pair().await;
    let [mut a, mut b] = [near.client().await, far.client().await];
    near.emitter
        .all()
        .sockets_join([Room::from("x"), Room::from(9)])
        .unwrap();
    for client in [&mut a, &mut b] {
        let rooms = client.ask(r#"["rooms"]"#).await;
        assert_eq!(rooms, r#"[["x",9]]"#);
    }
    near.emitter
        .to(9)
        .except(SocketId::parse(&a.id).unwrap())
        .sockets_leave(["x"])
        .unwrap();
    assert_eq!(a.ask(r#"["rooms"]"#).await, r#"[["x",9]]"#);
    assert_eq!(b.ask(r#"["rooms"]"#).await, "[[9]]");

    far.emitter.to("x").disconnect_sockets(false).unwrap();
    assert_eq!(a.recv().await.as_deref(), Some("41"));
    far.emitter.to(9).disconnect_sockets(true).unwrap();
    assert_eq!(b.rest().await, ["41"]);
}

#[tokio::test]
async fn a_fetched_socket_tells_data_and_rooms_and_no_secret_of_its_handshake() {
    let bus = MemoryBus::default();
    let set_data = |r: &mut Registrar| {
        r.on_connect(async |socket: Socket| {
            socket.set_data(&("alice", 7)).unwrap();
            socket.join("lobby");
            socket.join(3);
        });
    };
    let near = Node::join(&bus, |_| {}).await;
    let far = Node::join(&bus, set_data).await;
    let stream = tcp(far.server.address()).await;
    let headers = [
        ("Authorization", "Bearer hidden-1"),
        ("Cookie", "token=hidden-2"),
        ("User-Agent", "tests"),
    ];
    let target = format!("{WEBSOCKET}&token=hidden-3&color=red");
    let mut client = Client::open_over(Box::new(stream), &target, &headers).await;
    client.try_join("/", r#"{"token":"hidden-4"}"#).await;

    let fetched = near.emitter.to("lobby").fetch_sockets().await.unwrap();
    assert!(fetched.is_complete());
    let [socket] = &fetched.items[..] else {
        panic!("{fetched:?}")
    };
    assert_eq!(
        socket.data::<(String, i32)>().unwrap(),
        ("alice".to_owned(), 7)
    );
    assert_eq!(socket.rooms()[0], Room::from(socket.id()));
    assert_eq!(named(socket.rooms()), [Room::from("lobby"), Room::from(3)]);
    let handshake = socket.handshake();
    let field = |outer: &str, inner: &str| {
        let value = handshake.get(outer).and_then(|fields| fields.get(inner));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    assert_eq!(field("headers", "user-agent").as_deref(), Some("tests"));
    assert_eq!(field("query", "color").as_deref(), Some("red"));
    assert_eq!(
        handshake.get("address").and_then(Value::as_str),
        Some("127.0.0.1")
    );
    assert!(
        !format!("{handshake:?}").contains("hidden"),
        "{handshake:?}"
    );

    socket.address().emit("hello", &()).unwrap();
    assert_eq!(client.event().await, r#"["hello"]"#);
    socket.address().sockets_join(["den"]).unwrap();
    near.emitter.to("den").emit("moved", &()).unwrap();
    assert_eq!(client.event().await, r#"["moved"]"#);
    socket.address().disconnect_sockets(false).unwrap();
    assert_eq!(client.recv().await.as_deref(), Some("41"));
}

#[tokio::test]
async fn everybody_is_found_and_who_did_not_answer_is_counted() {
    let (near, far) = pair().await;
    let [mut a, mut b] = [near.client().await, far.client().await];
    enter(&mut a, &[r#""x""#, r#""y""#]).await;
    enter(&mut b, &[r#""y""#, "1"]).await;
    let mut expected = vec![a.id.clone(), b.id.clone()];
    expected.sort();

    let everybody = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!(ids(&everybody.items), expected);
    let rooms = near.emitter.all_rooms().await.unwrap();
    assert_eq!(
        named(&rooms.items),
        [Room::from("x"), Room::from("y"), Room::from(1)]
    );
    assert_eq!(rooms.items.len(), 5, "a socket's id is a room: {rooms:?}");
    assert_eq!(near.emitter.server_count().await.unwrap(), 2);

    far.station.cut();
    let here = near.emitter.all().fetch_sockets().await.unwrap();
    assert_eq!(
        (ids(&here.items), here.missing_nodes),
        (vec![a.id.clone()], 1)
    );
    let rooms = near.emitter.all_rooms().await.unwrap();
    assert_eq!((rooms.items.len(), rooms.missing_nodes), (3, 1));
}

#[tokio::test]
async fn servers_talk_to_each_other_and_not_to_themselves() {
    let bus = MemoryBus::default();
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
            r.on_server_side("panic", async |_| panic!("on purpose"));
        }
    };
    let a = Node::join(&bus, node("a")).await;
    let _b = Node::join(&bus, node("b")).await;
    let _c = Node::join(&bus, node("c")).await;

    a.emitter.server_side_emit("note", "hello").unwrap();
    journal.wait_for("b hello").await;
    journal.wait_for("c hello").await;
    assert_eq!(journal.lines().len(), 2);

    let second = Duration::from_secs(1);
    let asked = |event: &'static str| a.emitter.server_side_emit_with_ack(event, &21, second);
    let answers = asked("double").await.unwrap();
    let numbers: Vec<i64> = answers
        .items
        .iter()
        .map(|args| args.get(0).unwrap())
        .collect();
    assert_eq!((numbers, answers.missing_nodes), (vec![42, 42], 0));
    for event in ["panic", "nobody listens"] {
        assert_eq!(asked(event).await.unwrap().missing_nodes, 2, "{event}");
    }
    for event in ["connection", "new_namespace"] {
        assert!(a.emitter.server_side_emit(event, &()).is_err(), "{event}");
    }
}

#[tokio::test]
async fn events_of_another_server_are_handled_in_order_and_hold_up_no_end() {
    let bus = MemoryBus::default();
    let journal = Journal::default();
    let noted = journal.clone();
    let a = Node::join(&bus, |_| {}).await;
    let b = Node::join(&bus, move |r: &mut Registrar| {
        r.on_server_side("note", move |args: Args| {
            let journal = noted.clone();
            async move {
                let number: u32 = args.get(0).unwrap();
                // The earlier takes longer than the later.
                for _ in number..20 {
                    tokio::task::yield_now().await;
                }
                journal.note(number.to_string());
                None
            }
        });
        r.on_server_side("hang", async |_| std::future::pending().await);
    })
    .await;
    for number in 0..20 {
        a.emitter.server_side_emit("note", &number).unwrap();
    }
    journal.wait_for("19").await;
    let in_order: Vec<String> = (0..20).map(|number: u32| number.to_string()).collect();
    assert_eq!(journal.lines(), in_order);

    a.emitter.server_side_emit("hang", &()).unwrap();
    patiently(b.server.server().close()).await;
}

#[tokio::test]
async fn a_thousand_questions_of_other_servers_are_handled_at_once_and_no_more() {
    let bus = MemoryBus::default();
    let started = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&started);
    let node = Node::join(&bus, move |r: &mut Registrar| {
        r.on_server_side("hang", move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        });
        r.on_server_side("echo", async |args: Args| Some(args));
    })
    .await;
    let root = NamespacePath::root();
    let ask = |event: &str| {
        let args = Args::from_values(vec![Value::from(event)]);
        node.station.local().server_side_event(&root, args)
    };
    let dropped = || witness().count("portcullis_server_side_events_dropped_total", "");

    let mut hanging: Vec<_> = (0..1024).map(|_| ask("hang")).collect();
    for handling in &mut hanging {
        assert!(handling.now_or_never().is_none());
    }
    assert_eq!(started.load(Ordering::Relaxed), 1024);
    let before = dropped();
    assert!(ask("hang").await.is_none());
    assert!(ask("echo").await.is_none());
    assert_eq!(started.load(Ordering::Relaxed), 1024);
    assert!(dropped() >= before + 2);

    // Each that ends makes room for another.
    drop(hanging.pop());
    assert!(ask("echo").await.is_some());
    assert!(ask("echo").await.is_some());
}

#[tokio::test]
async fn a_broadcast_collects_the_acks_of_every_node() {
    let (near, far) = pair().await;
    let [mut a, mut b, mut c] = [near.client().await, far.client().await, far.client().await];
    enter(&mut c, &[r#""late""#]).await;
    let everyone = near.emitter.all();
    let asked = tokio::join!(everyone.emit_with_ack("q", &1), async {
        for client in [&mut a, &mut b, &mut c] {
            answer(client, "q", 1).await;
        }
    });
    let mut answers: Vec<String> = texts(&asked.0.unwrap());
    answers.sort();
    let mut expected = vec![a.id.clone(), b.id.clone(), c.id.clone()];
    expected.sort();
    assert_eq!(answers, expected);

    let quick = everyone.timeout(Duration::from_millis(200));
    let (asked, ()) = tokio::join!(quick.emit_with_ack("q", &2), async {
        for client in [&mut a, &mut b] {
            answer(client, "q", 2).await;
        }
    });
    let Err(AckError::Timeout { responses }) = asked else {
        panic!("{asked:?}")
    };
    assert_eq!(responses.len(), 2);
}

/// Answers the question that comes next with the client's id.
async fn answer(client: &mut Client, event: &str, number: i64) {
    let packet = client.recv().await.unwrap();
    let id = packet
        .strip_prefix("42")
        .and_then(|rest| rest.strip_suffix(&format!(r#"["{event}",{number}]"#)));
    let id = id.unwrap_or_else(|| panic!("{packet}"));
    let own = client.id.clone();
    client.send(&format!(r#"43{id}["{own}"]"#)).await;
}

fn texts(answers: &[Args]) -> Vec<String> {
    answers.iter().map(|args| args.get(0).unwrap()).collect()
}

#[tokio::test]
async fn an_adapter_hears_of_rooms_with_their_first_member_and_their_last() {
    let (near, _far) = pair().await;
    let [mut a, mut b] = [near.client().await, near.client().await];
    for client in [&mut a, &mut b] {
        enter(client, &[r#""x""#, r#""x""#, "1"]).await;
    }
    a.ask(r#"["leave","x"]"#).await;
    a.ask(r#"["leave","x"]"#).await;
    b.ask(r#"["leave","x"]"#).await;
    a.send("41").await;
    b.send("41").await;
    near.station.told().wait_for("room closed / 1").await;
    assert_eq!(
        near.station.told().lines(),
        [
            "start",
            "namespace opened /",
            r#"room opened / "x""#,
            "room opened / 1",
            r#"room closed / "x""#,
            "room closed / 1",
        ]
    );
}

#[tokio::test]
async fn an_adapter_hears_of_the_sockets_own_rooms_nothing() {
    let (near, _far) = pair().await;
    let mut client = near.client().await;
    let own = format!(r#""{}""#, client.id);
    enter(&mut client, &[&own]).await;
    assert_eq!(client.ask(r#"["rooms"]"#).await, "[[]]");
    assert_eq!(near.station.told().lines(), ["start", "namespace opened /"]);
}

#[tokio::test]
async fn a_closing_server_empties_its_rooms_before_it_leaves_the_cluster() {
    let bus = MemoryBus::default();
    let near = Node::join(&bus, |r| {
        r.on_disconnect(async |socket: Socket, _: DisconnectReason| {
            socket.server().emit("left", &socket.id()).unwrap();
        });
    })
    .await;
    let far = Node::join(&bus, |_| {}).await;
    let mut client = near.client().await;
    enter(&mut client, &[r#""x""#]).await;
    let id = client.id.clone();
    let mut witness = far.client().await;
    near.server.close([client]).await;
    assert_eq!(witness.sync().await, [format!(r#"42["left","{id}"]"#)]);
    assert_eq!(
        near.station.told().lines(),
        [
            "start",
            "namespace opened /",
            r#"room opened / "x""#,
            r#"room closed / "x""#,
            "publish /",
            "close",
        ]
    );
    assert_eq!(far.emitter.server_count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_node_says_what_it_has_to_whoever_asks_on_behalf_of_another() {
    let (near, _far) = pair().await;
    let mut client = near.client().await;
    enter(&mut client, &[r#""x""#]).await;
    let (root, elsewhere) = (NamespacePath::root(), NamespacePath::parse("/no").unwrap());
    let node = near.station.local();
    assert!(node.has_room(&root, &Room::from("x")));
    assert!(!node.has_room(&root, &Room::from("y")));
    assert!(!node.has_room(&elsewhere, &Room::from("x")));
    assert_eq!(node.rooms(&root).len(), 2);
    assert!(node.rooms(&elsewhere).is_empty());
    assert!(
        node.fetch_sockets(&elsewhere, &Target::default())
            .is_empty()
    );

    let payload = Arc::new(Payload::event("from afar", &()).unwrap());
    let target = Target::new([Room::from("x")], []);
    let flags = Flags::new();
    for namespace in [&elsewhere, &root] {
        node.apply(
            namespace,
            Envelope::Broadcast {
                payload: Arc::clone(&payload),
                target: target.clone(),
                flags,
            },
        );
    }
    assert_eq!(client.sync().await, [r#"42["from afar"]"#]);
    assert!(
        !near
            .station
            .told()
            .lines()
            .contains(&"publish /".to_owned())
    );
}

#[tokio::test]
async fn an_adapter_hears_as_many_openings_of_a_busy_room_as_closings() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let node = Node::join(&MemoryBus::default(), move |r| {
        r.on_connect(move |socket: Socket| {
            keep.lock().push(socket);
            std::future::ready(())
        });
    })
    .await;
    let _clients = [node.client().await, node.client().await];
    let sockets: Vec<Socket> = kept.lock().drain(..).collect();
    std::thread::scope(|threads| {
        for socket in sockets {
            threads.spawn(move || {
                for _ in 0..5_000 {
                    socket.join("x");
                    socket.leave("x");
                }
            });
        }
    });
    let lines = node.station.told().lines();
    let count = |line: &str| lines.iter().filter(|have| *have == line).count();
    let opened = count(r#"room opened / "x""#);
    assert!(opened > 0);
    assert_eq!(opened, count(r#"room closed / "x""#));
    let root = NamespacePath::root();
    assert!(!node.station.local().has_room(&root, &Room::from("x")));
}

/// Takes whatever `x-pass` and `pass` say for an identity.
#[derive(Debug)]
struct OwnNames;

impl Authenticator for OwnNames {
    fn authenticate<'a>(
        &'a self,
        _attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Identity, RefusalCode>> {
        std::future::ready(Ok(Identity::new(()))).boxed()
    }

    fn headers(&self) -> Vec<HeaderName> {
        vec![HeaderName::from_static("x-pass")]
    }

    fn secret_parameters(&self) -> Vec<String> {
        vec!["Pass".to_owned()]
    }
}

#[tokio::test]
async fn what_the_authenticator_reads_stays_on_its_node_whatever_it_is_called() {
    let bus = MemoryBus::default();
    let near = Node::join(&bus, |_| {}).await;
    let (adapter, _station) = bus.node();
    let builder = public(|_| {}).authenticate(OwnNames).cluster(adapter);
    let far = TestServer::start(builder).await;
    let headers = [("X-Pass", "hidden-1"), ("User-Agent", "tests")];
    let target = format!("{WEBSOCKET}&pass=hidden-2&color=red");
    let stream = tcp(far.address()).await;
    let mut client = Client::open_over(Box::new(stream), &target, &headers).await;
    client.join("/").await;
    let fetched = near.emitter.all().fetch_sockets().await.unwrap();
    let handshake = format!("{:?}", fetched.items[0].handshake());
    assert!(!handshake.contains("hidden"), "{handshake}");
    assert!(
        handshake.contains("tests") && handshake.contains("red"),
        "{handshake}"
    );
}
