//! What all servers have in common: where they listen, and how they say so.

use std::error::Error;
use std::io::Write as _;

use clap::Args;
use portcullis::Server;
use tokio::net::TcpListener;

use crate::Failure;

/// Where to listen.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Port {
    /// The port on 127.0.0.1; 0 lets the system choose.
    #[arg(long)]
    port: u16,
}

impl Port {
    /// Listens, and tells the judge where.
    pub(crate) async fn listen(self) -> Result<TcpListener, Failure> {
        let listener = self.bind().await?;
        announce(&listener)?;
        Ok(listener)
    }

    /// Listens, for servers that are not ready yet.
    pub(crate) async fn bind(self) -> Result<TcpListener, Failure> {
        Ok(Server::bind(("127.0.0.1", self.port)).await?)
    }
}

/// Tells the judge where the server is.
pub(crate) fn announce(listener: &TcpListener) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", listener.local_addr()?)?;
    out.flush()?;
    Ok(())
}

/// Says in one line why there is no server.
pub(crate) fn complain(error: &dyn Error) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    // With a broken standard error there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "error: {text}");
}
