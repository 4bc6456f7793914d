//! Servers for outside judges: protocol suites, clients of other languages, load generators.
//!
//! Each subcommand listens on `127.0.0.1:<port>`, prints `listening on 127.0.0.1:<port>` once it
//! accepts connections, and stops on SIGTERM. They use the public API only, and are not tuned to
//! any suite: what they show is how the libraries behave.

mod auth;
mod bench;
mod bus;
mod client_suite;
mod cluster;
mod emitter;
mod nest;
mod protocol;
mod serve;
mod tokens;
mod ws_echo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Servers for outside judges.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Engine.IO at /engine.io/ and Socket.IO at /socket.io/, with short timings.
    Protocol(serve::Port),
    /// What the test suite of socket.io-client expects.
    ClientSuite(serve::Port),
    /// Echo, ack and broadcast, for load generators.
    Bench(bench::Options),
    /// A bare WebSocket echo at /.
    WsEcho(serve::Port),
    /// One node of a cluster, steered by its clients.
    Cluster(cluster::Options),
    /// Does to a cluster what its standard input says, from outside.
    Emitter(emitter::Options),
    /// A guarded server with every kind of namespace.
    Auth(auth::Options),
    /// A verdict on each token that comes on stdin.
    Tokens(tokens::Options),
    /// The gateways of `interop/nest`, answering as NestJS does.
    Nest(nest::Options),
}

/// Logs to standard error what `RUST_LOG` asks for, and nothing without it.
fn log() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // It would be told to standard error, and panic if that is what failed.
            .log_internal_errors(false)
            .init();
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    log();
    let runtime = portcullis::runtime();
    let result = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            match Cli::parse().command {
                Command::Protocol(port) => protocol::run(port).await,
                Command::ClientSuite(port) => client_suite::run(port).await,
                Command::Bench(options) => bench::run(options).await,
                Command::WsEcho(port) => ws_echo::run(port).await,
                Command::Cluster(options) => cluster::run(options).await,
                Command::Emitter(options) => emitter::run(options).await,
                Command::Auth(options) => auth::run(options).await,
                Command::Tokens(options) => tokens::run(options).await,
                Command::Nest(options) => nest::run(options).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            serve::complain(&*error);
            ExitCode::from(2)
        }
    }
}
