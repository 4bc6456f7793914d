//! A guarded server with every kind of namespace, for the clients in `interop`.
//!
//! Its contract is in `interop/README.md`.

mod counters;
mod events;
mod steered;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use portcullis::auth::jwt::Jwt;
use portcullis::auth::source::TokenSource;
use portcullis::auth::{Expiry, ExpiryEnding};
use portcullis::engineio::Transports;
use portcullis::handshake::{Cors, HeaderPolicy, Origins};
use portcullis::socketio::codec::Codec;
use portcullis::{Drain, Rate, Server, ServerBuilder, shutdown_signal};
use portcullis_redis::Redis;

use crate::Failure;
use crate::serve::Port;
use counters::Counters;
use steered::{Claims, Steered};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    port: Port,
    /// Tokens are signed with this secret (HS256).
    #[arg(long)]
    jwt_secret: String,
    /// Tokens must be for this audience.
    #[arg(long)]
    audience: Option<String>,
    /// The packet codec.
    #[arg(long, value_enum, default_value = "json")]
    codec: CodecName,
    /// Token sources, in order.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auth,bearer")]
    sources: Vec<Source>,
    /// Only these origins pass the gate.
    #[arg(long)]
    origin: Vec<String>,
    /// The transports offered.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "polling,websocket"
    )]
    transports: Vec<TransportName>,
    /// Connections beyond get 503.
    #[arg(long)]
    max_sessions: Option<usize>,
    #[arg(long, default_value_t = 25_000)]
    ping_interval: u64,
    #[arg(long, default_value_t = 20_000)]
    ping_timeout: u64,
    #[arg(long, default_value_t = 10_000)]
    auth_timeout: u64,
    #[arg(long, default_value_t = 5_000)]
    verify_timeout: u64,
    #[arg(long, default_value_t = 10_000)]
    upgrade_timeout: u64,
    #[arg(long, default_value_t = 1_000_000)]
    max_payload: usize,
    /// Answers probes on this port.
    #[arg(long)]
    management: Option<u16>,
    /// How long new clients are taken after the signal to stop, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pre_drain: u64,
    /// Over how many milliseconds transports are closed then.
    #[arg(long, default_value_t = 0)]
    drain_window: u64,
    /// How many events a socket may send in a second; twice as many at once.
    #[arg(long)]
    event_rate: Option<u32>,
    /// What happens when a token expires.
    #[arg(long, value_enum, default_value = "disconnect")]
    expiry: ExpiryName,
    /// The grace, or how long before the client is warned.
    #[arg(long, default_value_t = 5_000)]
    expiry_ms: u64,
    /// An expired client gets a DISCONNECT packet.
    #[arg(long)]
    expiry_disconnects: bool,
    /// Join the cluster on this Redis.
    #[arg(long)]
    redis: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExpiryName {
    Disconnect,
    Notify,
    Ignore,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CodecName {
    Json,
    Msgpack,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Source {
    Auth,
    Bearer,
    Cookie,
    Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportName {
    Polling,
    Websocket,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let counters = Arc::new(Counters::default());
    let mut jwt = Jwt::<Claims>::hs256(options.jwt_secret.as_str());
    if let Some(audience) = &options.audience {
        jwt = jwt.audience(audience.as_str());
    }
    let sources = options.sources.iter().map(|source| match source {
        Source::Auth => TokenSource::AuthPayload("token".into()),
        Source::Bearer => TokenSource::Bearer,
        Source::Cookie => TokenSource::Cookie("token".into()),
        Source::Query => TokenSource::Query("token".into()),
    });
    let authenticator = Steered::new(jwt.sources(sources), Arc::clone(&counters));
    let register = |is_public: bool| {
        let counters = Arc::clone(&counters);
        move |r: &mut portcullis::gateway::Registrar| {
            if is_public {
                r.public();
            }
            events::register(r, &counters);
        }
    };
    let server = configure(Server::builder(), &options)
        .authenticate(authenticator)
        .namespace("/", register(false))
        .namespace("/admin", register(false))
        .namespace_pattern("/tenant-{id}", register(false))
        .namespace("/open", register(true))
        .build()
        .await?;
    let listener = options.port.listen().await?;
    server.serve_on(listener, shutdown_signal()).await;
    Ok(())
}

fn configure(builder: ServerBuilder, options: &Options) -> ServerBuilder {
    let offers = |name| options.transports.contains(&name);
    let expiry_time = Duration::from_millis(options.expiry_ms);
    let mut builder = builder
        .parser(match options.codec {
            CodecName::Json => Codec::Json,
            CodecName::Msgpack => Codec::Msgpack,
        })
        .transports(Transports {
            polling: offers(TransportName::Polling),
            websocket: offers(TransportName::Websocket),
        })
        .keep_headers(HeaderPolicy::All)
        .ping_interval(Duration::from_millis(options.ping_interval))
        .ping_timeout(Duration::from_millis(options.ping_timeout))
        .auth_timeout(Duration::from_millis(options.auth_timeout))
        .verify_timeout(Duration::from_millis(options.verify_timeout))
        .expiry(match options.expiry {
            ExpiryName::Disconnect => Expiry::Disconnect { grace: expiry_time },
            ExpiryName::Notify => Expiry::Notify {
                before: expiry_time,
            },
            ExpiryName::Ignore => Expiry::Ignore,
        })
        .upgrade_timeout(Duration::from_millis(options.upgrade_timeout))
        .max_payload(options.max_payload);
    if let Some(port) = options.management {
        builder = builder.management(port);
    }
    let millis = Duration::from_millis;
    builder = builder.drain(
        Drain::at_once()
            .pre_drain(millis(options.pre_drain))
            .window(millis(options.drain_window)),
    );
    if let Some(rate) = options.event_rate {
        builder = builder.event_rate(Rate::per_second(rate).burst(rate.saturating_mul(2)));
    }
    if options.expiry_disconnects {
        builder = builder.expiry_ending(ExpiryEnding::Disconnect);
    }
    if let Some(url) = &options.redis {
        builder = builder.cluster(Redis::new(url));
    }
    if let Some(count) = options.max_sessions {
        builder = builder.max_sessions(count).max_pending_handshakes(count);
    }
    if options.origin.is_empty() {
        return builder;
    }
    builder
        .cors(Cors::origins(options.origin.clone()))
        .origins(Origins::list(&options.origin))
}
