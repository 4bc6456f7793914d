//! Clients by every way, and what they may say.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use portcullis::auth::Refusal;
use portcullis::gateway::{Args, Data, Registrar, Reply};
use portcullis::handshake::{GateRefusal, Handshake};
use portcullis::socketio::codec::Codec;
use portcullis::socketio::value::Value;
use portcullis::{DisconnectReason, Server, ServerBuilder, Socket};
use portcullis_testing::{Connecting, Disconnect, Journal, TestServer};
use serde_json::json;

fn public(register: impl FnOnce(&mut Registrar)) -> ServerBuilder {
    Server::builder().namespace("/", |r| {
        register(r.public());
    })
}

fn echo(r: &mut Registrar) {
    r.on("echo", async |Data(bytes): Data<Bytes>| Reply(bytes));
    r.on("send", async |socket: Socket, Data(text): Data<String>| {
        socket
            .emit("sent", &(text, Bytes::from_static(b"four")))
            .map_err(|_| Refusal::new("unsent"))
            .unwrap();
    });
}

type Way = for<'a> fn(Connecting<'a>) -> Connecting<'a>;

#[tokio::test]
async fn every_transport_and_codec_carries_events_acks_and_attachments() {
    let ways: [(&str, Codec, Way); 5] = [
        ("websocket", Codec::Json, |client| client),
        ("tcp", Codec::Json, |client| client.tcp()),
        ("polling", Codec::Json, |client| client.polling()),
        ("polling, tcp", Codec::Json, |client| client.polling().tcp()),
        ("msgpack", Codec::Msgpack, |client| {
            client.parser(Codec::Msgpack)
        }),
    ];
    for (name, codec, way) in ways {
        let server = TestServer::start(public(echo).parser(codec)).await;
        let client = way(server.connect("/")).await;
        let bytes = Bytes::from_static(b"\x00\xff");
        assert_eq!(client.emit_with_ack("echo", &bytes).await, bytes, "{name}");
        client.emit("send", &"hello").await;
        let sent = client.expect("sent").await;
        assert_eq!(sent, ("hello", Bytes::from_static(b"four")), "{name}");
        assert_eq!(sent.get::<String>(0).unwrap(), "hello");
        assert_eq!(format!("{sent:?}"), r#"["hello", <4 bytes>]"#);
    }
}

#[tokio::test]
async fn a_polling_client_polls_and_a_client_over_tcp_has_an_address() {
    let server = TestServer::start(public(|r| {
        r.on("facts", async |handshake: Handshake| {
            let transport = handshake.query("transport");
            let has_address = handshake.address().is_some();
            Reply((transport, has_address, handshake.query("room")))
        });
    }))
    .await;
    let polling = server
        .connect("/")
        .polling()
        .tcp()
        .query("room", "tea")
        .await;
    let facts = polling.emit_with_ack("facts", &()).await;
    assert_eq!(facts, ("polling", true, "tea"));
    let client = server.connect("/").await;
    let facts = client.emit_with_ack("facts", &()).await;
    assert_eq!(facts, ("websocket", false, None::<()>));
}

#[tokio::test]
async fn a_refusal_is_a_value_at_the_gate_and_before_it() {
    let builder = public(|r| {
        r.connect_guard(async |handshake: Handshake| {
            match handshake.auth_value().get("name").is_some() {
                true => Ok(()),
                false => Err(Refusal::new("Who are you?").code("NAMELESS")),
            }
        });
    });
    let builder =
        builder.allow_request(async |head| match head.headers().contains_key("x-banned") {
            true => Err(GateRefusal::new(StatusCode::FORBIDDEN)),
            false => Ok(()),
        });
    let server = TestServer::start(builder).await;
    let refused = server.connect("/").refused().await;
    assert_eq!(refused.message(), "Who are you?");
    assert_eq!((refused.code(), refused.status()), (Some("NAMELESS"), None));
    assert_eq!(refused.to_string(), "Who are you? (NAMELESS)");
    let named = server.connect("/").auth(&json!({ "name": "alice" }));
    assert!(named.outcome().await.is_ok());
    for client in [server.connect("/"), server.connect("/").polling()] {
        let refused = client.header("x-banned", "yes").refused().await;
        assert_eq!(refused.status(), Some(403), "{refused}");
    }
    let refused = server.connect("/nowhere").refused().await;
    assert_eq!(refused.message(), "Invalid namespace");
}

#[tokio::test]
async fn clients_of_one_connection_are_in_a_namespace_each() {
    let builder = public(|_| {}).namespace("/news", |r| {
        r.public().on("who", async |socket: Socket| {
            Reply(socket.namespace().to_string())
        });
    });
    let server = TestServer::start(builder).await;
    let root = server.connect("/").await;
    let news = root.connect("/news").await;
    assert_eq!(server.server().sessions(), 1);
    assert_ne!(root.id(), news.id());
    assert_eq!(news.emit_with_ack("who", &()).await, "/news");
    drop(root);
    assert_eq!(news.emit_with_ack("who", &()).await, "/news");
}

#[tokio::test]
async fn a_client_answers_what_the_server_asks() {
    let server = TestServer::start(public(|r| {
        r.on("ask me", async |socket: Socket| {
            let answer = socket.emit_with_ack("how many", &()).await.unwrap();
            Reply(answer.get::<u8>(0).unwrap() + 1)
        });
    }))
    .await;
    let client = server.connect("/").await;
    let (answer, ()) = tokio::join!(client.emit_with_ack("ask me", &()), async {
        let question = client.expect("how many").await;
        assert!(question.wants_ack());
        question.ack(&6).await;
    });
    assert_eq!(answer, 7);
    assert!(!answer.wants_ack());
}

#[tokio::test]
async fn what_was_received_is_compared_as_javascript_would() {
    let server = TestServer::start(public(|r| {
        r.on("echo", async |Args(all): Args<(Value, Value)>| Reply(all));
    }))
    .await;
    let client = server.connect("/").await;
    let args = (json!({ "a": 1, "b": [1.0, null] }), "x");
    let echoed = client.emit_with_ack("echo", &args).await;
    assert_eq!(echoed, (json!({ "b": [1, null], "a": 1.0 }), "x"));
    assert_ne!(
        echoed,
        json!({ "b": [1, null], "a": 1.0 }),
        "one argument is not two"
    );
    assert_ne!(echoed, (json!({ "a": 1, "b": [1, null], "c": 2 }), "x"));
    assert_ne!(echoed, (json!({ "a": 1, "b": [1, null, 2] }), "x"));
    assert_ne!(echoed, (json!({ "a": 2, "b": [1, null] }), "x"));
    assert_ne!(echoed, (json!({ "a": 1, "c": [1, null] }), "x"));
    assert_ne!(echoed, ("x", "x"));
}

#[tokio::test]
async fn events_of_other_names_wait_their_turn() {
    let server = TestServer::start(public(|_| {})).await;
    let client = server.connect("/").await;
    let emitter = server.emitter("/");
    for number in 0..3 {
        emitter.emit("even or odd", &number).unwrap();
        emitter.emit("number", &number).unwrap();
    }
    for number in 0..3 {
        assert_eq!(client.expect("number").await, number);
    }
    for number in 0..3 {
        let event = client.next_event().await;
        assert_eq!(event.name, "even or odd");
        assert_eq!(event.args, number);
    }
    client.expect_nothing(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn each_side_hears_why_the_other_has_gone() {
    let journal = Journal::default();
    let notes = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.on("kick", async |socket: Socket| socket.disconnect(false));
        r.on("close", async |socket: Socket| socket.disconnect(true));
        r.on_disconnect(move |reason: DisconnectReason| {
            notes.note(reason.as_str());
            std::future::ready(())
        });
    }))
    .await;
    for (number, kick) in ["kick", "close"].into_iter().enumerate() {
        let client = server.connect("/").await;
        assert!(client.is_connected());
        client.emit(kick, &()).await;
        client.expect_disconnect(Disconnect::ByServer).await;
        assert!(!client.is_connected());
        let reason = "server namespace disconnect";
        journal.wait_for_count(reason, number + 1).await;
    }
    let client = server.connect("/").await;
    client.disconnect().await;
    client.expect_disconnect(Disconnect::ByClient).await;
    journal.wait_for("client namespace disconnect").await;
    for client in [
        server.connect("/").await,
        server.connect("/").polling().await,
    ] {
        drop(client);
    }
    journal.wait_for_count("transport close", 2).await;
}

#[tokio::test]
async fn a_server_that_stops_closes_its_clients() {
    for way in [|client| client.tcp(), |client| client.polling()] as [Way; 2] {
        let mut server = TestServer::start(public(|_| {})).await;
        let client = way(server.connect("/")).await;
        server.stop();
        server.stopped().await;
        client.expect_disconnect(Disconnect::TransportClose).await;
        assert_eq!(server.server().sessions(), 0);
    }
}
