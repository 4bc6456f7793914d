//! Namespaces that are made on demand, and that go when nobody needs them.

use std::future::ready;
use std::sync::Arc;

use portcullis::ServerBuilder;
use portcullis::auth::{Attempt, Identity, Refusal, RefusalCode};
use portcullis::gateway::Reply;
use portcullis::namespace::Params;
use tokio_util::sync::CancellationToken;

use portcullis_testing::wire::Client;
use portcullis_testing::{BusNode, Journal, MemoryBus, TestServer};

use crate::support::{Wire, builder};

/// A builder with the pattern `/shop-{shop}/{desk}`, and what its adapter hears.
fn shops() -> (ServerBuilder, BusNode) {
    let (adapter, station) = MemoryBus::default().node();
    let builder = builder().cluster(adapter);
    let builder = builder.namespace_pattern("/shop-{shop}/{desk}", |r| {
        r.public().on("sync", async || {});
        r.on("where", async |params: Params| {
            let [shop, desk] = ["shop", "desk"].map(|name| params.get(name).unwrap().to_owned());
            Reply((shop, desk))
        });
        r.connect_guard(async |params: Params| match params.get("desk") {
            Some("closed") => Err(Refusal::new("closed")),
            _ => Ok(()),
        });
    });
    (builder, station)
}

