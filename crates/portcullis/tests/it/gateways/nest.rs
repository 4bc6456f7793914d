//! `nest_compat`: the rows of what NestJS does with a handler's result, on the wire. The comparison
//! with NestJS itself is among the tests in Node.

use std::io;

use futures_util::stream;
use portcullis::ServerBuilder;
use portcullis::gateway::{Ack, Emit, EventError, ExceptionCause, Outcome, Replies, Reply};
use portcullis::socketio::value::Value;
use portcullis_testing::TestServer;

use crate::support::{Wire as _, public};

fn nest() -> ServerBuilder {
    let builder = public(|r| {
        r.on("nothing", async || {});
        r.on("none", async || None::<Reply<u8>>);
        r.on("null", async || Reply(Value::Null));
        r.on("zero", async || Reply(0));
        r.on("empty", async || Reply(""));
        r.on("false", async || Reply(false));
        r.on("object", async || Reply(Value::from_iter([("a", 1)])));
        r.on("emit", async || Emit("told", 1));
        r.on("emit nothing", async || Emit("told", ()));
        r.on("event field", async || {
            Reply(Value::from_iter([
                ("event", Value::from("told")),
                ("data", 2.into()),
            ]))
        });
        r.on("event only", async || {
            Reply(Value::from_iter([("event", "told")]))
        });
        r.on("empty event", async || {
            Reply(Value::from_iter([("event", "")]))
        });
        r.on("by hand", async |ack: Ack| {
            let _ = ack.send(&"by hand");
            Emit("told", 3)
        });
        r.on("stream", async || {
            Replies(stream::iter([
                Outcome::emit("told", &1),
                Outcome::answer(&Value::Null),
                Outcome::answer(&"first"),
                Outcome::answer(&"second"),
                Outcome::emit("told", &2),
            ]))
        });
        r.on("silent stream", async || {
            Replies(stream::iter([Emit("told", 1)]))
        });
        r.on("denied", async || Err::<(), _>(EventError::forbidden()));
        r.on("ws exception", async || {
            Err::<(), _>(EventError::new("ANY", "bad"))
        });
        r.on("ws object", async || {
            Err::<(), _>(EventError::object(&Value::from_iter([("reason", "bad")])))
        });
        r.on("unexpected", async || {
            Err::<(), _>(EventError::unexpected(io::Error::other("secret")))
        });
    });
    builder.nest_compat(true)
}

#[tokio::test]
async fn values_answer_and_null_never_does() {
    let server = TestServer::start(nest()).await;
    let mut client = server.client().await;
    for (event, heard) in [
        ("nothing", vec![]),
        ("none", vec![]),
        ("null", vec![]),
        ("zero", vec!["431[0]"]),
        ("empty", vec![r#"431[""]"#]),
        ("false", vec!["431[false]"]),
        ("object", vec![r#"431[{"a":1}]"#]),
        ("empty event", vec![r#"431[{"event":""}]"#]),
        ("emit", vec![r#"42["told",1]"#]),
        ("emit nothing", vec![r#"42["told",null]"#]),
        ("event field", vec![r#"42["told",2]"#]),
        ("event only", vec![r#"42["told",null]"#]),
        ("by hand", vec![r#"431["by hand"]"#, r#"42["told",3]"#]),
        (
            "stream",
            vec![r#"42["told",1]"#, r#"431["first"]"#, r#"42["told",2]"#],
        ),
        ("silent stream", vec![r#"42["told",1]"#]),
        ("unknown", vec![]),
    ] {
        client.send(&format!("421[\"{event}\"]")).await;
        for packet in &heard {
            assert_eq!(client.recv().await.unwrap(), *packet, "{event}");
        }
        client.emit(r#"["zero"]"#).await;
        client.send(r#"422["zero"]"#).await;
        assert_eq!(
            client.recv().await.unwrap(),
            "432[0]",
            "{event}: and nothing else"
        );
    }
}

#[tokio::test]
async fn errors_are_the_exception_event_and_the_ack_is_never_called() {
    let server = TestServer::start(nest()).await;
    let mut client = server.client().await;
    let exception = |event: &str, message: &str| {
        let cause = format!(r#"{{"pattern":"{event}","data":{{"p":1}}}}"#);
        format!(r#"{{"status":"error","message":"{message}","cause":{cause}}}"#)
    };
    for (event, exception) in [
        ("ws exception", exception("ws exception", "bad")),
        ("ws object", r#"{"reason":"bad"}"#.to_owned()),
        (
            "unexpected",
            exception("unexpected", "Internal server error"),
        ),
        ("denied", exception("denied", "Forbidden resource")),
    ] {
        for ack in ["", "1"] {
            client
                .send(&format!(r#"42{ack}["{event}",{{"p":1}}]"#))
                .await;
            assert_eq!(
                client.recv().await.unwrap(),
                format!(r#"42["exception",{exception}]"#)
            );
        }
        assert_eq!(
            client.ask(r#"["zero"]"#).await,
            "[0]",
            "{event}: and nothing else"
        );
    }
}

#[tokio::test]
async fn the_cause_can_be_left_out_as_in_nest() {
    let server = TestServer::start(nest().exception_cause(ExceptionCause::None)).await;
    let mut client = server.client().await;
    client.emit(r#"["ws exception",1]"#).await;
    assert_eq!(
        client.event().await,
        r#"["exception",{"status":"error","message":"bad"}]"#
    );
}
