//! Keys that somebody publishes, fetched from an HTTPS server that misbehaves as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use parking_lot::Mutex;
use portcullis::Server;
use portcullis::auth::Readiness;
use portcullis::auth::jwt::{Issuer, Jwks, Jwt};
use portcullis_testing::TestServer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const ROOT: &str = include_str!("../../keys/tls_root.pem");

/// What the server answers.
#[derive(Clone)]
enum Answer {
    Body(String),
    Raw(String),
    /// A byte now and then.
    Drip,
    /// As many bytes as are taken.
    Flood,
    Nothing,
}

/// An HTTPS server on `localhost`.
struct Publisher {
    port: u16,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
    /// Connections that ended because the certificate was not believed.
    disbelieved: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Publisher {
    async fn start(answer: Answer) -> Self {
        let certificate = include_bytes!("../../keys/tls_localhost.pem");
        let key = include_bytes!("../../keys/tls_localhost_private.pem");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate).unwrap()],
                PrivateKeyDer::from_pem_slice(key).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        let (requests, taken) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        let disbelieved = Arc::<AtomicUsize>::default();
        let (answers, counted, sent) = (answer.clone(), requests.clone(), taken.clone());
        let doubts = disbelieved.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answers) = (acceptor.clone(), answers.clone());
                let (counted, sent) = (counted.clone(), sent.clone());
                let doubts = doubts.clone();
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        doubts.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    let mut head = [0; 4096];
                    let Ok(1..) = stream.read(&mut head).await else {
                        // With TLS 1.3 the alert comes only now.
                        doubts.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = answers.lock().clone();
                    Box::pin(respond(&mut stream, answer, &sent)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            port,
            answer,
            requests,
            disbelieved,
            taken,
            _tasks: tasks,
        }
    }

    fn now(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn jwks(&self) -> Jwks {
        Jwks::url(format!("https://localhost:{}/jwks.json", self.port))
            .root_certificates(ROOT)
            .timeout(Duration::from_millis(1500))
            .dangerous_allow_loopback()
    }
}

