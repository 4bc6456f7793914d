//! Nodes of one process, and rooms that reach over them.

use std::time::Duration;

use portcullis::gateway::{Data, Reply};
use portcullis::{Server, ServerBuilder, Socket};
use portcullis_testing::{TestCluster, TestServer};

fn rooms(number: usize) -> ServerBuilder {
    Server::builder().namespace("/", move |r| {
        r.public()
            .on("join", async |socket: Socket, Data(room): Data<String>| {
                socket.join(room);
            });
        r.on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
        });
        r.on("shout", async |socket: Socket, Data(text): Data<String>| {
            socket.server().emit("shouted", &text).unwrap();
        });
        r.on("where", move || std::future::ready(Reply(number)));
    })
}

#[tokio::test]
async fn an_event_reaches_every_node_unless_it_is_cut_off() {
    let cluster = TestCluster::start(3, rooms).await;
    let mut clients = Vec::new();
    for number in 0..3 {
        let client = cluster.server(number).connect("/").await;
        assert_eq!(client.emit_with_ack("where", &()).await, number);
        clients.push(client);
    }
    clients[0].emit("shout", &"all").await;
    for client in &clients {
        assert_eq!(client.expect("shouted").await, "all");
    }
    cluster.node(2).cut();
    clients[0].emit("shout", &"some").await;
    for client in &clients[..2] {
        assert_eq!(client.expect("shouted").await, "some");
    }
    clients[2].expect_nothing(Duration::from_millis(10)).await;
    cluster.node(2).heal();
    clients[0].emit("shout", &"all again").await;
    assert_eq!(clients[2].expect("shouted").await, "all again");
}

#[tokio::test]
async fn a_room_has_its_members_on_every_node() {
    let cluster = TestCluster::start(2, rooms).await;
    let [near, far] = [0, 1].map(|number| cluster.server(number));
    let (alice, bob) = (near.connect("/").await, far.connect("/").await);
    let tea = near.room("/", "tea");
    assert!(tea.members().await.is_empty());
    alice.emit("join", &"tea").await;
    bob.emit("join", &"tea").await;
    tea.expect_members(&[&bob, &alice]).await;
    far.room("/", "tea").expect_members(&[&alice, &bob]).await;
    bob.emit("leave", &"tea").await;
    tea.expect_members(&[&alice]).await;
    drop(alice);
    tea.expect_members(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_runs_under_a_paused_clock_too() {
    let cluster = TestCluster::start(2, rooms).await;
    let [alice, bob] = [
        cluster.server(0).connect("/").await,
        cluster.server(1).connect("/").await,
    ];
    bob.emit("shout", &"hello").await;
    assert_eq!(alice.expect("shouted").await, "hello");
    alice.expect_nothing(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_node_that_cannot_join_its_cluster_is_not_built() {
    let (adapter, node) = portcullis_testing::MemoryBus::default().node();
    node.fail_to_start();
    assert!(rooms(0).cluster(adapter).build().await.is_err());
    // Without the adapter the same server starts.
    TestServer::start(rooms(0)).await;
}
