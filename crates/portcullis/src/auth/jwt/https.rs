//! Fetching a set of keys over HTTPS: once, from one host, bounded in size and time.
//!
//! # Invariants
//!
//! - The URL is configured. Nothing of a token gets into it, and no redirect is followed.
//! - The host's addresses are looked at before one is connected to: an address of this machine or
//!   of its link is not asked, unless that was allowed.
//! - Not more than [`MAX_BYTES`] are read, and not longer than the timeout, however slowly they
//!   drip.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::cache::{FetchError, KeySource};
use super::jwk::Secrets;

/// The largest set of keys that is read.
const MAX_BYTES: usize = 1024 * 1024;

/// A set of keys at a URL.
pub(super) struct Https {
    url: Uri,
    host: String,
    port: u16,
    timeout: Duration,
    allows_loopback: bool,
    /// The only roots that are trusted, in PEM; the system's if there are none.
    roots: Option<Vec<u8>>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// Reads the URL of a set of keys, or says what is wrong with it.
pub(super) fn parse_url(url: &str) -> Result<(Uri, String, u16), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
    if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Err("it must begin with https://");
    }
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.as_str().contains('@') {
        return Err("it must not hold credentials");
    }
    let port = authority.port_u16().unwrap_or(443);
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err("it names no host");
    }
    Ok((uri, host, port))
}

impl Https {
    pub(super) fn new(
        (url, host, port): (Uri, String, u16),
        timeout: Duration,
        allows_loopback: bool,
        roots: Option<Vec<u8>>,
    ) -> Self {
        Self {
            url,
            host,
            port,
            timeout,
            allows_loopback,
            roots,
            tls: OnceLock::new(),
        }
    }

    async fn get(&self) -> Result<Vec<u8>, FetchError> {
        let tcp = self.connect().await?;
        let tls = self.tls.get_or_init(|| tls_config(self.roots.as_deref()));
        let config = tls.as_ref().map_err(|why| FetchError::Tls(why.clone()))?;
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| FetchError::Tls("the host has no usable name".to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(name, tcp)
            .await
            .map_err(FetchError::Connection)?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(64 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(FetchError::Http)?;
        let request = self.request();
        let mut answer = pin!(async {
            let response = sender.send_request(request).await;
            read(response.map_err(FetchError::Http)?).await
        });
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The other end has closed; what it sent before is still to be read.
            _ = connection => answer.await,
        }
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut error = FetchError::NoAddress;
        for address in addresses.map_err(FetchError::Connection)? {
            if !self.allows_loopback && is_too_near(address.ip()) {
                error = FetchError::Address(address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(failed) => error = FetchError::Connection(failed),
            }
        }
        Err(error)
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = authority.parse() {
            headers.insert(HOST, host);
        }
        for (name, value) in [
            (ACCEPT, "application/jwk-set+json, application/json"),
            (ACCEPT_ENCODING, "identity"),
            (
                USER_AGENT,
                concat!("portcullis/", env!("CARGO_PKG_VERSION")),
            ),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        request
    }
}

impl KeySource for Https {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        async {
            let got = tokio::time::timeout(self.timeout, self.get()).await;
            got.map_err(|_| FetchError::Timeout(self.timeout))?
        }
        .boxed()
    }

    fn name(&self) -> &str {
        &self.host
    }

    fn secrets(&self) -> Secrets {
        Secrets::Refused
    }
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err(FetchError::Encoded);
    }
    let mut body = response.into_body();
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(FetchError::Http)?.into_data() else {
            continue;
        };
        if received.len() + data.len() > MAX_BYTES {
            let max_bytes = MAX_BYTES;
            return Err(FetchError::TooLarge { max_bytes });
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}

/// Whether an address is of this machine, of its link, or of nobody in particular: a name that
/// resolves to one would have us ask our own services.
fn is_too_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
        }
    }
}

fn tls_config(roots: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| "a root is not PEM".to_owned())?;
                store.add(certificate).map_err(|error| error.to_string())?;
            }
        }
        None => {
            // Some systems keep certificates that no longer parse among the others.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err("there are no root certificates".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_https_url_of_a_host_without_credentials_is_one() {
        for url in [
            "",
            "jwks.json",
            "/jwks.json",
            "http://login.example.com/jwks.json",
            "file:///etc/passwd",
            "https://",
            "https:///jwks.json",
            "https://user:password@login.example.com/",
        ] {
            assert!(parse_url(url).is_err(), "{url}");
        }
        let (_, host, port) = parse_url("https://login.example.com/jwks.json").unwrap();
        assert_eq!((host.as_str(), port), ("login.example.com", 443));
        let (_, host, port) = parse_url("https://[2001:db8::1]:8443/").unwrap();
        assert_eq!((host.as_str(), port), ("2001:db8::1", 8443));
    }

    #[test]
    fn addresses_of_this_machine_and_its_link_are_too_near_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "127.8.9.10",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(is_too_near(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_too_near(address.parse().unwrap()), "{address}");
        }
    }
}
