//! `portcullis dev`: the chat with its page, on one port, alone or as a node of a cluster.
//!
//! ```text
//!  port ─▶ /socket.io/ ─▶ gate: whose token is it? ─▶ chat on `/`, staff on `/staff`
//!     └──▶ all else ────▶ page, and tokens for whoever asks        │
//!  another port ─▶ /livez, /readyz                                 └─ Redis ─ other nodes
//! ```
//!
//! # Invariants
//!
//! - The first line on stdout is `listening on <address>`. Once it is there, connections are
//!   accepted and signals are obeyed: whoever waits for it need not wait for anything else.
//!
//! # Not here
//!
//! A server for production. This one gives a token to everybody, which is why it listens on
//! loopback unless it is told otherwise.

use std::error::Error as _;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use portcullis::adapter::AdapterError;
use portcullis::auth::jwt::{Jwt, MintError};
use portcullis::auth::{Secret, Token};
use portcullis::revocation::WhileUnread;
use portcullis::socketio::ids::NamespaceError;
use portcullis::{BuildError, Drain, Server, Shutdown, shutdown_signal};
use portcullis_redis::{AtStart, Redis, StartError};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::chat::{Chat, OtherNodes, Presence};
use crate::cli::DevArgs;
use crate::page;
use crate::secret::{self, Origin, SecretError, VARIABLE};
use crate::staff::Staff;
use crate::token::{Claims, mint};

/// Whose token the terminal shows, and for how long it is good.
const SHOWN_NAME: &str = "alice";
const SHOWN_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    /// There is no usable secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Somebody else has the port, or it may not be had.
    #[error("cannot listen on {address} (see --host and --port)")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system gives no threads, or no event queue.
    #[error("cannot start")]
    Start(#[source] io::Error),
    /// The parts do not make a server.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The chat's namespace has no name that can be one.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The token for the terminal could not be made.
    #[error(transparent)]
    Mint(#[from] MintError),
}

/// Serves until the process is asked to stop.
pub(crate) fn run(args: &DevArgs) -> Result<(), DevError> {
    let (secret, origin) = secret::given_or_generated(std::env::var_os(VARIABLE))?;
    let levels = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A log that nobody takes, or a full disk, must not end what is to be logged.
        .log_internal_errors(false)
        .init();
    portcullis::runtime()
        .map_err(DevError::Start)?
        .block_on(serve(args, secret, origin))
}

async fn serve(args: &DevArgs, secret: Secret, origin: Origin) -> Result<(), DevError> {
    let asked = SocketAddr::new(args.host, args.port);
    let listening = |source| DevError::Listen {
        address: asked,
        source,
    };
    let listener = TcpListener::bind(asked).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let token = mint(&secret, SHOWN_NAME, SHOWN_TTL, [], SystemTime::now())?;
    let (server, presence) = build(args, address, &secret).await?;

    let mut shutdown = pin!(shutdown_signal());
    if is_ready(shutdown.as_mut()).await {
        return Ok(());
    }
    let shown = Shown {
        address,
        token: &token,
        origin,
        is_clustered: args.redis.is_some(),
        management: server.management_address(),
    };
    if let Err(error) = io::stdout().write_all(shown.greeting().as_bytes()) {
        // Nobody reads it; the page is there all the same.
        tracing::warn!(%error, "cannot write to stdout");
    }
    let serving = server.serve_with(page::router(secret), listener, shutdown);
    tokio::select! {
        () = serving => {}
        () = presence.keep() => {}
    }
    Ok(())
}

/// The server, and what keeps its people informed of each other.
async fn build(
    args: &DevArgs,
    address: SocketAddr,
    secret: &Secret,
) -> Result<(Server, Arc<Presence>), DevError> {
    let mut builder = Server::builder().management(args.management_port);
    if let Some(redis) = &args.redis {
        // Whoever tries it out may start Redis later, or lose it to see what happens.
        builder = builder
            .cluster(Redis::new(redis.expose()).at_start(AtStart::Degrade))
            .while_revocations_are_unread(WhileUnread::Admit);
    }
    let presence = Presence::new(builder.emitter("/")?, address.port().to_string());
    let presence = Arc::new(presence);
    let server = builder
        .authenticate(Jwt::<Claims>::hs256(secret.clone()).validate(Claims::check))
        // Nobody waits for a balancer at his own desk.
        .drain(Drain::at_once())
        .gateway(Chat::new(Arc::clone(&presence)))
        .gateway(OtherNodes(Arc::clone(&presence)))
        .gateway(Staff)
        .build()
        .await?;
    Ok((server, presence))
}

/// Polls a future once. From then on it hears signals, which would kill the process before.
async fn is_ready(mut future: Pin<&mut impl Future<Output = Shutdown>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// What the terminal shows.
struct Shown<'a> {
    address: SocketAddr,
    token: &'a Token,
    origin: Origin,
    is_clustered: bool,
    management: Option<SocketAddr>,
}

impl Shown<'_> {
    fn greeting(&self) -> String {
        let address = self.address;
        let url = url(address);
        let token = self.token.expose();
        let secret = match self.origin {
            Origin::Given => format!("from {VARIABLE}"),
            Origin::Generated if self.is_clustered => {
                format!("made up for this node (set {VARIABLE} for tokens that all nodes take)")
            }
            Origin::Generated => {
                format!("made up for this run (set {VARIABLE} to keep one)")
            }
        };
        let node = if self.is_clustered {
            format!("{}, in a cluster over Redis", address.port())
        } else {
            format!(
                "{}, alone (--redis makes it one of a cluster)",
                address.port()
            )
        };
        let probes = self.management.map_or_else(
            || "none".to_owned(),
            |management| format!("http://{management}/livez and /readyz"),
        );
        let mut text = format!(
            r#"listening on {address}

  page    {url}/
  node    {node}
  probes  {probes}
  secret  {secret}
  token   for {SHOWN_NAME}, good for 12 hours:

{token}

  Connect from Node, after `npm install socket.io-client`:

import {{ io }} from "socket.io-client";
const socket = io("{url}", {{ auth: {{ token: "{token}" }} }});
socket.on("welcome", console.log);

"#
        );
        if !address.ip().is_loopback() {
            let warning = "  Beware: whoever reaches this address gets a token for the asking.\n";
            // Writing to a string cannot fail.
            let _ = text.write_str(warning);
        }
        text
    }
}

