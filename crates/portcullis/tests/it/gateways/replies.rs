//! What handlers return, and what their clients are told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use portcullis::gateway::interceptor::{self, Next};
use portcullis::gateway::{
    Ack, Emit, ErrorReply, EventError, EventHandler as _, ExceptionCause, Outcome, Replies, Reply,
};
use portcullis::{ServerBuilder, Socket};
use portcullis_testing::{Journal, TestServer};
use tokio::sync::Semaphore;

use crate::support::{Wire as _, public};

fn answers() -> ServerBuilder {
    public(|r| {
        r.on("nothing", async || {});
        r.on("none", async || None::<Reply<u8>>);
        r.on("some", async || Some(Reply(5)));
        r.on("value", async || Reply(vec![1, 2]));
        r.on("two", async || Reply(("a", 2)));
        r.on("ok", async || Ok::<_, EventError>(Reply("fine")));
        r.on("event", async || Emit("told", ("a", 1)));
        r.on("by hand", async |ack: Ack| {
            let _ = ack.send(&"by hand");
            Emit("told", 2)
        });
        r.on("outcome", async || Outcome::answer(&7));
        r.on("unserialisable", async || {
            Reply(std::collections::HashMap::from([((1, 2), 3)]))
        });
        r.on("reserved", async || Emit("disconnect", ()));
    })
}

