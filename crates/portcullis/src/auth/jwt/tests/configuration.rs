//! What `check` finds, and that nothing passes a configuration that it refuses.

use super::bad_tokens::table;
use super::*;

fn key_problem(jwt: &Jwt<Value>) -> Option<KeyProblem> {
    match jwt.check().err()?.as_slice() {
        [
            JwtProblem::Key {
                key_id: None,
                problem,
                ..
            },
        ] => Some(*problem),
        other => panic!("not one problem of one key: {other:?}"),
    }
}

#[test]
fn a_short_secret_is_refused_by_the_length_of_the_hash() {
    type Make = fn(Vec<u8>) -> Jwt<Value>;
    let makers: [(Make, usize); 3] = [(Jwt::hs256, 32), (Jwt::hs384, 48), (Jwt::hs512, 64)];
    for (make, min_bytes) in makers {
        assert_eq!(make(vec![1; min_bytes]).check(), Ok(()));
        let len_bytes = min_bytes - 1;
        let expected = KeyProblem::SecretTooShort {
            len_bytes,
            min_bytes,
        };
        assert_eq!(key_problem(&make(vec![1; len_bytes])), Some(expected));
        assert_eq!(make(vec![1]).dangerous_allow_weak_secret().check(), Ok(()));
        let empty = make(Vec::new()).dangerous_allow_weak_secret();
        assert_eq!(key_problem(&empty), Some(KeyProblem::SecretEmpty));
    }
}

#[test]
fn a_weak_secret_verifies_nothing_unless_dangerously_allowed() {
    let token = sign_by(b"secret", HEADER, claims(""));
    let weak = Jwt::<Value>::hs256("secret");
    assert_eq!(verdict(&weak, &token), Err(TokenError::KeyUnusable));
    assert_eq!(verdict(&weak.dangerous_allow_weak_secret(), &token), Ok(()));
}

