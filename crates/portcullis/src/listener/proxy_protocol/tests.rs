use proptest::prelude::*;

use super::*;

/// Reads a header; what is left behind it comes too.
fn read_all(mut bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let result = runtime.block_on(read(&mut bytes));
    (result, bytes)
}

fn source(bytes: &[u8]) -> Option<String> {
    let (result, rest) = read_all(bytes);
    assert!(result.is_err() || rest == b"GET /", "{rest:?}");
    result
        .ok()
        .map(|source| source.map_or_else(|| "peer".to_owned(), |s| s.to_string()))
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes.extend(b"GET /");
    bytes
}

#[test]
fn a_line_names_the_client_and_nothing_behind_it_is_read() {
    for (line, expected) in [
        (
            "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
            "203.0.113.7:56324",
        ),
        (
            "PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n",
            "[2001:db8::7]:1",
        ),
        (
            "PROXY TCP6 ::ffff:203.0.113.7 ::1 1 443\r\n",
            "203.0.113.7:1",
        ),
        ("PROXY UNKNOWN\r\n", "peer"),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "peer"),
    ] {
        let bytes = [line.as_bytes(), b"GET /"].concat();
        assert_eq!(source(&bytes).as_deref(), Some(expected), "{line}");
    }
}

#[test]
fn what_is_no_line_is_refused() {
    for line in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 7\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 +5632 443\r\n",
        "PROXY TCP4 2001:db8::7 10.0.0.1 56324 443\r\n",
        "PROXY TCP6 203.0.113.7 10.0.0.1 56324 443\r\n",
        "PROXY UDP4 203.0.113.7 10.0.0.1 56324 443\r\n",
        "PROXY TCP4  203.0.113.7 10.0.0.1 56324 443\r\n",
        "proxy TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
        "PROXYTCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
    ] {
        assert_eq!(source(line.as_bytes()), None, "{line}");
    }
    let endless = format!("PROXY TCP4 {}", "1".repeat(10_000));
    let (result, rest) = read_all(endless.as_bytes());
    assert!(result.is_err());
    assert_eq!(
        endless.len().saturating_sub(rest.len()),
        MAX_LINE,
        "no more is read"
    );
}

#[test]
fn a_binary_header_names_the_client_and_may_hold_more() {
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
    assert_eq!(
        source(&binary(0x21, 0x11, &v4)).as_deref(),
        Some("203.0.113.7:56324")
    );
    let with_more = [v4.as_slice(), &[4, 0, 3, 1, 2, 3]].concat();
    assert_eq!(
        source(&binary(0x21, 0x11, &with_more)).as_deref(),
        Some("203.0.113.7:56324")
    );
    let v6 = [
        &[0x20, 1, 0xd, 0xb8][..],
        &[0; 11],
        &[7],
        &[0; 16],
        &[0, 1, 1, 187],
    ]
    .concat();
    assert_eq!(
        source(&binary(0x21, 0x21, &v6)).as_deref(),
        Some("[2001:db8::7]:1")
    );
    assert_eq!(source(&binary(0x20, 0x11, &v4)).as_deref(), Some("peer"));
    assert_eq!(source(&binary(0x20, 0, &[])).as_deref(), Some("peer"));
    assert_eq!(
        source(&binary(0x21, 0x31, &[0; 216])).as_deref(),
        Some("peer")
    );
}

#[test]
fn what_is_no_binary_header_is_refused() {
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
    for bytes in [
        binary(0x11, 0x11, &v4),
        binary(0x22, 0x11, &v4),
        binary(0x21, 0x13, &v4),
        binary(0x21, 0x11, v4.split_last().unwrap().1),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x11, &[0; 2049]),
        SIGNATURE.to_vec(),
        binary(0x21, 0x11, &v4).into_iter().take(20).collect(),
    ] {
        assert_eq!(source(&bytes), None, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_all(&bytes);
        let _ = read_all(&[SIGNATURE.as_slice(), &bytes].concat());
        let _ = read_all(&[b"PROXY TCP4 ".as_slice(), &bytes].concat());
    }
}
