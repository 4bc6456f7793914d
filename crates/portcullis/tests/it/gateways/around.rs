//! Guards and interceptors, in their order, and what they may do.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis::Socket;
use portcullis::gateway::guard::{self, Checked, Guard};
use portcullis::gateway::interceptor::{self, EventRequest, Interceptor, Next};
use portcullis::gateway::{
    Data, EventContext, EventError, EventHandler as _, Outcome, RateLimit, Reply, User,
};
use portcullis::socketio::value::Value;
use portcullis::{Server, ServerBuilder};
use portcullis_testing::{Journal, TestServer, TestTokens};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::MapFutureLayer;
use tracing::Instrument as _;

use crate::support::{Wire as _, public};

/// A guard that notes that it was asked, and an interceptor that notes both of its halves.
fn noted(journal: &Journal, name: &'static str) -> (impl Guard, impl Interceptor) {
    let (guard, around) = (journal.clone(), journal.clone());
    (
        move |_: &EventContext<'_>| {
            guard.note(format!("guard {name}"));
            Ok(())
        },
        interceptor::from_fn(move |request: EventRequest, next: Next| {
            let journal = around.clone();
            async move {
                journal.note(format!("before {name}"));
                let outcome = next.run(request).await;
                journal.note(format!("after {name}"));
                outcome
            }
        }),
    )
}

struct Taken;

impl portcullis::gateway::FromEvent for Taken {
    fn from_event(context: &EventContext<'_>) -> Result<Self, EventError> {
        let journal = context.socket().get::<Journal>().expect("attached");
        journal.note("extract");
        Ok(Self)
    }
}

#[tokio::test]
async fn an_event_passes_guards_then_interceptors_then_extraction_from_the_server_inwards() {
    let journal = Journal::default();
    let (server_guard, server_around) = noted(&journal, "server");
    let (gateway_guard, gateway_around) = noted(&journal, "gateway");
    let (own_guard, own_around) = noted(&journal, "handler");
    let (attached, handled) = (journal.clone(), journal.clone());
    let builder = public(move |r| {
        r.guard(gateway_guard).intercept(gateway_around);
        r.on_connect(move |socket: Socket| {
            socket.insert(attached.clone());
            ready(())
        });
        let handler = move |_: Taken| {
            handled.note("handler");
            ready(Reply("done"))
        };
        r.on("x", handler.guard(own_guard).intercept(own_around));
    });
    let server = TestServer::start(builder.guard(server_guard).intercept(server_around)).await;
    let client = server.connect("/").await;
    assert_eq!(client.emit_with_ack("x", &()).await, "done");
    assert_eq!(
        journal.lines(),
        [
            "guard server",
            "guard gateway",
            "guard handler",
            "before server",
            "before gateway",
            "before handler",
            "extract",
            "handler",
            "after handler",
            "after gateway",
            "after server",
        ]
    );
}

#[derive(serde::Deserialize)]
struct Claims {
    role: String,
}

fn guarded_by_role(tokens: &TestTokens) -> ServerBuilder {
    let admins = || guard::claims(|claims: &Claims| claims.role == "admin");
    Server::builder()
        .authenticate(tokens.jwt::<Claims>())
        .namespace("/", move |r| {
            r.on("open", async || Reply(1));
            let role = async |user: User<Claims>| Reply(user.role.clone());
            r.on("admins only", role.guard(admins()));
        })
}

#[tokio::test]
async fn a_denied_event_is_a_forbidden_resource_and_the_others_go_on() {
    let tokens = TestTokens::new();
    let server = TestServer::start(guarded_by_role(&tokens)).await;
    let role = |role: &str| tokens.mint_with("alice", &Value::from_iter([("role", role)]));
    let admin = server.connect("/").token(&role("admin")).await;
    assert_eq!(admin.emit_with_ack("admins only", &()).await, "admin");
    let guest = server.connect("/").token(&role("guest")).await;
    let denied: Value = guest
        .emit_with_ack("admins only", &())
        .await
        .get(0)
        .unwrap();
    assert_eq!(denied.get("code"), Some(&Value::from("FORBIDDEN")));
    assert_eq!(
        denied.get("message"),
        Some(&Value::from("Forbidden resource"))
    );
    assert_eq!(guest.emit_with_ack("open", &()).await, 1);
}

