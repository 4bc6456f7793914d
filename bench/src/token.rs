//! The one token that all clients of a benchmark show.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};

use crate::error::BenchError;

/// Longer than any benchmark.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, serde::Serialize)]
struct Claims {
    sub: &'static str,
    iat: u64,
    exp: u64,
}

/// An HS256 token for `secret` that is valid for a day.
pub(crate) fn mint(secret: &str) -> Result<String, BenchError> {
    sign(
        Algorithm::HS256,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
}

/// An RS256 token of the key in `pem` that is valid for a day.
pub(crate) fn mint_rsa(pem: &[u8]) -> Result<String, BenchError> {
    let key = EncodingKey::from_rsa_pem(pem)
        .map_err(|error| BenchError::Setup(format!("the RSA key is unreadable: {error}")))?;
    sign(Algorithm::RS256, &key)
}

fn sign(algorithm: Algorithm, key: &EncodingKey) -> Result<String, BenchError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let claims = Claims {
        sub: "bench",
        iat: now.as_secs(),
        exp: (now + LIFETIME).as_secs(),
    };
    jsonwebtoken::encode(&Header::new(algorithm), &claims, key)
        .map_err(|error| BenchError::Setup(format!("cannot sign a token: {error}")))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    #[test]
    fn the_token_is_valid_for_its_secret_only() {
        let token = mint("a secret of at least 32 bytes, as HS256 asks").unwrap();
        let validation = Validation::new(Algorithm::HS256);
        let decode = |secret: &[u8]| {
            let key = DecodingKey::from_secret(secret);
            jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation)
        };
        let claims = decode(b"a secret of at least 32 bytes, as HS256 asks").unwrap();
        assert_eq!(claims.claims["sub"], "bench");
        assert!(decode(b"another secret of at least 32 bytes, as asked").is_err());
    }
}
