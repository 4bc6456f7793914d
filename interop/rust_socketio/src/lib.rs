//! Starts the server under test and mints tokens for it.
//!
//! Not here: the client, which is rust_socketio (tests/client.rs).

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "a secret of more than thirty-two bytes";

/// `conformance auth`, running until it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where it listens.
    pub url: String,
}

impl Server {
    /// Starts the server named by `CONFORMANCE_BIN`, and waits until it accepts connections.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    #[must_use]
    pub fn start() -> Self {
        let built = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../target/debug/conformance"
        );
        let binary = env::var_os("CONFORMANCE_BIN").map_or_else(|| built.into(), PathBuf::from);
        let mut process = Command::new(&binary)
            .args(["auth", "--port", "0", "--jwt-secret", SECRET])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let stdout = process.stdout.take().expect("standard output is piped");
        let address = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            .expect("the server says where it listens");
        Self {
            process,
            url: format!("http://{address}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the server has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A token for `alice`, good for ten minutes.
///
/// # Panics
///
/// If the clock stands before 1970.
#[must_use]
pub fn mint() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    sign(&json!({ "sub": "42", "username": "alice", "exp": now.as_secs() + 600 }))
}

/// A token with these claims.
#[must_use]
pub fn sign(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{claims}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}
