//! What probes are told, and when.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portcullis::adapter::Health;
use portcullis::{BuildError, Server};
use portcullis_testing::wire::{Http, request};
use portcullis_testing::{MemoryBus, TestServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::{Wire as _, patiently, public};

const READY: (u16, &str) = (200, r#"{"status":"ready"}"#);
const ALIVE: (u16, &str) = (200, r#"{"status":"alive"}"#);

/// One request on a connection of its own: the status and the body.
async fn probe(server: &Server, method: &str, path: &str) -> (u16, String) {
    let mut http = Http::open(server.management_address().unwrap()).await;
    let response = http.exchange(&request(method, path, &[], b"")).await;
    (response.status, response.text())
}

async fn get(server: &Server, path: &str) -> (u16, String) {
    probe(server, "GET", path).await
}

fn said((status, body): (u16, &str)) -> (u16, String) {
    (status, body.to_owned())
}

#[tokio::test]
async fn a_server_without_a_word_about_management_has_no_such_listener() {
    let server = public(|_| {}).build().await.unwrap();
    assert_eq!(server.management_address(), None);
    assert!(server.obstacles().is_empty());
}

#[tokio::test]
async fn a_server_that_waits_for_clients_is_alive_and_ready_on_loopback() {
    let server = public(|_| {}).management(0).build().await.unwrap();
    assert!(server.management_address().unwrap().ip().is_loopback());
    assert_eq!(get(&server, "/livez").await, said(ALIVE));
    assert_eq!(get(&server, "/readyz").await, said(READY));
    // What a probe adds to a path is its own affair.
    assert_eq!(get(&server, "/readyz?verbose").await, said(READY));
}

#[tokio::test]
async fn only_get_and_head_of_the_two_paths_are_answered() {
    let server = public(|_| {}).management(0).build().await.unwrap();
    for path in ["/", "/metrics", "/readyz/", "/socket.io/"] {
        assert_eq!(get(&server, path).await.0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        assert_eq!(probe(&server, method, "/livez").await.0, 405, "{method}");
        assert_eq!(probe(&server, method, "/readyz").await.0, 405, "{method}");
    }
    let mut http = Http::open(server.management_address().unwrap()).await;
    http.send(&request("HEAD", "/readyz", &[], b"")).await;
    let head = patiently(http.rest()).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
}

fn down(seconds: u64) -> Health {
    Health::Down {
        reason: "nobody is there".to_owned(),
        since: Duration::from_secs(seconds),
    }
}

#[tokio::test]
async fn a_node_that_has_lost_its_cluster_for_long_is_unready_and_alive_until_it_is_back() {
    let (adapter, station) = MemoryBus::default().node();
    let builder = public(|_| {}).management(0).cluster(adapter);
    let server = builder.build().await.unwrap();
    assert_eq!(get(&server, "/readyz").await, said(READY));
    station.report(down(1));
    assert_eq!(get(&server, "/readyz").await, said(READY), "a short loss");
    station.report(down(5));
    let unready = said((503, r#"{"because":["cluster"],"status":"unready"}"#));
    assert_eq!(get(&server, "/readyz").await, unready);
    assert_eq!(server.obstacles(), ["cluster"]);
    assert_eq!(get(&server, "/livez").await, said(ALIVE));
    station.report(Health::Up);
    assert_eq!(get(&server, "/readyz").await, said(READY));
}

#[tokio::test]
async fn a_node_that_has_never_reached_its_cluster_is_unready_at_once() {
    let (adapter, station) = MemoryBus::default().node();
    station.report(down(0));
    let builder = public(|_| {}).management(0).cluster(adapter);
    let server = builder.build().await.unwrap();
    assert_eq!(get(&server, "/readyz").await.0, 503);
    station.report(Health::Up);
    assert_eq!(get(&server, "/readyz").await, said(READY));
}

#[tokio::test]
async fn a_node_is_unready_from_the_moment_its_shutdown_begins_until_its_end() {
    let leave = Arc::new(Notify::new());
    let (told, held) = (Arc::new(Notify::new()), Arc::clone(&leave));
    let telling = Arc::clone(&told);
    let builder = public(move |r| {
        r.on_disconnect(move || {
            let (telling, held) = (Arc::clone(&telling), Arc::clone(&held));
            async move {
                telling.notify_one();
                held.notified().await;
            }
        });
    });
    let mut server = TestServer::start(builder.management(0)).await;
    let client = server.client().await;
    server.stop();
    tokio::join!(client.gone(), patiently(told.notified()));
    let draining = said((503, r#"{"because":["draining"],"status":"unready"}"#));
    assert_eq!(get(server.server(), "/readyz").await, draining);
    assert_eq!(get(server.server(), "/livez").await, said(ALIVE));
    leave.notify_one();
    server.stopped().await;
    let address = server.server().management_address().unwrap();
    let gone = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    patiently(gone).await;
}

#[tokio::test]
async fn a_management_address_in_use_is_named_and_the_cluster_is_not_joined() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let (adapter, station) = MemoryBus::default().node();
    let builder = public(|_| {}).management_on(address).cluster(adapter);
    match builder.build().await {
        Err(error @ BuildError::Management { .. }) => {
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(station.told().lines().is_empty());
}

#[tokio::test]
async fn silent_connections_do_not_keep_a_probe_out_for_long() {
    let server = public(|_| {}).management(0).build().await.unwrap();
    let address = server.management_address().unwrap();
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(get(&server, "/livez").await, said(ALIVE));
}