#[test]
fn a_key_of_the_wrong_kind_is_found_before_the_first_token() {
    use KeyProblem::{PemUnreadable, PrivateKey, RsaSize, SecretIsPem, WrongKeyType};
    let rsa = key_file!("rsa_public.pem");
    let p256 = key_file!("p256_public.pem");
    let p384 = key_file!("p384_public.pem");
    let ed = key_file!("ed25519_public.pem");
    let cut = &rsa[..rsa.len() / 2];
    let pkcs1 = key_file!("rsa_public_pkcs1.pem");
    let label = |label: &str| rsa.replace("PUBLIC KEY", label);
    let garbled = rsa.replacen("MII", "AAA", 1);
    let rows: Vec<(&str, Jwt<Value>, KeyProblem)> = table! {
        "a PEM as secret": Jwt::hs256(rsa) => SecretIsPem;
        "a PEM after a space": Jwt::hs256(format!(" \n{rsa}")) => SecretIsPem;
        "a private PEM as secret": Jwt::hs512(key_file!("rsa_private.pem")) => SecretIsPem;
        "nothing": Jwt::rs256_pem("") => PemUnreadable;
        "text": Jwt::rs256_pem("0123456789abcdef0123456789abcdef") => PemUnreadable;
        "not UTF-8": Jwt::rs256_pem([0xff; 64]) => PemUnreadable;
        "half a PEM": Jwt::rs256_pem(cut) => PemUnreadable;
        "a garbled PEM": Jwt::rs256_pem(garbled) => PemUnreadable;
        "two PEMs": Jwt::rs256_pem([rsa, rsa].concat()) => PemUnreadable;
        "a certificate": Jwt::rs256_pem(label("CERTIFICATE")) => PemUnreadable;
        "a private RSA key": Jwt::rs256_pem(key_file!("rsa_private.pem")) => PrivateKey;
        "an old private key": Jwt::rs256_pem(label("RSA PRIVATE KEY")) => PrivateKey;
        "a private P-256 key": Jwt::es256_pem(key_file!("p256_private.pem")) => PrivateKey;
        "a private Ed25519 key": Jwt::eddsa_pem(key_file!("ed25519_private.pem")) => PrivateKey;
        "P-256 for RS256": Jwt::rs256_pem(p256) => WrongKeyType;
        "Ed25519 for PS256": Jwt::ps256_pem(ed) => WrongKeyType;
        "RSA for ES256": Jwt::es256_pem(rsa) => WrongKeyType;
        "PKCS#1 for ES256": Jwt::es256_pem(pkcs1) => WrongKeyType;
        "P-384 for ES256": Jwt::es256_pem(p384) => WrongKeyType;
        "P-256 for ES384": Jwt::es384_pem(p256) => WrongKeyType;
        "secp256k1 for ES256": Jwt::es256_pem(key_file!("secp256k1_public.pem")) => WrongKeyType;
        "RSA for EdDSA": Jwt::eddsa_pem(rsa) => WrongKeyType;
        "P-256 for EdDSA": Jwt::eddsa_pem(p256) => WrongKeyType;
        "1024 bits": Jwt::rs256_pem(key_file!("rsa_1024_public.pem")) => RsaSize { bits: 1024 };
    };
    let token = key_file!("tokens.txt").lines().nth(3).unwrap();
    for (name, jwt, expected) in rows {
        assert_eq!(key_problem(&jwt), Some(expected), "{name}");
        assert!(verdict(&jwt, token).is_err(), "{name}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = Jwt::<Value>::hs256("short")
        .key("a", Key::rs256_pem("no key"))
        .key("a", Key::hs256(SECRET))
        .key("", Key::hs256(SECRET))
        .key("k".repeat(257), Key::hs256(SECRET))
        .leeway(Duration::from_secs(301))
        .sources([
            TokenSource::Cookie("a b".into()),
            TokenSource::Query("".into()),
        ])
        .check()
        .unwrap_err();
    let max = Duration::from_secs(300);
    let expected = vec![
        JwtProblem::DuplicateKeyId {
            key_id: "a".to_owned(),
        },
        JwtProblem::KeyIdLength { len_bytes: 0 },
        JwtProblem::KeyIdLength { len_bytes: 257 },
        JwtProblem::Key {
            key_id: None,
            algorithm: "HS256",
            problem: KeyProblem::SecretTooShort {
                len_bytes: 5,
                min_bytes: 32,
            },
        },
        JwtProblem::Key {
            key_id: Some("a".to_owned()),
            algorithm: "RS256",
            problem: KeyProblem::PemUnreadable,
        },
        JwtProblem::SourceName {
            name: "a b".to_owned(),
        },
        JwtProblem::SourceName {
            name: String::new(),
        },
        JwtProblem::LeewayTooLong {
            leeway: Duration::from_secs(301),
            max,
        },
    ];
    assert_eq!(problems, expected);
}

#[test]
fn neither_keys_nor_sources_may_be_absent() {
    let empty = Jwt::<Value>::keys::<String>([]).sources([]);
    assert_eq!(
        empty.check(),
        Err(vec![JwtProblem::NoKey, JwtProblem::NoSource])
    );
}

#[test]
fn printing_a_verifier_shows_no_secret() {
    let jwt = jwt().key("a", Key::hs256([b'k'; 32]));
    let printed = format!("{jwt:?} {:?}", Key::hs256(SECRET));
    assert!(
        !printed.contains("0123456789") && !printed.contains("kkkk") && !printed.contains("107")
    );
}

#[test]
fn a_verifier_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Jwt<Value>>();
    shared::<Verified<Value>>();
}

#[test]
fn a_subject_alone_names_a_user_only_where_all_tokens_are_of_one_issuer() {
    let key = || Key::hs256(SECRET);
    let of = |issuer: &str| key().issued_by(issuer);
    let both = || Jwt::<Value>::keys([("a", of("a")), ("b", of("b"))]);
    let jwks = || Jwt::<Value>::jwks("https://login.example.com/jwks.json");
    let issuer = |name: &str| Issuer::new(name).key("k", key());
    for (what, jwt, has_several) in [
        ("any", Jwt::hs256(SECRET), true),
        ("one", Jwt::hs256(SECRET).issuer("a"), false),
        ("two", Jwt::hs256(SECRET).issuer("a").issuer("b"), true),
        (
            "one, twice",
            Jwt::hs256(SECRET).issuer("a").issuer("a"),
            false,
        ),
        ("keys of two", both(), true),
        ("keys of two, one wanted", both().issuer("a"), false),
        (
            "keys of one",
            Jwt::keys([("1", of("a")), ("2", of("a"))]),
            false,
        ),
        (
            "one key of nobody",
            Jwt::keys([("1", of("a")), ("2", key())]),
            true,
        ),
        ("published", jwks(), true),
        ("published by one", jwks().issuer("a"), false),
        ("one issuer", Jwt::issuers([issuer("a")]), false),
        (
            "two issuers",
            Jwt::issuers([issuer("a"), issuer("b")]),
            true,
        ),
    ] {
        assert_eq!(jwt.check(), Ok(()), "{what}");
        assert_eq!(jwt.has_several_issuers(), has_several, "{what}");
    }
}

#[test]
fn a_key_of_an_issuer_with_white_space_does_not_build_beside_another() {
    let jwt = Jwt::<Value>::keys([
        ("a", Key::hs256(SECRET).issued_by("a a")),
        ("b", Key::hs256(SECRET).issued_by("b")),
    ]);
    let name = "a a".to_owned();
    assert_eq!(jwt.check(), Err(vec![JwtProblem::IssuerName { name }]));
}
