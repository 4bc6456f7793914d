//! What a gateway does besides handling events.

use portcullis::auth::Refusal;
use portcullis::gateway::{EventError, InitError, State};
use portcullis::{BuildError, DisconnectReason, Emitter, Server, Socket, gateway};
use portcullis_testing::wire::Client;
use portcullis_testing::{Journal, TestServer};

use crate::support::{Wire as _, builder, witness};

/// The first of two gateways in one namespace.
struct First {
    journal: Journal,
}

#[gateway(namespace = "/shared", public)]
impl First {
    #[on_init]
    async fn start(&self, emitter: Emitter, greeting: State<String>) -> Result<(), InitError> {
        emitter.emit("nobody", &"hears this")?;
        self.journal.note(format!("first starts: {}", *greeting));
        Ok(())
    }

    #[on_connect]
    async fn join(&self, socket: Socket) -> Result<(), EventError> {
        socket.join("lobby");
        self.journal.note("first joins");
        Ok(())
    }

    #[on_disconnect]
    async fn left(&self, reason: DisconnectReason) {
        self.journal.note(format!("first leaves: {reason}"));
    }

    #[subscribe("one")]
    fn one(&self) -> u8 {
        1
    }
}

struct Second {
    journal: Journal,
}

#[gateway(namespace = "/shared", public)]
impl Second {
    #[on_init]
    fn start(&self) {
        self.journal.note("second starts");
    }

    #[on_connect]
    fn join(&self, socket: Socket) {
        assert!(socket.is_in("lobby"), "the first has been here");
        self.journal.note("second joins");
    }

    #[on_disconnect]
    fn left(&self, _socket: Socket) -> Result<(), String> {
        self.journal.note("second leaves");
        Err("which goes to the log".to_owned())
    }

    #[subscribe("two")]
    fn two(&self) -> u8 {
        2
    }
}

#[tokio::test]
async fn gateways_of_one_namespace_have_their_hooks_and_events_side_by_side() {
    let journal = Journal::default();
    let (first, second) = (journal.clone(), journal.clone());
    let builder = Server::builder()
        .state("hello".to_owned())
        .gateway(First { journal: first })
        .gateway(Second { journal: second });
    let server = TestServer::start(builder).await;
    let mut client = Client::connect(server.address(), "/shared").await;
    assert_eq!(client.ask(r#"["one"]"#).await, "[1]");
    assert_eq!(client.ask(r#"["two"]"#).await, "[2]");
    client.send("41/shared,").await;
    journal.wait_for("second leaves").await;
    assert_eq!(
        journal.lines(),
        [
            "first starts: hello",
            "second starts",
            "first joins",
            "second joins",
            "first leaves: client namespace disconnect",
            "second leaves",
        ]
    );
}

/// Refuses in each way that `on_connect` knows.
struct Doors;

/// How the client wants to be refused.
fn by(socket: &Socket) -> Option<String> {
    let auth = socket.handshake().auth_value();
    auth.get("by")?.as_str().map(str::to_owned)
}

#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;

#[gateway(public)]
impl Doors {
    #[on_connect]
    fn politely(&self, socket: Socket) -> Result<(), Refusal> {
        match by(&socket).as_deref() {
            Some("refusal") => Err(Refusal::new("not today")),
            _ => Ok(()),
        }
    }

    #[on_connect]
    async fn with_a_code(&self, socket: Socket) -> Result<(), EventError> {
        match by(&socket).as_deref() {
            Some("event error") => Err(EventError::new("BANNED", "Forbidden")),
            _ => Ok(()),
        }
    }

    #[on_connect]
    async fn by_accident(&self, socket: Socket) -> Result<(), Closed> {
        match by(&socket) {
            Some(_) => Err(Closed),
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn an_error_of_on_connect_refuses_and_says_no_more_than_it_may() {
    let server = TestServer::start(Server::builder().gateway(Doors)).await;
    for (by, refused) in [
        ("refusal", r#"44{"message":"not today""#),
        (
            "event error",
            r#"44{"message":"Forbidden","data":{"code":"BANNED"}}"#,
        ),
        (
            "std error",
            r#"44{"message":"Internal server error","data":{"code":"INTERNAL","correlationId":""#,
        ),
    ] {
        let mut client = Client::open(server.address()).await;
        let answer = client.try_join("/", &format!(r#"{{"by":"{by}"}}"#)).await;
        assert!(answer.starts_with(refused), "{answer}");
    }
    Client::connect(server.address(), "/").await;
}

/// Refuses everybody, for a reason that is the log's.
struct Broken;

#[gateway(namespace = "/method", public)]
impl Broken {
    #[on_connect]
    async fn join(&self) -> Result<(), EventError> {
        Err(EventError::unexpected("the hinge of /method is broken"))
    }
}

#[tokio::test]
async fn the_log_has_an_internal_error_of_whoever_decides_about_a_socket_once() {
    let builder = builder()
        .gateway(Broken)
        .namespace("/closure", |r| {
            r.public().on_connect(async || {
                let broken = EventError::unexpected("the hinge of /closure is broken");
                Err::<(), _>(broken)
            });
        })
        .namespace("/guard", |r| {
            r.public().connect_guard(async || {
                let broken = EventError::unexpected("the hinge of /guard is broken");
                Err::<(), _>(broken)
            });
        });
    let server = TestServer::start(builder).await;
    let before = witness().count("portcullis_internal_errors_total", "");
    for namespace in ["/method", "/closure", "/guard"] {
        let mut client = Client::open(server.address()).await;
        let answer = client.try_join(namespace, "").await;
        let (_, id) = answer.split_once(r#""correlationId":""#).expect("an id");
        let (id, _) = id.split_once('"').unwrap();
        let log = witness().log();
        let cause = format!("the hinge of {namespace} is broken");
        assert_eq!(log.matches(&cause).count(), 1, "{namespace}");
        assert!(log.contains(id), "{namespace}: {answer}");
    }
    // Tests that run beside this one count theirs.
    let after = witness().count("portcullis_internal_errors_total", "");
    assert!(after >= before + 3, "{before} and {after}");
}

struct NotReady;

#[gateway(namespace = "/not-ready", public)]
impl NotReady {
    #[on_init]
    async fn start(&self) -> Result<(), Closed> {
        Err(Closed)
    }
}

#[tokio::test]
async fn a_gateway_that_cannot_start_keeps_the_server_from_being_built() {
    let refused = Server::builder().gateway(NotReady).build().await;
    match refused.err() {
        Some(BuildError::Init { gateway, source }) => {
            assert_eq!(gateway, "NotReady");
            assert!(source.is::<Closed>());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_gateway_without_handlers_lets_sockets_in() {
    struct Quiet;

    #[gateway(public)]
    impl Quiet {}

    let server = TestServer::start(Server::builder().gateway(Quiet)).await;
    let mut client = server.client_in_memory().await;
    let answer = client.ask(r#"["say"]"#).await;
    assert!(answer.contains("UNKNOWN_EVENT"), "{answer}");
}
