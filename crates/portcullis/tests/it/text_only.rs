//! Peers that take no binary frames (`b64=1`): packets are text for them, and the rest of RFC 6455
//! is as ever.

use portcullis_testing::TestServer;
use portcullis_testing::wire::{Client, WebSocket};

use crate::support::{Wire as _, patiently, public};

const TEXT_ONLY: &str = "/socket.io/?EIO=4&transport=websocket&b64=1";

#[tokio::test]
async fn pings_and_the_goodbye_of_a_peer_that_takes_text_alone_are_answered() {
    let server = TestServer::start(public(|_| {})).await;
    let upgraded = WebSocket::upgrade(server.tcp().await, TEXT_ONLY, &[]).await;
    let mut websocket = upgraded.unwrap();
    let (opcode, open) = patiently(websocket.read()).await.unwrap();
    assert_eq!((opcode, &open[..2]), (WebSocket::TEXT, &b"0{"[..]));

    websocket.write(WebSocket::PING, b"there?").await.unwrap();
    let (opcode, payload) = patiently(websocket.read()).await.unwrap();
    assert_eq!((opcode, &payload[..]), (WebSocket::PONG, &b"there?"[..]));

    let code = 1000_u16.to_be_bytes();
    websocket.write(WebSocket::CLOSE, &code).await.unwrap();
    let (opcode, payload) = patiently(websocket.read()).await.unwrap();
    assert_eq!((opcode, &payload[..]), (WebSocket::CLOSE, &code[..]));
    assert!(patiently(websocket.read()).await.is_none());
}

#[tokio::test]
async fn a_peer_that_takes_text_alone_is_told_that_the_server_goes() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = Client::open_over(server.tcp().await, TEXT_ONLY, &[]).await;
    client.join("/").await;
    let (code, ()) = tokio::join!(
        async {
            let code = client.goodbye().await;
            drop(client);
            code
        },
        patiently(server.server().close())
    );
    assert_eq!(code, Some(1012));
}

#[tokio::test]
async fn a_peer_that_upgrades_as_one_that_takes_text_alone_gets_no_binary_frames() {
    let server = TestServer::start(public(|_| {})).await;
    let mut http = server.http().await;
    let session = http.join().await;
    let sid = session.split("sid=").nth(1).unwrap();
    let target = format!("{TEXT_ONLY}&sid={sid}");
    let upgraded = WebSocket::upgrade(server.tcp().await, &target, &[]).await;
    let mut websocket = upgraded.unwrap();
    websocket.write(WebSocket::TEXT, b"2probe").await.unwrap();
    let (_, answer) = patiently(websocket.read()).await.unwrap();
    assert_eq!(&answer[..], b"3probe");
    websocket.write(WebSocket::TEXT, b"5").await.unwrap();
    // Until the upgrade is done, what is said goes to the poll.
    websocket
        .write(WebSocket::TEXT, br#"40/none"#)
        .await
        .unwrap();
    let (_, refused) = patiently(websocket.read()).await.unwrap();
    assert!(refused.starts_with(b"44/none"));

    let bytes = bytes::Bytes::from_static(b"\x01\x02\x03");
    server
        .emitter("/")
        .emit("data", &portcullis::socketio::value::Value::from(bytes))
        .unwrap();
    let (opcode, head) = patiently(websocket.read()).await.unwrap();
    assert_eq!((opcode, head.starts_with(b"451-")), (WebSocket::TEXT, true));
    let (opcode, attachment) = patiently(websocket.read()).await.unwrap();
    assert_eq!((opcode, &attachment[..]), (WebSocket::TEXT, &b"bAQID"[..]));
}
