//! What handlers ask for by the types of their parameters.

use std::sync::atomic::{AtomicUsize, Ordering};

use garde::Validate;
use portcullis::gateway::{Args, Data, Extension, Params, RawArgs, Reply, State, Valid};
use portcullis::socketio::value::Value;
use portcullis::{Server, Socket};
use portcullis_testing::TestServer;

use crate::support::{Wire as _, patiently, public, witness};

#[derive(serde::Deserialize, Validate)]
struct Say {
    #[garde(length(chars, min = 1, max = 8))]
    room: String,
    #[garde(dive)]
    tags: Vec<Tag>,
}

#[derive(serde::Deserialize, Validate)]
struct Tag {
    #[garde(range(max = 10))]
    weight: u32,
}

#[tokio::test]
async fn a_payload_that_breaks_its_rules_is_told_where_and_why_and_never_what() {
    let server = TestServer::start(public(|r| {
        r.on("say", async |Valid(say): Valid<Say>| {
            let weights = say.tags.iter().map(|tag| tag.weight);
            Reply((say.room, weights.sum::<u32>()))
        });
    }))
    .await;
    let mut client = server.client().await;
    let good = r#"["say",{"room":"lobby","tags":[{"weight":1},{"weight":2}]}]"#;
    assert_eq!(client.ask(good).await, r#"["lobby",3]"#);
    let secret = r#"["say",{"room":"much-too-long","tags":[{"weight":1},{"weight":11}]}]"#;
    let told = client.ask(secret).await;
    let start =
        r#"[{"status":"error","code":"VALIDATION","message":"Validation failed","details":["#;
    assert!(told.starts_with(start), "{told}");
    assert!(told.contains(r#""path":"room""#), "{told}");
    assert!(told.contains(r#""path":"tags[1].weight""#), "{told}");
    assert!(!told.contains("much-too"), "{told}");
    let wrong_type = client
        .ask(r#"["say",{"room":"lobby","tags":[{"weight":"x"}]}]"#)
        .await;
    assert!(
        wrong_type.contains(r#""path":"tags[0].weight""#),
        "{wrong_type}"
    );
    let valid_again = client.ask(good).await;
    assert_eq!(valid_again, r#"["lobby",3]"#);
}

#[tokio::test]
async fn arguments_are_taken_as_a_tuple_with_nulls_for_those_that_are_missing() {
    let server = TestServer::start(public(|r| {
        r.on(
            "typed",
            async |Args((room, limit)): Args<(String, Option<u8>)>| Reply((room, limit)),
        );
        r.on("raw", async |args: RawArgs| Reply(args.len()));
    }))
    .await;
    let mut client = server.client().await;
    assert_eq!(client.ask(r#"["typed","a",3]"#).await, r#"["a",3]"#);
    assert_eq!(client.ask(r#"["typed","a"]"#).await, r#"["a",null]"#);
    assert_eq!(client.ask(r#"["typed","a",1,"more"]"#).await, r#"["a",1]"#);
    assert_eq!(client.ask(r#"["raw",1,2,3]"#).await, "[3]");
    let wrong = client.ask(r#"["typed","a",300]"#).await;
    assert!(wrong.contains(r#""details":[{"argument":1,"#), "{wrong}");
}

#[derive(serde::Deserialize)]
struct Desk {
    tenant: u32,
    kind: Kind,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Sales,
    Support,
}

#[tokio::test]
async fn parameters_of_a_pattern_are_a_struct_and_names_that_do_not_fit_are_refused() {
    let builder = Server::builder().namespace_pattern("/tenant-{tenant}/{kind}", |r| {
        r.public();
        r.on_connect(async |Params(desk): Params<Desk>, socket: Socket| {
            socket.join(format!("{:?}", desk.kind));
        });
        r.on(
            "desk",
            async |Params(desk): Params<Desk>, socket: Socket| {
                Reply((desk.tenant, socket.is_in("Support"), socket.is_in("Sales")))
            },
        );
    });
    let server = TestServer::start(builder).await;
    let client = server.connect("/tenant-42/support").await;
    let answer = client.emit_with_ack("desk", &()).await;
    assert_eq!(answer, (42, true, false));
    for name in ["/tenant-x/support", "/tenant-1/kitchen", "/tenant--1/sales"] {
        let refused = server.connect(name).refused().await;
        assert_eq!(refused.code(), Some("INVALID_PARAMS"), "{name}");
    }
}

struct Visits(AtomicUsize);

struct Nickname(String);

#[tokio::test]
async fn state_is_shared_by_the_server_and_an_extension_belongs_to_one_socket() {
    let builder = public(|r| {
        r.on_connect(async |socket: Socket, visits: State<Visits>| {
            let number = visits.0.fetch_add(1, Ordering::Relaxed) + 1;
            if socket.handshake().query("anonymous").is_none() {
                socket.insert(Nickname(format!("guest {number}")));
            }
        });
        r.on(
            "who",
            async |name: Extension<Nickname>, visits: State<Visits>| {
                Reply((name.0.clone(), visits.0.load(Ordering::Relaxed)))
            },
        );
        r.on("maybe", async |name: Option<Extension<Nickname>>| {
            Reply(name.is_some())
        });
    });
    let server = TestServer::start(builder.state(Visits(AtomicUsize::new(0)))).await;
    let (one, two) = (server.connect("/").await, server.connect("/").await);
    assert_eq!(one.emit_with_ack("who", &()).await, ("guest 1", 2));
    assert_eq!(two.emit_with_ack("who", &()).await, ("guest 2", 2));
    let anonymous = server.connect("/").query("anonymous", "1").await;
    assert_eq!(anonymous.emit_with_ack("maybe", &()).await, false);
    let missing: Value = anonymous.emit_with_ack("who", &()).await.get(0).unwrap();
    assert_eq!(missing.get("code"), Some(&Value::from("INTERNAL")));
}

#[tokio::test]
async fn the_log_has_a_farewell_that_is_not_run_because_it_lacks_a_parameter() {
    let server = TestServer::start(public(|r| {
        r.on_disconnect(async |_: Extension<Nickname>| unreachable!("nobody has a name"));
    }))
    .await;
    drop(server.client().await);
    patiently(async {
        while !witness().log().contains("on_disconnect is not run") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(witness().count("portcullis_internal_errors_total", "") > 0);
}

#[tokio::test]
async fn a_hundred_thousand_levels_of_nesting_cost_a_connection_and_nothing_else() {
    let server = TestServer::start(public(|r| {
        r.on("x", async |Data(_): Data<Value>| Reply("read"));
    }))
    .await;
    let mut deep = server.client().await;
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    // The end may come while it is still being sent.
    let _ = deep.try_send(&format!(r#"421["x",{nested}]"#)).await;
    assert!(deep.rest().await.is_empty());
    let mut other = server.client().await;
    assert_eq!(other.ask(r#"["x",[[[1]]]]"#).await, r#"["read"]"#);
}
