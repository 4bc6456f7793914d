//! How many may come, and how often: of the node and of an address, at each limit and beyond it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::auth::{Identity, RefusalCode};
use portcullis::handshake::TrustedProxies;
use portcullis::{Rate, ServerBuilder};
use portcullis_testing::TestServer;
use portcullis_testing::wire::{Client, Http, POLLING, Response, WEBSOCKET, WebSocket, tcp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::support::{Wire, builder, patiently, public, witness};

const ONE_IN_A_MINUTE: Rate = Rate::per_second(1).burst(2);

fn limited(limit: &str) -> u64 {
    witness().count("portcullis_limited_total", &format!("limit={limit}"))
}

/// Polls from an address that a trusted proxy tells.
async fn poll_from(server: &TestServer, client: &str) -> Response {
    let mut http = server.http().await;
    http.get_with(POLLING, &[("X-Forwarded-For", client)]).await
}

fn behind_a_proxy(builder: ServerBuilder) -> ServerBuilder {
    builder.trusted_proxies(TrustedProxies::new(["127.0.0.0/8"]))
}

fn assert_full(response: &Response, message: &str) {
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(
        response.text().trim(),
        format!(r#"{{"code":4,"message":"{message}"}}"#)
    );
    let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
}

#[tokio::test]
async fn as_many_sessions_as_allowed_are_open_at_once() {
    let server = TestServer::start(public(|_| {}).max_sessions(3)).await;
    let mut clients = vec![server.client().await, server.client().await];
    let session = server.http().await.join().await;
    assert_eq!(server.server().sessions(), 3);
    for client in &mut clients {
        assert!(client.sync().await.is_empty());
    }
    assert!(session.contains("sid="));
}

#[tokio::test]
async fn one_session_more_is_refused_and_costs_the_others_nothing() {
    let server = TestServer::start(public(|_| {}).max_sessions(1)).await;
    let before = limited("sessions");
    let mut client = server.client().await;
    let mut http = server.http().await;
    assert_full(&http.get(POLLING).await, "Too many connections");
    let io = server.tcp().await;
    let refused = WebSocket::upgrade(io, WEBSOCKET, &[]).await.unwrap_err();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5"))
    );
    assert!(client.sync().await.is_empty());
    assert!(limited("sessions") >= before + 2);
    drop(client);
    patiently(async {
        while http.get(POLLING).await.status == 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_place_is_lost_to_ten_thousand_refusals() {
    let server = TestServer::start(public(|_| {}).max_sessions(1)).await;
    let client = server.client().await;
    let mut http = server.http().await;
    for _ in 0..10_000 {
        assert_eq!(http.get(POLLING).await.status, 503);
    }
    drop(client);
    patiently(async {
        while http.get(POLLING).await.status == 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_full(&http.get(POLLING).await, "Too many connections");
}

#[tokio::test]
async fn no_limit_is_exceeded_however_many_ask_at_the_same_time() {
    let builder = public(|_| {}).max_sessions(5).max_pending_handshakes(100);
    let server = TestServer::start(builder).await;
    let asking = (0..100).map(|_| async {
        let io = server.tcp().await;
        WebSocket::upgrade(io, WEBSOCKET, &[]).await
    });
    let answers = futures_util::future::join_all(asking).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
}

/// A server with room for so many that have not joined yet.
async fn with_pending(count: usize) -> TestServer {
    TestServer::start(public(|_| {}).max_pending_handshakes(count)).await
}

#[tokio::test]
async fn as_many_handshakes_may_be_pending_as_allowed_and_joining_makes_room() {
    let server = with_pending(2).await;
    let mut joined = Vec::new();
    for _ in 0..3 {
        let mut socket = Client::open(server.address()).await;
        let session = server.http().await.open_session().await;
        socket.join("/").await;
        let mut http = server.http().await;
        assert_eq!(http.post(&session, "40").await.text(), "ok");
        assert!(http.get(&session).await.text().starts_with("40"));
        joined.push(socket);
    }
    assert_eq!(server.server().sessions(), 6);
    for client in &mut joined {
        assert!(client.sync().await.is_empty());
    }
}

#[tokio::test]
async fn one_pending_handshake_more_is_refused_and_costs_those_who_joined_nothing() {
    let server = with_pending(1).await;
    let before = limited("pending_handshakes");
    let mut known = server.client().await;
    let mut pending = Client::open(server.address()).await;
    let mut http = server.http().await;
    assert_full(&http.get(POLLING).await, "Too many connections");
    let io = server.tcp().await;
    let refused = WebSocket::upgrade(io, WEBSOCKET, &[]).await.unwrap_err();
    assert_eq!(refused.status, 503);
    assert!(limited("pending_handshakes") >= before + 2);
    assert!(known.sync().await.is_empty());
    // A refused CONNECT leaves it pending, a leaving one makes room.
    assert!(pending.try_join("/nowhere", "").await.starts_with("44"));
    assert_eq!(http.get(POLLING).await.status, 503);
    drop(pending);
    let session = patiently(async {
        loop {
            let response = http.get(POLLING).await;
            if response.status == 200 {
                break response.text();
            }
        }
    })
    .await;
    assert!(session.starts_with('0'));
    assert_eq!(http.get(POLLING).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_never_finished_gives_its_place_back_in_time() {
    let server = with_pending(1).await;
    let mut dawdling = server.open_within(1024).await;
    let mut http = server.http_in_memory();
    assert_eq!(http.get(POLLING).await.status, 503);
    dawdling.rest().await;
    assert_eq!(http.get(POLLING).await.status, 200);
}

/// An authenticator that answers when it is told to.
struct Slow {
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    answers: Semaphore,
}

impl Slow {
    /// A guarded server that asks it, `most` times at once.
    async fn guard(most: usize, timeout: Duration) -> (TestServer, Arc<Self>) {
        let slow = Arc::new(Self {
            asked: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            answers: Semaphore::new(0),
        });
        let asked = Arc::clone(&slow);
        let guarded = builder()
            .authenticate_with(move |_| {
                let asked = Arc::clone(&asked);
                async move { asked.answer().await }
            })
            .namespace("/", |r| {
                r.on("sync", async || {});
            })
            .verify_timeout(timeout)
            .max_verifications(most)
            .max_sessions(MANY)
            .max_pending_handshakes(MANY);
        (TestServer::start(guarded).await, slow)
    }

    async fn answer(&self) -> Result<Identity, RefusalCode> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let count = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(count, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        Ok(Identity::new(()))
    }

    async fn is_asked(&self, times: usize) {
        patiently(async {
            while self.asked.load(Ordering::SeqCst) != times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

const PATIENT: Duration = Duration::from_secs(30);

/// As many as a storm is to bring back.
const MANY: usize = 10_000;

async fn say_connect(server: &TestServer) -> Client {
    let mut client = Client::open(server.address()).await;
    client.send("40").await;
    client
}

#[tokio::test]
async fn as_many_verifications_as_allowed_are_under_way() {
    let (server, slow) = Slow::guard(2, PATIENT).await;
    let mut clients = [say_connect(&server).await, say_connect(&server).await];
    slow.is_asked(2).await;
    slow.answers.add_permits(2);
    for client in &mut clients {
        assert!(client.recv().await.unwrap().starts_with("40"));
        assert!(client.sync().await.is_empty());
    }
}

#[tokio::test]
async fn who_waits_too_long_for_a_verification_is_refused_without_asking() {
    let (server, slow) = Slow::guard(1, Duration::from_secs(6)).await;
    let before = limited("verifications");
    let mut first = say_connect(&server).await;
    slow.is_asked(1).await;
    let mut second = say_connect(&server).await;
    let refusal = r#"44{"message":"Unauthorized","data":{"code":"AUTH_UNAVAILABLE"}}"#;
    assert_eq!(second.recv().await.unwrap(), refusal);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    assert!(limited("verifications") > before);

    slow.answers.add_permits(2);
    assert!(first.recv().await.unwrap().starts_with("40"));
    second.join("/").await;
}

#[tokio::test]
async fn who_is_in_already_need_not_wait_for_newcomers() {
    // Shorter than the newcomer may stay.
    let (server, slow) = Slow::guard(1, Duration::from_secs(6)).await;
    slow.answers.add_permits(1);
    let mut inside = say_connect(&server).await;
    assert!(inside.recv().await.unwrap().starts_with("40"));
    let _newcomer = say_connect(&server).await;
    slow.is_asked(2).await;
    // The newcomer holds the only place of its kind, and is not answered.
    inside.send(r#"421["auth:refresh","new"]"#).await;
    slow.is_asked(3).await;
    slow.answers.add_permits(2);
    assert!(inside.recv().await.unwrap().starts_with("431"));
}

#[tokio::test]
async fn a_storm_of_clients_waits_for_a_slow_authenticator_and_nobody_is_refused() {
    const CLIENTS: usize = MANY;
    let (server, slow) = Slow::guard(4, 4 * PATIENT).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // Over memory: a process has no descriptors for so many.
        let mut client = server.open_within(512).await;
        client.send("40").await;
        clients.push(client);
    }
    slow.is_asked(4).await;
    for _ in 0..CLIENTS {
        slow.answers.add_permits(1);
        tokio::task::yield_now().await;
    }
    for client in &mut clients {
        assert!(client.recv().await.unwrap().starts_with("40"));
    }
    assert_eq!(slow.most_under_way.load(Ordering::SeqCst), 4);
    assert_eq!(slow.asked.load(Ordering::SeqCst), CLIENTS);
}

#[tokio::test]
async fn as_many_sessions_of_one_address_as_allowed_are_open_at_once() {
    let builder = behind_a_proxy(public(|_| {}).max_sessions_per_address(2));
    let server = TestServer::start(builder).await;
    for client in ["203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.8"] {
        assert_eq!(poll_from(&server, client).await.status, 200);
    }
}

#[tokio::test]
async fn one_session_more_of_an_address_is_refused_and_another_address_is_not() {
    let builder = behind_a_proxy(public(|_| {}).max_sessions_per_address(1));
    let server = TestServer::start(builder).await;
    let before = limited("sessions_per_address");
    assert_eq!(poll_from(&server, "203.0.113.7").await.status, 200);
    // What the client itself wrote is left of what the proxy did.
    let spoofed = "198.51.100.1, 203.0.113.7";
    assert_full(&poll_from(&server, spoofed).await, "Too many connections");
    assert_eq!(poll_from(&server, "203.0.113.8").await.status, 200);
    assert_eq!(poll_from(&server, "2001:db8::1").await.status, 200);
    assert_full(
        &poll_from(&server, "2001:db8::2").await,
        "Too many connections",
    );
    assert!(limited("sessions_per_address") >= before + 2);
}

#[tokio::test]
async fn a_header_of_a_peer_that_is_not_trusted_changes_nothing() {
    let builder = public(|_| {}).max_sessions_per_address(1);
    let proxies = TrustedProxies::new(["10.0.0.0/8"]);
    let server = TestServer::start(builder.trusted_proxies(proxies)).await;
    assert_eq!(poll_from(&server, "203.0.113.7").await.status, 200);
    assert_full(
        &poll_from(&server, "203.0.113.8").await,
        "Too many connections",
    );
}

#[tokio::test]
async fn as_many_handshakes_as_may_come_at_once_are_answered() {
    let server = TestServer::start(public(|_| {}).handshake_rate(ONE_IN_A_MINUTE)).await;
    let mut http = server.http().await;
    for _ in 0..2 {
        assert_eq!(http.get(POLLING).await.status, 200);
    }
}

#[tokio::test]
async fn one_handshake_more_is_refused_and_what_is_open_goes_on() {
    let server = TestServer::start(public(|_| {}).handshake_rate(ONE_IN_A_MINUTE)).await;
    let before = limited("handshakes");
    let mut client = server.client().await;
    let mut http = server.http().await;
    let session = http.join().await;
    assert_full(&http.get(POLLING).await, "Too many handshakes");
    assert!(client.sync().await.is_empty());
    assert_eq!(http.post(&session, "42[\"x\"]").await.text(), "ok");
    assert!(limited("handshakes") > before);
}

#[tokio::test]
async fn as_many_handshakes_of_one_address_as_may_come_at_once_are_answered() {
    let builder = public(|_| {}).handshake_rate_per_address(ONE_IN_A_MINUTE);
    let server = TestServer::start(behind_a_proxy(builder)).await;
    for client in ["203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.8"] {
        assert_eq!(poll_from(&server, client).await.status, 200);
    }
}

#[tokio::test]
async fn one_handshake_more_of_an_address_is_refused_and_takes_nothing_from_others() {
    let builder = public(|_| {})
        .handshake_rate_per_address(ONE_IN_A_MINUTE)
        .handshake_rate(Rate::per_second(1).burst(6));
    let server = TestServer::start(behind_a_proxy(builder)).await;
    let before = limited("handshakes_per_address");
    for _ in 0..2 {
        poll_from(&server, "203.0.113.7").await;
    }
    for _ in 0..50 {
        assert_full(
            &poll_from(&server, "203.0.113.7").await,
            "Too many handshakes",
        );
    }
    for client in ["203.0.113.8", "203.0.113.9", "203.0.113.8", "203.0.113.9"] {
        assert_eq!(poll_from(&server, client).await.status, 200);
    }
    assert!(limited("handshakes_per_address") >= before + 50);
}

#[tokio::test]
async fn as_many_tcp_connections_as_allowed_are_served() {
    let server = TestServer::start(public(|_| {}).max_tcp_connections(3)).await;
    let mut clients = vec![server.client().await, server.client().await];
    let mut http = server.http().await;
    assert_eq!(http.get("/").await.status, 404);
    for client in &mut clients {
        assert!(
            client.sync().await.is_empty(),
            "a WebSocket has its place too"
        );
    }
}

#[tokio::test]
async fn one_tcp_connection_more_is_told_so_and_closed() {
    let server = TestServer::start(public(|_| {}).max_tcp_connections(1)).await;
    let before = limited("connections");
    let mut client = server.client().await;
    let mut http = server.http().await;
    assert_full(&http.get(POLLING).await, "Too many connections");
    assert!(patiently(http.rest()).await.is_empty());
    assert!(client.sync().await.is_empty());
    assert!(limited("connections") > before);
    drop(client);
    patiently(async {
        while server.http().await.get(POLLING).await.status == 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_that_ask_for_nothing_take_places_until_their_deadline_and_no_longer() {
    let server = TestServer::start(public(|_| {}).max_tcp_connections(2)).await;
    let silent = [server.tcp().await, server.tcp().await];
    assert_eq!(server.http().await.get(POLLING).await.status, 503);
    drop(silent);
    patiently(async {
        while server.http().await.get(POLLING).await.status == 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A connection from another address of this machine.
async fn tcp_from(server: &TestServer, from: [u8; 4]) -> Http {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(server.address()).await.unwrap();
    Http::over(Box::new(stream))
}

#[tokio::test]
async fn as_many_tcp_connections_of_one_address_as_allowed_are_served() {
    let builder = public(|_| {}).max_tcp_connections_per_address(2);
    let server = TestServer::start(builder).await;
    let mut connections = Vec::new();
    for from in [
        [127, 0, 0, 1],
        [127, 0, 0, 1],
        [127, 0, 0, 2],
        [127, 0, 0, 2],
    ] {
        let mut http = tcp_from(&server, from).await;
        assert_eq!(http.get(POLLING).await.status, 200);
        connections.push(http);
    }
}

#[tokio::test]
async fn one_tcp_connection_more_of_an_address_is_closed_and_another_address_is_served() {
    let builder = public(|_| {}).max_tcp_connections_per_address(1);
    let server = TestServer::start(builder).await;
    let before = limited("connections_per_address");
    let mut first = tcp_from(&server, [127, 0, 0, 1]).await;
    assert_eq!(first.get(POLLING).await.status, 200);
    let mut second = tcp_from(&server, [127, 0, 0, 1]).await;
    assert_full(&second.get(POLLING).await, "Too many connections");
    let mut other = tcp_from(&server, [127, 0, 0, 2]).await;
    assert_eq!(other.get(POLLING).await.status, 200);
    assert_eq!(first.get(POLLING).await.status, 200);
    assert!(limited("connections_per_address") > before);
}

#[tokio::test]
async fn a_listener_that_requires_a_proxy_header_takes_its_word_and_nothing_without() {
    let builder = public(|_| {})
        .proxy_protocol(true)
        .max_sessions_per_address(1);
    let server = TestServer::start(builder).await;
    let v1 = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 56324 443\r\n").into_bytes();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 1, 187]);
    for (header, status) in [
        (v1("203.0.113.7"), 200),
        (v1("203.0.113.8"), 200),
        (v1("203.0.113.8"), 503),
        (v2, 503),
        (b"PROXY UNKNOWN\r\n".to_vec(), 200),
    ] {
        let mut http = server.http().await;
        http.send(&header).await;
        // A header that a client adds is worth nothing here.
        let spoofed = [("X-Forwarded-For", "198.51.100.1")];
        assert_eq!(
            http.get_with(POLLING, &spoofed).await.status,
            status,
            "{header:?}"
        );
    }
    let before = witness().count("portcullis_proxy_headers_refused_total", "");
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = tcp(server.address()).await;
        stream.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        let _ = patiently(stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
    assert_eq!(
        witness().count("portcullis_proxy_headers_refused_total", ""),
        before + 2
    );
}

#[tokio::test]
async fn a_proxy_header_is_plain_garbage_where_it_is_not_required() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    http.send(b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n")
        .await;
    assert_eq!(http.get(POLLING).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_header_that_dawdles_ends_its_connection_after_ten_seconds() {
    let server = TestServer::start(public(|_| {}).proxy_protocol(true)).await;
    let start = tokio::time::Instant::now();
    let mut http = server.http().await;
    http.send(b"PROXY TCP4 203.0").await;
    assert!(http.rest().await.is_empty());
    assert!(
        start.elapsed() >= Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_secs(12),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn what_handlers_see_is_the_address_behind_the_proxies() {
    let builder = public(|r| {
        r.on(
            "where",
            async |handshake: portcullis::handshake::Handshake| {
                portcullis::gateway::Reply(
                    handshake.address().map(|address| address.ip().to_string()),
                )
            },
        );
    });
    let server = TestServer::start(behind_a_proxy(builder)).await;
    let forwarded = [("X-Forwarded-For", "198.51.100.1, 203.0.113.7")];
    let io = server.tcp().await;
    let mut client = Client::open_over(io, WEBSOCKET, &forwarded).await;
    client.join("/").await;
    assert_eq!(client.ask(r#"["where"]"#).await, r#"["203.0.113.7"]"#);
}
