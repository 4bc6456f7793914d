//! Every bad token, in every place in which one may stand, on both transports, in every kind of
//! namespace: none is admitted, and no code of the application runs.

#[path = "../../../src/auth/jwt/tests/minting.rs"]
mod minting;
#[path = "../../../src/auth/jwt/tests/bad_tokens.rs"]
#[expect(
    unused_imports,
    reason = "the tests of the verifier itself use the macro too"
)]
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use portcullis::auth::jwt::Jwt;
use portcullis::auth::source::TokenSource;
use portcullis::auth::{Claim, JsonProblem, TokenError};
use portcullis::handshake::Origins;
use portcullis::{Server, Socket};
use portcullis_testing::{TestClock, TestServer};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
enum Place {
    Payload,
    Bearer,
    Cookie,
    Query,
}

const PLACES: [Place; 4] = [Place::Payload, Place::Bearer, Place::Cookie, Place::Query];

/// A namespace of the server, one beside it, and one that is made on demand.
const NAMESPACES: [&str; 3] = ["/", "/admin", "/tenant-42"];

/// A server that counts whatever it lets happen.
async fn server(clock: &TestClock, happened: &Arc<AtomicUsize>) -> TestServer {
    let jwt = Jwt::<Value>::hs256(minting::SECRET).sources([
        TokenSource::AuthPayload("token".into()),
        TokenSource::Bearer,
        TokenSource::Cookie("token".into()),
        TokenSource::Query("token".into()),
    ]);
    let builder = Server::builder()
        .clock(clock.clone())
        .authenticate(jwt)
        .origins(Origins::list(["https://app.example.com"]));
    let counts = |happened: &Arc<AtomicUsize>| {
        let happened = Arc::clone(happened);
        move |r: &mut portcullis::gateway::Registrar| {
            r.on_connect(move |_: Socket| {
                happened.fetch_add(1, Ordering::SeqCst);
                async {}
            });
        }
    };
    let builder = builder
        .namespace("/", counts(happened))
        .namespace("/admin", counts(happened))
        .namespace_pattern("/tenant-{id}", counts(happened));
    TestServer::start(builder).await
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Whether a token gets somebody in.
async fn admits(server: &TestServer, token: &str, place: Place, polling: bool, to: &str) -> bool {
    let connecting = server.connect(to);
    let connecting = if polling {
        connecting.polling()
    } else {
        connecting
    };
    let connecting = match place {
        Place::Payload => connecting.auth(&json!({ "token": token })),
        Place::Bearer => connecting.header("authorization", &format!("Bearer {token}")),
        Place::Cookie => connecting.header("cookie", &format!("token={token}")),
        Place::Query => connecting.query("token", &percent_encoded(token)),
    };
    connecting.outcome().await.is_ok()
}

/// What no HTTP client can send in a header; there, a request is refused before it is read.
fn is_sendable(token: &str, place: Place) -> bool {
    match place {
        Place::Payload => token.len() < 900_000,
        Place::Query => token.len() < 4_000,
        // White space around a header's value is not part of it.
        Place::Bearer | Place::Cookie => {
            token.len() < 12_000 && !token.bytes().any(|byte| byte < b' ') && token.trim() == token
        }
    }
}

#[tokio::test]
async fn no_bad_token_is_admitted_anywhere() {
    let clock = TestClock::at(UNIX_EPOCH + Duration::from_secs(minting::NOW));
    let happened = Arc::<AtomicUsize>::default();
    let server = server(&clock, &happened).await;
    let rows = table::all();
    assert!(rows.len() >= 150);
    let (mut tried, mut too_large) = (0, 0);
    for (name, token, _) in &rows {
        for place in PLACES {
            for polling in [false, true] {
                for namespace in NAMESPACES {
                    if !is_sendable(token, place) {
                        too_large += 1;
                        continue;
                    }
                    tried += 1;
                    let is_in = admits(&server, token, place, polling, namespace).await;
                    assert!(!is_in, "{name} in {place:?} to {namespace}");
                }
            }
        }
    }
    assert_eq!(happened.load(Ordering::SeqCst), 0);
    assert!(tried > 150 * 4 * 2 * 3, "{tried}");
    // What cannot be sent so is in the tests of the listener: 413, 431 and 400.
    assert!(too_large < 150, "{too_large}");
}

#[tokio::test]
async fn a_good_token_is_admitted_from_each_of_those_places() {
    let clock = TestClock::at(UNIX_EPOCH + Duration::from_secs(minting::NOW));
    let happened = Arc::<AtomicUsize>::default();
    let server = server(&clock, &happened).await;
    let good = minting::token(r#""sub":"alice""#);
    for place in PLACES {
        for polling in [false, true] {
            for namespace in NAMESPACES {
                let is_in = admits(&server, &good, place, polling, namespace).await;
                assert!(is_in, "{place:?} {polling} {namespace}");
            }
        }
    }
    assert_eq!(happened.load(Ordering::SeqCst), 24);
}
