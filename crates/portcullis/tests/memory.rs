//! What an idle client whose token was verified costs in memory, and what of it comes back: one
//! test, in a process of its own, because it reads the memory of the process.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis::Server;
use portcullis::auth::Token;
use portcullis_testing::TestTokens;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// How many clients there are before and after; each takes two descriptors of this process.
const FEW: usize = 500;
const MANY: usize = 4_000;

/// The most that one client may add, in KiB, in a build for tests, whose futures are larger; a
/// release takes half as much (`m1` of the benchmark).
const MAX_KIB: f64 = 5.0;

/// How often everybody leaves and comes again. The allocator takes memory in pieces of megabytes,
/// so one round says little: a leak grows with each, and is in the least of the last two as well.
const ROUNDS: usize = 4;

/// The allocator of the binary: the system's may keep twice as much after everybody has left.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What handlers read of a token.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is kept, and nobody asks for it")]
struct Claims {
    sub: String,
    role: String,
}

/// A CONNECT with a token, masked with zeros.
fn connect(token: &Token) -> Vec<u8> {
    let packet = format!(r#"40{{"token":"{}"}}"#, token.expose());
    let len = u16::try_from(packet.len()).unwrap();
    let head = [0x81, 0x80 | 126];
    [&head[..], &len.to_be_bytes(), &[0; 4], packet.as_bytes()].concat()
}

fn rss_anon_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.trim().parse().unwrap()
}

/// A client that has joined `/`.
fn client(address: SocketAddr, token: &Token) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    read_until(&mut stream, b"maxPayload");
    stream.write_all(&connect(token)).unwrap();
    read_until(&mut stream, b"40{\"sid\":");
    stream
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let (mut seen, mut chunk) = (Vec::new(), [0; 1024]);
    while !seen.windows(end.len()).any(|window| window == end) {
        let len = stream.read(&mut chunk).unwrap();
        assert!(len > 0, "the server closed the connection");
        seen.extend_from_slice(&chunk[..len]);
    }
}

fn wait_for(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_idle_client_is_small_and_what_it_took_is_there_for_the_next() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tokens = TestTokens::new().claim("role", "reader");
    let builder = Server::builder()
        .authenticate(tokens.jwt::<Claims>())
        .namespace("/", |_| {});
    let server = runtime.block_on(builder.build()).unwrap();
    let listener = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = CancellationToken::new();
    let serving = {
        let (server, stopped) = (server.clone(), stopping.clone().cancelled_owned());
        std::thread::spawn(move || {
            runtime.block_on(server.serve_on(listener, stopped));
        })
    };

    // Everybody is somebody else: no identity is shared.
    let client = |number: usize| client(address, &tokens.mint(&format!("user {number}")));

    let mut clients: Vec<_> = (0..FEW).map(client).collect();
    let few = rss_anon_kib();
    clients.extend((FEW..MANY).map(client));
    let many = rss_anon_kib();
    let each = (many - few) / (MANY - FEW) as f64;
    assert!(each < MAX_KIB, "{each:.2} KiB a client");

    drop(clients);

    let again = [(); ROUNDS].map(|()| {
        wait_for("a session outlives its client", || server.sessions() == 0);
        let _clients: Vec<_> = (0..MANY).map(client).collect();
        rss_anon_kib()
    });
    let last = again[ROUNDS - 2].min(again[ROUNDS - 1]);
    assert!(last < many * 1.25, "{many:.0} KiB, and then {again:.0?}");

    stopping.cancel();
    serving.join().unwrap();
}
