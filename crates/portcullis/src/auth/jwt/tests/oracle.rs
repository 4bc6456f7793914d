//! Random tokens, judged by us and by a second implementation.
//!
//! The second one shares nothing with ours: the library's own `decode` for the signature and the
//! form, and a model of the claims over `serde_json`'s values, written from the RFC.

use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const AUDIENCE: &str = "chat";
const ISSUER: &str = "https://login.example.com";
const LEEWAY: f64 = 5.0;

/// Whether a token is good, as the other implementation says.
fn oracle(token: &str) -> bool {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let Ok(data) = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation) else {
        return false;
    };
    let claims = data.claims;
    let date = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..=253_402_300_799.0).contains(&seconds) => {
                Ok(Some(seconds.trunc()))
            }
            _ => Err(()),
        },
    };
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(()),
    };
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => one == AUDIENCE,
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
            all.iter().any(|one| one == AUDIENCE)
        }
        _ => false,
    };
    let (Ok(exp), Ok(nbf), Ok(iat)) = (date("exp"), date("nbf"), date("iat")) else {
        return false;
    };
    let (Ok(sub), Ok(iss), Ok(_), Ok(_)) = (text("sub"), text("iss"), text("jti"), text("sid"))
    else {
        return false;
    };
    let is_usable =
        |sub: &str| (1..=255).contains(&sub.len()) && !sub.chars().any(char::is_control);
    let now = NOW as f64;
    let typ = data.header.typ.as_deref();
    audience
        && iss == Some(ISSUER)
        && sub.is_none_or(is_usable)
        && exp.is_some_and(|exp| now < exp + LEEWAY)
        && nbf.is_none_or(|nbf| nbf <= now + LEEWAY)
        && iat.is_none_or(|iat| iat <= now + LEEWAY)
        && typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"))
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!("")),
        Just(json!("1800000000")),
        Just(json!([])),
        Just(json!([AUDIENCE, 1])),
        Just(json!({ "a": 1 })),
        Just(json!("a\u{0}b")),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!(-1)),
        any::<u32>().prop_map(|number| json!(number)),
        ".{0,300}".prop_map(|text| json!(text)),
    ]
}

fn moment() -> impl Strategy<Value = Value> {
    let near = (-10_i64..10).prop_map(|by| json!(NOW as i64 + by));
    let fraction = (-10.0_f64..10.0).prop_map(|by| json!(NOW as f64 + by));
    prop_oneof![4 => near, 2 => fraction, 1 => Just(json!(NOW + 3600)), 1 => odd_value()]
}

/// Usually what is wanted, sometimes nothing, sometimes something odd.
fn mostly(good: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        8 => good.prop_map(Some),
        1 => Just(None),
        1 => odd_value().prop_map(Some),
    ]
}

fn some_claims() -> impl Strategy<Value = Map<String, Value>> {
    let audience = prop_oneof![
        Just(json!(AUDIENCE)),
        Just(json!([AUDIENCE, "mail"])),
        Just(json!("mail"))
    ];
    (
        mostly(moment()),
        mostly(moment()),
        mostly(moment()),
        mostly(audience),
        mostly(prop_oneof![9 => Just(json!(ISSUER)), 1 => Just(json!("https://evil"))]),
        mostly("[a-z]{1,8}".prop_map(|text| json!(text))),
        mostly("[a-z]{1,8}".prop_map(|text| json!(text))),
    )
        .prop_map(|(exp, nbf, iat, aud, iss, sub, jti)| {
            let named = [
                ("exp", exp),
                ("nbf", nbf),
                ("iat", iat),
                ("aud", aud),
                ("iss", iss),
                ("sub", sub),
                ("jti", jti),
            ];
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect()
        })
}

/// What was done to a token after it had been signed.
#[derive(Debug, Clone)]
enum Damage {
    None,
    Flip { at: prop::sample::Index, to: char },
    Cut(prop::sample::Index),
    Key,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => Just(Damage::None),
        1 => (any::<prop::sample::Index>(), prop::char::range('!', 'z'))
            .prop_map(|(at, to)| Damage::Flip { at, to }),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        1 => Just(Damage::Key),
    ]
}

fn damaged(claims: &Map<String, Value>, typ: &str, damage: &Damage) -> String {
    let header = format!(r#"{{"alg":"HS256","typ":{typ}}}"#);
    let claims = Value::Object(claims.clone()).to_string();
    let secret = match damage {
        Damage::Key => b"another secret of thirty-two bytes".as_slice(),
        _ => SECRET.as_bytes(),
    };
    let token = sign_by(secret, header, claims);
    match damage {
        Damage::Flip { at, to } => {
            let at = at.index(token.len());
            let mut text: Vec<char> = token.chars().collect();
            text[at] = *to;
            text.into_iter().collect()
        }
        Damage::Cut(at) => token[..at.index(token.len())].to_owned(),
        Damage::None | Damage::Key => token,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn both_implementations_admit_the_same_tokens(
        claims in some_claims(),
        typ in prop_oneof![Just("\"JWT\""), Just("\"jwt\""), Just("\"refresh\"")],
        damage in damage(),
    ) {
        let token = damaged(&claims, typ, &damage);
        let ours = jwt().audience(AUDIENCE).issuer(ISSUER).verify(&token, now());
        prop_assert_eq!(ours.is_ok(), oracle(&token), "{:?} {}", ours.err(), token);
    }
}