#[tokio::test]
async fn a_guard_may_wait_and_say_what_it_likes_and_one_that_panics_denies() {
    struct Explodes;
    impl Guard for Explodes {
        fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
            assert!(!context.wants_ack(), "on purpose");
            Checked::Now(Ok(()))
        }
    }
    let server = TestServer::start(public(|r| {
        let slow = guard::from_fn(async |_: Socket| {
            tokio::task::yield_now().await;
            Err(EventError::new("CLOSED", "Come back tomorrow"))
        });
        r.on("slow", (async || ()).guard(slow));
        r.on("panic", (async || ()).guard(Explodes));
    }))
    .await;
    let mut client = server.client().await;
    assert_eq!(
        client.ask(r#"["slow"]"#).await,
        r#"[{"status":"error","code":"CLOSED","message":"Come back tomorrow"}]"#
    );
    let answer = client.ask(r#"["panic"]"#).await;
    assert!(answer.contains(r#""code":"INTERNAL""#), "{answer}");
    assert_eq!(client.ask(r#"["sync"]"#).await, "[]");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_counts_each_socket_by_itself_and_refills() {
    let server = TestServer::start(public(|r| {
        let limit = RateLimit::per_socket(2).burst(3);
        r.on("x", (async || Reply("ok")).guard(limit));
    }))
    .await;
    let (mut greedy, mut modest) = (
        server.client_in_memory().await,
        server.client_in_memory().await,
    );
    for _ in 0..3 {
        assert_eq!(greedy.ask(r#"["x"]"#).await, r#"["ok"]"#);
    }
    let limited = greedy.ask(r#"["x"]"#).await;
    assert!(limited.contains(r#""code":"RATE_LIMITED""#), "{limited}");
    assert!(
        limited.contains(r#""details":{"retryAfterMs":500}"#),
        "{limited}"
    );
    assert_eq!(modest.ask(r#"["x"]"#).await, r#"["ok"]"#);
    assert_eq!(
        greedy.ask(r#"["sync"]"#).await,
        "[]",
        "other events are not counted"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(greedy.ask(r#"["x"]"#).await, r#"["ok"]"#);
    assert!(greedy.ask(r#"["x"]"#).await.contains("RATE_LIMITED"));
}

#[tokio::test]
async fn an_interceptor_sees_the_event_and_may_change_arguments_and_outcome() {
    let server = TestServer::start(public(|r| {
        r.intercept(interceptor::from_fn(
            async |request: EventRequest, next: Next| {
                let event = request.event().clone();
                let doubled = request.args().get::<i64>(0).unwrap_or_default() * 2;
                let args = portcullis::gateway::RawArgs::from_values(vec![doubled.into()]);
                let outcome = next.run(request.with_args(args)).await;
                match (outcome.payload(), outcome.event()) {
                    (Some(answer), _) => {
                        let answer = answer.values().into_iter().next().unwrap_or_default();
                        Outcome::answer(&Value::from_iter([
                            ("event", Value::from(event.as_str())),
                            ("answer", answer),
                        ]))
                    }
                    (None, Some(_)) => Outcome::emit("instead", &doubled),
                    (None, None) => outcome,
                }
            },
        ));
        r.on("number", async |Data(number): Data<i64>| Reply(number));
        r.on("event", async || portcullis::gateway::Emit("first", ()));
    }))
    .await;
    let mut client = server.client().await;
    assert_eq!(
        client.ask(r#"["number",4]"#).await,
        r#"[{"event":"number","answer":8}]"#
    );
    client.emit(r#"["event",3]"#).await;
    assert_eq!(client.event().await, r#"["instead",6]"#);
}

#[tokio::test]
async fn an_interceptor_sees_the_panic_of_its_handler_as_an_error() {
    let journal = Journal::default();
    let seen = journal.clone();
    let server = TestServer::start(public(move |r| {
        r.intercept(interceptor::from_fn(
            move |request: EventRequest, next: Next| {
                let seen = seen.clone();
                async move {
                    let outcome = next.run(request).await;
                    seen.note(outcome.error().map_or("ok", EventError::code).to_owned());
                    outcome
                }
            },
        ));
        r.on("panic", async || assert!(false, "on purpose"));
    }))
    .await;
    let mut client = server.client().await;
    assert!(client.ask(r#"["panic"]"#).await.contains("INTERNAL"));
    journal.wait_for("INTERNAL").await;
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_and_load_shedding_are_told_by_code() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let server = TestServer::start(public(move |r| {
        r.layer(
            ServiceBuilder::new()
                .layer(TimeoutLayer::new(Duration::from_secs(2)))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(1)),
        );
        let wait = move || {
            let held = Arc::clone(&held);
            async move {
                held.acquire().await.unwrap().forget();
            }
        };
        r.on("wait", wait.concurrency(2));
    }))
    .await;
    let mut client = server.client_in_memory().await;
    client.send(r#"421["wait"]"#).await;
    client.send(r#"422["wait"]"#).await;
    let shed = client.recv().await.unwrap();
    assert!(
        shed.starts_with("432") && shed.contains("OVERLOADED"),
        "{shed}"
    );
    let late = client.recv().await.unwrap();
    assert!(
        late.starts_with("431") && late.contains("TIMEOUT"),
        "{late}"
    );
    gate.add_permits(1);
    assert_eq!(client.ask(r#"["wait"]"#).await, "[]");
}

#[tokio::test]
async fn a_concurrency_limit_of_tower_is_shared_by_all_sockets() {
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let builder = public(move |r| {
        r.on("alone?", move || {
            let running = Arc::clone(&counted);
            async move {
                let others = running.fetch_add(1, Ordering::SeqCst);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Reply(others)
            }
        });
    });
    let server = TestServer::start(builder.layer(ConcurrencyLimitLayer::new(1))).await;
    let clients = join_all((0..8).map(|_| async { server.connect("/").await })).await;
    let asked = clients
        .iter()
        .map(|client| client.emit_with_ack("alone?", &()));
    for answer in join_all(asked).await {
        assert_eq!(answer, 0);
    }
}

#[tokio::test]
async fn a_span_of_tracing_can_be_put_around_handlers_by_tower() {
    let span = MapFutureLayer::new(|future| {
        let future: futures_util::future::BoxFuture<'static, _> = Box::pin(future);
        future.instrument(tracing::info_span!("event"))
    });
    let server = TestServer::start(
        public(|r| {
            r.on("x", async || Reply("traced"));
        })
        .layer(span),
    )
    .await;
    let client = server.connect("/").await;
    assert_eq!(client.emit_with_ack("x", &()).await, "traced");
}

#[tokio::test]
async fn a_connect_guard_of_the_server_holds_for_every_namespace() {
    let builder = Server::builder()
        .connect_guard(
            async |socket: Socket| match socket.handshake().query("banned").is_some() {
                true => Err(EventError::new("BANNED", "You are not welcome")),
                false => Ok(()),
            },
        )
        .namespace("/", |r| {
            r.public();
        })
        .namespace_pattern("/tenant-{id}", |r| {
            r.public();
        });
    let server = TestServer::start(builder).await;
    for namespace in ["/", "/tenant-7"] {
        assert!(server.connect(namespace).await.is_connected());
        let refused = server
            .connect(namespace)
            .query("banned", "1")
            .refused()
            .await;
        assert_eq!(refused.message(), "You are not welcome");
        assert_eq!(refused.code(), Some("BANNED"));
    }
}

#[tokio::test]
async fn guards_of_the_server_are_asked_about_events_that_nobody_handles() {
    let limit = RateLimit::per_socket(1).burst(1);
    let server = TestServer::start(public(|_| {}).guard(limit)).await;
    let mut client = server.client().await;
    assert!(client.ask(r#"["unknown"]"#).await.contains("UNKNOWN_EVENT"));
    assert!(client.ask(r#"["unknown"]"#).await.contains("RATE_LIMITED"));
}

#[tokio::test]
async fn no_handler_runs_whose_socket_ended_while_a_guard_waited() {
    struct Slow(Arc<Semaphore>);
    impl Guard for Slow {
        fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
            let (socket, gate) = (context.socket().clone(), Arc::clone(&self.0));
            Checked::later(async move {
                socket.disconnect(false);
                let _ = gate.acquire().await;
                Ok(())
            })
        }
    }
    let (journal, gate) = (Journal::default(), Arc::new(Semaphore::new(0)));
    let (notes, guard) = (journal.clone(), Slow(Arc::clone(&gate)));
    let server = TestServer::start(public(move |r| {
        let ends = notes.clone();
        r.on_disconnect(move |_: portcullis::DisconnectReason| {
            ends.note("left");
            ready(())
        });
        r.guard(guard).on("note", move || {
            notes.note("handled");
            ready(())
        });
    }))
    .await;
    let mut client = server.client().await;
    client.emit(r#"["note"]"#).await;
    assert_eq!(client.recv().await.as_deref(), Some("41"));
    gate.add_permits(1);
    journal.wait_for("left").await;
    assert_eq!(journal.lines(), ["left"]);
}
