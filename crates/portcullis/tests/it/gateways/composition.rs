//! Gateways put together: several on a namespace, at start, and what cannot be.

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;

use portcullis::gateway::{
    Data, EventHandler as _, Gateway, Params, RateLimit, Registrar, Reply, State, User,
};
use portcullis::{BuildError, Emitter, Server, ServerBuilder, Socket};
use portcullis_testing::{Journal, TestServer, TestTokens};

#[derive(serde::Deserialize)]
struct Claims {
    #[expect(dead_code, reason = "only its type matters")]
    sub: String,
}

/// A gateway with both hooks and one event, which it names after itself.
struct Part {
    name: &'static str,
    journal: Journal,
}

impl Gateway for Part {
    fn name(&self) -> Cow<'static, str> {
        self.name.into()
    }

    fn namespace(&self) -> Cow<'static, str> {
        "/shared".into()
    }

    fn register(self: Arc<Self>, registrar: &mut Registrar) {
        let note = |what: &'static str| {
            let part = Arc::clone(&self);
            move || {
                part.journal.note(format!("{} {what}", part.name));
                ready(())
            }
        };
        let part = Arc::clone(&self);
        registrar
            .public()
            .on_connect(note("on_connect"))
            .on_disconnect(note("on_disconnect"))
            .on(self.name, (move || ready(Reply(part.name))).named("answer"));
    }
}

fn part(name: &'static str, journal: &Journal) -> Part {
    let journal = journal.clone();
    Part { name, journal }
}

#[tokio::test]
async fn several_gateways_of_a_namespace_have_their_hooks_each_in_order() {
    let journal = Journal::default();
    let builder = Server::builder()
        .gateway(part("first", &journal))
        .gateway(part("second", &journal));
    let server = TestServer::start(builder).await;
    let client = server.connect("/shared").await;
    assert_eq!(client.emit_with_ack("first", &()).await, "first");
    assert_eq!(client.emit_with_ack("second", &()).await, "second");
    client.disconnect().await;
    journal.wait_for("second on_disconnect").await;
    assert_eq!(
        journal.lines(),
        [
            "first on_connect",
            "second on_connect",
            "first on_disconnect",
            "second on_disconnect"
        ]
    );
}

#[tokio::test]
async fn a_gateway_can_be_put_elsewhere_than_it_says() {
    let journal = Journal::default();
    let builder = Server::builder()
        .gateway_at("/elsewhere", part("moved", &journal))
        .gateway_at("/tenant-{id}", part("tenant", &journal));
    let server = TestServer::start(builder).await;
    let client = server.connect("/elsewhere").await;
    assert_eq!(client.emit_with_ack("moved", &()).await, "moved");
    let client = server.connect("/tenant-9").await;
    assert_eq!(client.emit_with_ack("tenant", &()).await, "tenant");
    assert_eq!(
        server.connect("/shared").refused().await.message(),
        "Invalid namespace"
    );
}

