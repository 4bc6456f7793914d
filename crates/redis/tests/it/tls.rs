//! TLS, with an authority of the test's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::BuildError;
use portcullis_redis::{AtStart, Redis};
use tokio::process::Command;

use crate::support::redis_server::{free_port, new_folder};
use crate::support::{Node, RedisServer, builder};

/// Runs a command line of openssl in a folder.
async fn openssl(folder: &Path, line: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(line.split(' '));
    let output = command.output().await;
    let output = output.expect("openssl is there: apt-get install -y openssl");
    assert!(output.status.success(), "{output:?}");
}

/// An authority, and a key with a certificate of it, which is for these names.
struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    async fn new(names: &str) -> Self {
        let folder = new_folder();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        for line in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
            format!(
                "req {key} -keyout key.pem -out req.pem -subj /CN=localhost \
                 -addext subjectAltName={names}"
            ),
            "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -copy_extensions copy -out cert.pem"
                .to_owned(),
        ] {
            openssl(&folder, &line).await;
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }

    /// A server that shows the certificate at a second port, which comes back.
    async fn serve(&self, settings: &[&str]) -> (RedisServer, u16) {
        let port = free_port();
        let (text, cert) = (port.to_string(), self.path("cert.pem"));
        let (key, ca) = (self.path("key.pem"), self.path("ca.pem"));
        let mut all = vec!["--tls-port", &text, "--tls-cert-file", &cert];
        all.extend(["--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
        all.extend(settings);
        (RedisServer::start_with(&all).await, port)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether a server with this cluster is built.
async fn joins(redis: Redis) -> bool {
    let after = Duration::from_millis(500);
    let redis = redis.at_start(AtStart::Fail { after });
    match builder(|_| {}).cluster(redis).build().await {
        Ok(server) => {
            server.close().await;
            true
        }
        Err(BuildError::Adapter(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_redis_with_tls_is_joined_if_its_authority_is_trusted() {
    let certificates = Certificates::new("DNS:localhost,IP:127.0.0.1").await;
    let (_redis, port) = certificates.serve(&[]).await;
    let redis = || Redis::new(format!("rediss://127.0.0.1:{port}"));
    assert!(!joins(redis()).await);

    let authority = certificates.read("ca.pem");
    // The server asks for a certificate, too.
    assert!(!joins(redis().ca_certificate(authority.clone())).await);

    let dressed = || {
        redis()
            .ca_certificate(authority.clone())
            .client_certificate(certificates.read("cert.pem"), certificates.read("key.pem"))
    };
    let (near, far) = (Node::join(dressed()).await, Node::join(dressed()).await);
    let mut client = far.client().await;
    near.emitter.emit("hello", &()).unwrap();
    assert_eq!(client.event().await, r#"["hello"]"#);
}

#[tokio::test]
async fn cve_2016_10536_a_redis_is_believed_under_the_name_in_its_certificate_alone() {
    let certificates = Certificates::new("DNS:localhost,DNS:redis.example").await;
    let (_redis, port) = certificates.serve(&["--tls-auth-clients", "no"]).await;
    let at = |host: &str| Redis::new(format!("rediss://{host}:{port}"));
    let authority = certificates.read("ca.pem");
    assert!(joins(at("localhost").ca_certificate(authority.clone())).await);
    assert!(!joins(at("127.0.0.1").ca_certificate(authority.clone())).await);
    assert!(!joins(at("localhost")).await);
    // Nor is there an address that asks for less.
    let insecure = Redis::new(format!("rediss://localhost:{port}/#insecure"));
    assert!(!joins(insecure.ca_certificate(authority)).await);
}

#[tokio::test]
async fn cve_2016_10536_a_redis_that_vouches_for_itself_is_not_believed() {
    let certificates = Certificates::new("DNS:localhost").await;
    let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -keyout key.pem -out cert.pem -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost";
    openssl(&certificates.folder, line).await;
    let (_redis, port) = certificates.serve(&["--tls-auth-clients", "no"]).await;
    let redis = || Redis::new(format!("rediss://localhost:{port}"));
    assert!(!joins(redis()).await);
    assert!(!joins(redis().ca_certificate(certificates.read("ca.pem"))).await);
}
