//! What a client has received: the arguments of an event, or of an ack.

use std::fmt;
use std::ops::Deref;

use portcullis::socketio::args::Args;
use portcullis::socketio::ids::AckId;
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;
use serde::Serialize;

use crate::client::Peer;

/// The arguments of an event or of an ack, as a client received them.
///
/// They are [`Args`], with everything that those can do, and are compared with what a handler would
/// emit: a tuple is several arguments, `()` is none, anything else is one. As in JavaScript, the
/// order of keys does not matter, and 1.0 is 1.
///
/// ```
/// # use portcullis::Server;
/// # use portcullis::gateway::Reply;
/// # use portcullis_testing::TestServer;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let builder = Server::builder().namespace("/", |r| {
/// #     r.public().on("who", async || Reply(("alice", 7)));
/// # });
/// # let server = TestServer::start(builder).await;
/// # let client = server.connect("/").await;
/// let answer = client.emit_with_ack("who", &()).await;
/// assert_eq!(answer, ("alice", 7));
/// assert_eq!(answer.get::<String>(0).unwrap(), "alice");
/// # }
/// ```
#[derive(Clone)]
pub struct Received {
    args: Args,
    question: Option<(Peer, AckId)>,
}

impl Received {
    pub(crate) const fn new(args: Args, question: Option<(Peer, AckId)>) -> Self {
        Self { args, question }
    }

    /// Whether the server wants an answer.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.question.is_some()
    }

    /// Answers the server.
    ///
    /// # Panics
    ///
    /// If it did not ask for an answer, or `args` cannot be serialised.
    pub async fn ack<T: Serialize + ?Sized>(&self, args: &T) {
        let (peer, id) = self
            .question
            .as_ref()
            .expect("the server asked for an answer");
        let payload = Payload::args(args).unwrap();
        peer.send_ack(*id, &payload).await;
    }

    fn values(&self) -> Vec<Value> {
        self.args.values().unwrap_or_default()
    }
}

impl Deref for Received {
    type Target = Args;

    fn deref(&self) -> &Args {
        &self.args
    }
}

impl<T: Serialize + ?Sized> PartialEq<T> for Received {
    fn eq(&self, other: &T) -> bool {
        let other = Payload::args(other).expect("what is compared can be emitted");
        are_equal(&self.values(), &other.values())
    }
}

fn are_equal(left: &[Value], right: &[Value]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| is_equal(left, right))
}

/// Equality as JavaScript means it: there is one kind of number, and the order of keys is no part
/// of an object's meaning.
fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => are_equal(left, right),
        (Value::Map(entries), Value::Map(others)) => {
            let is_in = |(key, value): &(String, Value)| {
                right.get(key).is_some_and(|other| is_equal(value, other))
            };
            entries.len() == others.len() && entries.iter().all(is_in)
        }
        (Value::Integer(whole), Value::Float(float))
        | (Value::Float(float), Value::Integer(whole)) => *whole as f64 == *float,
        _ => left == right,
    }
}

/// The arguments as a JSON array, with `<4 bytes>` for binary data.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_value(f, &Value::Array(self.values()))
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Bytes(bytes) => write!(f, "<{} bytes>", bytes.len()),
        Value::Array(items) => {
            f.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                write_value(f, item)?;
            }
            f.write_str("]")
        }
        Value::Map(entries) => {
            f.write_str("{")?;
            for (index, (key, value)) in entries.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                write!(f, "{key:?}: ")?;
                write_value(f, value)?;
            }
            f.write_str("}")
        }
        other => f.write_str(&serde_json::to_string(other).map_err(|_| fmt::Error)?),
    }
}