async fn respond(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    answer: Answer,
    sent: &AtomicUsize,
) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match answer {
        Answer::Body(body) => {
            let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answer::Raw(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answer::Drip => {
            let _ = stream
                .write_all(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes())
                .await;
            while stream.write_all(b" ").await.is_ok() {
                let _ = stream.flush().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Answer::Flood => {
            let text = format!("{head}Content-Length: 104857600\r\n\r\n");
            let _ = stream.write_all(text.as_bytes()).await;
            let chunk = [b' '; 16 * 1024];
            while sent.fetch_add(chunk.len(), Ordering::SeqCst) < 100 * 1024 * 1024 {
                if stream.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        }
        Answer::Nothing => tokio::time::sleep(Duration::from_secs(60)).await,
    }
}

/// A key of the tests, as its publisher shows it.
fn p256(kid: &str) -> Value {
    let pem = include_str!("../../keys/p256_public.pem");
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    let point = &der[der.len() - 64..];
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "alg": "ES256",
        "x": URL_SAFE_NO_PAD.encode(&point[..32]), "y": URL_SAFE_NO_PAD.encode(&point[32..]),
    })
}

fn set(keys: &[Value]) -> Answer {
    Answer::Body(json!({ "keys": keys }).to_string())
}

/// A token of the issuer `issuer`, signed with that key and naming it `kid`.
fn token(kid: &str, issuer: &str) -> portcullis::auth::Token {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = json!({ "sub": "alice", "iss": issuer, "iat": now, "exp": now + 60 });
    let header = json!({ "alg": "ES256", "kid": kid });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let key = EncodingKey::from_ec_pem(include_bytes!("../../keys/p256_private.pem")).unwrap();
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{signed}.{signature}").into()
}

async fn serve(jwt: Jwt<Value>) -> TestServer {
    let builder = Server::builder().authenticate(jwt).namespace("/", |_| {});
    TestServer::start(builder).await
}

async fn code(server: &TestServer, token: &portcullis::auth::Token) -> Option<String> {
    let outcome = server.connect("/").token(token).outcome().await;
    outcome
        .err()
        .map(|refused| refused.code().unwrap_or("?").to_owned())
}

#[tokio::test]
async fn published_keys_admit_and_a_rotation_refuses_nobody() {
    let publisher = Publisher::start(set(&[p256("a")])).await;
    let server = serve(Jwt::jwks(publisher.jwks())).await;
    assert_eq!(server.server().auth_readiness(), Readiness::Ready);
    assert_eq!(publisher.requests(), 1);
    assert_eq!(code(&server, &token("a", "x")).await, None);
    publisher.now(set(&[p256("a"), p256("b")]));
    let rotated = token("b", "x");
    let coming = (0..50).map(|_| code(&server, &rotated));
    for refused in futures_util::future::join_all(coming).await {
        assert_eq!(refused, None);
    }
    assert_eq!(code(&server, &token("a", "x")).await, None);
    assert_eq!(publisher.requests(), 2);
}

#[tokio::test]
async fn a_thousand_tokens_with_unknown_keys_cause_one_fetch() {
    let publisher = Publisher::start(set(&[p256("a")])).await;
    let server = serve(Jwt::jwks(publisher.jwks())).await;
    for number in 0..1000 {
        let refused = code(&server, &token(&format!("k{number}"), "x")).await;
        assert_eq!(refused.as_deref(), Some("TOKEN_INVALID"));
    }
    assert_eq!(publisher.requests(), 2);
    assert_eq!(code(&server, &token("a", "x")).await, None);
}

#[tokio::test]
async fn a_publisher_that_goes_down_leaves_its_known_keys_good() {
    let publisher = Publisher::start(set(&[p256("a")])).await;
    let server = serve(Jwt::jwks(publisher.jwks())).await;
    publisher.now(Answer::Nothing);
    assert_eq!(code(&server, &token("a", "x")).await, None);
    let refused = code(&server, &token("b", "x")).await;
    assert_eq!(refused.as_deref(), Some("AUTH_UNAVAILABLE"));
    assert!(matches!(
        server.server().auth_readiness(),
        Readiness::Stale { .. }
    ));
    assert_eq!(code(&server, &token("a", "x")).await, None);
}

#[tokio::test]
async fn a_publisher_that_misbehaves_leaves_the_server_up_and_not_ready() {
    let private =
        json!({ "kty": "oct", "kid": "a", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([7; 32]) });
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n";
    let encoded = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    for (what, answer) in [
        ("slow", Answer::Drip),
        ("silent", Answer::Nothing),
        ("flood", Answer::Flood),
        ("redirect", Answer::Raw(redirect.to_owned())),
        ("encoded", Answer::Raw(encoded.to_owned())),
        (
            "error",
            Answer::Raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ),
        ("no HTTP", Answer::Raw("SSH-2.0-OpenSSH\r\n".to_owned())),
        ("no set", Answer::Body("<html>".to_owned())),
        ("twice the same kid", set(&[p256("a"), p256("a")])),
        ("symmetric", set(&[private])),
        (
            "101 keys",
            set(&(0..101).map(|n| p256(&n.to_string())).collect::<Vec<_>>()),
        ),
    ] {
        let publisher = Publisher::start(answer).await;
        let start = std::time::Instant::now();
        let server = serve(Jwt::jwks(publisher.jwks())).await;
        assert!(start.elapsed() < Duration::from_secs(4), "{what}");
        assert!(!server.server().auth_readiness().is_ready(), "{what}");
        let refused = code(&server, &token("a", "x")).await;
        assert_eq!(refused.as_deref(), Some("AUTH_UNAVAILABLE"), "{what}");
        assert!(
            publisher.taken.load(Ordering::SeqCst) < 30 * 1024 * 1024,
            "{what}"
        );

        let required = Jwt::<Value>::jwks(publisher.jwks().must_be_there(true));
        let builder = Server::builder()
            .authenticate(required)
            .namespace("/", |_| {});
        assert!(builder.build().await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn keys_come_back_by_themselves() {
    let publisher = Publisher::start(Answer::Raw(String::new())).await;
    let server = serve(Jwt::jwks(publisher.jwks())).await;
    assert!(!server.server().auth_readiness().is_ready());
    publisher.now(set(&[p256("a")]));
    for _ in 0..100 {
        if server.server().auth_readiness().is_ready() {
            assert_eq!(code(&server, &token("a", "x")).await, None);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the keys were not fetched again");
}

#[tokio::test]
async fn an_issuers_key_of_the_same_name_verifies_no_token_of_another() {
    let (a, b) = (
        Publisher::start(set(&[p256("k")])).await,
        Publisher::start(set(&[])).await,
    );
    let jwt = Jwt::<Value>::issuers([
        Issuer::new("https://a").jwks(a.jwks()),
        Issuer::new("https://b").jwks(b.jwks()),
    ]);
    let server = serve(jwt).await;
    assert_eq!(code(&server, &token("k", "https://a")).await, None);
    for issuer in ["https://b", "https://c", ""] {
        assert!(
            code(&server, &token("k", issuer)).await.is_some(),
            "{issuer}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_the_system_does_not_know_is_not_trusted_nor_is_this_machine_asked() {
    let publisher = Publisher::start(set(&[p256("a")])).await;
    let url = format!("https://localhost:{}/", publisher.port);
    for jwks in [
        Jwks::url(&url).dangerous_allow_loopback(),
        Jwks::url(&url).root_certificates(ROOT),
    ] {
        let server = serve(Jwt::jwks(jwks)).await;
        assert!(!server.server().auth_readiness().is_ready());
    }
    assert_eq!(publisher.requests(), 0);
}

#[tokio::test]
async fn cve_2016_10536_a_publisher_is_believed_under_the_name_in_its_certificate_alone() {
    let publisher = Publisher::start(set(&[p256("a")])).await;
    for (host, is_believed) in [("127.0.0.1", false), ("localhost", true)] {
        let jwks = Jwks::url(format!("https://{host}:{}/jwks.json", publisher.port))
            .root_certificates(ROOT)
            .dangerous_allow_loopback();
        let server = serve(Jwt::jwks(jwks)).await;
        let readiness = server.server().auth_readiness();
        assert_eq!(readiness.is_ready(), is_believed, "{host}");
        assert_eq!(publisher.requests(), usize::from(is_believed), "{host}");
        crate::support::patiently(async {
            while publisher.disbelieved.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn cve_2026_32301_no_word_of_a_token_leads_to_a_request() {
    let attacker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/jwks.json", attacker.local_addr().unwrap());
    let publisher = Publisher::start(set(&[p256("a")])).await;
    let known = || Issuer::new("https://a").jwks(publisher.jwks());
    for jwt in [
        Jwt::jwks(publisher.jwks()),
        Jwt::jwks(publisher.jwks()).issuer("https://a"),
        Jwt::issuers([known(), Issuer::new("https://b").jwks(publisher.jwks())]),
    ] {
        let server = serve(jwt).await;
        assert_eq!(code(&server, &token("a", "https://a")).await, None);
        for token in [
            token("unknown", &url),
            token(&url, &url),
            token(&url, "https://a"),
        ] {
            let refused = code(&server, &token).await;
            assert_eq!(refused.as_deref(), Some("TOKEN_INVALID"));
        }
    }
    let asked = tokio::time::timeout(Duration::from_millis(100), attacker.accept()).await;
    assert!(asked.is_err(), "somebody was asked whom the token named");
}

#[tokio::test]
async fn what_cannot_work_does_not_build() {
    let url = "https://login.example.com/jwks.json";
    for jwks in [
        Jwks::url("http://login.example.com/jwks.json"),
        Jwks::url("https://user:pass@login.example.com/"),
        Jwks::url(url).cool_down(Duration::from_secs(29)),
        Jwks::url(url).refresh_every(Duration::ZERO),
        Jwks::url(url).max_stale(Duration::from_secs(1)),
        Jwks::url(url).only_hosts(["login.example.org"]),
        Jwks::url(url).timeout(Duration::ZERO),
    ] {
        assert!(
            Jwt::<Value>::jwks(jwks.clone()).check().is_err(),
            "{jwks:?}"
        );
    }
    assert!(
        Jwt::<Value>::jwks(Jwks::url(url).only_hosts(["Login.example.com"]))
            .check()
            .is_ok()
    );
    assert!(
        Jwt::<Value>::issuers([Issuer::new("a b").jwks(url)])
            .check()
            .is_err()
    );
    assert!(Jwt::<Value>::issuers([Issuer::new("a")]).check().is_err());
    let twice = [Issuer::new("a").jwks(url), Issuer::new("a").jwks(url)];
    assert!(Jwt::<Value>::issuers(twice).check().is_err());
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let path = std::env::temp_dir().join(format!("portcullis-keys-{}.json", std::process::id()));
    std::fs::write(&path, json!({ "keys": [p256("a")] }).to_string()).unwrap();
    let file = Jwks::file(&path).refresh_every(Duration::from_secs(1));
    let server = serve(Jwt::jwks(file)).await;
    assert_eq!(code(&server, &token("a", "x")).await, None);
    std::fs::write(&path, "{").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(code(&server, &token("a", "x")).await, None);
    std::fs::write(&path, json!({ "keys": [p256("b")] }).to_string()).unwrap();
    let mut admitted = false;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        admitted |= code(&server, &token("b", "x")).await.is_none();
    }
    assert!(admitted);
    let refused = code(&server, &token("a", "x")).await;
    assert_eq!(refused.as_deref(), Some("TOKEN_INVALID"));
    std::fs::remove_file(&path).unwrap();
}
