//! A client on its way in: what it shows, and how it comes.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use portcullis::auth::Token;
use portcullis::socketio::codec::Codec;
use portcullis::socketio::ids::NamespacePath;
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;
use serde::Serialize;

use crate::client::{Connection, Link};
use crate::network::Network;
use crate::{Refused, TestClient};

/// A client that wants to join a namespace. Awaited, it is a [`TestClient`], or the test fails;
/// [`Self::refused`] and [`Self::outcome`] are for those that may not come in.
///
/// It comes by WebSocket, over memory, speaks JSON and shows nothing, unless it is told otherwise.
#[must_use = "nothing happens until it is awaited"]
pub struct Connecting<'a> {
    to: To<'a>,
    namespace: NamespacePath,
    auth: Option<Value>,
    patience: Duration,
    caller: &'static Location<'static>,
}

enum To<'a> {
    /// By a new connection.
    Server { network: &'a Network, route: Route },
    /// By the connection of another client.
    Connection(Connection),
}

/// How a client comes.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) by_tcp: bool,
    pub(crate) by_polling: bool,
    pub(crate) parser: Codec,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl<'a> Connecting<'a> {
    #[track_caller]
    pub(crate) fn to_server(network: &'a Network, namespace: &str, patience: Duration) -> Self {
        let route = Route::default();
        Self::new(To::Server { network, route }, namespace, patience)
    }

    #[track_caller]
    pub(crate) fn over(connection: Connection, namespace: &str, patience: Duration) -> Self {
        Self::new(To::Connection(connection), namespace, patience)
    }

    #[track_caller]
    fn new(to: To<'a>, namespace: &str, patience: Duration) -> Self {
        let parsed = NamespacePath::parse(namespace);
        Self {
            to,
            namespace: parsed.unwrap_or_else(|error| panic!("namespace {namespace:?}: {error}")),
            auth: None,
            patience,
            caller: Location::caller(),
        }
    }

    /// Sends this as the `auth` payload, which must be an object.
    pub fn auth<T: Serialize + ?Sized>(mut self, auth: &T) -> Self {
        let payload = Payload::args(auth).unwrap();
        self.auth = payload.values().into_iter().next();
        self
    }

    /// Sends a token where stock clients do by convention: as `{ token }` in the `auth` payload.
    pub fn token(self, token: &Token) -> Self {
        self.auth(&Value::from_iter([("token", token.expose())]))
    }

    /// Comes over TCP.
    pub fn tcp(mut self) -> Self {
        self.route().by_tcp = true;
        self
    }

    /// Comes by HTTP long-polling, and stays with it.
    pub fn polling(mut self) -> Self {
        self.route().by_polling = true;
        self
    }

    /// Speaks another codec, which must be the server's.
    pub fn parser(mut self, parser: Codec) -> Self {
        self.route().parser = parser;
        self
    }

    /// Adds a header to every request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let header = (name.to_owned(), value.to_owned());
        self.route().headers.push(header);
        self
    }

    /// Adds a query parameter to every request. It is sent as it is: encode what must be.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let parameter = format!("&{name}={value}");
        self.route().query.push_str(&parameter);
        self
    }

    fn route(&mut self) -> &mut Route {
        match &mut self.to {
            To::Server { route, .. } => route,
            To::Connection(_) => panic!("the connection has been made already"),
        }
    }

    /// What comes of it: a client, or why it may not come in.
    ///
    /// # Errors
    ///
    /// What the client is told.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn outcome(self) -> Result<TestClient, Refused> {
        let connection = match self.to {
            To::Connection(connection) => connection,
            To::Server { network, route } => {
                let opening = Link::open(network, &route);
                let Ok(opened) = tokio::time::timeout(self.patience, opening).await else {
                    panic!("{}: no session opened in {:?}", self.caller, self.patience);
                };
                let (connection, driving) = Connection::new(opened?, route.parser);
                network.spawn(driving);
                connection
            }
        };
        let (namespace, patience) = (self.namespace, self.patience);
        TestClient::join(connection, namespace, self.auth, patience, self.caller).await
    }

    /// Why it may not come in.
    ///
    /// # Panics
    ///
    /// If it may.
    pub async fn refused(self) -> Refused {
        let (namespace, caller) = (self.namespace.clone(), self.caller);
        match self.outcome().await {
            Ok(_) => panic!("{caller}: the client could connect to {namespace}"),
            Err(refused) => refused,
        }
    }
}

impl<'a> IntoFuture for Connecting<'a> {
    type Output = TestClient;
    type IntoFuture = Pin<Box<dyn Future<Output = TestClient> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let (namespace, caller) = (self.namespace.clone(), self.caller);
        Box::pin(async move {
            let outcome = self.outcome().await;
            outcome.unwrap_or_else(|refused| {
                panic!("{caller}: the client could not connect to {namespace}: {refused}")
            })
        })
    }
}

impl fmt::Debug for Connecting<'_> {
    /// Without the `auth` payload, which holds tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
