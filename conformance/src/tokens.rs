//! A verifier of tokens that others have minted: one a line on stdin, one verdict a line on stdout.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use portcullis::auth::Authenticator as _;
use portcullis::auth::jwt::{Jwks, Jwt};
use serde_json::Value;

use crate::Failure;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A file with the keys, as a JWK set.
    #[arg(long)]
    keys: PathBuf,
    /// Tokens must be for this audience.
    #[arg(long)]
    audience: String,
    /// Tokens must be of this issuer.
    #[arg(long)]
    issuer: String,
}

/// Prints `ok` and the subject for each token, or the reason for which it is refused.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let keys = Jwks::file(options.keys).must_be_there(true);
    let jwt = Jwt::<Value>::jwks(keys)
        .audience(options.audience)
        .issuer(options.issuer);
    jwt.prepare().await?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match jwt.verify(line?.trim(), SystemTime::now()) {
            Ok(verified) => writeln!(out, "ok {}", verified.subject.unwrap_or_default())?,
            Err(error) => writeln!(out, "{}", error.as_str())?,
        }
    }
    Ok(())
}