async fn problems(builder: ServerBuilder) -> Vec<String> {
    match builder.build().await {
        Err(BuildError::Invalid { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_handlers_for_an_event_are_named_with_their_gateways() {
    let journal = Journal::default();
    let builder = Server::builder()
        .gateway(part("same", &journal))
        .gateway(part("same", &journal));
    assert_eq!(
        problems(builder).await,
        [r#"/shared: two handlers for the event "same": same::answer and same::answer"#]
    );
}

#[tokio::test]
async fn a_namespace_is_public_or_guarded_and_not_both() {
    let journal = Journal::default();
    let builder = Server::builder()
        .authenticate(TestTokens::new().jwt::<Claims>())
        .gateway(part("open", &journal))
        .namespace("/shared", |r| {
            r.on("x", async || {});
        });
    let told = problems(builder).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("/shared is public in open and guarded in /shared"),
        "{told:?}"
    );
}

#[tokio::test]
async fn handlers_that_ask_for_what_is_not_there_are_named() {
    struct Other;
    let tokens = TestTokens::new();
    let with = |register: fn(&mut Registrar)| {
        Server::builder()
            .authenticate(tokens.jwt::<Claims>())
            .namespace("/a", register)
    };
    for (builder, expected) in [
        (
            with(|r| {
                r.public()
                    .on("x", (async |_: User<Claims>| {}).named("method"));
            }),
            "/a: /a::method asks for `User<Claims>`, and the gateway is public",
        ),
        (
            with(|r| {
                r.public().on_disconnect(async |_: User<Claims>| {});
            }),
            "/a: /a::on_disconnect asks for `User<Claims>`, and the gateway is public",
        ),
        (
            with(|r| {
                r.on_connect(async |_: User<Other>| {});
            }),
            "/a: /a::on_connect asks for `User<Other>`, which is not the type of claims",
        ),
        (
            with(|r| {
                r.on("x", async |_: State<Other>| {});
            }),
            "/a: the handler of \"x\" in /a asks for `State<Other>`: hand a `Other` to the builder",
        ),
        (
            with(|r| {
                r.on("disconnect", async || {});
            }),
            "/a: the handler of \"disconnect\" in /a would never be called: \"disconnect\" is a",
        ),
        (
            with(|r| {
                r.on("x", async |_: Params<u8>| {});
            }),
            "/a: the handler of \"x\" in /a asks for `Params<u8>`, and the namespace is not",
        ),
        (
            with(|r| {
                r.public();
            })
            .connect_guard(async |_: User<Claims>| {}),
            "/a: a connect guard of the server, which applies to /a asks for `User<Claims>`",
        ),
        (
            with(|_| {}).state(1_u8).state(2_u8),
            "the state of type u8 is given twice",
        ),
        (
            with(|_| {})
                .map_error(|error, _| error)
                .map_error(|error, _| error),
            "`map_error` is given twice",
        ),
    ] {
        let told = problems(builder).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(expected), "{told:?}");
    }
}

#[tokio::test]
async fn claims_may_be_asked_for_where_they_can_be_missing() {
    let builder = Server::builder().namespace("/a", |r| {
        r.public().on("x", async |user: Option<User<Claims>>| {
            Reply(user.is_some())
        });
    });
    let server = TestServer::start(builder).await;
    let client = server.connect("/a").await;
    assert_eq!(client.emit_with_ack("x", &()).await, false);
}

#[tokio::test]
async fn on_init_runs_once_before_the_first_client_and_with_the_way_to_its_sockets() {
    let journal = Journal::default();
    let noted = journal.clone();
    let builder = Server::builder()
        .state("hello".to_owned())
        .namespace("/chat", move |r| {
            r.public();
            r.on_init(move |emitter: Emitter, greeting: State<String>| {
                noted.note(format!("{} {}", emitter.namespace(), *greeting));
                ready(())
            });
        });
    let server = builder.build().await.unwrap();
    assert_eq!(journal.lines(), ["/chat hello"]);
    server.close().await;
}

#[tokio::test]
async fn an_on_init_that_fails_or_panics_keeps_the_server_from_being_built() {
    let failing = Server::builder().namespace("/chat", |r| {
        r.public();
        r.on_init(async || Err::<(), _>(std::io::Error::other("no database")));
    });
    let error = failing.build().await.unwrap_err();
    assert_eq!(error.to_string(), "/chat could not start");
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "no database");

    let panicking = Server::builder().namespace("/chat", |r| {
        r.public();
        r.on_init(async || assert!(false, "on purpose"));
    });
    let error = panicking.build().await.unwrap_err();
    assert!(matches!(error, BuildError::Init { .. }), "{error:?}");

    let pattern = Server::builder().namespace_pattern("/tenant-{id}", |r| {
        r.public();
        r.on_init(async |_: Emitter| {});
    });
    let error = pattern.build().await.unwrap_err();
    assert!(matches!(error, BuildError::Init { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_says_what_it_is_made_of() {
    let builder = Server::builder()
        .guard(RateLimit::per_socket(100))
        .namespace("/chat", |r| {
            r.public();
            let say = async |_: Socket, Data(text): Data<String>| Reply(text);
            r.on(
                "say",
                say.named("say")
                    .guard(RateLimit::per_socket(5))
                    .concurrency(3),
            );
        });
    let server = builder.build().await.unwrap();
    let [chat] = server.gateways() else {
        panic!("{:?}", server.gateways());
    };
    assert_eq!(
        (&*chat.name, chat.namespace.as_deref()),
        ("/chat", Some("/chat"))
    );
    assert_eq!(chat.guards, ["RateLimit(100 per second)"]);
    let [say] = chat.events.as_slice() else {
        panic!("{:?}", chat.events);
    };
    assert_eq!(
        (say.event.as_str(), say.method.as_deref()),
        ("say", Some("say"))
    );
    assert_eq!(
        (say.payload, say.concurrency),
        (Some("alloc::string::String"), 3)
    );
    assert_eq!(say.guards, ["RateLimit(5 per second)"]);
    assert_eq!(
        chat.to_string(),
        "/chat on /chat, public\n/chat subscribed to the \"say\" message"
    );
}
