use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const PEER: &str = "10.0.0.1:4000";

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "192.168.7.7", "2001:db8::/32"])
}

fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn client(peer: &str, lines: &[&str]) -> String {
    let headers = headers(&X_FORWARDED_FOR, lines);
    trusted()
        .client(peer.parse().unwrap(), &headers)
        .to_string()
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client_whatever_it_claims() {
    for peer in ["203.0.113.9:4000", "[2001:db9::1]:4000", "192.168.7.8:1"] {
        assert_eq!(client(peer, &["10.0.0.9"]), peer);
    }
    let nobody = TrustedProxies::default();
    let claims = headers(&X_FORWARDED_FOR, &["6.6.6.6"]);
    let peer = PEER.parse().unwrap();
    assert_eq!(nobody.client(peer, &claims), peer);
}

#[test]
fn the_walk_goes_from_right_to_left_past_trusted_hops() {
    for (lines, expected) in [
        (&["203.0.113.7"][..], "203.0.113.7:0"),
        (&["6.6.6.6, 203.0.113.7"], "203.0.113.7:0"),
        (&["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7:0"),
        (
            &["6.6.6.6, 203.0.113.7,10.0.0.2 , 192.168.7.7"],
            "203.0.113.7:0",
        ),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
        (&[], PEER),
        (&[""], PEER),
    ] {
        assert_eq!(client(PEER, lines), expected, "{lines:?}");
    }
}

#[test]
fn several_headers_are_one_list() {
    let lines = ["6.6.6.6", "203.0.113.7, 10.0.0.5", "10.0.0.2"];
    assert_eq!(client(PEER, &lines), "203.0.113.7:0");
}

#[test]
fn what_is_no_address_ends_the_walk_at_the_last_known_proxy() {
    for (lines, expected) in [
        (&["203.0.113.7, unknown"][..], PEER),
        (&["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2:0"),
        (&["203.0.113.7, _hidden, 10.0.0.2"], "10.0.0.2:0"),
        (&["203.0.113.7, , 10.0.0.2"], "10.0.0.2:0"),
        (&["203.0.113.7, 999.1.1.1, 10.0.0.2"], "10.0.0.2:0"),
        (&["203.0.113.7, 10.0.0.2/8"], PEER),
        (&["' OR 1=1 --"], PEER),
    ] {
        assert_eq!(client(PEER, lines), expected, "{lines:?}");
    }
}

#[test]
fn addresses_may_have_ports_and_brackets() {
    for (line, expected) in [
        ("203.0.113.7:9000", "203.0.113.7:9000"),
        ("2001:db9::7", "[2001:db9::7]:0"),
        ("[2001:db9::7]", "[2001:db9::7]:0"),
        ("[2001:db9::7]:9000", "[2001:db9::7]:9000"),
        ("::ffff:203.0.113.7", "203.0.113.7:0"),
        ("2001:db9::7, [2001:db8::9]:80", "[2001:db9::7]:0"),
    ] {
        assert_eq!(client(PEER, &[line]), expected, "{line}");
    }
}

#[test]
fn an_address_that_is_mapped_into_ipv6_is_the_one_that_it_stands_for() {
    assert_eq!(
        client("[::ffff:10.0.0.1]:1", &["203.0.113.7"]),
        "203.0.113.7:0"
    );
}

#[test]
fn the_standard_header_is_read_where_it_is_named_and_only_there() {
    let proxies = trusted().forwarded();
    let peer: SocketAddr = PEER.parse().unwrap();
    for (line, expected) in [
        ("for=203.0.113.7", "203.0.113.7:0"),
        (
            "For=\"203.0.113.7:80\";proto=https;by=10.0.0.1",
            "203.0.113.7:80",
        ),
        (
            "proto=https;for=\"[2001:db9::7]:4711\"",
            "[2001:db9::7]:4711",
        ),
        (
            "for=6.6.6.6, for=203.0.113.7, for=10.0.0.2",
            "203.0.113.7:0",
        ),
        ("for=203.0.113.7, for=unknown", PEER),
        ("for=203.0.113.7, for=\"_gazonk\"", PEER),
        ("for=203.0.113.7, proto=https", PEER),
        ("for=", PEER),
    ] {
        let found = proxies.client(peer, &headers(&FORWARDED, &[line]));
        assert_eq!(found.to_string(), expected, "{line}");
    }
    let other = headers(&X_FORWARDED_FOR, &["6.6.6.6"]);
    assert_eq!(proxies.client(peer, &other), peer);
    let other = headers(&FORWARDED, &["for=6.6.6.6"]);
    assert_eq!(trusted().client(peer, &other), peer);
}

#[test]
fn a_chain_without_an_end_is_not_walked_to_its_end() {
    let line = vec!["10.0.0.2"; 10_000].join(",");
    assert_eq!(client(PEER, &[&format!("6.6.6.6,{line}")]), "10.0.0.2:0");
}

#[test]
fn networks_hold_what_begins_with_their_bits() {
    for (network, address, holds) in [
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("0.0.0.0/0", "203.0.113.7", true),
        ("0.0.0.0/0", "::1", false),
        ("10.1.2.3/32", "10.1.2.3", true),
        ("10.1.2.3/32", "10.1.2.2", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true),
    ] {
        let parsed = Network::parse(network).unwrap();
        assert_eq!(
            parsed.holds(address.parse().unwrap()),
            holds,
            "{network} {address}"
        );
    }
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/8",
        "localhost",
        "::/129",
    ] {
        assert_eq!(TrustedProxies::new([text]).problems().len(), 1, "{text:?}");
    }
    assert!(trusted().problems().is_empty());
}

proptest! {
    #[test]
    fn any_header_is_walked_without_a_panic(line in "[ -~]{0,200}", forwarded: bool) {
        let proxies = if forwarded { trusted().forwarded() } else { trusted() };
        let name = if forwarded { FORWARDED } else { X_FORWARDED_FOR };
        proxies.client(PEER.parse().unwrap(), &headers(&name, &[&line]));
    }

    #[test]
    fn whatever_a_client_adds_on_the_left_changes_nothing(spoofed in "[ -~]{0,100}") {
        let line = format!("{spoofed}, 203.0.113.7, 10.0.0.2");
        prop_assert_eq!(client(PEER, &[&line]), "203.0.113.7:0");
    }
}
