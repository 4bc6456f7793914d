//! TLS, with an authority of the test's own.

use std::path::Path;
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

#[tokio::test]
async fn a_redis_with_tls_is_joined_if_its_authority_is_trusted() {
    let folder = new_folder();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    for line in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
        format!("req {key} -keyout key.pem -out req.pem -subj /CN=localhost -addext {names}"),
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -copy_extensions copy -out cert.pem"
            .to_owned(),
    ] {
        openssl(&folder, &line).await;
    }
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (port, cert, key, ca) = (
        free_port().to_string(),
        file("cert.pem"),
        file("key.pem"),
        file("ca.pem"),
    );
    let settings = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ];
    let _redis = RedisServer::start_with(&settings).await;
    let redis = || Redis::new(format!("rediss://127.0.0.1:{port}"));

    let untrusted = redis().at_start(AtStart::Fail {
        after: Duration::from_millis(500),
    });
    let built = builder(|_| {}).cluster(untrusted).build().await;
    assert!(matches!(built, Err(BuildError::Adapter(_))));

    let authority = std::fs::read(&ca).unwrap();
    let nothing = redis()
        .ca_certificate(authority.clone())
        .at_start(AtStart::Fail {
            after: Duration::from_millis(500),
        });
    // The server asks for a certificate, too.
    let built = builder(|_| {}).cluster(nothing).build().await;
    assert!(matches!(built, Err(BuildError::Adapter(_))));

    let dressed = || {
        redis()
            .ca_certificate(authority.clone())
            .client_certificate(std::fs::read(&cert).unwrap(), std::fs::read(&key).unwrap())
    };
    let (near, far) = (Node::join(dressed()).await, Node::join(dressed()).await);
    let mut client = far.client().await;
    near.emitter.emit("hello", &()).unwrap();
    assert_eq!(client.event().await, r#"["hello"]"#);
    let _ = std::fs::remove_dir_all(&folder);
}
