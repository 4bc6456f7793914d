//! Emitting from anywhere: before there is a server, from other tasks, after the client has gone.

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis::gateway::{Data, Gateway, Registrar, Reply};
use portcullis::socketio::ids::Room;
use portcullis::{EmitError, Emitter, Socket};
use portcullis_testing::wire::Client;
use portcullis_testing::{Journal, TestServer};

use crate::support::{Wire, builder, public};

#[tokio::test]
async fn an_emitter_older_than_its_server_says_so_until_the_server_is_built() {
    let builder = public(|_| {});
    let emitter = builder.emitter("/").unwrap();
    assert!(matches!(emitter.emit("x", &1), Err(EmitError::NotServing)));
    assert!(matches!(
        emitter.all().fetch_sockets().await,
        Err(EmitError::NotServing)
    ));
    assert!(matches!(
        emitter.all().disconnect_sockets(true),
        Err(EmitError::NotServing)
    ));
    assert!(matches!(
        emitter.server_count().await,
        Err(EmitError::NotServing)
    ));

    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    emitter.emit("x", &1).unwrap();
    assert_eq!(client.event().await, r#"["x",1]"#);
    assert!(builder_refuses_the_name("/a,b"));
}

fn builder_refuses_the_name(name: &str) -> bool {
    builder().emitter(name).is_err()
}

#[tokio::test]
async fn an_emitter_of_a_server_that_has_closed_says_so() {
    let server = TestServer::start(public(|_| {})).await;
    let emitter = server.server().emitter("/").unwrap();
    let client = server.client().await;
    server.close([client]).await;
    assert!(matches!(emitter.emit("x", &1), Err(EmitError::NotServing)));
}

/// A gateway that keeps an emitter as a field.
struct News(Emitter);

impl Gateway for News {
    fn namespace(&self) -> Cow<'static, str> {
        "/news".into()
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar) {
        registrar.public();
        registrar.on("tell", move |Data(text): Data<String>| {
            ready(Reply(self.0.emit("told", &text).is_ok()))
        });
    }
}

