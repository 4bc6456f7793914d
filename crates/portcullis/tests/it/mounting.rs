//! The engine inside other servers: an axum router, hyper over memory, or beside a fallback.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{Response as HttpResponse, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use portcullis::engine::{Engine, EngineOptions, WebSocketHandler, WebSocketService};
use portcullis::engineio::CloseReason;
use portcullis::gateway::{Data, Registrar, Reply};
use portcullis::handshake::{Accept, RemoteAddress, RequestFacts};
use portcullis::session::{Frame, SessionHandle, SessionHandler};
use portcullis::{Emitter, Server, Socket};
use portcullis_testing::wire::{Client, Http, POLLING, WEBSOCKET, WebSocket, tcp, upgrade_request};
use portcullis_testing::{Journal, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;

use crate::support::{Wire, patiently, public};

fn echo(r: &mut Registrar) {
    r.on("echo", async |Data(text): Data<String>| Reply(text));
}

async fn in_axum(server: Server) -> TestServer {
    let router = Router::new()
        .route("/health", get(async || "fine"))
        .route_service("/socket.io/", server.service());
    TestServer::serve(server, |listener, stopped| async {
        axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await
            .unwrap();
    })
    .await
}

/// Both transports work, and so does the way from one to the other.
async fn speaks_socket_io(address: SocketAddr) {
    let mut client = Client::connect(address, "/").await;
    assert_eq!(
        client.ask(r#"["echo","websocket"]"#).await,
        r#"["websocket"]"#
    );

    let mut http = Http::open(address).await;
    let session = http.join().await;
    let posted = http.post(&session, r#"421["echo","polling"]"#).await;
    assert_eq!(posted.text(), "ok");
    assert_eq!(http.get(&session).await.text(), r#"431["polling"]"#);

    let target = session.replace(POLLING, WEBSOCKET);
    let mut upgraded = Client::probe(address, &target).await;
    upgraded.send("5").await;
    assert_eq!(
        upgraded.ask(r#"["echo","upgraded"]"#).await,
        r#"["upgraded"]"#
    );
}

/// Whether bytes have arrived by the time the emitter returns; no task of the server can run
/// meanwhile, because this thread is the only one and does not let go.
async fn is_written_by_the_emitter(address: SocketAddr, emitter: &Emitter) -> bool {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let watched = stream.try_clone().unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut client = Client::open_over(Box::new(stream), WEBSOCKET, &[]).await;
    client.join("/").await;
    assert!(client.sync().await.is_empty());

    emitter.emit("news", &1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    let arrived = loop {
        match watched.peek(&mut [0]) {
            Ok(count) => break count > 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if Instant::now() > deadline {
            break false;
        }
        std::thread::yield_now();
    };
    assert_eq!(client.event().await, r#"["news",1]"#);
    arrived
}

#[tokio::test]
async fn an_axum_router_carries_both_transports_beside_its_own_routes() {
    let server = public(echo).build().await.unwrap();
    let server = in_axum(server).await;
    speaks_socket_io(server.address()).await;
    let mut http = server.http().await;
    assert_eq!(http.get("/health").await.text(), "fine");
    assert_eq!(http.get("/elsewhere").await.status, 404);
}

#[tokio::test]
async fn an_emitter_writes_to_a_tcp_stream_itself_whatever_server_accepted_it() {
    let server = TestServer::start(public(|_| {})).await;
    let emitter = server.server().emitter("/").unwrap();
    assert!(is_written_by_the_emitter(server.address(), &emitter).await);

    let mounted = in_axum(public(|_| {}).build().await.unwrap()).await;
    let emitter = mounted.server().emitter("/").unwrap();
    assert!(is_written_by_the_emitter(mounted.address(), &emitter).await);
}

#[tokio::test]
async fn what_is_mounted_runs_on_when_the_application_keeps_nothing_else_of_it() {
    let server = public(|r| {
        r.on("tell", async |socket: Socket| {
            socket.server().emit("told", &()).unwrap();
        });
    });
    let service = server.build().await.unwrap().service();
    let router = Router::new().route_service("/socket.io/", service);
    let elsewhere = public(|_| {}).build().await.unwrap();
    let mounted = TestServer::serve(elsewhere, |listener, _| async {
        axum::serve(listener, router).await.unwrap();
    })
    .await;
    let mut clients = Vec::new();
    // More than an emitter writes by itself.
    for _ in 0..20 {
        clients.push(mounted.client().await);
    }
    clients[0].emit(r#"["tell"]"#).await;
    for client in &mut clients {
        assert_eq!(client.event().await, r#"["told"]"#);
    }
}

/// Hears everybody and says nothing.
struct Listener;

impl Accept for Listener {
    fn accept(&self, _: SessionHandle, _: Arc<RequestFacts>) -> Box<dyn SessionHandler> {
        Box::new(Farewell::noted_in(Journal::default()))
    }
}

#[tokio::test]
async fn an_engine_of_which_only_the_service_is_kept_goes_on_pinging() {
    let options = EngineOptions::default().ping_interval(Duration::from_millis(40));
    let service = Engine::start(options, Listener).service();
    let router = Router::new().route_service("/socket.io/", service);
    let elsewhere = public(|_| {}).build().await.unwrap();
    let mounted = TestServer::serve(elsewhere, |listener, _| async {
        axum::serve(listener, router).await.unwrap();
    })
    .await;
    let upgraded = WebSocket::upgrade(mounted.tcp().await, WEBSOCKET, &[]).await;
    let mut websocket = upgraded.unwrap();
    let (_, open) = patiently(websocket.read()).await.unwrap();
    assert!(open.starts_with(b"0{"));
    let pinged = tokio::time::timeout(Duration::from_secs(5), websocket.read()).await;
    let (opcode, packet) = pinged.expect("a ping comes").unwrap();
    assert_eq!((opcode, &packet[..]), (WebSocket::TEXT, &b"2"[..]));
}

/// Says goodbye with a future, which must not be polled behind its end.
struct Farewell {
    farewell: Option<BoxFuture<'static, ()>>,
    is_closed: bool,
    journal: Journal,
}

impl Farewell {
    fn noted_in(journal: Journal) -> Self {
        Self {
            farewell: None,
            is_closed: false,
            journal,
        }
    }
}

impl SessionHandler for Farewell {
    fn handle_text(&mut self, _: &str, _: &mut Context<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn handle_binary(&mut self, _: Bytes, _: &mut Context<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(farewell) = &mut self.farewell else {
            if self.is_closed {
                self.journal.note("polled behind its end");
            }
            return Poll::Pending;
        };
        let polled = farewell.as_mut().poll(cx);
        if polled.is_ready() {
            self.farewell = None;
        }
        polled
    }

    fn handle_closed(&mut self, _: CloseReason) {
        self.is_closed = true;
        let journal = self.journal.clone();
        self.farewell = Some(Box::pin(async move { journal.note("farewell") }));
    }
}

/// Ends whatever opens.
struct Leaving(Journal);

impl Accept for Leaving {
    fn accept(&self, session: SessionHandle, _: Arc<RequestFacts>) -> Box<dyn SessionHandler> {
        session.close();
        Box::new(Farewell::noted_in(self.0.clone()))
    }
}

#[tokio::test]
async fn a_handler_whose_farewell_is_over_is_left_alone() {
    let journal = Journal::default();
    let engine = Engine::start(EngineOptions::default(), Leaving(journal.clone()));
    let router = Router::new().route_service("/socket.io/", engine.service());
    let elsewhere = public(|_| {}).build().await.unwrap();
    let mounted = TestServer::serve(elsewhere, |listener, _| async {
        axum::serve(listener, router).await.unwrap();
    })
    .await;
    let upgraded = WebSocket::upgrade(mounted.tcp().await, WEBSOCKET, &[]).await;
    let mut websocket = upgraded.unwrap();
    journal.wait_for("farewell").await;
    // What comes now wakes the session, which is waiting for its peer to go.
    websocket.write(WebSocket::TEXT, b"4late").await.unwrap();
    while patiently(websocket.read()).await.is_some() {}
    drop(websocket);
    patiently(engine.close()).await;
    assert_eq!(journal.lines(), ["farewell"]);
}

/// Answers nothing.
struct Silent;

impl WebSocketHandler for Silent {
    fn handle_text(&self, _: &str) -> Option<Frame> {
        None
    }

    fn handle_binary(&self, _: Bytes) -> Option<Frame> {
        None
    }
}

#[tokio::test]
async fn a_websocket_without_an_engine_is_asked_for_by_the_book_and_does_not_linger() {
    let service = WebSocketService::new(Silent, 1_000);
    let handle = move |request: Request| {
        let service = service.clone();
        async move { service.handle(request).map(Body::new) }
    };
    let router = Router::new().route("/plain", any(handle));
    let elsewhere = public(|_| {}).build().await.unwrap();
    let mounted = TestServer::serve(elsewhere, |listener, _| async {
        axum::serve(listener, router).await.unwrap();
    })
    .await;
    let asked = String::from_utf8(upgrade_request("/plain", &[])).unwrap();
    for wrong in [
        asked.replace("GET ", "POST "),
        asked.replace("Version: 13", "Version: 8"),
        asked.replace("Upgrade: websocket", "Upgrade: something"),
    ] {
        assert_ne!(wrong, asked);
        let answer = mounted.http().await.exchange(wrong.as_bytes()).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let upgraded = WebSocket::upgrade(mounted.tcp().await, "/plain", &[]).await;
    let mut websocket = upgraded.unwrap();
    // Not masked, which is against the rules.
    websocket.write_raw(&[0x81, 1, b'x']).await.unwrap();
    let (opcode, _) = patiently(websocket.read()).await.unwrap();
    assert_eq!(opcode, WebSocket::CLOSE);
    let gone = tokio::time::timeout(Duration::from_secs(10), websocket.read()).await;
    assert!(gone.expect("it does not wait for who is gone").is_none());
}

#[tokio::test]
async fn what_an_engine_runs_ends_with_the_last_that_is_kept_of_it() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let engine = Engine::start(EngineOptions::default(), Listener);
    let service = engine.service();
    let running = tasks();
    assert!(running > 0);
    drop(engine);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(tasks(), running, "it is mounted");
    drop(service);
    patiently(async {
        while tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_peers_address_is_the_one_that_the_application_says() {
    let journal = Journal::default();
    let seen = journal.clone();
    let builder = public(move |r| {
        r.on_connect(move |socket: Socket| {
            seen.note(format!("{:?}", socket.handshake().address()));
            std::future::ready(())
        });
    });
    let server = builder.build().await.unwrap();
    let said: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let router = Router::new()
        .route_service("/socket.io/", server.service())
        .layer(from_fn(move |mut request: Request, next: Next| {
            request.extensions_mut().insert(RemoteAddress(said));
            next.run(request)
        }));
    let mounted = TestServer::serve(server.clone(), |listener, _| async {
        axum::serve(listener, router).await.unwrap();
    })
    .await;
    mounted.client().await;
    let own = TestServer::serve(server.clone(), |listener, stopped| {
        server.serve_on(listener, stopped)
    })
    .await;
    let stream = tcp(own.address()).await;
    let local = stream.local_addr().unwrap();
    let mut client = Client::open_over(Box::new(stream), WEBSOCKET, &[]).await;
    client.join("/").await;

    assert_eq!(
        journal.lines(),
        [format!("{:?}", Some(said)), format!("{:?}", Some(local))]
    );
}

#[tokio::test]
async fn a_fallback_answers_what_is_not_below_the_engines_path() {
    let router = Router::new().route("/health", get(async || "fine"));
    let server = public(echo).build().await.unwrap();
    let served = server.clone();
    let server = TestServer::serve(server, |listener, stopped| {
        served.serve_with(router, listener, stopped)
    })
    .await;
    speaks_socket_io(server.address()).await;
    let mut http = server.http().await;
    assert_eq!(http.get("/health").await.text(), "fine");
    assert_eq!(http.get("/socket.io-admin/").await.status, 404);
    assert_eq!(http.get("/elsewhere").await.status, 404);
    assert_eq!(http.get("/socket.io/nothing").await.status, 400);
}

/// Leaves HTTP, and reads until the peer has gone.
async fn leave_http(mut request: Request) -> HttpResponse<Body> {
    let upgrading = hyper::upgrade::on(&mut request);
    #[expect(clippy::disallowed_methods, reason = "nobody waits for it")]
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrading.await.unwrap());
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    });
    HttpResponse::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "something")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn what_leaves_http_by_the_fallback_keeps_its_place_among_the_connections() {
    let router = Router::new()
        .route("/leave", get(leave_http))
        .route("/health", get(async || "fine"));
    let server = public(echo).max_tcp_connections(1).build().await.unwrap();
    let served = server.clone();
    let server = TestServer::serve(server, |listener, stopped| {
        served.serve_with(router, listener, stopped)
    })
    .await;
    let mut first = tcp(server.address()).await;
    let request = upgrade_request("/leave", &[]);
    first.write_all(&request).await.unwrap();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // Long after HTTP has ended.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(server.http().await.get("/health").await.status, 503);
    }
    drop(first);
    patiently(async {
        while server.http().await.get("/health").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_fallback_other_paths_are_not_found() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    for path in [
        "/",
        "/socket.io",
        "/socket.io-admin/",
        "/other/?EIO=4&transport=polling",
    ] {
        assert_eq!(http.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_path_can_be_another_with_or_without_its_slash() {
    let server = TestServer::start(public(|_| {}).path("/ws").add_trailing_slash(false)).await;
    let mut http = server.http().await;
    let query = "?EIO=4&transport=polling";
    assert_eq!(http.get(&format!("/ws{query}")).await.status, 200);
    assert_eq!(http.get(&format!("/ws/{query}")).await.status, 200);
    assert_eq!(http.get(&format!("/wss{query}")).await.status, 404);
    assert_eq!(http.get(POLLING).await.status, 404);
}

#[tokio::test]
async fn a_stream_that_is_not_tcp_carries_the_same() {
    let memory = TestServer::start(public(echo)).await;
    let mut client = memory.client_within(64).await;
    let long = "x".repeat(100_000);
    assert_eq!(
        client.ask(&format!(r#"["echo","{long}"]"#)).await,
        format!(r#"["{long}"]"#)
    );

    let mut http = memory.http_in_memory();
    let session = http.join().await;
    http.post(&session, r#"421["echo","polling"]"#).await;
    assert_eq!(http.get(&session).await.text(), r#"431["polling"]"#);
}

#[tokio::test]
async fn a_slow_reader_of_a_generic_stream_gets_everything_in_order() {
    let memory = TestServer::start(public(|_| {})).await;
    let mut slow = memory.client_within(16).await;
    let mut quick = memory.client_in_memory().await;
    let emitter = memory.server().emitter("/").unwrap();
    for number in 0..1000 {
        emitter.emit("n", &number).unwrap();
        if number % 100 == 0 {
            assert_eq!(
                quick.sync().await.last(),
                Some(&format!(r#"42["n",{number}]"#))
            );
        }
    }
    for number in 0..1000 {
        assert_eq!(slow.event().await, format!(r#"["n",{number}]"#));
    }
}

#[tokio::test]
async fn a_generic_stream_that_nobody_reads_ends_as_too_slow() {
    let journal = Journal::default();
    let reasons = journal.clone();
    let builder = public(move |r| {
        r.on_disconnect(move |reason: portcullis::DisconnectReason| {
            reasons.note(reason.as_str());
            std::future::ready(())
        });
    });
    let memory = TestServer::start(builder.max_outbox(10_000, 100)).await;
    let mut stuck = memory.client_within(16).await;
    let mut other = memory.client_within(16).await;
    let emitter = memory.server().emitter("/").unwrap();
    while journal.lines().is_empty() {
        emitter.emit("n", &"x".repeat(100)).unwrap();
        other.event().await;
    }
    assert_eq!(journal.lines(), ["slow consumer"]);
    assert!(other.sync().await.is_empty());
    assert!(stuck.rest().await.len() < 200);
}
