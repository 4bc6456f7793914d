//! Which source counts, and what each of them refuses.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn find(
    sources: &[TokenSource],
    auth: Option<&str>,
    lines: &[(&str, &str)],
    query: &str,
) -> Result<String, TokenError> {
    let credentials = Credentials {
        auth,
        headers: &headers(lines),
        query,
    };
    find_token(sources, &credentials, MAX_TOKEN_BYTES).map(|token| token.expose().to_owned())
}

fn by_default(auth: Option<&str>, lines: &[(&str, &str)]) -> Result<String, TokenError> {
    find(&TokenSource::defaults(), auth, lines, "token=query")
}

const BEARER: (&str, &str) = ("authorization", "Bearer header");

#[test]
fn the_payload_comes_before_the_header_and_nothing_falls_through() {
    use TokenError::{Missing, SourceAmbiguous, SourceMalformed};
    let rows: &[(Option<&str>, Result<&str, TokenError>)] = &[
        (None, Ok("header")),
        (Some("{}"), Ok("header")),
        (Some(r#"{"token":null}"#), Ok("header")),
        (Some(r#"{"Token":"payload"}"#), Ok("header")),
        (Some(r#"{"other":{"token":"payload"}}"#), Ok("header")),
        (Some(r#"{"token":"payload"}"#), Ok("payload")),
        (Some(r#"{"a":[1],"token":"payload","b":{}}"#), Ok("payload")),
        (Some(r#"{"t\u006fken":"pay\u006coad"}"#), Ok("payload")),
        (Some(r#"{"token":""}"#), Err(SourceMalformed)),
        (Some(r#"{"token":" "}"#), Err(SourceMalformed)),
        (Some(r#"{"token":"two words"}"#), Err(SourceMalformed)),
        (Some(r#"{"token":"line\nbreak"}"#), Err(SourceMalformed)),
        (Some(r#"{"token":"é"}"#), Err(SourceMalformed)),
        (Some(r#"{"token":"Bearer payload"}"#), Err(SourceMalformed)),
        (Some(r#"{"token":5}"#), Err(SourceMalformed)),
        (Some(r#"{"token":true}"#), Err(SourceMalformed)),
        (Some(r#"{"token":{}}"#), Err(SourceMalformed)),
        (Some(r#"{"token":["payload"]}"#), Err(SourceMalformed)),
        (
            Some(r#"{"token":null,"token":"payload"}"#),
            Err(SourceAmbiguous),
        ),
        (
            Some(r#"{"token":"payload","t\u006fken":"payload"}"#),
            Err(SourceAmbiguous),
        ),
        (Some(r#""token""#), Err(SourceMalformed)),
        (Some("[]"), Err(SourceMalformed)),
        (Some("null"), Err(SourceMalformed)),
        (Some("5"), Err(SourceMalformed)),
        (Some(""), Err(SourceMalformed)),
        (Some("{"), Err(SourceMalformed)),
    ];
    for (auth, expected) in rows {
        let expected = expected.clone().map(str::to_owned);
        assert_eq!(by_default(*auth, &[BEARER]), expected, "{auth:?}");
        // Without a header there is only the payload's own answer.
        let alone = if expected.as_deref() == Ok("header") {
            Err(Missing)
        } else {
            expected
        };
        assert_eq!(by_default(*auth, &[]), alone, "{auth:?}");
    }
}

#[test]
fn the_order_of_sources_is_the_configured_one() {
    let reversed = [
        TokenSource::Bearer,
        TokenSource::AuthPayload("token".into()),
    ];
    let payload = Some(r#"{"token":"payload"}"#);
    assert_eq!(
        find(&reversed, payload, &[BEARER], "").as_deref(),
        Ok("header")
    );
    let basic = [("authorization", "Basic YTpi")];
    assert_eq!(
        find(&reversed, payload, &basic, ""),
        Err(TokenError::SchemeUnsupported)
    );
}

#[test]
fn an_authorization_header_is_one_bearer_token() {
    use TokenError::{SchemeUnsupported, SourceMalformed};
    let rows: &[(&str, Result<&str, TokenError>)] = &[
        ("Bearer x", Ok("x")),
        ("bearer x", Ok("x")),
        ("BEARER  x", Ok("x")),
        ("bEaReR     a.b-c_d", Ok("a.b-c_d")),
        ("Bearer", Err(SourceMalformed)),
        ("Bearer ", Err(SourceMalformed)),
        ("Bearer    ", Err(SourceMalformed)),
        ("Bearer x y", Err(SourceMalformed)),
        ("Bearer x ", Err(SourceMalformed)),
        ("Bearer x, Bearer y", Err(SourceMalformed)),
        ("Bearer \tx", Err(SourceMalformed)),
        ("Bearer\tx", Err(SchemeUnsupported)),
        ("Bearerx", Err(SchemeUnsupported)),
        ("Bearer:x", Err(SchemeUnsupported)),
        (" Bearer x", Err(SchemeUnsupported)),
        ("Basic x", Err(SchemeUnsupported)),
        ("Basic", Err(SchemeUnsupported)),
        ("Token x", Err(SchemeUnsupported)),
        ("x", Err(SchemeUnsupported)),
        ("", Err(SchemeUnsupported)),
    ];
    for (value, expected) in rows {
        let found = by_default(None, &[("Authorization", value)]);
        assert_eq!(found, expected.clone().map(str::to_owned), "{value:?}");
    }
    let twice = [BEARER, BEARER];
    assert_eq!(by_default(None, &twice), Err(TokenError::SourceAmbiguous));
    let mixed = [("authorization", "Basic YTpi"), BEARER];
    assert_eq!(by_default(None, &mixed), Err(TokenError::SourceAmbiguous));

    let mut opaque = HeaderMap::new();
    opaque.append(
        "authorization",
        HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    );
    let credentials = Credentials {
        auth: None,
        headers: &opaque,
        query: "",
    };
    let found = find_token(&TokenSource::defaults(), &credentials, MAX_TOKEN_BYTES);
    assert_eq!(found.unwrap_err(), SourceMalformed);
}

#[test]
fn a_query_or_cookie_or_header_counts_only_where_it_is_configured() {
    let lines = [
        ("cookie", "token=cookie"),
        ("token", "header"),
        ("x-token", "header"),
    ];
    assert_eq!(by_default(None, &lines), Err(TokenError::Missing));
}

#[test]
fn a_scheme_may_precede_the_payload_where_it_is_configured() {
    let sources = [TokenSource::AuthPayloadWithScheme("token".into())];
    let found = |text: &str| find(&sources, Some(&format!(r#"{{"token":"{text}"}}"#)), &[], "");
    assert_eq!(found("Bearer x").as_deref(), Ok("x"));
    assert_eq!(found("bearer   x").as_deref(), Ok("x"));
    assert_eq!(found("x").as_deref(), Ok("x"));
    for text in [
        "Basic x",
        "Bearer ",
        "Bearer Bearer x",
        "Bearer x y",
        " Bearer x",
        "",
    ] {
        assert_eq!(found(text), Err(TokenError::SourceMalformed), "{text:?}");
    }
}

#[test]
fn a_cookie_is_found_by_its_exact_name_and_only_once() {
    let sources = [TokenSource::Cookie("token".into())];
    let found = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        find(&sources, None, &lines, "")
    };
    assert_eq!(found(&["a=1; token=x; b=2"]).as_deref(), Ok("x"));
    assert_eq!(found(&["token=\"x\""]).as_deref(), Ok("x"));
    assert_eq!(found(&["token=a=b=="]).as_deref(), Ok("a=b=="));
    assert_eq!(found(&["a=1", "token=x"]).as_deref(), Ok("x"));
    assert_eq!(
        found(&["xtoken=x; Token=y; token2=z; token"]),
        Err(TokenError::Missing)
    );
    assert_eq!(found(&["token="]), Err(TokenError::SourceMalformed));
    assert_eq!(
        found(&["token=x; token=y"]),
        Err(TokenError::SourceAmbiguous)
    );
    assert_eq!(
        found(&["token=x; token=x; token=x"]),
        Err(TokenError::SourceAmbiguous)
    );
    assert_eq!(
        found(&["token=x", "token=y"]),
        Err(TokenError::SourceAmbiguous)
    );
}

#[test]
fn a_query_parameter_is_decoded_and_found_only_once() {
    let sources = [TokenSource::Query("token".into())];
    let found = |query: &str| find(&sources, None, &[], query);
    assert_eq!(found("EIO=4&token=a.b-c&t=1").as_deref(), Ok("a.b-c"));
    assert_eq!(found("t%6Fken=%61%2eb").as_deref(), Ok("a.b"));
    assert_eq!(found(""), Err(TokenError::Missing));
    assert_eq!(found("EIO=4&Token=x"), Err(TokenError::Missing));
    assert_eq!(found("token=x&t%6Fken=x"), Err(TokenError::SourceAmbiguous));
    for query in [
        "token",
        "token=",
        "token=a+b",
        "token=%2",
        "token=%zz",
        "token=%ff",
        "token=%00",
    ] {
        assert_eq!(found(query), Err(TokenError::SourceMalformed), "{query}");
    }
}

#[test]
fn a_header_source_takes_the_whole_value() {
    let sources = [TokenSource::Header("X-Token".into())];
    let found = |lines: &[(&str, &str)]| find(&sources, None, lines, "");
    assert_eq!(found(&[("x-token", "x")]).as_deref(), Ok("x"));
    assert_eq!(
        found(&[("x-token", "Bearer x")]),
        Err(TokenError::SourceMalformed)
    );
    assert_eq!(found(&[("x-token", "")]), Err(TokenError::SourceMalformed));
    assert_eq!(
        found(&[("x-token", "x"), ("x-token", "x")]),
        Err(TokenError::SourceAmbiguous)
    );
    assert_eq!(found(&[]), Err(TokenError::Missing));
}

#[test]
fn nothing_long_is_looked_at() {
    let fits = "a".repeat(MAX_TOKEN_BYTES);
    let long = "a".repeat(MAX_TOKEN_BYTES + 1);
    let payload = |token: &str| format!(r#"{{"token":"{token}"}}"#);
    assert_eq!(
        by_default(Some(&payload(&fits)), &[]).as_deref(),
        Ok(&*fits)
    );
    assert_eq!(
        by_default(Some(&payload(&long)), &[BEARER]),
        Err(TokenError::TooLarge)
    );
    let padded = format!(r#"{{"pad":"{}"}}"#, "a".repeat(MAX_AUTH_BYTES));
    assert_eq!(
        by_default(Some(&padded), &[BEARER]),
        Err(TokenError::TooLarge)
    );
    let header = format!("Bearer {long}");
    assert_eq!(
        by_default(None, &[("authorization", &header)]),
        Err(TokenError::TooLarge)
    );
    let query = |text: &str| find(&[TokenSource::Query("q".into())], None, &[], text);
    assert_eq!(query(&format!("q={long}")), Err(TokenError::TooLarge));
    assert_eq!(
        query(&format!("q={}", "%61".repeat(1 << 20))),
        Err(TokenError::TooLarge)
    );
    let cookie = format!("c={long}");
    let found = find(
        &[TokenSource::Cookie("c".into())],
        None,
        &[("cookie", &cookie)],
        "",
    );
    assert_eq!(found, Err(TokenError::TooLarge));
}

#[test]
fn a_source_names_the_header_that_it_needs() {
    let name = |source: TokenSource| source.header_name().map(String::from);
    assert_eq!(name(TokenSource::Bearer).as_deref(), Some("authorization"));
    assert_eq!(
        name(TokenSource::Cookie("c".into())).as_deref(),
        Some("cookie")
    );
    assert_eq!(
        name(TokenSource::Header("X-Token".into())).as_deref(),
        Some("x-token")
    );
    assert_eq!(name(TokenSource::Query("q".into())), None);
    assert_eq!(name(TokenSource::AuthPayload("token".into())), None);
}

#[test]
fn printing_credentials_shows_nothing() {
    let map = headers(&[BEARER]);
    let credentials = Credentials {
        auth: Some("payload"),
        headers: &map,
        query: "token=query",
    };
    assert_eq!(format!("{credentials:?}"), "Credentials(redacted)");
}