#[tokio::test]
async fn a_gateway_may_keep_an_emitter_as_a_field() {
    let builder = builder();
    let emitter = builder.emitter("/news").unwrap();
    let server = TestServer::start(builder.gateway(News(emitter))).await;
    let mut client = Client::connect(server.address(), "/news").await;
    client.send(r#"42/news,1["tell","x"]"#).await;
    assert_eq!(client.event().await, r#"["told","x"]"#);
    assert_eq!(client.recv().await.as_deref(), Some("43/news,1[true]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_tasks_and_threads_may_emit_and_each_keeps_its_order() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.client().await;
    let emitter = server.server().emitter("/").unwrap();
    let mut emitting = tokio::task::JoinSet::new();
    let on_thread = emitter.clone();
    let thread = std::thread::spawn(move || {
        for number in 0..500 {
            on_thread.emit("thread", &number).unwrap();
        }
    });
    emitting.spawn(async move {
        for number in 0..500 {
            emitter.emit("task", &number).unwrap();
        }
    });
    let (mut of_thread, mut of_task) = (0, 0);
    for _ in 0..1000 {
        let event = client.event().await;
        let next = if event.starts_with(r#"["thread""#) {
            &mut of_thread
        } else {
            &mut of_task
        };
        assert!(event.ends_with(&format!(",{next}]")), "{event}");
        *next += 1;
    }
    thread.join().unwrap();
    assert_eq!((of_thread, of_task), (500, 500));
}

#[tokio::test]
async fn an_operator_is_a_value_that_modifiers_leave_as_it_was() {
    let server = TestServer::start(public(|r| {
        r.on_connect(async |socket: Socket| socket.join("red"));
    }))
    .await;
    let mut client = server.client().await;
    let red = server.server().emitter("/").unwrap().to("red");
    let nobody = red.clone().except("red");
    nobody.emit("no", &()).unwrap();
    red.emit("yes", &()).unwrap();
    red.to("red").emit("once", &()).unwrap();
    assert_eq!(client.sync().await, [r#"42["yes"]"#, r#"42["once"]"#]);
}

#[tokio::test]
async fn a_room_is_gone_with_its_last_member() {
    let server = TestServer::start(public(|r| {
        r.on("join", async |socket: Socket| {
            socket.join("red");
            Reply(socket.is_in("red"))
        });
        r.on("leave", async |socket: Socket| {
            socket.leave("red");
            Reply((socket.is_in("red"), socket.rooms().len()))
        });
    }))
    .await;
    let mut client = server.client().await;
    let emitter = server.server().emitter("/").unwrap();
    assert_eq!(client.ask(r#"["join"]"#).await, "[true]");
    assert!(
        emitter
            .all_rooms()
            .await
            .unwrap()
            .items
            .contains(&Room::from("red"))
    );
    assert_eq!(client.ask(r#"["leave"]"#).await, "[false,1]");
    emitter.to("red").emit("x", &()).unwrap();
    assert!(client.sync().await.is_empty());
    let rooms = emitter.all_rooms().await.unwrap().items;
    assert_eq!(rooms, [Room::from(client.id.as_str())]);
}

#[tokio::test]
async fn leaving_after_an_emit_does_not_take_the_emit_back() {
    let server = TestServer::start(public(|r| {
        r.on_connect(async |socket: Socket| socket.join("red"));
        r.on("go", async |socket: Socket| {
            socket.within("red").emit("before", &()).unwrap();
            socket.leave("red");
            socket.within("red").emit("after", &()).unwrap();
        });
    }))
    .await;
    let mut client = server.client().await;
    client.emit(r#"["go"]"#).await;
    assert_eq!(client.sync().await, [r#"42["before"]"#]);
}

#[tokio::test]
async fn a_socket_that_has_left_is_in_no_room_and_joins_none() {
    let journal = Journal::default();
    let (notes, kept) = (journal.clone(), Arc::new(Mutex::new(None)));
    let keep = Arc::clone(&kept);
    let server = TestServer::start(public(move |r| {
        r.on_connect(move |socket: Socket| {
            socket.join("red");
            *keep.lock() = Some(socket);
            ready(())
        });
        r.on_disconnect(move |socket: Socket| {
            let own = Room::from(socket.id());
            assert!(!socket.is_connected());
            notes.note(format!("{}", socket.rooms() == [own]));
            socket.leave("red");
            socket.join("blue");
            notes.note(format!("{}", socket.is_in("blue")));
            ready(())
        });
    }))
    .await;
    let mut client = server.client().await;
    client.send("41").await;
    journal.wait_for("false").await;
    assert_eq!(journal.lines(), ["true", "false"]);

    let socket = kept.lock().take().unwrap();
    socket.join("green");
    assert!(!socket.is_in("green"));
    assert!(matches!(
        socket.emit("x", &()),
        Err(EmitError::Disconnected)
    ));
    assert!(matches!(
        socket.volatile().emit("x", &()),
        Err(EmitError::Disconnected)
    ));
    let rooms = server
        .server()
        .emitter("/")
        .unwrap()
        .all_rooms()
        .await
        .unwrap();
    assert!(rooms.items.is_empty(), "{rooms:?}");
}

async fn fill(socket: Socket) -> Reply<usize> {
    for number in 0..5 {
        socket.join(number);
    }
    socket.join("x".repeat(257));
    Reply(socket.rooms().len())
}

#[tokio::test]
async fn a_socket_may_be_in_as_many_rooms_as_allowed_and_no_more() {
    let server = TestServer::start(
        public(|r| {
            r.on("fill", fill);
            r.on("swap", async |socket: Socket| {
                socket.leave(0);
                socket.join("x".repeat(256));
                Reply(socket.rooms().len())
            });
        })
        .namespace("/early", |r| {
            r.public();
            r.on_connect(async |socket: Socket| {
                fill(socket).await;
            });
            r.on("fill", fill);
        })
        .max_rooms(3),
    )
    .await;
    let mut client = server.client().await;
    assert_eq!(
        client.ask(r#"["fill"]"#).await,
        "[4]",
        "its own room is extra"
    );
    assert_eq!(client.ask(r#"["swap"]"#).await, "[4]");
    let mut client = Client::connect(server.address(), "/early").await;
    assert_eq!(
        client.ask(r#"["fill"]"#).await,
        "[4]",
        "nor while it connects"
    );
}

#[tokio::test]
async fn what_is_attached_to_a_socket_stays_with_it() {
    let server = TestServer::start(public(|r| {
        r.on("count", async |socket: Socket| {
            let count = socket.get::<u32>().map_or(0, |count| *count);
            socket.insert(count + 1);
            socket.set_data(&(count + 1)).unwrap();
            Reply((count, socket.data::<u32>().unwrap()))
        });
    }));
    let server = server.await;
    let [mut a, mut b] = [
        server.client_in_memory().await,
        server.client_in_memory().await,
    ];
    assert_eq!(a.ask(r#"["count"]"#).await, "[0,1]");
    assert_eq!(a.ask(r#"["count"]"#).await, "[1,2]");
    assert_eq!(b.ask(r#"["count"]"#).await, "[0,1]");
}
