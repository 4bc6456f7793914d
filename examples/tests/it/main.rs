//! Every example, run as it stands.

#[expect(dead_code, reason = "main is for people")]
#[path = "../../async_auth.rs"]
mod async_auth;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../axum.rs"]
mod axum_router;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../chat.rs"]
mod chat;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../cluster.rs"]
mod cluster;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../private_messages.rs"]
mod private_messages;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../testing.rs"]
mod testing;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../ticker.rs"]
mod ticker;
#[expect(dead_code, reason = "main is for people")]
#[path = "../../validation.rs"]
mod validation;

use std::time::Duration;

use portcullis_testing::wire::Http;
use portcullis_testing::{MemoryBus, TestServer, TestTokens};
use serde_json::{Value, json};

#[tokio::test]
async fn the_chat_lets_members_talk_and_keeps_strangers_out() {
    let tokens = TestTokens::new().claim("aud", "chat");
    let server = TestServer::start(chat::server(tokens.jwt())).await;
    let refused = server.connect("/chat").refused().await;
    assert_eq!(refused.code(), Some("TOKEN_MISSING"));

    let alice = server.connect("/chat").token(&tokens.mint("alice")).await;
    let bob = server.connect("/chat").token(&tokens.mint("bob")).await;
    assert_eq!(alice.expect("welcome").await, "alice");
    assert_eq!(bob.expect("welcome").await, "bob");
    let say = json!({ "room": "tea", "text": "Hello!" });
    let refused = alice.emit_with_ack("say", &say).await;
    assert_eq!(refused.get::<Value>(0).unwrap()["code"], "NOT_A_MEMBER");
    for client in [&alice, &bob] {
        assert_eq!(client.emit_with_ack("join", &"tea").await, true);
    }
    assert_eq!(alice.emit_with_ack("say", &say).await, "delivered");
    assert_eq!(bob.expect("said").await, ("alice", "Hello!"));
    drop(alice);
    assert_eq!(bob.expect("left").await, ("alice", "transport close"));
}

#[tokio::test]
async fn a_node_of_the_cluster_admits_its_own_tokens_and_reaches_the_other_node() {
    let tokens = TestTokens::new()
        .claim("aud", "news")
        .claim("iss", "https://login.example.com");
    let bus = MemoryBus::default();
    let node = async || {
        let (adapter, _) = bus.node();
        let builder = cluster::server(tokens.jwt(), "https://chat.example.com", adapter);
        TestServer::start(builder.unwrap()).await
    };
    let [first, second] = [node().await, node().await];
    let eternal = tokens.clone().lifetime(Duration::from_secs(48 * 3600));
    let foreign = tokens.clone().claim("aud", "chat");
    for tokens in [eternal, foreign] {
        let refused = first.connect("/news").token(&tokens.mint("eve")).refused();
        assert_eq!(refused.await.code(), Some("TOKEN_CLAIMS"));
    }
    let alice = first.connect("/news").token(&tokens.mint("alice")).await;
    let bob = second.connect("/news").token(&tokens.mint("bob")).await;
    assert_eq!(alice.emit_with_ack("publish", &"Tea is ready").await, ());
    for reader in [&alice, &bob] {
        assert_eq!(reader.expect("published").await, ("alice", "Tea is ready"));
    }
    let mut codes = Vec::new();
    for _ in 0..60 {
        let answer = alice.emit_with_ack("publish", &"!").await;
        codes.extend(answer.get::<Option<Value>>(0).unwrap());
    }
    assert!(!codes.is_empty() && codes[0]["code"] == "RATE_LIMITED");
}

#[tokio::test]
async fn a_request_to_the_axum_application_reaches_those_who_follow_the_topic() {
    let news = axum_router::server().build().await.unwrap();
    let mounted = news.clone();
    let mut server = TestServer::serve(news, |listener, stopped| async {
        axum_router::serve(mounted, listener, stopped)
            .await
            .unwrap();
    })
    .await;
    let mut http = Http::open(server.address()).await;
    assert_eq!(http.get("/").await.text(), "An ordinary page");
    let follower = server.connect("/news").tcp().await;
    let other = server.connect("/news").polling().tcp().await;
    assert_eq!(follower.emit_with_ack("where am I", &()).await, "127.0.0.1");
    assert_eq!(follower.emit_with_ack("follow", &"kitchen").await, ());
    let announced = http.post("/announce/kitchen", "Tea is ready").await;
    assert_eq!(announced.status, 202);
    assert_eq!(follower.expect("announcement").await, "Tea is ready");
    other.expect_nothing(Duration::from_millis(10)).await;
    drop((follower, other, http));
    server.stop();
    server.stopped().await;
}

