//! A witness is one for its process, so this test has a process of its own.

use portcullis::Server;
use portcullis_testing::wire::{Client, Http};
use portcullis_testing::{TestServer, Witness};

#[tokio::test]
async fn what_is_said_and_counted_is_heard_and_secrets_are_found_in_it() {
    let witness = Witness::of_process();
    let builder = Server::builder().namespace("/", |r| {
        r.public();
    });
    let server = TestServer::start(builder).await;
    let opened = witness.count("portcullis_sessions_opened_total", "");
    let mut client = Client::connect(server.address(), "/").await;
    client.emit(r#"["say","a secret word"]"#).await;
    let mut http = Http::open(server.address()).await;
    let session = http.open_session().await;
    assert_eq!(
        witness.count("portcullis_sessions_opened_total", ""),
        opened + 2
    );
    assert!(witness.leaks().is_empty());

    let (_, id) = session.split_once("sid=").unwrap();
    tracing::trace!(id, "what must not be said");
    assert_eq!(witness.leaks(), [id]);
    metrics::counter!("events", "payload" => r#"["say","a secret word"]"#).increment(1);
    assert_eq!(witness.leaks().len(), 2);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    assert!(failed.is_err(), "the test fails with its server");
}
