//! What is refused, for which reason, and what follows from a refusal.

use crate::auth::refusal::RefusalCode;

use super::bad_tokens::{self, Row, table};
use super::*;

#[track_caller]
fn assert_refused(jwt: &Jwt<Value>, rows: &[Row]) {
    for (name, token, expected) in rows {
        assert_eq!(verdict(jwt, token).as_ref(), Err(expected), "{name}");
    }
}

#[test]
fn no_bad_token_passes_and_each_is_refused_for_its_own_reason() {
    assert!(bad_tokens::all().len() >= 150);
    assert_refused(&jwt(), &bad_tokens::all());
}

#[test]
fn a_public_key_is_never_a_secret() {
    let pem = key_file!("rsa_public.pem");
    let der: Vec<u8> = base64::engine::general_purpose::STANDARD
        .decode(
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .unwrap();
    let secrets: [&[u8]; 8] = [
        pem.as_bytes(),
        pem.trim().as_bytes(),
        &[pem.as_bytes(), b"\n"].concat(),
        &[b"\n ", pem.as_bytes()].concat(),
        &pem.replace('\n', "\r\n").into_bytes(),
        &pem.replace('\n', "").into_bytes(),
        &der,
        b"",
    ];
    for verifier in [Jwt::<Value>::rs256_pem(pem), Jwt::ps256_pem(pem)] {
        for (index, secret) in secrets.into_iter().enumerate() {
            let hs256 = sign_by(secret, HEADER, claims(""));
            assert_eq!(
                verdict(&verifier, &hs256),
                Err(TokenError::AlgorithmMismatch),
                "{index}"
            );

            let lying = sign_by(secret, r#"{"alg":"RS256"}"#, claims(""));
            assert!(verdict(&verifier, &lying).is_err(), "{index}");
        }
    }
}

#[test]
fn a_token_of_one_algorithm_does_not_pass_a_key_of_another() {
    let verifiers: [(&str, Jwt<Value>); 8] = [
        ("HS256", Jwt::hs256([b'k'; 64])),
        ("HS512", Jwt::hs512([b'k'; 64])),
        ("RS256", Jwt::rs256_pem(key_file!("rsa_public.pem"))),
        ("RS512", Jwt::rs512_pem(key_file!("rsa_public.pem"))),
        ("PS256", Jwt::ps256_pem(key_file!("rsa_public.pem"))),
        ("ES256", Jwt::es256_pem(key_file!("p256_public.pem"))),
        ("ES384", Jwt::es384_pem(key_file!("p384_public.pem"))),
        ("EdDSA", Jwt::eddsa_pem(key_file!("ed25519_public.pem"))),
    ];
    let tokens: Vec<&str> = key_file!("tokens.txt").lines().collect();
    for (algorithm, verifier) in &verifiers {
        assert_eq!(verifier.check(), Ok(()), "{algorithm}");
        let mut passed = 0;
        for token in &tokens {
            match verdict(verifier, token) {
                Ok(()) => passed += 1,
                Err(error) => assert_eq!(error, TokenError::AlgorithmMismatch, "{algorithm}"),
            }
            // The same signature under a header that names the verifier's algorithm.
            let (_, rest) = token.split_once('.').unwrap();
            let renamed = format!(
                "{}.{rest}",
                encode(format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#))
            );
            if renamed != *token {
                assert_eq!(
                    verdict(verifier, &renamed),
                    Err(TokenError::SignatureInvalid)
                );
            }
        }
        assert_eq!(passed, 1, "{algorithm}");
    }
}

#[test]
fn keys_inside_a_token_are_ignored() {
    let more =
        r#""jwk":{"kty":"oct","k":"AAAA"},"jku":"http://127.0.0.1:1/","x5u":"x","x5c":["x"]"#;
    let forged = sign_by(
        b"\0\0\0",
        format!(r#"{{"alg":"HS256",{more}}}"#),
        claims(""),
    );
    assert_eq!(verdict(&jwt(), &forged), Err(TokenError::SignatureInvalid));
    assert_eq!(verdict(&jwt(), &token_with_header(more)), Ok(()));
}

#[test]
fn a_kid_is_a_name_to_look_up_and_nothing_else() {
    let by_name = Jwt::<Value>::keys([("2025", Key::hs256(SECRET)), ("2026", Key::hs512([1; 64]))]);
    let named = |kid: &str| token_with_header(&format!(r#""kid":"{kid}""#));
    assert_eq!(verdict(&by_name, &named("2025")), Ok(()));
    let rows = table! {
        "no kid": token("") => TokenError::KeyIdMissing;
        "an unknown kid": named("2024") => TokenError::KeyUnknown;
        "an empty kid": named("") => TokenError::KeyUnknown;
        "a path": named("../../dev/null") => TokenError::KeyUnknown;
        "SQL": named("' OR 1=1 --") => TokenError::KeyUnknown;
        "a URL": named("http://127.0.0.1/") => TokenError::KeyUnknown;
        "a NUL": named(r"2025\u0000") => TokenError::KeyUnknown;
        "another case": named("2025 ") => TokenError::KeyUnknown;
        "the key of another algorithm": named("2026") => TokenError::AlgorithmMismatch;
        "none with a kid":
            sign(r#"{"alg":"none","kid":"2025"}"#, claims("")) => TokenError::AlgorithmNone;
        "none with an unknown kid":
            sign(r#"{"alg":"none","kid":"?"}"#, claims("")) => TokenError::AlgorithmNone;
    };
    assert_refused(&by_name, &rows);
}

#[test]
fn a_key_speaks_only_for_its_own_issuer() {
    let tenants = Jwt::<Value>::keys([
        ("a", Key::hs256([1; 32]).issued_by("tenant-a")),
        ("b", Key::hs256([2; 32]).issued_by("tenant-b")),
    ]);
    let made = |secret: u8, kid: &str, iss: &str| {
        let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
        sign_by(&[secret; 32], header, claims(&format!(r#""iss":"{iss}""#)))
    };
    assert_eq!(verdict(&tenants, &made(1, "a", "tenant-a")), Ok(()));
    assert_eq!(verdict(&tenants, &made(2, "b", "tenant-b")), Ok(()));
    assert_eq!(
        verdict(&tenants, &made(1, "a", "tenant-b")),
        Err(TokenError::IssuerMismatch)
    );
    assert_eq!(
        verdict(&tenants, &made(1, "b", "tenant-b")),
        Err(TokenError::SignatureInvalid)
    );
}

#[test]
fn a_configured_demand_is_a_required_claim() {
    let strict = jwt()
        .audience("chat")
        .audience("admin")
        .issuer("https://login.example.com")
        .require_subject(true)
        .max_lifetime(Duration::from_secs(3600));
    let base = r#""aud":"chat","iss":"https://login.example.com","sub":"a","iat":1700000000"#;
    assert_eq!(verdict(&strict, &token(base)), Ok(()));

    let without = |part: &str, instead: &str| token(&base.replace(part, instead));
    let iss = r#""iss":"https://login.example.com","#;
    let rows = table! {
        "no aud": without(r#""aud":"chat","#, "") => TokenError::ClaimMissing(Claim::Audience);
        "another aud": without(r#""chat""#, r#""mail""#) => TokenError::AudienceMismatch;
        "aud in another case": without(r#""chat""#, r#""Chat""#) => TokenError::AudienceMismatch;
        "aud as a prefix": without(r#""chat""#, r#""chatty""#) => TokenError::AudienceMismatch;
        "a list of other aud": without(r#""chat""#, r#"["a","b"]"#) => TokenError::AudienceMismatch;
        "no aud in the list": without(r#""chat""#, "[]") => TokenError::AudienceMismatch;
        "no iss": without(iss, "") => TokenError::ClaimMissing(Claim::Issuer);
        "another iss": without("login.", "evil.") => TokenError::IssuerMismatch;
        "iss with a slash": without(".com", ".com/") => TokenError::IssuerMismatch;
        "no sub": without(r#""sub":"a","#, "") => TokenError::ClaimMissing(Claim::Subject);
        "no iat": without(r#","iat":1700000000"#, "") => TokenError::ClaimMissing(Claim::IssuedAt);
        "too long a life": without("1700000000", "1699996459") => TokenError::LifetimeTooLong;
    };
    assert_refused(&strict, &rows);
    assert_eq!(
        verdict(&strict, &without("1700000000", "1699996460")),
        Ok(())
    );
}

#[test]
fn a_configured_type_is_demanded() {
    let strict = jwt().typ("at+jwt");
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/AT+jwt",
    ] {
        assert_eq!(
            verdict(&strict, &token_with_header(&format!(r#""typ":"{typ}""#))),
            Ok(())
        );
    }
    for more in [
        r#""typ":"JWT""#,
        r#""typ":"refresh""#,
        r#""typ":"text/at+jwt""#,
        r#""x":1"#,
    ] {
        assert_eq!(
            verdict(&strict, &token_with_header(more)),
            Err(TokenError::TypeMismatch)
        );
    }
}

#[test]
fn only_a_genuine_token_is_told_why_it_is_refused() {
    let genuine = [
        (sign(HEADER, r#"{"exp":1}"#), RefusalCode::TokenExpired),
        (sign(HEADER, "{}"), RefusalCode::TokenClaims),
        (token(r#""aud":"x""#), RefusalCode::TokenClaims),
    ];
    for (token, code) in genuine {
        assert_eq!(jwt().verify(&token, now()).unwrap_err().code(), code);
        let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, encode([0; 32]));
        let error = jwt().verify(&forged, now()).unwrap_err();
        assert_eq!(error.code(), RefusalCode::TokenInvalid);
    }
}

#[test]
fn a_clock_before_1970_refuses_every_token() {
    let before = UNIX_EPOCH - Duration::from_secs(1);
    let error = jwt().verify(&token(""), before).unwrap_err();
    assert_eq!(error, TokenError::ClockUnusable);
    assert_eq!(error.code(), RefusalCode::AuthUnavailable);
}

#[test]
fn every_reason_has_its_own_label() {
    let mut labels = std::collections::BTreeMap::new();
    for (_, _, error) in bad_tokens::all() {
        let label = error.as_str();
        assert!(
            label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{label}"
        );
        // Reasons that differ only in the claim share a label.
        let kind = std::mem::discriminant(&error);
        assert_eq!(*labels.entry(label).or_insert(kind), kind, "{label}");
    }
    assert!(labels.len() > 20);
}

#[test]
fn no_text_of_a_token_reaches_an_error() {
    #[derive(Debug, serde::Deserialize)]
    struct Typed {
        #[expect(dead_code, reason = "only its absence and its type matter")]
        level: u8,
    }
    let typed = Jwt::<Typed>::hs256(SECRET);
    for more in [
        r#""level":"confidential""#,
        r#""sub":"confidential\n""#,
        r#""x":"confidential""#,
    ] {
        let error = typed.verify(&token(more), now()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("confidential"));
    }
}
