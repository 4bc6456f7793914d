//! The keys that a token may be signed with, each bound to one algorithm.
//!
//! ```text
//!  header.kid ──▶ KeyRing ──▶ the keys of that name, each Key { algorithm, material, issuer }
//!  header.alg ───────────────▶ the one whose own it is, or refused
//! ```
//!
//! # Invariants
//!
//! - The algorithm comes from the key's configuration and never from the token or from the look of
//!   the key (RFC 8725 section 3.1). `none` cannot be configured.
//! - Key material that is too weak, or not what its constructor expects, verifies nothing.
//!
//! # Not here
//!
//! Fetching keys from elsewhere (`cache`), and reading them as JWK (`jwk`).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{DecodingKey, DecodingKeyKind};

use crate::auth::secret::Secret;
use crate::auth::token_error::TokenError;

use super::header::Header;
use super::problem::KeyProblem;

/// One signature algorithm of RFC 7518 section 3.1 or RFC 8037.
#[derive(Clone, Copy)]
pub(super) struct Algorithm {
    /// The value of `alg`.
    pub(super) name: &'static str,
    library: jsonwebtoken::Algorithm,
    pub(super) kind: Kind,
}

/// What kind of key an algorithm takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A shared secret, at least as long as the output of the hash (RFC 7518 section 3.2).
    Secret {
        min_bytes: usize,
    },
    Rsa,
    /// An uncompressed point on the algorithm's own curve.
    Ec {
        point_bytes: usize,
        /// The curve's object identifier in DER (RFC 5480 section 2.1.1.1).
        curve: &'static [u8],
    },
    Ed25519,
}

/// A constant per algorithm, named as in `alg`.
macro_rules! algorithms {
    ($($name:ident $kind:expr;)*) => {
        $(pub(super) const $name: Algorithm = Algorithm {
            name: stringify!($name),
            library: jsonwebtoken::Algorithm::$name,
            kind: $kind,
        };)*
    };
}

