//! Reading a JWK set (RFC 7517).
//!
//! | in the set                                  | here                                          |
//! |---------------------------------------------|-----------------------------------------------|
//! | `use` other than `sig`                      | skipped                                       |
//! | `key_ops` without `verify`                  | skipped                                       |
//! | `alg`                                       | binds the key; must fit its type              |
//! | no `alg`                                    | RSA: `RS256`; EC: by its curve; OKP: `EdDSA`  |
//! | `kty: oct`                                  | skipped, unless the set is a file of our own  |
//! | unknown types, curves and algorithms        | skipped                                       |
//! | no `kid`                                    | skipped, unless it is the only usable key     |
//! | two keys of the same `kid` and `alg`        | the set is refused                            |
//! | more than 100 keys                          | the set is refused                            |
//! | `x5c`, `x5u`, `x5t`                         | ignored                                       |
//!
//! # Invariants
//!
//! - A key is bound to one algorithm when it leaves this module.
//! - What is skipped is counted; a set without a usable key is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::header::MAX_KEY_ID_BYTES;
use super::keys::{ALGORITHMS, Algorithm, EDDSA, ES256, ES384, Key, KeyRing, Kind, RS256};

/// The most keys of one set.
const MAX_KEYS: usize = 100;

/// Why a text is no set of keys that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SetProblem {
    #[error("it is not a JWK set")]
    NotASet,
    #[error("it has more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("two keys have the same kid and alg")]
    DuplicateKeyId,
    #[error("none of its keys can be used")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct RawSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// Whether a set may hold secrets: one that came over the network may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Refused,
    Allowed,
}

/// Reads a set of keys, each of which is for tokens of `issuer` if there is one.
pub(super) fn read_set(
    text: &[u8],
    secrets: Secrets,
    issuer: Option<&str>,
) -> Result<KeyRing, SetProblem> {
    let set: RawSet<'_> = serde_json::from_slice(text).map_err(|_| SetProblem::NotASet)?;
    if set.keys.len() > MAX_KEYS {
        return Err(SetProblem::TooManyKeys);
    }
    let mut ring = KeyRing::default();
    let mut unnamed = Vec::new();
    for raw in &set.keys {
        let read = serde_json::from_str(raw.get())
            .map_err(|_| "malformed")
            .and_then(|raw: RawKey| read_key(&raw, secrets).map(|key| (raw.kid, key)));
        let (key_id, key) = match read {
            Ok(read) => read,
            Err(reason) => {
                tracing::debug!(reason, "a key of a JWK set was skipped");
                metrics::counter!("portcullis_jwk_skipped_total", "reason" => reason).increment(1);
                continue;
            }
        };
        let key = match issuer {
            Some(issuer) => key.issued_by(issuer),
            None => key,
        };
        match key_id {
            Some(key_id) => {
                let keys = ring.named.entry(key_id).or_default();
                if keys
                    .iter()
                    .any(|other| other.algorithm() == key.algorithm())
                {
                    return Err(SetProblem::DuplicateKeyId);
                }
                keys.push(key);
            }
            None => unnamed.push(key),
        }
    }
    if ring.named.is_empty() && unnamed.len() == 1 {
        ring.unnamed = unnamed.pop();
    }
    if ring.is_empty() {
        return Err(SetProblem::NoUsableKey);
    }
    Ok(ring)
}

/// One key, or why it is skipped.
fn read_key(raw: &RawKey, secrets: Secrets) -> Result<Key, &'static str> {
    if raw
        .purpose
        .as_deref()
        .is_some_and(|purpose| purpose != "sig")
    {
        return Err("use");
    }
    let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
    if !raw.key_ops.as_ref().is_none_or(verifies) {
        return Err("key_ops");
    }
    let has_fit_name = |name: &String| (1..=MAX_KEY_ID_BYTES).contains(&name.len());
    if !raw.kid.as_ref().is_none_or(has_fit_name) {
        return Err("kid");
    }
    if raw.kty == "oct" && secrets == Secrets::Refused {
        return Err("symmetric");
    }
    let algorithm = algorithm_of(raw)?;
    let key = match (algorithm.kind, raw.kty.as_str()) {
        (Kind::Rsa, "RSA") => public(algorithm, rsa(raw))?,
        (Kind::Ec { point_bytes, .. }, "EC") => {
            let curve = if point_bytes == 65 { "P-256" } else { "P-384" };
            if raw.crv.as_deref() != Some(curve) {
                return Err("curve");
            }
            public(algorithm, ec(raw, point_bytes / 2))?
        }
        (Kind::Ed25519, "OKP") if raw.crv.as_deref() == Some("Ed25519") => {
            let key = raw.x.as_deref().map(DecodingKey::from_ed_components);
            public(algorithm, key.and_then(Result::ok))?
        }
        (Kind::Secret { .. }, "oct") => {
            let secret = raw
                .k
                .as_deref()
                .and_then(|k| URL_SAFE_NO_PAD.decode(k).ok());
            Key::from_secret(algorithm, secret.ok_or("malformed")?)
        }
        _ => return Err("algorithm"),
    };
    match key.problem(false) {
        None => Ok(key),
        Some(_) => Err("weak"),
    }
}