#[tokio::test]
async fn every_kind_of_reply_reaches_the_ack_as_its_table_says() {
    let server = TestServer::start(answers()).await;
    let mut client = server.client().await;
    for (event, answer) in [
        ("nothing", "[]"),
        ("none", "[null]"),
        ("some", "[5]"),
        ("value", "[[1,2]]"),
        ("two", r#"["a",2]"#),
        ("ok", r#"["fine"]"#),
        ("outcome", "[7]"),
    ] {
        assert_eq!(
            client.ask(&format!("[\"{event}\"]")).await,
            answer,
            "{event}"
        );
        client.emit(&format!("[\"{event}\"]")).await;
        assert!(client.sync().await.is_empty(), "{event}");
    }
    for event in ["unserialisable", "reserved"] {
        let answer = client.ask(&format!("[\"{event}\"]")).await;
        assert!(answer.contains(r#""code":"INTERNAL""#), "{event}: {answer}");
    }
}

#[tokio::test]
async fn an_event_as_reply_comes_before_its_empty_ack_and_leaves_an_ack_by_hand_alone() {
    let server = TestServer::start(answers()).await;
    let mut client = server.client().await;
    client.send(r#"429["event"]"#).await;
    assert_eq!(client.recv().await.unwrap(), r#"42["told","a",1]"#);
    assert_eq!(client.recv().await.unwrap(), "439[]");
    client.send(r#"428["by hand"]"#).await;
    assert_eq!(client.recv().await.unwrap(), r#"438["by hand"]"#);
    assert_eq!(client.recv().await.unwrap(), r#"42["told",2]"#);
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn nobody_handles_an_event_and_whoever_waits_for_its_ack_hears_so() {
    let server = TestServer::start(public(|_| {})).await;
    let mut client = server.client().await;
    assert_eq!(
        client.ask(r#"["unknown"]"#).await,
        r#"[{"status":"error","code":"UNKNOWN_EVENT","message":"Nobody handles this event"}]"#
    );
    client.emit(r#"["unknown"]"#).await;
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn a_stream_emits_and_its_first_answer_is_the_ack() {
    let server = TestServer::start(public(|r| {
        r.on("events", async || {
            Replies(stream::iter(1..=3).map(Emit::to("item")))
        });
        r.on("mixed", async || {
            Replies(stream::iter([
                Outcome::emit("item", &1),
                Outcome::answer(&"first"),
                Outcome::answer(&"second"),
                Outcome::done(),
                Outcome::emit("item", &2),
            ]))
        });
        r.on("fails", async || {
            Replies(stream::iter([
                Ok(Emit("item", 1)),
                Err(EventError::new("BROKEN", "no more")),
                Ok(Emit("item", 2)),
            ]))
        });
        r.on("fails later", async || {
            Replies(stream::iter([
                Ok(Outcome::answer(&1)),
                Err(EventError::new("BROKEN", "no more")),
            ]))
        });
    }))
    .await;
    let mut client = server.client().await;
    for (event, heard) in [
        (
            "events",
            vec![
                r#"42["item",1]"#,
                r#"42["item",2]"#,
                r#"42["item",3]"#,
                "431[]",
            ],
        ),
        (
            "mixed",
            vec![r#"42["item",1]"#, r#"431["first"]"#, r#"42["item",2]"#],
        ),
        (
            "fails",
            vec![
                r#"42["item",1]"#,
                r#"431[{"status":"error","code":"BROKEN","message":"no more"}]"#,
            ],
        ),
        (
            "fails later",
            vec![
                "431[1]",
                concat!(
                    r#"42["exception",{"status":"error","code":"BROKEN","message":"no more","#,
                    r#""cause":{"pattern":"fails later"}}]"#
                ),
            ],
        ),
    ] {
        client.send(&format!("421[\"{event}\"]")).await;
        for packet in heard {
            assert_eq!(client.recv().await.unwrap(), packet, "{event}");
        }
        assert!(client.sync().await.is_empty(), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_nobody_up_outlives_the_timeout_and_ends_with_its_socket() {
    struct Ended(Journal);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.note("stream dropped");
        }
    }
    let journal = Journal::default();
    let noted = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.on("ticks", move || {
            let ended = Ended(noted.clone());
            let ticks = stream::unfold((0, ended), |(tick, ended)| async move {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Some((Emit("tick", tick), (tick + 1, ended)))
            });
            std::future::ready(Replies(ticks))
        });
    }))
    .await;
    let mut client = server.client_in_memory().await;
    client.send(r#"421["ticks"]"#).await;
    assert_eq!(
        client.ask(r#"["sync"]"#).await,
        "[]",
        "events behind it are handled"
    );
    for tick in 0..4 {
        assert_eq!(client.event().await, format!(r#"["tick",{tick}]"#));
    }
    assert_eq!(journal.count("stream dropped"), 0);
    client.send("41").await;
    journal.wait_for("stream dropped").await;
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_sixteen_wait_like_handlers_that_have_not_ended() {
    let server = TestServer::start(public(|r| {
        let endless = async || Replies(stream::pending::<Emit<u8>>());
        r.on("endless", endless.concurrency(64));
    }))
    .await;
    let mut client = server.client_in_memory().await;
    for _ in 0..16 {
        client.emit(r#"["endless"]"#).await;
    }
    assert_eq!(client.ask(r#"["sync"]"#).await, "[]");
    client.send(r#"425["endless"]"#).await;
    client.send(r#"426["sync"]"#).await;
    let late = client.recv().await.unwrap();
    assert!(
        late.starts_with("435") && late.contains("TIMEOUT"),
        "{late}"
    );
    assert_eq!(client.recv().await.unwrap(), "436[]");
}

fn failing() -> ServerBuilder {
    public(|r| {
        r.on("no", async || Err::<(), _>(EventError::new("NO", "no")));
        r.on("io", async || {
            let error = io::Error::other("the password is hunter2");
            Err::<(), _>(EventError::unexpected(error))
        });
        r.on("object", async || {
            Err::<(), _>(EventError::object(&[("why", 7)].as_slice()))
        });
    })
}

#[tokio::test]
async fn the_text_of_an_unexpected_error_stays_here_and_a_mapper_sees_its_cause() {
    let server = TestServer::start(failing()).await;
    let mut client = server.client().await;
    let told = client.ask(r#"["io"]"#).await;
    assert!(
        told.contains("Internal server error") && !told.contains("hunter2"),
        "{told}"
    );

    let builder = failing().map_error(|error, context| match error.cause::<io::Error>() {
        Some(_) => EventError::new("LATER", format!("{} later", context.event())),
        None if error.code() == "NO" => panic!("on purpose"),
        None => error,
    });
    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    assert_eq!(
        client.ask(r#"["io"]"#).await,
        r#"[{"status":"error","code":"LATER","message":"io later"}]"#
    );
    assert!(client.ask(r#"["no"]"#).await.contains("INTERNAL"));
    assert_eq!(client.ask(r#"["object"]"#).await, r#"[[["why",7]]]"#);
}

#[tokio::test]
async fn errors_go_where_the_server_says_under_the_name_that_it_says() {
    let error = r#"{"status":"error","code":"NO","message":"no""#;
    for (reply, to_ack, to_event) in [
        (ErrorReply::AckOrException, true, false),
        (ErrorReply::Exception, false, true),
        (ErrorReply::Both, true, true),
    ] {
        let builder = failing()
            .error_reply(reply)
            .exception_event("failure")
            .exception_cause(ExceptionCause::None);
        let server = TestServer::start(builder).await;
        let mut client = server.client().await;
        client.send(r#"421["no"]"#).await;
        if to_ack {
            assert_eq!(client.recv().await.unwrap(), format!("431[{error}}}]"));
        }
        if to_event {
            assert_eq!(
                client.recv().await.unwrap(),
                format!("42[\"failure\",{error}}}]")
            );
        }
        assert!(client.sync().await.is_empty(), "{reply:?}");
        client.emit(r#"["no"]"#).await;
        assert_eq!(client.event().await, format!("[\"failure\",{error}}}]"));
    }
    let builder = failing().exception_cause(ExceptionCause::PatternAndData);
    let server = TestServer::start(builder).await;
    let mut client = server.client().await;
    for (event, cause) in [
        (r#"["no"]"#, r#"{"pattern":"no"}"#),
        (r#"["no",{"a":1}]"#, r#"{"pattern":"no","data":{"a":1}}"#),
        (r#"["no",1,2]"#, r#"{"pattern":"no","data":[1,2]}"#),
    ] {
        client.emit(event).await;
        let expected = format!("[\"exception\",{error},\"cause\":{cause}}}]");
        assert_eq!(client.event().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_dropped_after_the_servers_timeout_and_its_client_told() {
    let released = Arc::new(Semaphore::new(0));
    let builder = public(move |r| {
        r.on("hang", move |_: Socket| {
            let released = Arc::clone(&released);
            async move { drop(released.acquire().await) }
        });
    });
    let server = TestServer::start(builder.handler_timeout(Duration::from_secs(3))).await;
    let mut client = server.client_in_memory().await;
    let start = tokio::time::Instant::now();
    let told = client.ask(r#"["hang"]"#).await;
    assert!(told.contains(r#""code":"TIMEOUT""#), "{told}");
    assert_eq!(start.elapsed().as_secs(), 3);
    client.emit(r#"["hang"]"#).await;
    let event = client.event().await;
    assert!(
        event.ends_with(r#""cause":{"pattern":"hang"}}]"#),
        "{event}"
    );
}

#[tokio::test]
async fn a_stream_that_panics_costs_its_own_event() {
    let journal = Journal::default();
    let noted = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.on("in the call", async || {
            Outcome::stream(|_| async { panic!("on purpose") })
        });
        r.on("in an item", async || {
            let items = stream::iter(0..2).map(|item| {
                assert!(item == 0, "on purpose");
                Reply("first")
            });
            Replies(items)
        });
        r.on_disconnect(move || {
            noted.note("left");
            std::future::ready(())
        });
    }))
    .await;
    let mut client = server.client().await;
    let told = client.ask(r#"["in the call"]"#).await;
    assert!(told.contains(r#""code":"INTERNAL""#), "{told}");
    // It has its ack already: the panic is the exception event.
    assert_eq!(client.ask(r#"["in an item"]"#).await, r#"["first"]"#);
    let exception = client.event().await;
    assert!(exception.starts_with(r#"["exception","#), "{exception}");
    assert_eq!(client.ask(r#"["sync"]"#).await, "[]");
    client.send("41").await;
    journal.wait_for("left").await;
}

#[tokio::test]
async fn an_error_behind_an_answer_by_hand_is_the_exception_event() {
    let server = TestServer::start(public(|r| {
        let both = async |ack: Ack| {
            let _ = ack.send(&"by hand");
            Err::<(), _>(EventError::new("NO", "no"))
        };
        r.on("plain", both);
        r.on("unanswered", async |_: Ack| {
            Err::<(), _>(EventError::new("NO", "no"))
        });
        let wrap = interceptor::from_fn(async |request, next: Next| {
            drop(next.run(request).await);
            Outcome::answer(&"wrapped")
        });
        let answered = async |ack: Ack| drop(ack.send(&"by hand"));
        r.on("wrapped", answered.intercept(wrap));
    }))
    .await;
    let mut client = server.client().await;
    client.send(r#"421["plain"]"#).await;
    assert_eq!(client.recv().await.unwrap(), r#"431["by hand"]"#);
    assert!(client.event().await.starts_with(r#"["exception","#));
    let told = client.ask(r#"["unanswered"]"#).await;
    assert!(told.contains(r#""code":"NO""#), "{told}");
    client.send(r#"422["wrapped"]"#).await;
    assert_eq!(client.recv().await.unwrap(), r#"432["by hand"]"#);
    assert!(client.sync().await.is_empty());
}