algorithms! {
    HS256 Kind::Secret { min_bytes: 32 };
    HS384 Kind::Secret { min_bytes: 48 };
    HS512 Kind::Secret { min_bytes: 64 };
    RS256 Kind::Rsa;
    RS384 Kind::Rsa;
    RS512 Kind::Rsa;
    PS256 Kind::Rsa;
    PS384 Kind::Rsa;
    PS512 Kind::Rsa;
    ES256 Kind::Ec { point_bytes: 65, curve: b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07" };
    ES384 Kind::Ec { point_bytes: 97, curve: b"\x06\x05\x2b\x81\x04\x00\x22" };
}

pub(super) const EDDSA: Algorithm = Algorithm {
    name: "EdDSA",
    library: jsonwebtoken::Algorithm::EdDSA,
    kind: Kind::Ed25519,
};

/// Every algorithm.
pub(super) const ALGORITHMS: [Algorithm; 12] = [
    HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EDDSA,
];

/// A key for verifying tokens, bound to one algorithm and, if wanted, to one issuer.
///
/// Constructors never fail; what is wrong with a key is reported by
/// [`Jwt::check`](super::Jwt::check), together with everything else.
pub struct Key {
    algorithm: Algorithm,
    material: Result<DecodingKey, KeyProblem>,
    /// Set for a secret that works but is shorter than the algorithm deserves.
    weakness: Option<KeyProblem>,
    issuer: Option<String>,
}

/// The public constructors, which differ only in their algorithm.
macro_rules! constructors {
    ($(
        $(#[$doc:meta])*
        $name:ident($argument:ident: $type:ty) = $make:ident($algorithm:expr);
    )*) => {
        impl Key {
            $($(#[$doc])*
            #[must_use]
            pub fn $name($argument: $type) -> Self {
                Self::$make($algorithm, $argument)
            })*
        }
    };
}

constructors! {
    /// HMAC with SHA-256. The secret has at least 32 bytes.
    hs256(secret: impl Into<Secret>) = from_secret(HS256);
    /// HMAC with SHA-384. The secret has at least 48 bytes.
    hs384(secret: impl Into<Secret>) = from_secret(HS384);
    /// HMAC with SHA-512. The secret has at least 64 bytes.
    hs512(secret: impl Into<Secret>) = from_secret(HS512);
    /// RSASSA-PKCS1-v1_5 with SHA-256. The public key has 2048 to 8192 bits.
    rs256_pem(public_key: impl AsRef<[u8]>) = from_pem(RS256);
    /// RSASSA-PKCS1-v1_5 with SHA-384. The public key has 2048 to 8192 bits.
    rs384_pem(public_key: impl AsRef<[u8]>) = from_pem(RS384);
    /// RSASSA-PKCS1-v1_5 with SHA-512. The public key has 2048 to 8192 bits.
    rs512_pem(public_key: impl AsRef<[u8]>) = from_pem(RS512);
    /// RSASSA-PSS with SHA-256. The public key has 2048 to 8192 bits.
    ps256_pem(public_key: impl AsRef<[u8]>) = from_pem(PS256);
    /// RSASSA-PSS with SHA-384. The public key has 2048 to 8192 bits.
    ps384_pem(public_key: impl AsRef<[u8]>) = from_pem(PS384);
    /// RSASSA-PSS with SHA-512. The public key has 2048 to 8192 bits.
    ps512_pem(public_key: impl AsRef<[u8]>) = from_pem(PS512);
    /// ECDSA on P-256 with SHA-256.
    es256_pem(public_key: impl AsRef<[u8]>) = from_pem(ES256);
    /// ECDSA on P-384 with SHA-384.
    es384_pem(public_key: impl AsRef<[u8]>) = from_pem(ES384);
    /// EdDSA on Ed25519.
    eddsa_pem(public_key: impl AsRef<[u8]>) = from_pem(EDDSA);
}

impl Key {
    /// Accepts this key only for tokens whose `iss` is `issuer`.
    ///
    /// Needed where several issuers sign with keys of their own: without it, one of them could make
    /// tokens in the name of another.
    #[must_use]
    pub fn issued_by(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `alg` that a token must name to be verified with this key.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    pub(super) fn problem(&self, allow_weak: bool) -> Option<KeyProblem> {
        let weakness = if allow_weak { None } else { self.weakness };
        self.material.as_ref().err().copied().or(weakness)
    }

    /// # Errors
    ///
    /// [`TokenError::SignatureInvalid`], or [`TokenError::KeyUnusable`] if [`Key::problem`] names
    /// a problem.
    pub(super) fn verify(
        &self,
        signed: &[u8],
        signature: &Vec<u8>,
        allow_weak: bool,
    ) -> Result<(), TokenError> {
        let (Ok(material), None) = (&self.material, self.problem(allow_weak)) else {
            return Err(TokenError::KeyUnusable);
        };
        // The library's process-wide default is avoided: any crate in the process could replace it.
        (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.library, material)
            .map_err(|_| TokenError::KeyUnusable)?
            .verify(signed, signature)
            .map_err(|_| TokenError::SignatureInvalid)
    }

    /// A public key as the library made it from a JWK.
    pub(super) fn from_public(algorithm: Algorithm, key: DecodingKey) -> Self {
        Self {
            algorithm,
            material: check_material(algorithm.kind, &key).map(|()| key),
            weakness: None,
            issuer: None,
        }
    }

    pub(super) fn from_secret(algorithm: Algorithm, secret: impl Into<Secret>) -> Self {
        let secret = secret.into();
        let len_bytes = secret.expose().len();
        let Kind::Secret { min_bytes } = algorithm.kind else {
            return Self::unusable(algorithm, KeyProblem::WrongKeyType);
        };
        if len_bytes == 0 {
            return Self::unusable(algorithm, KeyProblem::SecretEmpty);
        }
        // A public key in this place would make every holder of it a signer.
        if contains(secret.expose(), PEM_BEGIN.as_bytes()) {
            return Self::unusable(algorithm, KeyProblem::SecretIsPem);
        }
        Self {
            algorithm,
            material: Ok(DecodingKey::from_secret(secret.expose())),
            weakness: (len_bytes < min_bytes).then_some(KeyProblem::SecretTooShort {
                len_bytes,
                min_bytes,
            }),
            issuer: None,
        }
    }

    fn from_pem(algorithm: Algorithm, public_key: impl AsRef<[u8]>) -> Self {
        let material = read_pem(algorithm.kind, public_key.as_ref());
        Self {
            algorithm,
            material,
            weakness: None,
            issuer: None,
        }
    }

    const fn unusable(algorithm: Algorithm, problem: KeyProblem) -> Self {
        Self {
            algorithm,
            material: Err(problem),
            weakness: None,
            issuer: None,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm.name)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

const PEM_BEGIN: &str = "-----BEGIN ";

fn read_pem(kind: Kind, pem: &[u8]) -> Result<DecodingKey, KeyProblem> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyProblem::PemUnreadable)?;
    // The library takes private keys and certificates for public keys, so we read the label.
    let mut blocks = text.split(PEM_BEGIN).skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        return Err(KeyProblem::PemUnreadable);
    };
    match block.split("-----").next() {
        Some("PUBLIC KEY") => {}
        Some("RSA PUBLIC KEY") if kind == Kind::Rsa => {}
        Some("RSA PUBLIC KEY") => return Err(KeyProblem::WrongKeyType),
        Some(label) if label.ends_with("PRIVATE KEY") => return Err(KeyProblem::PrivateKey),
        _ => return Err(KeyProblem::PemUnreadable),
    }
    let readers = [
        DecodingKey::from_rsa_pem,
        DecodingKey::from_ec_pem,
        DecodingKey::from_ed_pem,
    ];
    let key = match kind {
        Kind::Rsa => DecodingKey::from_rsa_pem(pem),
        Kind::Ec { .. } => DecodingKey::from_ec_pem(pem),
        Kind::Ed25519 => DecodingKey::from_ed_pem(pem),
        Kind::Secret { .. } => return Err(KeyProblem::WrongKeyType),
    };
    let key = key.map_err(|_| {
        let readable = readers.iter().any(|read| read(pem).is_ok());
        if readable {
            KeyProblem::WrongKeyType
        } else {
            KeyProblem::PemUnreadable
        }
    })?;
    check_material(kind, &key)?;
    // Other curves have points of the same length.
    if let Kind::Ec { curve, .. } = kind
        && !pem_content(block).is_some_and(|der| contains(&der, curve))
    {
        return Err(KeyProblem::WrongKeyType);
    }
    Ok(key)
}

/// The bytes of a PEM block, given without its `-----BEGIN `.
fn pem_content(block: &str) -> Option<Vec<u8>> {
    let text: String = block
        .split("-----")
        .nth(1)?
        .split_ascii_whitespace()
        .collect();
    STANDARD.decode(text).ok()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

fn check_material(kind: Kind, key: &DecodingKey) -> Result<(), KeyProblem> {
    if let DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind() {
        return check_rsa_size(n);
    }
    let bytes = key
        .try_get_as_bytes()
        .map_err(|_| KeyProblem::PemUnreadable)?;
    match kind {
        Kind::Rsa => {
            let components = aws_lc::DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key;
            let (modulus, _) = components(bytes).map_err(|_| KeyProblem::PemUnreadable)?;
            check_rsa_size(&modulus)?;
        }
        Kind::Ec { point_bytes, .. } if bytes.len() != point_bytes || bytes.first() != Some(&4) => {
            return Err(KeyProblem::WrongKeyType);
        }
        Kind::Ed25519 if bytes.len() != 32 => return Err(KeyProblem::PemUnreadable),
        Kind::Ec { .. } | Kind::Ed25519 | Kind::Secret { .. } => {}
    }
    Ok(())
}

fn check_rsa_size(modulus: &[u8]) -> Result<(), KeyProblem> {
    let bits = bit_length(modulus);
    // RFC 7518 section 3.3 asks for 2048; the library stops at 8192.
    if (2048..=8192).contains(&bits) {
        Ok(())
    } else {
        Err(KeyProblem::RsaSize { bits })
    }
}

fn bit_length(big_endian: &[u8]) -> usize {
    let mut bytes = big_endian.iter().skip_while(|&&byte| byte == 0);
    let Some(first) = bytes.next() else { return 0 };
    bytes.count() * 8 + 8 - first.leading_zeros() as usize
}

/// Some keys: at most one without a name, and any number by `kid`.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    pub(super) unnamed: Option<Key>,
    /// Keys of one name differ in their algorithms.
    pub(super) named: BTreeMap<String, Vec<Key>>,
}

impl KeyRing {
    /// The key that must have signed a token with this header.
    ///
    /// Who knows no names ignores `kid`. Who does refuses an unknown name, and takes the unnamed
    /// key, if there is one, only for a token that names none.
    pub(super) fn choose(&self, header: &Header) -> Result<&Key, TokenError> {
        let unnamed = || self.unnamed.as_ref().map(std::slice::from_ref);
        let keys = match &header.key_id {
            Some(key_id) if !self.named.is_empty() => self
                .named
                .get(key_id)
                .map(Vec::as_slice)
                .ok_or(TokenError::KeyUnknown),
            Some(_) => unnamed().ok_or(TokenError::KeyUnknown),
            None => unnamed().ok_or(TokenError::KeyIdMissing),
        };
        if header.algorithm.eq_ignore_ascii_case("none") {
            return Err(TokenError::AlgorithmNone);
        }
        keys?
            .iter()
            .find(|key| key.algorithm.name == header.algorithm)
            .ok_or(TokenError::AlgorithmMismatch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }

    /// Every key, with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<&String>, &Key)> {
        let named = self.named.iter();
        let named = named.flat_map(|(name, keys)| keys.iter().map(move |key| (Some(name), key)));
        self.unnamed.iter().map(|key| (None, key)).chain(named)
    }
}
