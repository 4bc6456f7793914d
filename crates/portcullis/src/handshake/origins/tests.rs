use proptest::prelude::*;

use super::*;

fn policy() -> Origins {
    Origins::list([
        "https://app.example.com",
        "https://*.example.org",
        "http://localhost:5173",
        "https://xn--bcher-kva.example",
        "https://[::1]:8443",
        "app://desktop",
    ])
}

fn headers(origins: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for origin in origins {
        headers.append(ORIGIN, HeaderValue::from_bytes(origin).unwrap());
    }
    headers
}

fn is_allowed(origins: &Origins, headers: &HeaderMap) -> bool {
    origins.allow(headers, &Uri::from_static("/socket.io/"), None)
}

fn allows(origin: &str) -> bool {
    is_allowed(&policy(), &headers(&[origin.as_bytes()]))
}

#[test]
fn an_origin_is_its_scheme_host_and_port_and_nothing_like_it() {
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("https://app.example.com:443", true),
        ("HTTPS://APP.Example.COM", true),
        ("http://app.example.com", false),
        ("wss://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("https://app.example.com:0443", true),
        ("https://evil-example.com", false),
        ("https://evil-app.example.com", false),
        ("https://app.example.com.evil.io", false),
        ("https://example.com", false),
        ("https://app.example.com.", false),
        ("https://user@app.example.com", false),
        ("https://app.example.com@evil.io", false),
        ("https://user:secret@app.example.com", false),
        ("https://app.example.com/", false),
        ("https://app.example.com/path", false),
        ("https://app.example.com?x", false),
        ("https://app.example.com#x", false),
        (" https://app.example.com", false),
        ("https://app.example.com ", false),
        ("https://app.example.com, https://evil.io", false),
        ("https://app.example.com\\@evil.io", false),
        ("https://app.example.com:", false),
        ("https://app.example.com:+443", false),
        ("https://app.example.com:65979", false),
        ("//app.example.com", false),
        ("app.example.com", false),
        ("://app.example.com", false),
        ("", false),
        ("null", false),
        ("*", false),
        ("https://*", false),
        ("http://localhost:5173", true),
        ("http://localhost", false),
        ("http://127.0.0.1:5173", false),
        ("https://xn--bcher-kva.example", true),
        ("https://bücher.example", false),
        ("https://[::1]:8443", true),
        ("https://[::1]", false),
        ("https://[::1", false),
        ("app://desktop", true),
        ("app://other", false),
    ] {
        assert_eq!(allows(origin), allowed, "{origin:?}");
    }
}

#[test]
fn a_wildcard_stands_for_whole_labels() {
    for (origin, allowed) in [
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("https://A.EXAMPLE.ORG", true),
        ("https://a.example.org:443", true),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://evil-example.org", false),
        ("https://evilexample.org", false),
        ("https://a.example.org.evil.io", false),
        ("https://a.example.org:8443", false),
        ("http://a.example.org", false),
        ("https://a.example.org.", false),
        ("https://*.example.org", false),
        ("https://evil.io/.example.org", false),
        ("https://evil.io#.example.org", false),
        ("https://evil.io:80.example.org", false),
    ] {
        assert_eq!(allows(origin), allowed, "{origin:?}");
    }
}

#[test]
fn null_is_allowed_where_it_is_listed_and_nowhere_else() {
    let null = headers(&[b"null"]);
    assert!(!is_allowed(&policy(), &null));
    assert!(is_allowed(&Origins::list(["null"]), &null));
    assert!(!is_allowed(&Origins::list(["null"]), &headers(&[b"NULL"])));
    assert!(!is_allowed(
        &Origins::list(["null"]),
        &headers(&[b"https://app.example.com"])
    ));
}

#[test]
fn two_origins_are_none() {
    let twice = headers(&[b"https://app.example.com", b"https://app.example.com"]);
    assert!(!is_allowed(&policy(), &twice));
    assert!(is_allowed(&Origins::any(), &twice));
}

#[test]
fn bytes_that_are_no_text_are_no_origin() {
    assert!(!is_allowed(
        &policy(),
        &headers(&[b"https://app.example.com\xff"])
    ));
}

