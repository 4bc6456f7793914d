//! The table of bad tokens: what is wrong, the token, and the reason it must be refused for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};

use super::minting::*;
use super::{Claim, JsonProblem, TokenError};

/// What is wrong, the token, and the reason it must be refused for.
pub(crate) type Row = (&'static str, String, TokenError);

/// A `Vec` of rows, one to a line.
macro_rules! table {
    ($($name:literal: $bad:expr => $reason:expr;)*) => {
        vec![$(($name, $bad, $reason)),*]
    };
}
pub(crate) use table;

/// Every row of this file.
pub(crate) fn all() -> Vec<Row> {
    let keyed = [headers(), header_values()].concat();
    [
        shapes(),
        keyed,
        signatures(),
        claim_texts(),
        dates(),
        claim_values(),
    ]
    .concat()
}

fn shapes() -> Vec<Row> {
    use TokenError::{Encoding, Encrypted, NotCompact, SignatureEmpty, TooLarge};
    let good = token("");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    table! {
        "empty": String::new() => NotCompact;
        "one part": header.to_owned() => NotCompact;
        "two parts": signed.to_owned() => NotCompact;
        "four parts": format!("{good}.x") => NotCompact;
        "six parts": format!("{good}.a.b.c") => NotCompact;
        "five parts, a JWE": format!("{good}.a.b") => Encrypted;
        "only dots": "..".to_owned() => NotCompact;
        "four dots": "....".to_owned() => Encrypted;
        "no header": format!(".{body}.{signature}") => NotCompact;
        "no claims": format!("{header}..{signature}") => NotCompact;
        "no signature": format!("{signed}.") => SignatureEmpty;
        "JSON serialisation": format!(r#"{{"payload":"{body}"}}"#) => NotCompact;
        "JSON with dots": format!(r#"{{"p":"{good}"}}"#) => Encoding;
        "leading space": format!(" {good}") => Encoding;
        "trailing space": format!("{good} ") => Encoding;
        "trailing newline": format!("{good}\n") => Encoding;
        "inner newline": format!("{signed}.\n{signature}") => Encoding;
        "prefixed scheme": format!("Bearer {good}") => Encoding;
        "padding": format!("{good}=") => Encoding;
        "padding of the header": format!("{header}=.{body}.{signature}") => Encoding;
        "plus sign": format!("{header}.{body}.+{}", &signature[1..]) => Encoding;
        "slash": format!("{header}.{body}./{}", &signature[1..]) => Encoding;
        "impossible length": format!("{header}.{body}.{signature}AA") => Encoding;
        "trailing bits": with_trailing_bits(&good) => Encoding;
        "NUL": format!("{signed}.\0{signature}") => Encoding;
        "letters beyond ASCII": format!("{signed}.é{signature}") => Encoding;
        "percent-encoded dot": good.replacen('.', "%2E", 1) => NotCompact;
        "just too large": "a".repeat(8 * 1024 + 1) => TooLarge;
        "1 MB": token(&format!(r#""pad":"{}""#, "a".repeat(1 << 20))) => TooLarge;
        "1 MB of dots": ".".repeat(1 << 20) => TooLarge;
    }
}

/// The same signature, spelled with a bit that decoding would drop.
fn with_trailing_bits(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[index + 1..index + 2])
}

fn headers() -> Vec<Row> {
    use JsonProblem::{DuplicateKey, Malformed, TooDeep};
    use TokenError::{AlgorithmMismatch, AlgorithmMissing, AlgorithmNone, HeaderJson, HeaderType};
    let raw = |header: &str| sign(header, claims(""));
    let alg = |alg: &str| raw(&format!(r#"{{"alg":{alg}}}"#));
    let more = token_with_header;
    let deep = format!(r#""x":{}1{}"#, "[".repeat(16), "]".repeat(16));
    table! {
        "not JSON": raw("header") => HeaderJson(Malformed);
        "an array": raw(r#"["HS256"]"#) => HeaderJson(Malformed);
        "a string": raw(r#""HS256""#) => HeaderJson(Malformed);
        "null": raw("null") => HeaderJson(Malformed);
        "two objects": raw(r#"{"alg":"HS256"}{}"#) => HeaderJson(Malformed);
        "a byte order mark": raw("\u{feff}{\"alg\":\"HS256\"}") => HeaderJson(Malformed);
        "not UTF-8":
            sign(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", claims("")) => HeaderJson(Malformed);
        "two algorithms": more(r#""alg":"none""#) => HeaderJson(DuplicateKey);
        "two equal algorithms": more(r#""alg":"HS256""#) => HeaderJson(DuplicateKey);
        "an escaped second one": more(r#""\u0061lg":"none""#) => HeaderJson(DuplicateKey);
        "an inner duplicate": more(r#""x":{"a":1,"a":1}"#) => HeaderJson(DuplicateKey);
        "too deep": more(&deep) => HeaderJson(TooDeep);
        "far too deep": more(&format!(r#""x":{}"#, "[".repeat(5000))) => HeaderJson(Malformed);
        "no algorithm": raw(r#"{"typ":"JWT"}"#) => AlgorithmMissing;
        "an empty header": raw("{}") => AlgorithmMissing;
        "a number as algorithm": alg("256") => HeaderType;
        "null as algorithm": alg("null") => HeaderType;
        "a list as algorithm": alg(r#"["HS256"]"#) => HeaderType;
        "an object as algorithm": alg(r#"{"name":"HS256"}"#) => HeaderType;
        "none": alg(r#""none""#) => AlgorithmNone;
        "None": alg(r#""None""#) => AlgorithmNone;
        "NONE": alg(r#""NONE""#) => AlgorithmNone;
        "nOnE": alg(r#""nOnE""#) => AlgorithmNone;
        "an escaped none": alg(r#""\u006eone""#) => AlgorithmNone;
        "none with a space": alg(r#""none ""#) => AlgorithmMismatch;
        "an empty algorithm": alg(r#""""#) => AlgorithmMismatch;
        "lower case": alg(r#""hs256""#) => AlgorithmMismatch;
        "HS384 for HS256": alg(r#""HS384""#) => AlgorithmMismatch;
        "HS512 for HS256": alg(r#""HS512""#) => AlgorithmMismatch;
        "RS256 for HS256": alg(r#""RS256""#) => AlgorithmMismatch;
        "ES256 for HS256": alg(r#""ES256""#) => AlgorithmMismatch;
        "an unknown algorithm": alg(r#""XX999""#) => AlgorithmMismatch;
    }
}

fn header_values() -> Vec<Row> {
    use TokenError::{HeaderCritical, HeaderType, HeaderUnsupported, KeyIdTooLong, TypeMismatch};
    let more = token_with_header;
    table! {
        "crit, unknown": more(r#""crit":["x"],"x":1"#) => HeaderCritical;
        "crit, empty": more(r#""crit":[]"#) => HeaderCritical;
        "crit, twice the same": more(r#""crit":["exp","exp"]"#) => HeaderCritical;
        "crit, a standard name": more(r#""crit":["alg"]"#) => HeaderCritical;
        "crit, b64": more(r#""crit":["b64"],"b64":false"#) => HeaderCritical;
        "crit, null": more(r#""crit":null"#) => HeaderCritical;
        "b64 off": more(r#""b64":false"#) => HeaderUnsupported;
        "b64 on": more(r#""b64":true"#) => HeaderUnsupported;
        "zip": more(r#""zip":"DEF""#) => HeaderUnsupported;
        "enc": more(r#""enc":"A128GCM""#) => HeaderUnsupported;
        "p2c": more(r#""p2c":2000000000"#) => HeaderUnsupported;
        "p2s": more(r#""p2s":"AAAA""#) => HeaderUnsupported;
        "a list as kid": more(r#""kid":["a"]"#) => HeaderType;
        "a number as kid": more(r#""kid":1"#) => HeaderType;
        "null as kid": more(r#""kid":null"#) => HeaderType;
        "a long kid": more(&format!(r#""kid":"{}""#, "k".repeat(257))) => KeyIdTooLong;
        "a number as typ": more(r#""typ":1"#) => HeaderType;
        "a refresh token": more(r#""typ":"refresh""#) => TypeMismatch;
        "a logout token": more(r#""typ":"logout+jwt""#) => TypeMismatch;
        "a DPoP proof": more(r#""typ":"application/dpop+jwt""#) => TypeMismatch;
        "an empty typ": more(r#""typ":"""#) => TypeMismatch;
    }
}

fn signatures() -> Vec<Row> {
    use TokenError::SignatureInvalid;
    let good = token("");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with = |bytes: &[u8]| format!("{signed}.{}", encode(bytes));
    let flipped: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let other_claims = encode(claims(r#""admin":true"#));
    let (header, _) = signed.split_once('.').unwrap();
    table! {
        "another secret": sign_by(&[7; 32], HEADER, claims("")) => SignatureInvalid;
        "an empty secret": sign_by(b"", HEADER, claims("")) => SignatureInvalid;
        "a longer secret":
            sign_by(&[SECRET.as_bytes(), b"0"].concat(), HEADER, claims("")) => SignatureInvalid;
        "flipped bits": with(&flipped) => SignatureInvalid;
        "a truncated signature": with(&bytes[..31]) => SignatureInvalid;
        "one byte of signature": with(&bytes[..1]) => SignatureInvalid;
        "an extended signature": with(&[&bytes[..], b"x"].concat()) => SignatureInvalid;
        "zeros": with(&[0; 32]) => SignatureInvalid;
        "other claims": format!("{header}.{other_claims}.{signature}") => SignatureInvalid;
        "another hash":
            sign_with(Algorithm::HS512, &key, HEADER, claims("")) => SignatureInvalid;
        "an expired token of another secret":
            sign_by(&[7; 32], HEADER, r#"{"exp":1}"#) => SignatureInvalid;
        "claims that are no JSON, of another secret":
            sign_by(&[7; 32], HEADER, "claims") => SignatureInvalid;
    }
}

fn claim_texts() -> Vec<Row> {
    use JsonProblem::{DuplicateKey, Malformed, TooDeep};
    use TokenError::ClaimsJson;
    let raw = |claims: &str| sign(HEADER, claims);
    let deep = format!(r#""x":{}1{}"#, "[".repeat(16), "]".repeat(16));
    table! {
        "not JSON": raw("alice") => ClaimsJson(Malformed);
        "a string": raw(r#""alice""#) => ClaimsJson(Malformed);
        "an array": raw(r#"[{"exp":2000000000}]"#) => ClaimsJson(Malformed);
        "null": raw("null") => ClaimsJson(Malformed);
        "a number": raw("2000000000") => ClaimsJson(Malformed);
        "a nested token": raw(&token("")) => ClaimsJson(Malformed);
        "unfinished": raw(r#"{"exp":2000000000"#) => ClaimsJson(Malformed);
        "a trailing comma": raw(r#"{"exp":2000000000,}"#) => ClaimsJson(Malformed);
        "a comment": raw(r#"{"exp":2000000000/**/}"#) => ClaimsJson(Malformed);
        "not UTF-8": sign(HEADER, b"{\"exp\":2000000000,\"a\":\"\xc3\"}") => ClaimsJson(Malformed);
        "half a surrogate pair": token(r#""a":"\ud83d""#) => ClaimsJson(Malformed);
        "exp is NaN": raw(r#"{"exp":NaN}"#) => ClaimsJson(Malformed);
        "exp is Infinity": raw(r#"{"exp":Infinity}"#) => ClaimsJson(Malformed);
        "exp with a leading zero": raw(r#"{"exp":02000000000}"#) => ClaimsJson(Malformed);
        "exp in hexadecimal": raw(r#"{"exp":0x77359400}"#) => ClaimsJson(Malformed);
        "exp with a plus": raw(r#"{"exp":+2000000000}"#) => ClaimsJson(Malformed);
        "sub twice": token(r#""sub":"a","sub":"b""#) => ClaimsJson(DuplicateKey);
        "sub twice, once escaped": token(r#""sub":"a","s\u0075b":"b""#) => ClaimsJson(DuplicateKey);
        "exp twice": token(r#""exp":1"#) => ClaimsJson(DuplicateKey);
        "a private claim twice":
            token(r#""role":"user","role":"admin""#) => ClaimsJson(DuplicateKey);
        "a duplicate inside": token(r#""x":{"y":[{"z":1,"z":2}]}"#) => ClaimsJson(DuplicateKey);
        "too deep": token(&deep) => ClaimsJson(TooDeep);
        "brackets and nothing else": raw(&"[".repeat(5000)) => ClaimsJson(Malformed);
    }
}

fn dates() -> Vec<Row> {
    use Claim::{ExpiresAt, IssuedAt, NotBefore};
    use TokenError::{
        ClaimMissing, ClaimType, DateOutOfRange, Expired, IssuedInFuture, NotYetValid,
    };
    let exp = |exp: &str| sign(HEADER, format!(r#"{{"exp":{exp}}}"#));
    table! {
        "no exp": sign(HEADER, "{}") => ClaimMissing(ExpiresAt);
        "exp in capitals": sign(HEADER, r#"{"EXP":2000000000}"#) => ClaimMissing(ExpiresAt);
        "exp is text": exp(r#""2000000000""#) => ClaimType(ExpiresAt);
        "exp is a date": exp(r#""2033-05-18T03:33:20Z""#) => ClaimType(ExpiresAt);
        "exp is null": exp("null") => ClaimType(ExpiresAt);
        "exp is true": exp("true") => ClaimType(ExpiresAt);
        "exp is a list": exp("[2000000000]") => ClaimType(ExpiresAt);
        "exp is an object":
            exp(r#"{"$serde_json::private::Number":"2000000000"}"#) => ClaimType(ExpiresAt);
        "exp is negative": exp("-1") => DateOutOfRange(ExpiresAt);
        "exp is minus zero": exp("-0") => DateOutOfRange(ExpiresAt);
        "exp is far below": exp("-1e308") => DateOutOfRange(ExpiresAt);
        "exp is 1e308": exp("1e308") => DateOutOfRange(ExpiresAt);
        "exp is 1e999": exp("1e999") => DateOutOfRange(ExpiresAt);
        "exp is u64::MAX": exp("18446744073709551615") => DateOutOfRange(ExpiresAt);
        "exp is i64::MAX": exp("9223372036854775807") => DateOutOfRange(ExpiresAt);
        "exp has 100 digits": exp(&"9".repeat(100)) => DateOutOfRange(ExpiresAt);
        "exp is in milliseconds": exp("1700000060000") => DateOutOfRange(ExpiresAt);
        "exp is in the year 10000": exp("253402300800") => DateOutOfRange(ExpiresAt);
        "exp is 0": exp("0") => Expired;
        "exp is 1e-400": exp("1e-400") => Expired;
        "exp is past": exp(&format!("{}", NOW - 60)) => Expired;
        "exp is past by the leeway": exp(&format!("{}", NOW - 5)) => Expired;
        "exp is past but for a fraction": exp(&format!("{}.999", NOW - 5)) => Expired;
        "nbf is text": token(r#""nbf":"0""#) => ClaimType(NotBefore);
        "nbf is null": token(r#""nbf":null"#) => ClaimType(NotBefore);
        "nbf is negative": token(r#""nbf":-1"#) => DateOutOfRange(NotBefore);
        "nbf is 1e308": token(r#""nbf":1e308"#) => DateOutOfRange(NotBefore);
        "nbf is ahead": token(&format!(r#""nbf":{}"#, NOW + 6)) => NotYetValid;
        "iat is text": token(r#""iat":"1700000000""#) => ClaimType(IssuedAt);
        "iat is false": token(r#""iat":false"#) => ClaimType(IssuedAt);
        "iat is u64::MAX": token(r#""iat":18446744073709551615"#) => DateOutOfRange(IssuedAt);
        "iat is ahead": token(&format!(r#""iat":{}"#, NOW + 6)) => IssuedInFuture;
    }
}

fn claim_values() -> Vec<Row> {
    use Claim::{Audience, Issuer, SessionId, Subject, TokenId};
    use TokenError::{AudienceUnexpected, ClaimType, SubjectInvalid};
    let sub = |sub: &str| token(&format!(r#""sub":"{sub}""#));
    table! {
        "aud is a number": token(r#""aud":1"#) => ClaimType(Audience);
        "aud is null": token(r#""aud":null"#) => ClaimType(Audience);
        "aud is an object": token(r#""aud":{"chat":1}"#) => ClaimType(Audience);
        "aud is a mixed list": token(r#""aud":["chat",1]"#) => ClaimType(Audience);
        "aud is a nested list": token(r#""aud":[["chat"]]"#) => ClaimType(Audience);
        "aud where none is known": token(r#""aud":"chat""#) => AudienceUnexpected;
        "aud is an empty list": token(r#""aud":[]"#) => AudienceUnexpected;
        "iss is a list": token(r#""iss":["a"]"#) => ClaimType(Issuer);
        "iss is a number": token(r#""iss":1"#) => ClaimType(Issuer);
        "iss is null": token(r#""iss":null"#) => ClaimType(Issuer);
        "sub is a number": token(r#""sub":42"#) => ClaimType(Subject);
        "sub is null": token(r#""sub":null"#) => ClaimType(Subject);
        "sub is a list": token(r#""sub":["alice"]"#) => ClaimType(Subject);
        "sub is empty": sub("") => SubjectInvalid;
        "sub has 256 bytes": sub(&"a".repeat(256)) => SubjectInvalid;
        "sub has 256 bytes in 128 letters": sub(&"é".repeat(128)) => SubjectInvalid;
        "sub has a NUL": sub(r"a\u0000b") => SubjectInvalid;
        "sub has a newline": sub(r"alice\nroot") => SubjectInvalid;
        "sub has an escape": sub(r"\u001b[31m") => SubjectInvalid;
        "sub has a DEL": sub(r"a\u007f") => SubjectInvalid;
        "sub has a C1 control": sub(r"a\u0085") => SubjectInvalid;
        "jti is a number": token(r#""jti":1"#) => ClaimType(TokenId);
        "jti is null": token(r#""jti":null"#) => ClaimType(TokenId);
        "sid is an object": token(r#""sid":{}"#) => ClaimType(SessionId);
    }
}