#[tokio::test]
async fn the_directory_says_who_somebody_is_and_who_may_go_where() {
    let server = TestServer::start(async_auth::server()).await;
    for (namespace, auth, code) in [
        ("/", json!({}), "TOKEN_MISSING"),
        ("/", json!({ "key": "k-eve" }), "TOKEN_INVALID"),
        ("/staff", json!({ "key": "k-bob" }), "STAFF_ONLY"),
    ] {
        let refused = server.connect(namespace).auth(&auth).refused().await;
        assert_eq!(refused.code(), Some(code));
    }
    let bob = server.connect("/").auth(&json!({ "key": "k-bob" })).await;
    assert_eq!(bob.emit_with_ack("who am I", &()).await, "bob");
    server
        .connect("/staff")
        .auth(&json!({ "key": "k-alice" }))
        .await;
}

#[tokio::test]
async fn every_tab_of_a_person_gets_the_message_and_says_that_it_was_seen() {
    let tokens = TestTokens::new();
    let server = TestServer::start(private_messages::server(tokens.jwt())).await;
    let connect = async |name| server.connect("/").token(&tokens.mint(name)).await;
    let [alice, her_phone] = [connect("alice").await, connect("alice").await];
    let [bob, his_phone, eve] = [
        connect("bob").await,
        connect("bob").await,
        connect("eve").await,
    ];

    let tell = json!({ "to": "bob", "text": "Tea?" });
    let message = json!({ "from": "alice", "to": "bob", "text": "Tea?" });
    let (devices, ()) = tokio::join!(alice.emit_with_ack("tell", &tell), async {
        for tab in [&bob, &his_phone] {
            let told = tab.expect("message").await;
            assert_eq!(told, message);
            told.ack(&()).await;
        }
    });
    assert_eq!(devices, 2);
    assert_eq!(her_phone.expect("sent").await, message);
    for silent in [&alice, &eve] {
        silent.expect_nothing(Duration::from_millis(10)).await;
    }
    let nobody = alice
        .emit_with_ack("tell", &json!({ "to": "carol", "text": "?" }))
        .await;
    assert_eq!(nobody.get::<Value>(0).unwrap()["code"], "AWAY");
}

#[tokio::test]
async fn an_order_that_breaks_a_rule_or_fails_is_answered_with_what_the_client_may_know() {
    let server = TestServer::start(validation::server()).await;
    let client = server.connect("/").await;
    let order = async |tea: &str, cups: u32| {
        let order = json!({ "tea": tea, "cups": cups });
        let answer = client.emit_with_ack("order", &order).await;
        answer.get::<Value>(0).unwrap()
    };
    assert_eq!(order("oolong", 2).await, json!({ "cents": 500 }));
    let invalid = order("oolong", 99).await;
    assert_eq!(invalid["code"], "VALIDATION");
    assert_eq!(invalid["details"][0]["path"], "cups");
    let sold_out = order("sencha", 1).await;
    assert_eq!(
        (&sold_out["code"], &sold_out["message"]),
        (&json!("SOLD_OUT"), &json!("There is no sencha"))
    );
    let internal = order("gyokuro", 2).await;
    assert_eq!(internal["message"], "Internal server error");
    assert!(internal["correlationId"].is_string() && !internal.to_string().contains("till"));

    client
        .emit("order", &json!({ "tea": "sencha", "cups": 1 }))
        .await;
    let exception = client.expect("exception").await;
    assert_eq!(exception.get::<Value>(0).unwrap()["code"], "SOLD_OUT");
}

#[tokio::test(start_paused = true)]
async fn ticks_come_to_those_who_follow_them_and_end_with_the_server() {
    let server = TestServer::start(ticker::server()).await;
    let ticking = ticker::tick(server.emitter("/"), Duration::from_secs(1));
    let following = async {
        let client = server.connect("/").await;
        let refused = client.emit_with_ack("follow", &"prime").await;
        assert_eq!(refused.get::<Value>(0).unwrap()["code"], "UNKNOWN");
        assert_eq!(client.emit_with_ack("follow", &"odd").await, "following");
        for _ in 0..3 {
            let number: u64 = client.expect("tick").await.get(0).unwrap();
            assert_eq!(number % 2, 1);
        }
        server.server().close().await;
    };
    tokio::join!(ticking, following);
}
