//! Peers that take no binary frames (`b64=1`): packets are text for them, and the rest of RFC 6455
//! is as ever.

use portcullis_testing::TestServer;
use portcullis_testing::wire::{Client, WebSocket};

use crate::support::{patiently, public};

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
