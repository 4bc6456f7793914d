//! One connection has one subject: over its namespaces, and over its requests.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::Server;
use portcullis::auth::Identity;
use portcullis::auth::source::TokenSource;
use portcullis::handshake::Origins;
use portcullis_testing::TestServer;
use portcullis_testing::wire::{Http, POLLING};

use super::{Claims, clock_and_tokens, server};

#[tokio::test]
async fn another_subject_may_not_join_another_namespace_of_the_connection() {
    let (clock, tokens) = clock_and_tokens();
    let server_one = TestServer::start(server(&clock, &tokens)).await;
    let alice = server_one.connect("/").token(&tokens.mint("alice")).await;
    let refused = alice
        .connect("/chat")
        .token(&tokens.mint("bob"))
        .refused()
        .await;
    assert_eq!(refused.code(), Some("TOKEN_CLAIMS"));
    alice.connect("/chat").token(&tokens.mint("alice")).await;

    let lenient = TestServer::start(server(&clock, &tokens).several_subjects(true)).await;
    let alice = lenient.connect("/").token(&tokens.mint("alice")).await;
    alice.connect("/chat").token(&tokens.mint("bob")).await;
}

#[tokio::test]
async fn who_is_refused_by_on_connect_may_try_as_somebody_else() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).namespace("/picky", |r| {
        r.on_connect(async |user: portcullis::gateway::User<Claims>| {
            if user.sub == "alice" {
                Err(portcullis::auth::Refusal::new("not you"))
            } else {
                Ok(())
            }
        });
    });
    let server = TestServer::start(builder).await;
    let mut http = Http::open(server.address()).await;
    let target = http.open_session().await;
    for (subject, answer) in [("alice", "44/picky"), ("bob", "40/picky")] {
        let token = tokens.mint(subject);
        let connect = format!(r#"40/picky,{{"token":"{}"}}"#, token.expose());
        assert_eq!(http.post(&target, &connect).await.status, 200);
        let polled = http.get(&target).await.text();
        assert!(polled.starts_with(answer), "{polled}");
    }
}

/// A polling session of alice, and what a later poll with a header is answered.
async fn later_poll(first: &[(&str, &str)], later: &[(&str, &str)], auth: &str) -> u16 {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).authenticate(tokens.jwt::<Claims>().sources([
        TokenSource::AuthPayload("token".into()),
        TokenSource::Bearer,
        TokenSource::Cookie("session".into()),
    ]));
    let server =
        TestServer::start(builder.origins(Origins::list(["https://app.example.com"]))).await;
    let mut http = Http::open(server.address()).await;
    let opened = http.get_with(POLLING, first).await.text();
    let session = opened.split('"').nth(3).unwrap().to_owned();
    let target = format!("{POLLING}&sid={session}");
    let connect = [("content-type", "text/plain")];
    let all: Vec<_> = first.iter().chain(&connect).copied().collect();
    let request =
        portcullis_testing::wire::request("POST", &target, &all, format!("40{auth}").as_bytes());
    assert_eq!(http.exchange(&request).await.status, 200);
    let joined = http.get_with(&target, first).await.text();
    assert!(joined.starts_with("40{"), "{joined}");
    // Something that the poll gets at once, if it may.
    let ask = portcullis_testing::wire::request("POST", &target, &all, br#"420["whoami"]"#);
    http.exchange(&ask).await;
    http.get_with(&target, later).await.status
}

