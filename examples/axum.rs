//! The engine inside an axum application, beside its other routes, one of which emits.
//!
//! ```text
//! cargo run --package examples --example axum
//! curl --data 'Tea is ready' localhost:3000/announce/kitchen
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use portcullis::gateway::{Data, Registrar, Reply};
use portcullis::handshake::{Handshake, RemoteAddress};
use portcullis::{Emitter, Server, ServerBuilder, Socket, shutdown_signal};
use tokio::net::TcpListener;

fn news(r: &mut Registrar) {
    // Whoever knows the address may listen; without this line a token would be asked for.
    r.public();
    r.on(
        "follow",
        async |socket: Socket, Data(topic): Data<String>| socket.join(topic),
    );
    r.on("where am I", async |handshake: Handshake| {
        Reply(handshake.address().map(|address| address.ip().to_string()))
    });
}

/// An emitter is cheap to clone and works from anywhere, so it can be the state of a handler.
async fn announce(
    State(news): State<Emitter>,
    Path(topic): Path<String>,
    text: String,
) -> StatusCode {
    match news.to(topic).emit("announcement", &text) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Who accepts the connections knows where they come from, and says so to the engine.
async fn tell_address(
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(RemoteAddress(address));
    next.run(request).await
}

pub(crate) fn server() -> ServerBuilder {
    Server::builder().namespace("/news", news)
}

pub(crate) async fn serve(
    server: Server,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let router = Router::new()
        .route("/", get(async || "An ordinary page"))
        .route("/announce/{topic}", post(announce))
        .with_state(server.emitter("/news")?)
        .route_service(server.path(), server.service())
        .layer(from_fn(tell_address));
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        shutdown.await;
        // The sessions end first: axum waits for the requests of those that poll.
        server.close().await;
    })
    .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = Server::bind("127.0.0.1:3000").await?;
    let shutdown = async { drop(shutdown_signal().await) };
    serve(server().build().await?, listener, shutdown).await
}
