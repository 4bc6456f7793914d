//! A user's sockets, wherever they are: addressed, and limited in number.

use portcullis::auth::{UserId, WhenFull};
use portcullis_testing::{Disconnect, TestCluster, TestServer};
use serde_json::json;

use super::{clock_and_tokens, seconds, server};

#[tokio::test]
async fn a_user_is_reached_in_every_tab_on_every_node_and_nobody_else_is() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| server(&clock, &tokens)).await;
    let (here, there) = (cluster.server(0), cluster.server(1));
    let alice = [
        here.connect("/").token(&tokens.mint("alice")).await,
        there.connect("/").token(&tokens.mint("alice")).await,
    ];
    let bob = there.connect("/").token(&tokens.mint("bob")).await;
    here.emitter("/").to_user("alice").emit("ping", &1).unwrap();
    for tab in &alice {
        assert_eq!(tab.expect("ping").await, 1);
    }
    let beside = alice[1].connect("/chat").token(&tokens.mint("alice")).await;
    here.server().to_user("alice").emit("news", &2).unwrap();
    for client in [&alice[0], &alice[1], &beside] {
        assert_eq!(client.expect("news").await, 2);
    }
    there.server().to_user("alice").disconnect().unwrap();
    for client in [&alice[0], &alice[1], &beside] {
        client.expect_disconnect(Disconnect::ByServer).await;
    }
    bob.emit_with_ack("whoami", &()).await;
    bob.expect_nothing(seconds(0)).await;
}

#[tokio::test]
async fn no_client_gets_into_the_room_of_a_user_by_naming_it() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens)).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    let mallory = server.connect("/").token(&tokens.mint("mallory")).await;
    let room = UserId::from("alice").room();
    mallory.emit_with_ack("join", &room).await;
    server
        .emitter("/")
        .all()
        .sockets_join([room.clone()])
        .unwrap();
    server
        .emitter("/")
        .all()
        .sockets_leave([room.clone()])
        .unwrap();
    server
        .emitter("/")
        .to_user("alice")
        .emit("secret", &())
        .unwrap();
    alice.expect("secret").await;
    mallory.emit_with_ack("whoami", &()).await;
    mallory.expect_nothing(seconds(0)).await;
}

#[tokio::test]
async fn subjects_of_two_issuers_are_two_users_where_no_issuer_is_configured() {
    let (clock, tokens) = clock_and_tokens();
    let builder = server(&clock, &tokens).max_connections_per_user(1, WhenFull::RejectNew);
    let server = TestServer::start(builder).await;
    let of = |issuer| tokens.clone().claim("iss", issuer).mint("alice");
    let clients = [
        server.connect("/").token(&of("https://a")).await,
        server.connect("/").token(&of("https://b")).await,
        server.connect("/").token(&tokens.mint("alice")).await,
    ];
    let users = [
        UserId::of("https://a", "alice"),
        UserId::of("https://b", "alice"),
        UserId::from("alice"),
    ];
    for (number, user) in users.into_iter().enumerate() {
        server.server().to_user(user).emit("news", &number).unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.expect("news").await, number);
        client.emit_with_ack("whoami", &()).await;
        client.expect_nothing(seconds(0)).await;
    }
}

#[tokio::test]
async fn without_user_rooms_nobody_is_in_one() {
    let (clock, tokens) = clock_and_tokens();
    let server = TestServer::start(server(&clock, &tokens).user_rooms(false)).await;
    let alice = server.connect("/").token(&tokens.mint("alice")).await;
    server.emitter("/").to_user("alice").emit("x", &()).unwrap();
    alice.emit_with_ack("whoami", &()).await;
    alice.expect_nothing(seconds(0)).await;
}

#[tokio::test]
async fn one_connection_more_than_a_user_may_have_is_refused_wherever_it_comes() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| {
        server(&clock, &tokens).max_connections_per_user(2, WhenFull::RejectNew)
    })
    .await;
    let (here, there) = (cluster.server(0), cluster.server(1));
    let first = here.connect("/").token(&tokens.mint("alice")).await;
    let _second = there.connect("/").token(&tokens.mint("alice")).await;
    for server in [here, there] {
        let refused = server
            .connect("/")
            .token(&tokens.mint("alice"))
            .refused()
            .await;
        assert_eq!(refused.message(), "Too many connections");
        assert_eq!(refused.code(), Some("TOO_MANY_CONNECTIONS"));
        server.connect("/").token(&tokens.mint("bob")).await;
    }
    drop(first);
    // The slot is free once the server has noticed.
    for _ in 0..100 {
        if there
            .connect("/")
            .token(&tokens.mint("alice"))
            .outcome()
            .await
            .is_ok()
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the slot stays taken");
}