#[tokio::test]
async fn a_later_request_with_other_credentials_must_be_of_the_same_subject() {
    let (_, tokens) = clock_and_tokens();
    let bearer = |subject: &str, jti: &str| {
        let token = tokens.mint_with(subject, &serde_json::json!({ "jti": jti }));
        format!("Bearer {}", token.expose())
    };
    let (alice, renewed, bob) = (
        bearer("alice", "1"),
        bearer("alice", "2"),
        bearer("bob", "3"),
    );
    let payload = format!(r#"{{"token":"{}"}}"#, alice.trim_start_matches("Bearer "));
    let header = |value: &'static str| vec![("authorization", value)];
    let leak = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
    let (alice, renewed, bob) = (leak(&alice), leak(&renewed), leak(&bob));
    for (first, later, auth, status) in [
        // The same, none, and other credentials of the same subject pass.
        (header(alice), header(alice), "", 200),
        (header(alice), vec![], "", 200),
        (header(alice), header(renewed), "", 200),
        (vec![], header(renewed), payload.as_str(), 200),
        // Another subject's do not, nor does what is nobody's.
        (header(alice), header(bob), "", 403),
        (vec![], header(bob), payload.as_str(), 403),
        (header(alice), header("Bearer x.y.z"), "", 403),
        (header(alice), header("Basic YTpi"), "", 403),
        // What is none of our sources changes nothing.
        (
            header("Basic YTpi"),
            header("Basic YTpi"),
            payload.as_str(),
            200,
        ),
        (
            vec![("cookie", "theme=dark")],
            vec![("cookie", "theme=light")],
            payload.as_str(),
            200,
        ),
    ] {
        let answered = later_poll(&first, &later, auth).await;
        assert_eq!(answered, status, "{first:?} {later:?}");
    }
    let cookie = |value: &str| leak(&format!("session={}", value.trim_start_matches("Bearer ")));
    for (later, status) in [(renewed, 200), (bob, 403)] {
        let first = [("cookie", cookie(alice))];
        let answered = later_poll(&first, &[("cookie", cookie(later))], "").await;
        assert_eq!(answered, status);
    }
}

/// The status of a POST of a session that shows this token, and says nothing.
async fn posted(http: &mut Http, target: &str, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "text/plain"), ("authorization", &bearer)];
    let request = portcullis_testing::wire::request("POST", target, &headers, b"3");
    http.exchange(&request).await.status
}

#[tokio::test]
async fn a_session_that_nobody_has_joined_tells_no_good_token_from_a_bad_one() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let builder = Server::builder()
        .authenticate_with(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
            ready(Ok(Identity::new(()).with_subject("alice")))
        })
        .namespace("/", |_| {});
    let server = TestServer::start(builder).await;
    let mut http = Http::open(server.address()).await;
    let target = http.open_session().await;
    for number in 0..20 {
        let status = posted(&mut http, &target, &format!("guess{number}")).await;
        assert_eq!(status, 200);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    http.post(&target, "40").await;
    assert!(http.get(&target).await.text().starts_with("40{"));
    assert_eq!(posted(&mut http, &target, "guess").await, 200);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn one_verification_for_later_requests_of_a_session_is_under_way_at_a_time() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&running), Arc::clone(&most));
    let builder = Server::builder()
        .authenticate_with(move |_| {
            let (counted, peak) = (Arc::clone(&counted), Arc::clone(&peak));
            async move {
                let now = counted.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                counted.fetch_sub(1, Ordering::SeqCst);
                Ok(Identity::new(()).with_subject("alice"))
            }
        })
        .namespace("/", |_| {});
    let server = TestServer::start(builder).await;
    let target = Http::open(server.address()).await.join().await;
    // A session has one POST at a time; any number of upgrades are answered.
    let target = target.replace("polling", "websocket");
    let showing = (0..5).map(|number| {
        let (address, target) = (server.address(), &target);
        async move {
            let bearer = format!("Bearer {number}");
            let shown = [("authorization", bearer.as_str())];
            let request = portcullis_testing::wire::upgrade_request(target, &shown);
            let mut http = Http::open(address).await;
            http.exchange(&request).await.status
        }
    });
    assert_eq!(futures_util::future::join_all(showing).await, [101; 5]);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_upgrade_with_the_credentials_of_another_subject_is_refused() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    for (subject, status) in [("bob", 403), ("alice", 101)] {
        let mut http = Http::open(server.address()).await;
        let target = http.open_session().await;
        let connect = format!(r#"40{{"token":"{}"}}"#, tokens.mint("alice").expose());
        http.post(&target, &connect).await;
        assert!(http.get(&target).await.text().starts_with("40{"));
        let token = tokens.mint_with(subject, &serde_json::json!({ "jti": "u" }));
        let bearer = format!("Bearer {}", token.expose());
        let target = target.replace("polling", "websocket");
        let request =
            portcullis_testing::wire::upgrade_request(&target, &[("authorization", &bearer)]);
        let mut upgrading = Http::open(server.address()).await;
        assert_eq!(
            upgrading.exchange(&request).await.status,
            status,
            "{subject}"
        );
    }
}
