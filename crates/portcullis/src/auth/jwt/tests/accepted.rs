//! Tokens that must pass, and the edges of time.

use super::*;

#[test]
fn a_token_of_every_algorithm_passes_its_key() {
    let rsa = key_file!("rsa_public.pem");
    let verifiers = [
        Jwt::<Value>::hs256([b'k'; 64]),
        Jwt::hs384([b'k'; 64]),
        Jwt::hs512([b'k'; 64]),
        Jwt::rs256_pem(rsa),
        Jwt::rs384_pem(rsa),
        Jwt::rs512_pem(rsa),
        Jwt::ps256_pem(rsa),
        Jwt::ps384_pem(rsa),
        Jwt::ps512_pem(rsa),
        Jwt::es256_pem(key_file!("p256_public.pem")),
        Jwt::es384_pem(key_file!("p384_public.pem")),
        Jwt::eddsa_pem(key_file!("ed25519_public.pem")),
    ];
    // Signed by another implementation.
    let tokens = key_file!("tokens.txt").lines();
    assert_eq!(tokens.clone().count(), verifiers.len());
    for (verifier, token) in verifiers.iter().zip(tokens) {
        assert_eq!(verifier.check(), Ok(()));
        let verified = verifier.verify(token, now()).unwrap();
        assert_eq!(verified.subject.as_deref(), Some("alice"));
    }
}

