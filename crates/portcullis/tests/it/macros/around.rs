//! Guards, interceptors, layers and connect guards: whom they concern, and in which order.

use std::borrow::Cow;
use std::time::Duration;

use futures_core::future::BoxFuture;
use portcullis::auth::Refusal;
use portcullis::gateway::guard::Checked;
use portcullis::gateway::interceptor::{EventRequest, Next};
use portcullis::gateway::{
    EventContext, EventError, Guard, Interceptor, Outcome, RateLimit, guard, interceptor,
};
use portcullis::{Server, Socket, gateway};
use portcullis_testing::wire::{Client, WEBSOCKET};
use portcullis_testing::{Journal, TestServer};
use tower::timeout::TimeoutLayer;

use crate::support::Wire as _;

/// A guard that is heard of, and lets everything but the event `no` through.
struct Heard(&'static str);

fn journal(socket: &Socket) -> Journal {
    let journal = socket.get::<Journal>().expect("attached by on_connect");
    (*journal).clone()
}

impl Guard for Heard {
    fn check<'a>(&'a self, context: &'a EventContext<'a>) -> Checked<'a> {
        journal(context.socket()).note(format!("guard {}", self.0));
        match context.event().as_str() {
            "no" => Err(EventError::forbidden()).into(),
            _ => Ok(()).into(),
        }
    }

    fn name(&self) -> Cow<'static, str> {
        self.0.into()
    }
}

/// An interceptor that is heard of on both ways.
struct Around(&'static str);

impl Interceptor for Around {
    fn intercept(&self, request: EventRequest, next: Next) -> BoxFuture<'static, Outcome> {
        let (name, journal) = (self.0, journal(request.socket()));
        journal.note(format!("into {name}"));
        Box::pin(async move {
            let outcome = next.run(request).await;
            journal.note(format!("out of {name}"));
            outcome
        })
    }
}

struct Chat {
    journal: Journal,
}

#[gateway(public)]
#[guard(Heard("gateway, first"))]
#[guard(Heard("gateway, second"))]
#[intercept(Around("gateway"))]
#[layer(TimeoutLayer::new(Duration::from_millis(50)))]
#[intercept(Around("gateway, within the layer"))]
#[connect_guard(no_strangers)]
impl Chat {
    #[on_connect]
    fn join(&self, socket: Socket) {
        socket.insert(self.journal.clone());
    }

    #[subscribe("say")]
    #[guard(Heard("say, first"))]
    #[intercept(Around("say, outer"))]
    #[intercept(Around("say, inner"))]
    #[guard(Heard("say, second"))]
    fn say(&self) {
        self.journal.note("say");
    }

    #[subscribe("no")]
    #[guard(Heard("never asked"))]
    fn no(&self) {
        self.journal.note("no");
    }

    #[subscribe("hangs")]
    async fn hangs(&self) {
        std::future::pending::<()>().await;
    }

    #[subscribe("often", concurrency = 2)]
    #[subscribe("rarely")]
    #[guard(RateLimit::per_socket(1))]
    #[guard(guard::from_fn(async |_: Socket| Ok(())))]
    #[intercept(interceptor::from_fn(async |request: EventRequest, next: Next| {
        next.run(request).await
    }))]
    fn limited(&self) {}
}

async fn no_strangers(socket: Socket) -> Result<(), Refusal> {
    match socket.handshake().auth_value().get("who") {
        None => Ok(()),
        Some(_) => Err(Refusal::new("strangers stay outside")),
    }
}

async fn server() -> (TestServer, Journal) {
    let heard = Journal::default();
    let builder = Server::builder()
        .guard(|context: &EventContext<'_>| {
            journal(context.socket()).note("guard server");
            Ok(())
        })
        .gateway(Chat {
            journal: heard.clone(),
        });
    (TestServer::start(builder).await, heard)
}

#[tokio::test]
async fn guards_come_before_interceptors_and_what_is_wider_before_what_is_narrower() {
    let (server, journal) = server().await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["say"]"#).await, "[]");
    assert_eq!(
        journal.lines(),
        [
            "guard server",
            "guard gateway, first",
            "guard gateway, second",
            "guard say, first",
            "guard say, second",
            "into gateway",
            "into gateway, within the layer",
            "into say, outer",
            "into say, inner",
            "say",
            "out of say, inner",
            "out of say, outer",
            "out of gateway, within the layer",
            "out of gateway",
        ]
    );
}

#[tokio::test]
async fn what_a_guard_refuses_goes_no_further() {
    let (server, journal) = server().await;
    let mut client = server.client_in_memory().await;
    let answer = client.ask(r#"["no"]"#).await;
    assert!(answer.contains(r#""code":"FORBIDDEN""#), "{answer}");
    assert_eq!(journal.lines(), ["guard server", "guard gateway, first"]);
}

#[tokio::test]
async fn a_layer_holds_for_every_method() {
    let (server, _) = server().await;
    let mut client = server.client_in_memory().await;
    let answer = client.ask(r#"["hangs"]"#).await;
    assert!(answer.contains(r#""code":"TIMEOUT""#), "{answer}");
}

#[tokio::test]
async fn each_event_of_a_method_has_guards_of_its_own() {
    let (server, _) = server().await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["often"]"#).await, "[]");
    assert_eq!(client.ask(r#"["rarely"]"#).await, "[]");
    let answer = client.ask(r#"["often"]"#).await;
    assert!(answer.contains(r#""status":"error""#), "{answer}");
}

#[tokio::test]
async fn a_connect_guard_refuses_before_on_connect() {
    let (server, _) = server().await;
    let io = server.memory(1024);
    let mut client = Client::open_over(io, WEBSOCKET, &[]).await;
    let refused = client.try_join("/", r#"{"who":"me"}"#).await;
    assert!(
        refused.starts_with(r#"44{"message":"strangers stay outside""#),
        "{refused}"
    );
}