/// The address as one would type it into a browser on this machine.
fn url(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

impl DevError {
    /// Whether other arguments, or another environment, would help.
    pub(crate) fn is_about_arguments(&self) -> bool {
        match self {
            Self::Secret(error) => error.is_about_arguments(),
            Self::Listen { .. } | Self::Build(BuildError::Management { .. }) => true,
            Self::Build(BuildError::Adapter(error)) => is_about_address(error),
            Self::Start(_) | Self::Build(_) | Self::Namespace(_) | Self::Mint(_) => false,
        }
    }
}

/// Whether what was said of Redis cannot work, wherever Redis is.
fn is_about_address(error: &AdapterError) -> bool {
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<StartError>());
    matches!(cause, Some(StartError::Options(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> String {
        let shown = Shown {
            address: address.parse().unwrap(),
            token: &Token::from("the.token.itself".to_owned()),
            origin: Origin::Generated,
            is_clustered: false,
            management: Some("127.0.0.1:4000".parse().unwrap()),
        };
        shown.greeting()
    }

    #[test]
    fn the_first_line_is_the_address_and_nothing_else() {
        let text = shown("127.0.0.1:3000");
        assert_eq!(text.lines().next(), Some("listening on 127.0.0.1:3000"));
    }

    #[test]
    fn the_url_is_one_that_a_browser_on_this_machine_can_open() {
        for (address, expected) in [
            ("127.0.0.1:3000", "http://localhost:3000"),
            ("0.0.0.0:80", "http://localhost:80"),
            ("[::1]:3000", "http://localhost:3000"),
            ("192.0.2.7:3000", "http://192.0.2.7:3000"),
            ("[2001:db8::1]:3000", "http://[2001:db8::1]:3000"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn an_address_that_others_can_reach_comes_with_a_warning() {
        assert!(!shown("127.0.0.1:3000").contains("Beware"));
        assert!(shown("0.0.0.0:3000").contains("Beware"));
    }
}
