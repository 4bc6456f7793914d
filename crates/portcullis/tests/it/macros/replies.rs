//! What methods return, and what becomes of it.

use std::fmt;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use portcullis::gateway::{Data, Emit, EventError, EventName};
use portcullis::{Server, gateway};
use portcullis_testing::TestServer;
use serde::Serialize;

use crate::secrets::Log;
use crate::support::Wire as _;

/// One method for each kind of reply.
struct Kinds {
    words: Vec<String>,
}

#[derive(Serialize)]
struct Saved {
    id: u64,
}

#[derive(Debug)]
struct Plain;

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the disk is on fire")
    }
}

impl std::error::Error for Plain {}

#[gateway(public)]
impl Kinds {
    #[subscribe("unit")]
    fn unit(&self) {}

    #[subscribe("value")]
    async fn value(&self) -> Saved {
        Saved { id: 7 }
    }

    #[subscribe("some")]
    fn some(&self, Data(number): Data<u8>) -> Option<u8> {
        number.checked_sub(1)
    }

    #[subscribe("opaque")]
    fn opaque(&self) -> impl Serialize {
        self.words.len()
    }

    #[subscribe("done")]
    async fn done(&self) -> Result<(), EventError> {
        Ok(())
    }

    #[subscribe("saved")]
    async fn saved(&self, Data(id): Data<u64>) -> Result<Saved, EventError> {
        if id == 0 {
            return Err(EventError::new("ZERO", "no such thing"));
        }
        Ok(Saved { id })
    }

    #[subscribe("plain")]
    async fn plain(&self) -> Result<Saved, Plain> {
        Err(Plain)
    }

    #[subscribe("text")]
    fn text(&self) -> Result<(), String> {
        Err("nobody is told this".to_owned())
    }

    #[subscribe("emit")]
    async fn emit(&self) -> Emit<&'static str> {
        Emit("emitted", "this")
    }

    #[subscribe("one")]
    #[subscribe("other")]
    fn either(&self, event: EventName) -> String {
        event.to_string()
    }

    #[subscribe("future")]
    fn future(&self) -> impl Future<Output = usize> {
        std::future::ready(self.words.len())
    }

    #[subscribe("boxed")]
    fn boxed(&self) -> BoxFuture<'_, Result<usize, EventError>> {
        async { Ok(self.words.len()) }.boxed()
    }

    #[subscribe("words")]
    fn words(&self) -> impl Stream<Item = Emit<&String>> {
        stream::iter(&self.words).map(Emit::to("word"))
    }

    #[subscribe("longest")]
    async fn longest(&self, Data(than): Data<usize>) -> impl Stream<Item = Emit<&String>> {
        let words = self.words.iter().filter(move |word| word.len() > than);
        stream::iter(words).map(Emit::to("word"))
    }

    #[subscribe("borrowed")]
    fn borrowed(&self) -> BoxStream<'_, Result<&str, EventError>> {
        let first = stream::iter(self.words.iter().map(|word| Ok(word.as_str())));
        first
            .take(1)
            .chain(stream::iter([Err(EventError::new("END", "no more"))]))
            .boxed()
    }

    #[subscribe("owned")]
    fn owned(&self) -> BoxStream<'static, Emit<usize>> {
        stream::iter([Emit("length", self.words.len())]).boxed()
    }

    #[subscribe("perhaps")]
    async fn perhaps(
        &self,
        Data(is_there): Data<bool>,
    ) -> Result<BoxStream<'static, Emit<usize>>, EventError> {
        if is_there {
            Ok(self.owned())
        } else {
            Err(EventError::new("GONE", "it was here"))
        }
    }
}

async fn server() -> TestServer {
    let words = ["a".to_owned(), "bee".to_owned()].into();
    let builder = Server::builder().gateway(Kinds { words });
    TestServer::start(builder).await
}

#[tokio::test]
async fn what_a_method_returns_is_the_answer() {
    let server = server().await;
    let mut client = server.client_in_memory().await;
    for (event, answer) in [
        (r#"["unit"]"#, "[]"),
        (r#"["value"]"#, r#"[{"id":7}]"#),
        (r#"["some",3]"#, "[2]"),
        (r#"["some",0]"#, "[null]"),
        (r#"["opaque"]"#, "[2]"),
        (r#"["done"]"#, "[]"),
        (r#"["saved",5]"#, r#"[{"id":5}]"#),
        (r#"["one"]"#, r#"["one"]"#),
        (r#"["other"]"#, r#"["other"]"#),
        (r#"["future"]"#, "[2]"),
        (r#"["boxed"]"#, "[2]"),
    ] {
        assert_eq!(client.ask(event).await, answer, "{event}");
    }
}

#[tokio::test]
async fn an_error_is_told_if_it_knows_how_and_logged_if_it_does_not() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let server = server().await;
    let mut client = server.client_in_memory().await;
    assert_eq!(
        client.ask(r#"["saved",0]"#).await,
        r#"[{"status":"error","code":"ZERO","message":"no such thing"}]"#
    );
    for (event, logged) in [
        (r#"["plain"]"#, "the disk is on fire"),
        (r#"["text"]"#, "nobody is told this"),
    ] {
        let answer = client.ask(event).await;
        let told = r#"[{"status":"error","code":"INTERNAL","message":"Internal server error","#;
        assert!(answer.starts_with(told), "{answer}");
        assert!(!answer.contains(logged), "{answer}");
        let (_, id) = answer.split_once(r#""correlationId":""#).expect("an id");
        let (id, _) = id.split_once('"').unwrap();
        let log = log.text();
        let line = log
            .lines()
            .find(|line| line.contains(logged))
            .expect("a line");
        assert!(line.contains(id), "{line}");
    }
}

#[tokio::test]
async fn events_are_sent_before_the_ack_is_called() {
    let server = server().await;
    let mut client = server.client_in_memory().await;
    for (event, packets) in [
        (r#"["emit"]"#, &[r#"42["emitted","this"]"#, "437[]"][..]),
        (
            r#"["words"]"#,
            &[r#"42["word","a"]"#, r#"42["word","bee"]"#, "437[]"],
        ),
        (r#"["longest",1]"#, &[r#"42["word","bee"]"#, "437[]"]),
        (r#"["owned"]"#, &[r#"42["length",2]"#, "437[]"]),
        (r#"["perhaps",true]"#, &[r#"42["length",2]"#, "437[]"]),
        (
            r#"["perhaps",false]"#,
            &[r#"437[{"status":"error","code":"GONE","message":"it was here"}]"#],
        ),
    ] {
        client.send(&format!("427{event}")).await;
        for packet in packets {
            assert_eq!(client.recv().await.as_deref(), Some(*packet), "{event}");
        }
    }
}

#[tokio::test]
async fn the_first_answer_of_a_stream_is_the_ack_and_an_error_its_end() {
    let server = server().await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["borrowed"]"#).await, r#"["a"]"#);
    let failed = client.recv().await.unwrap();
    assert!(failed.contains(r#""code":"END""#), "{failed}");
}
