//! What a builder refuses to build, and that it says everything at once.

use std::time::Duration;

use portcullis::auth::jwt::Jwt;
use portcullis::auth::source::TokenSource;
use portcullis::engineio::Transports;
use portcullis::gateway::Registrar;
use portcullis::handshake::{Cors, Origins, TrustedProxies};
use portcullis::{BuildError, Drain, ServerBuilder};
use portcullis_testing::MemoryBus;
use serde_json::Value;

use crate::support::builder;

const SECOND: Duration = Duration::from_secs(1);
const SECRET: &str = "a secret for tests, long enough for HS256";

async fn problems(builder: ServerBuilder) -> Vec<String> {
    match builder.build().await {
        Err(BuildError::Invalid { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

fn open(r: &mut Registrar) {
    r.public();
}

#[tokio::test]
async fn a_guarded_namespace_needs_an_authenticator() {
    for builder in [
        builder().namespace("/a", |_| {}),
        builder().namespace_pattern("/a-{id}", |_| {}),
        builder().namespace_if(async |_, _| true, |_| {}),
    ] {
        let problems = problems(builder).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("is guarded, and there is no authenticator"));
    }
    let guarded = builder()
        .namespace("/a", |_| {})
        .authenticate(Jwt::<Value>::hs256(SECRET));
    assert!(guarded.build().await.is_ok());
}

#[tokio::test]
async fn what_does_not_make_a_server_is_named() {
    let public = || builder().namespace("/", open);
    let jwt = || Jwt::<Value>::hs256(SECRET);
    let cookie = || jwt().sources([TokenSource::Cookie("token".into())]);
    for (builder, expected) in [
        (builder(), "no namespace is declared"),
        (
            public().authenticate(Jwt::<Value>::hs256("short")),
            "the HS256 key is not usable: the secret has 5 bytes and must have at least 32",
        ),
        (
            public().namespace("/a", |r| {
                r.public().on("x", async || {}).on("x", async || {});
            }),
            "/a: two handlers for the event \"x\": the handler of \"x\" in /a and the handler of",
        ),
        (
            public().ping_interval(SECOND).ping_interval(2 * SECOND),
            "`ping_interval` is set twice: to 1s, and to 2s",
        ),
        (public().namespace("/a,b", open), "namespace \"/a,b\""),
        (
            public().namespace_pattern("/{a", open),
            "pattern \"/{a\": unbalanced or empty braces",
        ),
        (
            public().cors(Cors::any().credentials(true)),
            "CORS cannot allow any origin together with credentials",
        ),
        (
            public().authenticate(cookie()),
            "tokens from cookies need an allow-list of pages: `origins`",
        ),
        (
            public().ping_interval(Duration::ZERO),
            "ping_interval must be between",
        ),
        (
            public().ping_timeout(Duration::MAX),
            "ping_timeout must be between",
        ),
        (
            public().transports(Transports {
                polling: false,
                websocket: false,
            }),
            "no transport is offered",
        ),
        (public().path("socket.io"), "must begin with a slash"),
    ] {
        let problems = problems(builder).await;
        assert_eq!(problems.len(), 1, "{expected}: {problems:?}");
        assert!(problems[0].contains(expected), "{expected}: {problems:?}");
    }
    let checked = public()
        .authenticate(cookie())
        .origins(Origins::list(["https://app.example.com"]));
    assert!(checked.build().await.is_ok());
}

#[tokio::test]
async fn what_would_never_be_called_or_told_is_named() {
    let public = || builder().namespace("/", open);
    let jwt = || Jwt::<Value>::hs256(SECRET);
    for (builder, expected) in [
        (
            public().exception_event("disconnect"),
            "`exception_event`: ",
        ),
        (
            public().authenticate(jwt()).namespace("/a", |r| {
                r.on("auth:refresh", async || {});
            }),
            "would never be called: with \"auth:refresh\" a client shows a new token",
        ),
        (
            public().namespace("/a", |r| {
                r.public()
                    .on_server_side("x", async |_| None)
                    .on_server_side("x", async |_| None);
            }),
            "/a: two handlers for the event \"x\" of other servers",
        ),
    ] {
        let problems = problems(builder).await;
        assert_eq!(problems.len(), 1, "{expected}: {problems:?}");
        assert!(problems[0].contains(expected), "{expected}: {problems:?}");
    }
}

#[tokio::test]
async fn what_would_let_strangers_in_is_named() {
    let public = || builder().namespace("/", open);
    let jwt = || Jwt::<Value>::hs256(SECRET);
    let cookie = || jwt().sources([TokenSource::Cookie("token".into())]);
    for (builder, expected) in [
        (
            public().authenticate(cookie()).origins(Origins::any()),
            "tokens from cookies need an allow-list of pages: `origins`",
        ),
        (
            public().cors(Cors::origins(["https://a.example"]).credentials(true)),
            "CORS with credentials needs an allow-list of pages",
        ),
        (
            public().cors(Cors::predicate(|_| true).credentials(true)),
            "CORS with credentials needs an allow-list of pages",
        ),
        (
            public().origins(Origins::list(["https://*.com"])),
            "the origin `https://*.com` has a wildcard for a whole top-level domain",
        ),
        (
            public()
                .origins(Origins::any())
                .origins(Origins::list(["null"])),
            "`origins` is set twice",
        ),
        (
            public().trusted_proxies(TrustedProxies::new(["10.0.0.0/33"])),
            "the trusted proxy `10.0.0.0/33` is not a network",
        ),
        (
            public()
                .trusted_proxies(TrustedProxies::new(["10.0.0.0/8"]))
                .proxy_protocol(true),
            "two answers to one question",
        ),
        (
            public().drain(Drain::default().window(60 * SECOND)),
            "the deadline of the drain is shorter than its parts",
        ),
        (
            public().drain(Drain::default().deadline(Duration::MAX)),
            "the deadline of the drain must not be longer than 24 h",
        ),
    ] {
        let problems = problems(builder).await;
        assert_eq!(problems.len(), 1, "{expected}: {problems:?}");
        assert!(problems[0].contains(expected), "{expected}: {problems:?}");
    }
}

#[tokio::test]
async fn all_problems_are_reported_together() {
    let builder = builder()
        .namespace_pattern("/{}", open)
        .namespace("/a", |r| {
            r.public().on("x", async || {}).on("x", async || {});
        })
        .namespace("/b", |_| {})
        .exception_event("a")
        .exception_event("b")
        .authenticate(Jwt::<Value>::hs256("short").sources([TokenSource::Cookie("t".into())]))
        .cors(Cors::any().credentials(true))
        .ping_timeout(Duration::ZERO);
    let problems = problems(builder).await;
    assert_eq!(problems.len(), 7, "{problems:?}");

    let error = crate::support::builder()
        .path("x")
        .build()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("no namespace is declared; the path must"),
        "{text}"
    );
}

#[tokio::test]
async fn the_secret_is_not_in_the_message() {
    let builder = builder()
        .namespace("/", open)
        .authenticate(Jwt::<Value>::hs256("short but secret"));
    let error = builder.build().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("but secret"));
}

#[tokio::test]
async fn a_cluster_that_cannot_be_joined_is_an_error_with_its_cause() {
    let (adapter, station) = MemoryBus::default().node();
    station.fail_to_start();
    let builder = builder().namespace("/", open).cluster(adapter);
    let error = builder.build().await.unwrap_err();
    assert!(matches!(error, BuildError::Adapter(_)), "{error:?}");
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        text.push_str(&format!("{cause}: "));
        source = cause.source();
    }
    assert!(text.contains("nobody is there"), "{text}");
}
