//! A panic in somebody's code costs its own event or its own connect, and nobody anything else.

use std::future::ready;

use futures_util::FutureExt as _;
use portcullis::auth::Identity;
use portcullis::gateway::{Data, Registrar};
use portcullis::socketio::ids::NamespacePath;
use portcullis::{DisconnectReason, ServerBuilder, Socket};
use portcullis_testing::wire::Client;
use portcullis_testing::{Journal, TestServer};
use serde::{Deserialize, Deserializer};

use crate::support::{Wire, builder};

const INTERNAL: &str = r#"{"status":"error","code":"INTERNAL","message":"Internal server error"}"#;

/// A payload whose deserialisation panics.
struct Explosive;

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("on purpose")
    }
}

fn explode_if(condition: bool) {
    assert!(!condition, "on purpose");
}

/// What the client was told, without the id under which the log has it: that is there, and random.
fn unnamed(text: &str) -> String {
    let (before, after) = text.split_once(r#","correlationId":""#).expect("an id");
    let (id, after) = after.split_once('"').expect("the end of the id");
    assert!(
        id.len() == 12 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    format!("{before}{after}")
}

type Register = fn(&mut Registrar);

/// Whom the authenticator and the predicate panic for, at the call or later.
fn doors() -> ServerBuilder {
    let is = |path: &NamespacePath, name: &str| path.as_str() == name;
    builder()
        .authenticate_with(move |attempt| {
            explode_if(is(attempt.namespace(), "/call"));
            async move {
                explode_if(is(attempt.namespace(), "/future"));
                Ok(Identity::new(()))
            }
        })
        .namespace("/call", |_| {})
        .namespace("/future", |_| {})
        .namespace_if(
            move |path, _| {
                explode_if(is(&path, "/predicate-call"));
                async move {
                    explode_if(is(&path, "/predicate-future"));
                    false
                }
            },
            |_| {},
        )
}

fn handlers(r: &mut Registrar) {
    r.on("panic", async || explode_if(true));
    r.on("panic in the call", || {
        explode_if(true);
        ready(())
    });
    r.on("panic later", async || {
        tokio::task::yield_now().await;
        explode_if(true);
    });
    r.on("panic in extraction", async |Data(_): Data<Explosive>| {});
}

/// One namespace for each place where the application's code may panic.
fn explosives(journal: &Journal) -> ServerBuilder {
    let namespaces: [(&'static str, Register); 8] = [
        ("/", |_| {}),
        ("/handler", handlers),
        ("/on-connect", |r| {
            r.on_connect(async || explode_if(true));
        }),
        ("/middleware", |r| {
            r.connect_guard(|| {
                explode_if(true);
                ready(())
            });
        }),
        ("/event-middleware", |r| {
            r.event_middleware(|_, event, _| {
                explode_if(event.as_str() == "panic");
                ready(Ok(()))
            });
            r.on("panic", async || {});
        }),
        ("/on-disconnect", |r| {
            r.on_disconnect(async || explode_if(true));
        }),
        ("/on-any", |r| {
            r.on_any(|_, event, _| explode_if(event.as_str() == "panic"));
            r.on("panic", async || {});
        }),
        ("/on-any-outgoing", |r| {
            r.on_any_outgoing(|_, _| explode_if(true));
            r.on("panic", async |socket: Socket| {
                let _ = socket.emit("out", &());
            });
        }),
    ];
    let mut builder = doors();
    for (name, register) in namespaces {
        let notes = journal.clone();
        builder = builder.namespace(name, move |r| {
            r.public().on("sync", async || {}).on("x", async || {});
            register(r);
            r.on_disconnect(move |reason: DisconnectReason| {
                notes.note(format!("{name} {reason}"));
                ready(())
            });
        });
    }
    builder
}

/// Joins `namespace` on a connection that is in `/` as well, and does `what` with it; then both
/// are still there, as far as they got in, and leave properly.
async fn only_costs_itself(namespace: &str, lets_in: bool, what: impl AsyncFnOnce(&mut Client)) {
    let journal = Journal::default();
    let server = TestServer::start(explosives(&journal)).await;
    let mut witness = server.client().await;
    let mut client = server.client().await;
    if lets_in {
        client.join(namespace).await;
    }
    what(&mut client).await;
    if lets_in {
        assert!(client.sync().await.is_empty(), "{namespace}");
    }
    client.send(r#"427["sync"]"#).await;
    assert_eq!(client.recv().await.as_deref(), Some("437[]"), "{namespace}");
    assert!(witness.sync().await.is_empty());
    drop(client);
    journal.wait_for("/ transport close").await;
    server.close([witness]).await;
    let farewells = usize::from(lets_in);
    assert_eq!(
        journal.count(&format!("{namespace} transport close")),
        farewells
    );
    assert_eq!(journal.count("/ server shutting down"), 1);
}

#[tokio::test]
async fn a_panicking_handler_answers_with_an_internal_error() {
    for event in [
        "panic",
        "panic in the call",
        "panic later",
        "panic in extraction",
    ] {
        only_costs_itself("/handler", true, async |client| {
            let answer = client.ask(&format!("[\"{event}\"]")).await;
            assert_eq!(unnamed(&answer), format!("[{INTERNAL}]"), "{event}");
            client.emit(&format!("[\"{event}\"]")).await;
            let told = unnamed(&client.event().await).replace(r#","cause":{"#, "|");
            let pattern = format!("|\"pattern\":\"{event}\"}}}}]");
            let exception = format!(
                "[\"exception\",{}{pattern}",
                &INTERNAL[..INTERNAL.len() - 1]
            );
            assert_eq!(told, exception, "{event}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_panicking_event_middleware_takes_the_handlers_place() {
    only_costs_itself("/event-middleware", true, async |client| {
        let answer = client.ask(r#"["panic"]"#).await;
        assert_eq!(unnamed(&answer), format!("[{INTERNAL}]"));
        assert_eq!(client.ask(r#"["x"]"#).await, "[]");
    })
    .await;
}

#[tokio::test]
async fn a_panicking_on_disconnect_does_not_keep_the_others_from_running() {
    only_costs_itself("/on-disconnect", true, async |_| {}).await;
}

#[tokio::test]
async fn a_panicking_on_connect_or_middleware_refuses() {
    for namespace in ["/on-connect", "/middleware"] {
        only_costs_itself(namespace, false, async |client| {
            let refusal = client.try_join(namespace, "").await;
            let body = r#"{"message":"Internal server error","data":{"code":"INTERNAL"}}"#;
            assert_eq!(unnamed(&refusal), format!("44{namespace},{body}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_panicking_authenticator_refuses() {
    for namespace in ["/call", "/future"] {
        only_costs_itself(namespace, false, async |client| {
            let refusal = client.try_join(namespace, "").await;
            let body = r#"{"message":"Unauthorized","data":{"code":"AUTH_UNAVAILABLE"}}"#;
            assert_eq!(refusal, format!("44{namespace},{body}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_panicking_predicate_is_a_no() {
    for namespace in ["/predicate-call", "/predicate-future"] {
        only_costs_itself(namespace, false, async |client| {
            let refusal = client.try_join(namespace, "").await;
            let body = r#"{"message":"Invalid namespace"}"#;
            assert_eq!(refusal, format!("44{namespace},{body}"));
        })
        .await;
    }
}

#[tokio::test]
async fn a_panicking_watcher_of_events_costs_nobody_the_event() {
    only_costs_itself("/on-any", true, async |client| {
        assert_eq!(client.ask(r#"["panic"]"#).await, "[]");
    })
    .await;
    only_costs_itself("/on-any-outgoing", true, async |client| {
        client.emit(r#"["panic"]"#).await;
        assert_eq!(client.event().await, r#"["out"]"#);
    })
    .await;
}

#[tokio::test]
async fn an_emitter_survives_a_watcher_that_panics() {
    let journal = Journal::default();
    let server = TestServer::start(explosives(&journal)).await;
    let mut client = Client::connect(server.address(), "/on-any-outgoing").await;
    let emitter = server.server().emitter("/on-any-outgoing").unwrap();
    let emitted = std::panic::AssertUnwindSafe(async { emitter.emit("news", &1) });
    assert!(emitted.catch_unwind().await.is_ok());
    assert_eq!(client.event().await, r#"["news",1]"#);
}