#[test]
fn our_library_and_its_keys_agree_with_our_verifier() {
    let cases = [
        (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(key_file!("rsa_private.pem").as_bytes()),
            Jwt::<Value>::rs256_pem(key_file!("rsa_public_pkcs1.pem")),
        ),
        (
            Algorithm::PS512,
            EncodingKey::from_rsa_pem(key_file!("rsa_private.pem").as_bytes()),
            Jwt::ps512_pem(key_file!("rsa_public.pem")),
        ),
        (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(key_file!("p256_private.pem").as_bytes()),
            Jwt::es256_pem(key_file!("p256_public.pem")),
        ),
        (
            Algorithm::ES384,
            EncodingKey::from_ec_pem(key_file!("p384_private.pem").as_bytes()),
            Jwt::es384_pem(key_file!("p384_public.pem")),
        ),
        (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(key_file!("ed25519_private.pem").as_bytes()),
            Jwt::eddsa_pem(key_file!("ed25519_public.pem")),
        ),
    ];
    for (algorithm, key, verifier) in cases {
        let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
        let token = sign_with(algorithm, &key.unwrap(), header, claims(""));
        assert_eq!(verdict(&verifier, &token), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn the_examples_of_rfc_7515_pass() {
    let then = at(1_300_819_379);
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let a1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
              eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
              cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
              dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let verified = Jwt::<Value>::hs256(URL_SAFE_NO_PAD.decode(key).unwrap())
        .verify(a1, then)
        .unwrap();
    assert_eq!(verified.issuer.as_deref(), Some("joe"));
    assert_eq!(verified.expires_at, Some(1_300_819_380));
    assert_eq!(verified.claims["http://example.com/is_root"], true);

    let a3 = "eyJhbGciOiJFUzI1NiJ9.\
              eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
              cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
              DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA\
              pmWQxfKTUJqPP3-Kg6NU1Q";
    let es256 = Jwt::<Value>::es256_pem(key_file!("rfc7515_a3_public.pem"));
    assert_eq!(es256.check(), Ok(()));
    assert!(es256.verify(a3, then).is_ok());
}

#[test]
fn everything_verified_is_handed_over() {
    let more = r#""iss":"https://a","sub":"alice","jti":"t-1","sid":"s-1","iat":1699999999.9,
                  "nbf":0,"role":"admin""#;
    let verified = jwt().verify(&token(more), now()).unwrap();
    assert_eq!(verified.issuer.as_deref(), Some("https://a"));
    assert_eq!(verified.subject.as_deref(), Some("alice"));
    assert_eq!(verified.token_id.as_deref(), Some("t-1"));
    assert_eq!(verified.session_id.as_deref(), Some("s-1"));
    assert_eq!(verified.issued_at, Some(1_699_999_999));
    assert_eq!(verified.expires_at, Some(NOW + 60));
    assert_eq!(verified.claims["role"], "admin");
    assert!(!format!("{verified:?}").contains("alice"));
}

#[test]
fn harmless_variety_passes() {
    let subject = "é".repeat(127);
    let depth_16 = format!(r#""x":{}1{}"#, "[".repeat(15), "]".repeat(15));
    let fill = r#""pad":""#.len() + r#""}"#.len() + claims("").len();
    let good = [
        ("no typ", sign(r#"{"alg":"HS256"}"#, claims(""))),
        ("typ in lower case", token_with_header(r#""typ":"jwt""#)),
        (
            "typ as a media type",
            token_with_header(r#""typ":"application/JWT""#),
        ),
        ("an access token", token_with_header(r#""typ":"at+jwt""#)),
        (
            "a kid where keys have no names",
            token_with_header(r#""kid":"whatever""#),
        ),
        (
            "a kid of 256 bytes",
            token_with_header(&format!(r#""kid":"{}""#, "k".repeat(256))),
        ),
        (
            "unknown header parameters",
            token_with_header(r#""x":{"y":[1]}"#),
        ),
        (
            "whitespace in JSON",
            sign(" {\n\"alg\" : \"HS256\" } ", claims("")),
        ),
        (
            "an escaped algorithm",
            sign(r#"{"alg":"\u0048S256"}"#, claims("")),
        ),
        (
            "exp with a fraction",
            sign(HEADER, r#"{"exp":1700000060.5}"#),
        ),
        ("exp with an exponent", sign(HEADER, r#"{"exp":1.8e9}"#)),
        (
            "exp at the end of time",
            sign(HEADER, r#"{"exp":253402300799}"#),
        ),
        (
            "a subject of 254 bytes",
            token(&format!(r#""sub":"{subject}""#)),
        ),
        ("depth 16", token(&depth_16)),
        (
            "about 6000 bytes of claims",
            token(&format!(r#""pad":"{}""#, "a".repeat(6000 - fill))),
        ),
    ];
    for (name, token) in good {
        assert_eq!(verdict(&jwt(), &token), Ok(()), "{name}");
    }
}

#[test]
fn a_token_of_exactly_8_kib_is_read() {
    let size = |pad: usize| token(&format!(r#""pad":"{}""#, "a".repeat(pad)));
    let pad = (0..6200)
        .rev()
        .find(|&pad| size(pad).len() <= 8 * 1024)
        .unwrap();
    assert!(size(pad).len() > 8 * 1024 - 3);
    assert_eq!(verdict(&jwt(), &size(pad)), Ok(()));
    assert_eq!(verdict(&jwt(), &size(pad + 2)), Err(TokenError::TooLarge));
}

#[test]
fn any_of_the_configured_audiences_and_issuers_will_do() {
    let jwt = jwt()
        .audience("chat")
        .audience("mail")
        .issuer("a")
        .issuer("b");
    for (aud, iss) in [
        (r#""chat""#, "a"),
        (r#"["x","mail"]"#, "b"),
        (r#"["chat","chat"]"#, "a"),
    ] {
        let token = token(&format!(r#""aud":{aud},"iss":"{iss}""#));
        assert_eq!(verdict(&jwt, &token), Ok(()), "{aud}");
    }
}

#[test]
fn leeway_ends_to_the_second() {
    let jwt = jwt().leeway(Duration::from_secs(10));
    let exp_at = |exp: u64| sign(HEADER, format!(r#"{{"exp":{exp}}}"#));
    assert_eq!(verdict(&jwt, &exp_at(NOW - 9)), Ok(()));
    assert_eq!(verdict(&jwt, &exp_at(NOW - 10)), Err(TokenError::Expired));
    let ahead = |claim: &str, by: u64| token(&format!(r#""{claim}":{}"#, NOW + by));
    assert_eq!(verdict(&jwt, &ahead("nbf", 10)), Ok(()));
    assert_eq!(
        verdict(&jwt, &ahead("nbf", 11)),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(verdict(&jwt, &ahead("iat", 10)), Ok(()));
    assert_eq!(
        verdict(&jwt, &ahead("iat", 11)),
        Err(TokenError::IssuedInFuture)
    );
}

#[test]
fn without_leeway_a_token_ends_at_its_exp() {
    let jwt = jwt().leeway(Duration::ZERO);
    let token = sign(HEADER, format!(r#"{{"exp":{NOW},"nbf":{}}}"#, NOW - 1));
    let moment = |offset_ms: i64| {
        let base = now() - Duration::from_secs(10);
        base + Duration::from_millis(u64::try_from(10_000 + offset_ms).unwrap())
    };
    assert!(jwt.verify(&token, moment(-1)).is_ok());
    assert_eq!(
        jwt.verify(&token, moment(0)).unwrap_err(),
        TokenError::Expired
    );
    assert_eq!(
        jwt.verify(&token, moment(1)).unwrap_err(),
        TokenError::Expired
    );
    assert_eq!(
        jwt.verify(&token, moment(-1001)).unwrap_err(),
        TokenError::NotYetValid
    );
}

#[test]
fn an_extreme_clock_does_not_panic() {
    let last = sign(HEADER, r#"{"exp":253402300799,"nbf":253402300799,"iat":0}"#);
    let jwt = jwt().leeway(Duration::MAX);
    for seconds in [0, 1, 253_402_300_799, 1 << 40, i64::MAX as u64 - 1] {
        drop(jwt.verify(&last, at(seconds)));
    }
}

#[test]
fn a_missing_expiry_passes_only_where_dangerously_allowed() {
    let forever = sign(HEADER, r#"{"sub":"alice"}"#);
    let lax = jwt().dangerous_allow_missing_expiry();
    assert_eq!(lax.verify(&forever, now()).unwrap().expires_at, None);
    assert_eq!(
        verdict(&lax, &sign(HEADER, r#"{"exp":1}"#)),
        Err(TokenError::Expired)
    );
    assert!(verdict(&lax, &sign(HEADER, r#"{"exp":"1"}"#)).is_err());
}

#[test]
fn claims_must_fit_the_type_and_the_rules_of_the_application() {
    #[derive(serde::Deserialize)]
    struct Claims {
        username: String,
    }
    let jwt = Jwt::<Claims>::hs256(SECRET)
        .validate(|claims: &Claims| {
            if claims.username == "root" {
                Err("no root")
            } else {
                Ok(())
            }
        })
        .validate(|claims: &Claims| match claims.username.len() {
            0..=8 => Ok(()),
            length => Err(format!("{length} bytes")),
        });
    let verify = |more: &str| {
        jwt.verify(&token(more), now())
            .map(|verified| verified.claims.username)
    };

    assert_eq!(verify(r#""username":"alice""#).as_deref(), Ok("alice"));
    assert_eq!(
        verify(r#""name":"alice""#),
        Err(TokenError::ClaimsMismatch {
            missing_field: Some("username".to_owned())
        })
    );
    assert_eq!(
        verify(r#""username":1"#),
        Err(TokenError::ClaimsMismatch {
            missing_field: None
        })
    );
    let refused = |reason: &'static str| {
        Err(TokenError::ClaimsRefused {
            reason: reason.into(),
        })
    };
    assert_eq!(verify(r#""username":"root""#), refused("no root"));
    assert_eq!(verify(r#""username":"alexandra""#), refused("9 bytes"));
}

#[test]
fn an_unnamed_key_serves_tokens_without_kid_beside_named_keys() {
    let jwt = jwt().key("new", Key::hs256([9; 32]));
    let new = sign_by(&[9; 32], r#"{"alg":"HS256","kid":"new"}"#, claims(""));
    assert_eq!(verdict(&jwt, &token("")), Ok(()));
    assert_eq!(verdict(&jwt, &new), Ok(()));
    assert_eq!(
        verdict(&jwt, &token_with_header(r#""kid":"old""#)),
        Err(TokenError::KeyUnknown)
    );
}

#[test]
fn what_is_minted_is_read() {
    let token = mint_hs256(
        &SECRET.into(),
        &serde_json::json!({ "sub": "a", "exp": NOW + 1 }),
    );
    let token = token.unwrap();
    assert_eq!(
        jwt()
            .verify(token.expose(), now())
            .unwrap()
            .subject
            .as_deref(),
        Some("a")
    );
    assert!(matches!(
        mint_hs256(&SECRET.into(), "text"),
        Err(MintError::NotAnObject)
    ));
    let large = serde_json::json!({ "pad": "a".repeat(8192) });
    assert!(matches!(
        mint_hs256(&SECRET.into(), &large),
        Err(MintError::TooLarge { .. })
    ));
}