#[test]
fn whether_clients_without_an_origin_may_connect_is_told() {
    assert!(is_allowed(&policy(), &HeaderMap::new()));
    assert!(!is_allowed(&policy().allow_none(false), &HeaderMap::new()));
    assert!(!is_allowed(
        &Origins::any().allow_none(false),
        &HeaderMap::new()
    ));
}

#[test]
fn patterns_that_cannot_be_origins_are_problems() {
    for text in [
        "",
        "*",
        "example.com",
        "https://",
        "https://*",
        "https://*.com",
        "https://a.*.example.com",
        "https://*a.example.com",
        "https://example.com/",
        "https://bücher.example",
        "https://user@example.com",
        "https://example.com:99999",
    ] {
        assert_eq!(Origins::list([text]).problems().len(), 1, "{text:?}");
    }
    assert!(policy().problems().is_empty());
    assert!(
        Origins::list(["https://*.localhost:3000"])
            .problems()
            .is_empty()
    );
}

proptest! {
    #[test]
    fn any_header_is_judged_and_strangers_are_refused(
        bytes in prop::collection::vec(0x20_u8..=0xff, 0..64),
    ) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.append(ORIGIN, value);
            let allowed = is_allowed(&policy(), &headers);
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            prop_assert!(!allowed || text.contains("example") || text.contains("desktop")
                || text.contains("localhost") || text.contains("::1"));
        }
    }

    #[test]
    fn a_suffix_without_its_dot_is_another_site(prefix in "[a-z0-9-]{1,20}") {
        let near = format!("https://{prefix}example.org");
        prop_assert!(!allows(&near), "{}", near);
        let below = format!("https://{prefix}.example.org");
        prop_assert!(allows(&below), "{}", below);
    }
}

#[test]
fn a_page_is_the_servers_own_if_it_comes_from_the_host_that_is_asked() {
    for (host, origin, own) in [
        ("app.example.com", "https://app.example.com", true),
        ("app.example.com", "http://app.example.com", true),
        ("APP.example.com", "https://App.Example.com", true),
        ("app.example.com:443", "https://app.example.com", true),
        ("app.example.com:80", "http://app.example.com", true),
        ("app.example.com:80", "https://app.example.com", false),
        ("app.example.com:3000", "http://app.example.com:3000", true),
        ("app.example.com:3000", "http://app.example.com:3001", false),
        ("app.example.com:3000", "http://app.example.com", false),
        ("[::1]:3000", "http://[::1]:3000", true),
        ("app.example.com", "https://evil.example", false),
        ("app.example.com", "https://app.example.com.evil.io", false),
        ("app.example.com", "https://evil-app.example.com", false),
        ("app.example.com", "null", false),
        ("app.example.com", "", false),
        ("", "https://", false),
        (
            "evil.example@app.example.com",
            "https://app.example.com",
            false,
        ),
    ] {
        let mut headers = headers(&[origin.as_bytes()]);
        headers.append(HOST, HeaderValue::from_str(host).unwrap());
        assert_eq!(
            is_allowed(&Origins::own(), &headers),
            own,
            "{host} {origin}"
        );
        headers.append(HOST, HeaderValue::from_str(host).unwrap());
        assert!(!is_allowed(&Origins::own(), &headers), "two hosts");
    }
    let origin = headers(&[b"https://app.example.com"]);
    assert!(!is_allowed(&Origins::own(), &origin), "no host");
    let target = Uri::from_static("https://app.example.com/socket.io/");
    assert!(Origins::own().allow(&origin, &target, None));
    let twice = headers(&[b"https://app.example.com", b"https://app.example.com"]);
    assert!(!Origins::own().allow(&twice, &target, None));
}

#[test]
fn without_a_list_a_page_that_may_read_may_connect() {
    let page = headers(&[b"https://page.example"]);
    let target = Uri::from_static("/socket.io/");
    for (cors, allowed) in [
        (Cors::any(), true),
        (Cors::origins(["https://page.example"]), true),
        (
            Cors::predicate(|origin| origin.ends_with("page.example")),
            true,
        ),
        (Cors::origins(["https://other.example"]), false),
        (Cors::predicate(|_| false), false),
    ] {
        assert_eq!(
            Origins::own().allow(&page, &target, Some(&cors)),
            allowed,
            "{cors:?}"
        );
        assert!(!policy().allow(&page, &target, Some(&cors)), "{cors:?}");
    }
}
