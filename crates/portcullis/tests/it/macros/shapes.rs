//! The shapes that a gateway's block can have.

use std::borrow::Cow;
use std::fmt::Display;
use std::marker::PhantomData;

use parking_lot::Mutex;
use portcullis::gateway::{Data, Params};
use portcullis::{Server, gateway};
use portcullis_testing::TestServer;
use portcullis_testing::wire::Client;

use crate::support::Wire as _;

/// A gateway whose type has parameters.
struct Generic<T, F>
where
    F: Fn() -> T,
{
    make: F,
    made: PhantomData<fn() -> T>,
}

#[gateway(public)]
impl<T, F> Generic<T, F>
where
    T: Display + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    #[subscribe("make")]
    fn make(&self) -> String {
        (self.make)().to_string()
    }
}

#[tokio::test]
async fn a_gateway_can_be_generic() {
    let gateway = Generic {
        make: || 42,
        made: PhantomData,
    };
    let server = TestServer::start(Server::builder().gateway(gateway)).await;
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["make"]"#).await, r#"["42"]"#);
}

/// Names that what is written could have been confused by.
struct Names {
    heard: Mutex<Vec<String>>,
}

const LIMIT: usize = 3;

#[gateway(public)]
impl Names {
    /// The limit is no literal.
    #[subscribe("register", concurrency = LIMIT - 1)]
    async fn register(&self, gateway: Data<String>, registrar: Data<String>) -> bool {
        gateway == registrar
    }

    #[subscribe("name")]
    fn name<'a>(&'a self, Data((context, r#type)): Data<(String, u8)>) -> Cow<'a, str> {
        self.note(context);
        format!("{:?} {}", self.heard.lock(), r#type).into()
    }

    #[gateway::subscribe("parameters")]
    fn namespace(&self, r#type: Data<u8>, parameters: Data<u8>, mut context: Data<u8>) -> u8 {
        context.0 += r#type.0 + parameters.0;
        context.0
    }

    #[portcullis::gateway::subscribe("clone")]
    #[must_use]
    fn clone(&self) -> &'static str {
        "not a clone"
    }

    fn note(&self, what: String) {
        self.heard.lock().push(what);
    }
}

#[tokio::test]
async fn names_of_methods_and_parameters_are_the_users_own() {
    let heard = Mutex::default();
    let builder = Server::builder().gateway(Names { heard });
    let server = TestServer::start(builder).await;
    let mut client = server.client_in_memory().await;
    for (event, answer) in [
        (r#"["register","x"]"#, "[true]"),
        (r#"["name",["a",1]]"#, r#"["[\"a\"] 1"]"#),
        (r#"["parameters",2]"#, "[6]"),
        (r#"["clone"]"#, r#"["not a clone"]"#),
    ] {
        assert_eq!(client.ask(event).await, answer, "{event}");
    }
    assert_eq!(server.server().gateways()[0].events[0].concurrency, 2);
}

/// Methods that are there or not.
struct Conditional;

#[gateway(public)]
impl Conditional {
    #[cfg(any())]
    #[subscribe("never")]
    fn never(&self, _: NoSuchType) {}

    #[subscribe("either")]
    #[cfg(any())]
    fn either(&self) -> &'static str {
        "one"
    }

    #[subscribe("either")]
    #[cfg(not(any()))]
    fn either(&self) -> &'static str {
        "other"
    }

    #[cfg(any())]
    #[on_connect]
    fn join(&self) -> NoSuchType {}
}

struct Absent;

#[gateway]
#[cfg(any())]
impl NoSuchType {}

#[gateway(public)]
impl Absent {}

#[tokio::test]
async fn what_is_compiled_out_is_not_registered() {
    let server = TestServer::start(Server::builder().gateway(Conditional)).await;
    let events = &server.server().gateways()[0].events;
    assert_eq!(events.len(), 1, "{events:?}");
    let mut client = server.client_in_memory().await;
    assert_eq!(client.ask(r#"["either"]"#).await, r#"["other"]"#);
    assert!(Server::builder().gateway(Absent).build().await.is_ok());
}

#[derive(serde::Deserialize)]
struct Tenant {
    id: u32,
}

struct Tenants;

#[gateway(namespace = "/tenant-{id}", public)]
impl Tenants {
    #[subscribe("double")]
    async fn double(&self, Params(tenant): Params<Tenant>) -> u32 {
        tenant.id * 2
    }
}

#[tokio::test]
async fn a_pattern_has_its_parameters() {
    let server = TestServer::start(Server::builder().gateway(Tenants)).await;
    let mut client = Client::connect(server.address(), "/tenant-21").await;
    assert_eq!(client.ask(r#"["double"]"#).await, "[42]");
}

#[tokio::test]
async fn a_method_can_be_called_as_any_other() {
    let names = Names {
        heard: Mutex::default(),
    };
    assert_eq!(
        names.name(Data(("direct".to_owned(), 3))),
        r#"["direct"] 3"#
    );
    assert!(
        names
            .register(Data("a".to_owned()), Data("a".to_owned()))
            .await
    );
    assert_eq!(Tenants.double(Params(Tenant { id: 4 })).await, 8);
}
