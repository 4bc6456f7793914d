//! Every example, run as it stands, on a port of the system's choice.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

#[expect(dead_code, reason = "main is for people")]
#[path = "../../async_auth.rs"]
mod async_auth;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../axum.rs"]
mod axum_router;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../chat.rs"]
mod chat;
mod client;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../ticker.rs"]
mod ticker;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::auth::jwt::mint_hs256;
use serde_json::json;

use client::{Client, Running, http};

const SECRET: &str = "a secret for tests, long enough for HS256";

fn token(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({ "sub": name, "aud": "chat", "exp": now.as_secs() + 60 });
    let token = mint_hs256(&SECRET.into(), &claims).unwrap();
    json!({ "token": token.expose() }).to_string()
}

#[test]
fn the_chat_lets_members_talk_and_keeps_strangers_out() {
    let chat = Running::start(async |listener, stopped| {
        chat::serve(SECRET, listener, stopped).await.unwrap();
    });
    let mut stranger = Client::open(chat.address);
    let refusal = stranger.join("/chat", "");
    assert!(refusal.contains("TOKEN_MISSING"), "{refusal}");

    let [mut alice, mut bob] = ["alice", "bob"].map(|name| {
        let mut client = Client::open(chat.address);
        client.join("/chat", &token(name));
        assert_eq!(client.recv(), format!(r#"42/chat,["welcome","{name}"]"#));
        client
    });
    let say = r#"["say",{"room":"tea","text":"Hello!"}]"#;
    let refused = alice.ask("/chat", say);
    assert!(refused.contains("NOT_A_MEMBER"), "{refused}");
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.ask("/chat", r#"["join","tea"]"#), "[true]");
    }
    assert_eq!(alice.ask("/chat", say), r#"["delivered"]"#);
    assert_eq!(bob.recv(), r#"42/chat,["said","alice","Hello!"]"#);
    drop(alice);
    assert_eq!(bob.recv(), r#"42/chat,["left","alice","transport close"]"#);
    drop((stranger, bob));
    chat.stop();
}

#[test]
fn a_request_to_the_axum_application_reaches_those_who_listen() {
    let news = Running::start(async |listener, stopped| {
        axum_router::serve(listener, async { drop(stopped.await) })
            .await
            .unwrap();
    });
    let page = http(news.address, "GET", "/", "");
    assert!(page.ends_with("An ordinary page"), "{page}");
    let mut client = Client::open(news.address);
    client.join("/news", "");
    assert_eq!(client.ask("/news", r#"["where am I"]"#), r#"["127.0.0.1"]"#);
    let answer = http(news.address, "POST", "/announce", "Tea is ready");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(client.recv(), r#"42/news,["announcement","Tea is ready"]"#);
    drop(client);
    news.stop();
}

#[test]
fn the_directory_says_who_somebody_is_and_who_may_go_where() {
    let server = Running::start(async |listener, stopped| {
        async_auth::serve(listener, stopped).await.unwrap();
    });
    let mut client = Client::open(server.address);
    for (namespace, auth, code) in [
        ("/", "", "TOKEN_MISSING"),
        ("/", r#"{"key":"k-eve"}"#, "TOKEN_INVALID"),
        ("/staff", r#"{"key":"k-bob"}"#, "STAFF_ONLY"),
    ] {
        let refusal = client.join(namespace, auth);
        assert!(refusal.contains(code), "{refusal}");
    }
    assert!(client.join("/", r#"{"key":"k-bob"}"#).starts_with("40{"));
    assert_eq!(client.ask("/", r#"["who am I"]"#), r#"["bob"]"#);
    let welcome = client.join("/staff", r#"{"key":"k-alice"}"#);
    assert!(welcome.starts_with("40/staff,{"), "{welcome}");
    drop(client);
    server.stop();
}

#[test]
fn ticks_come_to_those_who_follow_them_and_end_with_the_server() {
    let ticker = Running::start(async |listener, stopped| {
        let period = Duration::from_millis(5);
        ticker::serve(period, listener, stopped).await.unwrap();
    });
    let mut client = Client::open(ticker.address);
    client.join("/", "");
    let refused = client.ask("/", r#"["follow","prime"]"#);
    assert!(refused.contains("UNKNOWN"), "{refused}");
    assert_eq!(client.ask("/", r#"["follow","odd"]"#), r#"["following"]"#);
    for _ in 0..3 {
        let tick = client.recv();
        let number = tick.strip_prefix(r#"42["tick","#).unwrap();
        let number: u64 = number.strip_suffix("]").unwrap().parse().unwrap();
        assert_eq!(number % 2, 1);
    }
    drop(client);
    ticker.stop();
}