#[tokio::test]
async fn a_connection_counts_once_however_many_namespaces_it_is_in() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| {
        server(&clock, &tokens).max_connections_per_user(2, WhenFull::RejectNew)
    })
    .await;
    let (here, there) = (cluster.server(0), cluster.server(1));
    let token = tokens.mint("alice");
    let first = here.connect("/").token(&token).await;
    let _beside = first.connect("/chat").token(&token).await;
    let second = there.connect("/chat").token(&token).await;
    for (server, namespace) in [(here, "/"), (here, "/chat"), (there, "/"), (there, "/chat")] {
        let refused = server.connect(namespace).token(&token).refused().await;
        assert_eq!(refused.code(), Some("TOO_MANY_CONNECTIONS"), "{namespace}");
    }
    // Who has a place may use it for one namespace more.
    let beside = second.connect("/").token(&token).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(first.is_connected() && second.is_connected() && beside.is_connected());
}

#[tokio::test]
async fn the_oldest_connection_goes_with_all_its_namespaces() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| {
        server(&clock, &tokens).max_connections_per_user(1, WhenFull::CloseOldest)
    })
    .await;
    let token = tokens.mint("alice");
    let oldest = cluster.server(0).connect("/").token(&token).await;
    let beside = oldest.connect("/chat").token(&token).await;
    clock.advance(seconds(1));
    let newest = cluster.server(1).connect("/chat").token(&token).await;
    for socket in [&oldest, &beside] {
        assert_eq!(
            socket.expect("auth:replaced").await,
            json!({ "code": "TOO_MANY_CONNECTIONS" })
        );
        socket.expect_disconnect(Disconnect::ByServer).await;
    }
    assert!(newest.is_connected());
}

#[tokio::test]
async fn of_many_that_come_at_once_as_many_stay_as_may() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(3, |_| {
        server(&clock, &tokens).max_connections_per_user(5, WhenFull::RejectNew)
    })
    .await;
    let token = tokens.mint("alice");
    let coming = (0..100).map(|number| {
        let namespace = if number % 2 == 0 { "/" } else { "/chat" };
        cluster
            .server(number % 3)
            .connect(namespace)
            .token(&token)
            .outcome()
    });
    let outcomes = futures_util::future::join_all(coming).await;
    let admitted: Vec<_> = outcomes.into_iter().filter_map(Result::ok).collect();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let staying = admitted
        .iter()
        .filter(|client| client.is_connected())
        .count();
    assert_eq!(staying, 5);
}

#[tokio::test]
async fn the_oldest_connection_goes_when_a_newer_one_comes() {
    let (clock, tokens) = clock_and_tokens();
    let cluster = TestCluster::start(2, |_| {
        server(&clock, &tokens).max_connections_per_user(2, WhenFull::CloseOldest)
    })
    .await;
    let token = tokens.mint("alice");
    let oldest = cluster.server(0).connect("/").token(&token).await;
    clock.advance(seconds(1));
    let second = cluster.server(1).connect("/").token(&token).await;
    clock.advance(seconds(1));
    let third = cluster.server(1).connect("/").token(&token).await;
    assert_eq!(
        oldest.expect("auth:replaced").await,
        json!({ "code": "TOO_MANY_CONNECTIONS" })
    );
    oldest.expect_disconnect(Disconnect::ByServer).await;
    assert!(second.is_connected() && third.is_connected());
}

#[tokio::test]
async fn a_limit_that_cannot_count_does_not_build() {
    let (clock, tokens) = clock_and_tokens();
    for builder in [
        server(&clock, &tokens).max_connections_per_user(0, WhenFull::RejectNew),
        server(&clock, &tokens)
            .max_connections_per_user(1, WhenFull::RejectNew)
            .user_rooms(false),
    ] {
        assert!(builder.build().await.is_err());
    }
}