fn algorithm_of(raw: &RawKey) -> Result<Algorithm, &'static str> {
    if let Some(name) = &raw.alg {
        let known = ALGORITHMS
            .into_iter()
            .find(|algorithm| algorithm.name == name);
        return known.ok_or("algorithm");
    }
    match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("RSA", _) => Ok(RS256),
        ("EC", Some("P-256")) => Ok(ES256),
        ("EC", Some("P-384")) => Ok(ES384),
        ("OKP", Some("Ed25519")) => Ok(EDDSA),
        // The length of a secret says nothing about its hash.
        _ => Err("algorithm"),
    }
}

fn public(algorithm: Algorithm, key: Option<DecodingKey>) -> Result<Key, &'static str> {
    let key = key.ok_or("malformed")?;
    Ok(Key::from_public(algorithm, key))
}

fn rsa(raw: &RawKey) -> Option<DecodingKey> {
    let (n, e) = (raw.n.as_deref()?, raw.e.as_deref()?);
    DecodingKey::from_rsa_components(n, e).ok()
}

fn ec(raw: &RawKey, coordinate_bytes: usize) -> Option<DecodingKey> {
    let (x, y) = (raw.x.as_deref()?, raw.y.as_deref()?);
    // Two coordinates of wrong lengths could add up to a point of the right one.
    for coordinate in [x, y] {
        let bytes = URL_SAFE_NO_PAD.decode(coordinate).ok()?;
        if bytes.len() != coordinate_bytes {
            return None;
        }
    }
    DecodingKey::from_ec_components(x, y).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = r#""kty":"EC","crv":"P-256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn read(keys: &[String]) -> Result<KeyRing, SetProblem> {
        let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        read_set(text.as_bytes(), Secrets::Refused, Some("issuer"))
    }

    fn key(more: &str) -> String {
        format!("{{{P256}{more}}}")
    }

    #[test]
    fn a_key_is_bound_to_its_algorithm_and_issuer() {
        let ring = read(&[key(r#","kid":"a""#)]).unwrap();
        let (name, key) = ring.iter().next().unwrap();
        assert_eq!(name.map(String::as_str), Some("a"));
        assert_eq!(key.algorithm(), "ES256");
        assert_eq!(key.issuer(), Some("issuer"));
    }

    #[test]
    fn keys_for_other_uses_types_and_curves_are_skipped() {
        for more in [
            r#","kid":"a","use":"enc""#,
            r#","kid":"a","use":"SIG""#,
            r#","kid":"a","key_ops":["sign"]"#,
            r#","kid":"a","key_ops":[]"#,
            r#","kid":"a","alg":"ES384""#,
            r#","kid":"a","alg":"RS256""#,
            r#","kid":"a","alg":"HS256""#,
            r#","kid":"a","alg":"none""#,
            r#","kid":"a","alg":"es256""#,
            r#","kid":"a","alg":7"#,
            r#","kid":"""#,
            r#","kid":7"#,
        ] {
            let others = [
                key(more),
                key(r#","kid":"good","use":"sig","key_ops":["verify"]"#),
            ];
            let ring = read(&others).unwrap();
            assert_eq!(ring.named.keys().collect::<Vec<_>>(), ["good"], "{more}");
            assert_eq!(
                read(&[key(more)]).err(),
                Some(SetProblem::NoUsableKey),
                "{more}"
            );
        }
    }

    #[test]
    fn a_secret_from_the_network_is_no_key_and_one_from_a_file_is() {
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        let text =
            format!(r#"{{"keys":[{{"kty":"oct","kid":"s","alg":"HS256","k":"{secret}"}}]}}"#);
        let remote = read_set(text.as_bytes(), Secrets::Refused, None);
        assert_eq!(remote.err(), Some(SetProblem::NoUsableKey));
        let ring = read_set(text.as_bytes(), Secrets::Allowed, None).unwrap();
        assert_eq!(ring.named["s"][0].algorithm(), "HS256");
        let short = text.replace(&secret, "AAAA");
        let weak = read_set(short.as_bytes(), Secrets::Allowed, None);
        assert_eq!(weak.err(), Some(SetProblem::NoUsableKey));
    }

    #[test]
    fn a_name_that_two_keys_share_spoils_the_set() {
        let twice = [key(r#","kid":"a""#), key(r#","kid":"a""#)];
        assert_eq!(read(&twice).err(), Some(SetProblem::DuplicateKeyId));
    }

    #[test]
    fn a_key_without_a_name_counts_only_where_it_is_alone() {
        assert!(read(&[key("")]).unwrap().unnamed.is_some());
        assert!(read(&[key(""), key("")]).is_err());
        let ring = read(&[key(""), key(r#","kid":"a""#)]).unwrap();
        assert!(ring.unnamed.is_none());
    }

    #[test]
    fn a_set_is_bounded_and_what_is_no_set_is_refused() {
        let many: Vec<String> = (0..=MAX_KEYS)
            .map(|number| key(&format!(r#","kid":"{number}""#)))
            .collect();
        assert_eq!(read(&many).err(), Some(SetProblem::TooManyKeys));
        assert!(read(&many[..MAX_KEYS]).is_ok());
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, "<html>"] {
            assert!(read_set(text.as_bytes(), Secrets::Refused, None).is_err());
        }
    }
}
