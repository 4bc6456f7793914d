//! What must not be printed: no log line holds a token, a claim, a cookie or a session's id.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use portcullis::auth::jwt::{Jwt, mint_hs256};
use portcullis::auth::source::TokenSource;
use portcullis::gateway::{Data, Reply, User};
use portcullis::{Server, Socket};
use portcullis_testing::wire::{Client, POLLING, WEBSOCKET};
use portcullis_testing::{TestServer, TestTokens};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{Wire, builder};

const SECRET: &str = "a secret for tests, long enough for HS256";

/// Keeps every log line, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

impl Log {
    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.0.lock().clone()
    }
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0.lock(), "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
        self.0.lock().push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
}

/// A token for `sub` that ends so many seconds from now.
fn token(sub: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = i64::try_from(now.as_secs()).unwrap() + seconds;
    let claims = json!({ "sub": sub, "exp": exp });
    mint_hs256(&SECRET.into(), &claims)
        .unwrap()
        .expose()
        .to_owned()
}

async fn guarded() -> TestServer {
    let builder = builder()
        .authenticate(Jwt::<Claims>::hs256(SECRET))
        .ping_interval(Duration::from_millis(50))
        .ping_timeout(Duration::from_millis(50))
        .namespace("/", |r| {
            r.on(
                "say",
                async |socket: Socket, user: User<Claims>, Data(text): Data<String>| {
                    assert!(text != "panic", "{} panics on purpose", user.sub.len());
                    socket.server().emit("said", &(&user.sub, text)).unwrap();
                },
            );
        });
    TestServer::start(builder).await
}

#[tokio::test]
async fn no_log_line_holds_a_secret() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let server = guarded().await;
    let good = token("hidden-alice", 60);
    let mut secrets = vec![good.clone(), "hidden".to_owned(), SECRET.to_owned()];
    for bad in [
        token("hidden-bob", -60),
        format!("{good}x"),
        "hidden-junk".to_owned(),
    ] {
        let mut client = Client::open(server.address()).await;
        let auth = json!({ "token": bad, "hidden": "hidden" }).to_string();
        assert!(client.try_join("/", &auth).await.starts_with("44"));
        secrets.push(bad);
    }

    let mut http = server.http().await;
    let target = format!("{POLLING}&token=hidden-query");
    let session = http
        .get_with(&target, &[("Cookie", "hidden=hidden-cookie")])
        .await
        .text();
    let open: serde_json::Value = serde_json::from_str(&session[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap().to_owned();
    let session = format!("{POLLING}&sid={sid}");
    secrets.push(sid.clone());
    http.post(&session, &format!("40{}", json!({ "token": good })))
        .await;
    http.get(&session).await;
    let mut client = Client::probe(server.address(), &format!("{WEBSOCKET}&sid={sid}")).await;
    client.send("5").await;
    client.emit(r#"["say","hidden words"]"#).await;
    assert_eq!(
        client.event().await,
        r#"["said","hidden-alice","hidden words"]"#
    );
    client.emit(r#"["say","panic"]"#).await;
    client.event().await;
    client.emit(r#"["say",{"hidden":1}]"#).await;
    client.event().await;
    client.send("4hidden").await;
    client.gone().await;
    assert_eq!(http.get(&session).await.status, 400);
    server.server().close().await;

    let log = log.text();
    assert!(
        log.contains("token refused") && log.contains("session closed"),
        "{log}"
    );
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn the_log_has_what_the_applications_own_rule_says_and_the_client_has_not() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let jwt = Jwt::<Claims>::hs256(SECRET).validate(|claims| match claims.sub.as_str() {
        "hidden-bob" => Err("on the list of those who owe us"),
        _ => Ok(()),
    });
    let server = TestServer::start(builder().authenticate(jwt).namespace("/", |_| {})).await;
    let mut client = Client::open(server.address()).await;
    let auth = json!({ "token": token("hidden-bob", 60) }).to_string();
    let refusal = client.try_join("/", &auth).await;
    assert!(
        refusal.contains("TOKEN_CLAIMS") && !refusal.contains("list"),
        "{refusal}"
    );
    let log = log.text();
    assert!(log.contains("on the list of those who owe us"), "{log}");
    assert!(!log.contains("hidden"), "{log}");
}

#[tokio::test]
async fn a_token_in_the_query_is_warned_of_at_start_and_only_then() {
    for (source, warned) in [
        (TokenSource::Query("token".into()), true),
        (TokenSource::Bearer, false),
    ] {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let jwt = Jwt::<serde_json::Value>::hs256(SECRET).sources([source]);
        let builder = builder().authenticate(jwt).namespace("/", |_| {});
        builder.build().await.unwrap();
        assert_eq!(log.0.lock().contains("taken from the query"), warned);
    }
}

#[tokio::test]
async fn what_a_client_sends_beside_its_token_is_kept_however_it_is_written() {
    let tokens = TestTokens::new();
    let builder = Server::builder()
        .authenticate(tokens.jwt::<serde_json::Value>())
        .namespace("/", |r| {
            r.on("auth", async |socket: Socket| {
                Reply(socket.handshake().auth_value())
            });
        });
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    let token = tokens.mint("alice");
    // Half a pair is what is left of a name that was cut within an emoji.
    let auth = format!(r#"{{"token":"{}","a":"\ud83d","b":1}}"#, token.expose());
    assert!(client.try_join("/", &auth).await.starts_with("40{"));
    assert_eq!(
        client.ask(r#"["auth"]"#).await,
        "[{\"a\":\"\u{fffd}\",\"b\":1}]"
    );
}
