//! The gateways of `interop/nest/server`, for the comparison with NestJS.
//!
//! What each event is for is said there; here it does the same. Without `--default-mode` the
//! server answers as NestJS does. Most gateways are written with the macro; the closures of the
//! others show that it makes no difference.

mod enhanced;
mod errors;
mod filters;
mod lifecycle;
mod payloads;
mod plain;
mod returns;
mod rows;
mod shared;
mod validation;

use clap::Args;
use portcullis::gateway::EventError;
use portcullis::{Server, ServerBuilder, shutdown_signal};

use crate::Failure;
use crate::serve::Port;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    port: Port,
    /// The port of the gateway that has one of its own; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    second_port: u16,
    /// Answer as the framework does by default, not as NestJS does.
    #[arg(long)]
    default_mode: bool,
    /// Let two gateways of one namespace handle the same event, which must not build.
    #[arg(long)]
    handle_twice: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let server = gateways(&options)?.build().await?;
    let second = Server::builder()
        .drain(portcullis::Drain::at_once())
        .nest_compat(!options.default_mode)
        .gateway(plain::OwnPort)
        .build()
        .await?;
    let second_listener = Server::bind(("127.0.0.1", options.second_port)).await?;
    let listener = options.port.listen().await?;
    tokio::join!(
        server.serve_on(listener, shutdown_signal()),
        second.serve_on(second_listener, shutdown_signal()),
    );
    Ok(())
}

fn gateways(options: &Options) -> Result<ServerBuilder, Failure> {
    let builder = Server::builder()
        .drain(portcullis::Drain::at_once())
        .nest_compat(!options.default_mode)
        .authenticate_with(|attempt| std::future::ready(rows::authenticate(&attempt)))
        .guard(enhanced::logging("global guard", "denied-globally"))
        .intercept(enhanced::around("global interceptor"))
        .map_error(|error, _| match error.code() {
            "SPECIAL" => EventError::new("MAPPED", "caught by map_error"),
            _ => error,
        })
        .gateway(plain::Root)
        .gateway(plain::Test)
        .gateway(plain::Fence)
        .gateway(returns::Values)
        .gateway(returns::Events)
        .gateway(returns::ByHand)
        .gateway(returns::Failures)
        .namespace("/errors", errors::register)
        .gateway(payloads::Payloads)
        .gateway(enhanced::Enhanced)
        .namespace("/filters", filters::register)
        .namespace("/validation", validation::register)
        .gateway(shared::First)
        .gateway(shared::Second)
        .gateway(shared::Dynamic)
        .gateway(rows::Typed)
        .gateway(rows::Guarded);
    let builder = if options.handle_twice {
        builder.gateway(shared::Twice)
    } else {
        builder
    };
    let rooms = shared::Rooms {
        server: builder.emitter("/rooms")?,
    };
    Ok(lifecycle::add_to(builder.gateway(rooms)))
}