#[tokio::test]
async fn a_pattern_makes_namespaces_and_names_its_parameters() {
    let (builder, _) = shops();
    let server = TestServer::start(builder).await;
    let mut client = Client::connect(server.address(), "/shop-7/till").await;
    assert_eq!(client.ask(r#"["where"]"#).await, r#"["7","till"]"#);
    for name in ["/shop-7", "/shop-/till", "/shop-7/till/x", "/"] {
        let prefix = if name == "/" { "" } else { &format!("{name},") };
        let refusal = client.try_join(name, "").await;
        assert_eq!(
            refusal,
            format!(r#"44{prefix}{{"message":"Invalid namespace"}}"#)
        );
    }
}

#[tokio::test]
async fn a_child_is_made_with_its_first_client_and_goes_with_its_last() {
    let (builder, station) = shops();
    let server = TestServer::start(builder).await;
    let mut first = Client::connect(server.address(), "/shop-1/a").await;
    let mut second = Client::connect(server.address(), "/shop-1/a").await;
    let third = Client::connect(server.address(), "/shop-2/a").await;
    first.send("41/shop-1/a,").await;
    second.sync().await;
    drop(second);
    station.told().wait_for("namespace closed /shop-1/a").await;
    let _again = Client::connect(server.address(), "/shop-1/a").await;
    drop(third);
    station.told().wait_for("namespace closed /shop-2/a").await;
    assert_eq!(
        station.told().lines(),
        [
            "start",
            "namespace opened /shop-1/a",
            "namespace opened /shop-2/a",
            "namespace closed /shop-1/a",
            "namespace opened /shop-1/a",
            "namespace closed /shop-2/a",
        ]
    );
}

#[tokio::test]
async fn a_refused_client_leaves_no_child_behind() {
    let (builder, station) = shops();
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    let refusal = client.try_join("/shop-1/closed", "").await;
    assert_eq!(refusal, r#"44/shop-1/closed,{"message":"closed"}"#);
    assert_eq!(
        station.told().lines(),
        [
            "start",
            "namespace opened /shop-1/closed",
            "namespace closed /shop-1/closed",
        ]
    );
}

#[tokio::test]
async fn an_empty_child_stays_if_it_was_told_to() {
    let (builder, station) = shops();
    let builder = builder.cleanup_empty_child_namespaces(false);
    let server = TestServer::start(builder).await;
    let client = Client::connect(server.address(), "/shop-1/a").await;
    server.close([client]).await;
    assert_eq!(
        station.told().lines(),
        ["start", "namespace opened /shop-1/a", "close"]
    );
}

#[tokio::test]
async fn a_predicate_decides_by_name_and_handshake() {
    let builder = builder().namespace_if(
        async |path, handshake| {
            let auth = handshake.auth_value();
            auth.get("key")
                .is_some_and(|key| key.as_str() == Some(path.as_str()))
        },
        |r| {
            r.public();
        },
    );
    let server = TestServer::start(builder).await;
    let mut client = Client::open(server.address()).await;
    let refusal = client.try_join("/a", r#"{"key":"/b"}"#).await;
    assert_eq!(refusal, r#"44/a,{"message":"Invalid namespace"}"#);
    let welcome = client.try_join("/a", r#"{"key":"/a"}"#).await;
    assert!(welcome.starts_with(r#"40/a,{"sid":"#), "{welcome}");
}

#[tokio::test]
async fn declared_namespaces_come_before_patterns_and_these_in_their_order() {
    let says = |name: &'static str| {
        move |r: &mut portcullis::gateway::Registrar| {
            r.public().on("who", move || ready(Reply(name)));
        }
    };
    let builder = builder()
        .namespace_if(async |path, _| path.as_str() == "/a-2", says("predicate"))
        .namespace_pattern("/a-{id}", says("first"))
        .namespace_pattern("/{any}", says("second"))
        .namespace("/a-1", says("declared"));
    let server = TestServer::start(builder).await;
    for (namespace, expected) in [
        ("/a-1", "declared"),
        ("/a-2", "predicate"),
        ("/a-3", "first"),
        ("/b", "second"),
    ] {
        let mut client = Client::connect(server.address(), namespace).await;
        assert_eq!(client.ask(r#"["who"]"#).await, format!(r#"["{expected}"]"#));
    }
}

#[tokio::test]
async fn clients_that_ask_for_a_new_namespace_at_the_same_time_get_the_same_one() {
    let (adapter, station) = MemoryBus::default().node();
    let (journal, gate) = (Journal::default(), CancellationToken::new());
    let (notes, opened) = (journal.clone(), gate.clone());
    let builder = builder().cluster(adapter).namespace_if(
        move |_, _| {
            let opened = opened.clone();
            notes.note("asked");
            async move {
                opened.cancelled().await;
                true
            }
        },
        |r| {
            r.public().on("sync", async || {});
        },
    );
    let server = TestServer::start(builder).await;
    let [mut a, mut b] = [
        Client::open(server.address()).await,
        Client::open(server.address()).await,
    ];
    let ((), (), ()) = tokio::join!(a.join("/new"), b.join("/new"), async {
        journal.wait_for_count("asked", 2).await;
        gate.cancel();
    });
    server
        .server()
        .emitter("/new")
        .unwrap()
        .emit("x", &())
        .unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(client.event().await, r#"["x"]"#);
    }
    assert_eq!(station.told().count("namespace opened /new"), 1);
    drop(a);
    drop(b);
    station.told().wait_for("namespace closed /new").await;
}

/// Two declarations for every name: a guarded one for whoever shows a key, and for all others a
/// public one that takes its time, which it notes.
fn two_doors(journal: &Journal, open: &CancellationToken) -> ServerBuilder {
    let (notes, open) = (journal.clone(), open.clone());
    builder()
        .authenticate_with(async |attempt: Arc<Attempt>| {
            let auth = attempt.auth();
            let key = auth.get("key").ok_or(RefusalCode::TokenMissing)?;
            key.as_str().ok_or(RefusalCode::TokenInvalid)?;
            Ok(Identity::new(()))
        })
        .namespace_if(
            async |_, handshake| {
                let auth = handshake.auth_value();
                auth.get("key").is_some()
            },
            |_| {},
        )
        .namespace_if(
            move |_, _| {
                let open = open.clone();
                notes.note("asked");
                async move {
                    open.cancelled().await;
                    true
                }
            },
            |r| {
                r.public();
            },
        )
}

#[tokio::test]
async fn who_was_judged_for_a_public_namespace_does_not_enter_a_guarded_one_of_that_name() {
    let (journal, open) = (Journal::default(), CancellationToken::new());
    let server = TestServer::start(two_doors(&journal, &open)).await;
    let [mut stranger, mut member] = [
        Client::open(server.address()).await,
        Client::open(server.address()).await,
    ];
    let (refusal, ()) = tokio::join!(stranger.try_join("/new", "{}"), async {
        journal.wait_for("asked").await;
        let welcome = member.try_join("/new", r#"{"key":"swordfish"}"#).await;
        assert!(welcome.starts_with(r#"40/new,{"sid":"#), "{welcome}");
        open.cancel();
    });
    assert_eq!(
        refusal,
        r#"44/new,{"message":"Unauthorized","data":{"code":"TOKEN_MISSING"}}"#
    );
    let welcome = stranger.try_join("/free", "{}").await;
    assert!(welcome.starts_with(r#"40/free,{"sid":"#), "{welcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_hears_as_many_openings_of_a_busy_child_as_closings() {
    let (builder, station) = shops();
    let server = TestServer::start(builder).await;
    let address = server.address();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        clients.spawn(async move {
            let mut client = Client::open(address).await;
            for _ in 0..100 {
                client.join("/shop-1/a").await;
                client.send("41/shop-1/a,").await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
    server.close([]).await;
    let opened = station.told().count("namespace opened /shop-1/a");
    assert!(opened > 0);
    assert_eq!(opened, station.told().count("namespace closed /shop-1/a"));
}
