//! Answers that both wires give alike. Some come later than the question: of listeners, and of
//! clients.

use std::sync::Arc;
use std::time::Duration;

use portcullis::adapter::{SocketDescription, Target};
use portcullis::socketio::args::Args;
use portcullis::socketio::ids::NamespacePath;
use portcullis::socketio::payload::Payload;
use portcullis::socketio::value::Value;

use super::Context;
use crate::wire::Answer;

/// The longest that the acks of a broadcast from another node are kept in mind.
const MAX_ACK_TIMEOUT: Duration = Duration::from_secs(600);

/// The sockets here that a question is about, which may be about nobody.
pub(super) fn sockets(
    context: &Context,
    namespace: &NamespacePath,
    target: Option<&Target>,
) -> Vec<SocketDescription> {
    let sockets = target.map(|target| context.node.fetch_sockets(namespace, target));
    sockets.unwrap_or_default()
}

/// Hands an event of another server to the listener here; what it answers goes to `respond`. How
/// many are answered at once the node bounds.
pub(super) fn server_side(
    context: &Arc<Context>,
    namespace: &NamespacePath,
    payload: &Payload,
    respond: impl FnOnce(&Context, Answer) + Send + 'static,
) {
    let args = Args::from_values(payload.values());
    let answering = context.node.server_side_event(namespace, args);
    let weak = Arc::downgrade(context);
    context.tasks.spawn(async move {
        if let Some(args) = answering.await
            && let Some(context) = weak.upgrade()
        {
            respond(&context, Answer::ServerSide(first(&args)));
        }
    });
}

/// Sends an event to sockets here; how many there are, and each ack, go to `respond`.
pub(super) fn broadcast_with_ack(
    context: &Arc<Context>,
    namespace: &NamespacePath,
    (payload, target): (&Payload, Option<&Target>),
    timeout: Option<Duration>,
    respond: impl Fn(&Context, Answer) + Send + Sync + 'static,
) {
    let Some(target) = target else {
        respond(context, Answer::ClientCount(0));
        return;
    };
    let timeout = timeout.unwrap_or(MAX_ACK_TIMEOUT).min(MAX_ACK_TIMEOUT);
    let respond = Arc::new(respond);
    let (weak, acked) = (Arc::downgrade(context), Arc::clone(&respond));
    let answer = Box::new(move |args: Args| {
        if let Some(context) = weak.upgrade() {
            acked(&context, Answer::Ack(first(&args)));
        }
    });
    let node = &context.node;
    let asked = node.broadcast_with_ack(namespace, payload, target, timeout, answer);
    respond(context, Answer::ClientCount(asked as u64));
}

/// Node's wire has room for one argument.
fn first(args: &Args) -> Option<Value> {
    args.values().unwrap_or_default().into_iter().next()
}
