use proptest::prelude::*;

use super::*;

const SID: &str = "KufXbHtN1lflCFkOAAAA";

fn given(sid: &str) -> Sid {
    Sid::Given(SessionId::parse(sid).unwrap())
}

fn query(version_4: bool, transport: Option<TransportName>, sid: Sid) -> Query {
    Query {
        is_version_4: version_4,
        transport,
        sid,
        base64: false,
    }
}

const POLLING: Option<TransportName> = Some(TransportName::Polling);
const WEBSOCKET: Option<TransportName> = Some(TransportName::WebSocket);

#[test]
fn usual_queries_are_understood() {
    let cases = [
        ("EIO=4&transport=polling", query(true, POLLING, Sid::Absent)),
        (
            "EIO=4&transport=polling&t=abc123",
            query(true, POLLING, Sid::Absent),
        ),
        (
            "transport=websocket&EIO=4",
            query(true, WEBSOCKET, Sid::Absent),
        ),
        (
            "EIO=4&transport=polling&t=x&sid=KufXbHtN1lflCFkOAAAA",
            query(true, POLLING, given(SID)),
        ),
        (
            "EIO=4&transport=websocket&sid=short",
            query(true, WEBSOCKET, given("short")),
        ),
    ];
    for (raw, expected) in cases {
        assert_eq!(Query::parse(raw), expected, "{raw}");
    }
}

#[test]
fn odd_queries_are_harmless() {
    let cases = [
        ("", query(false, None, Sid::Absent)),
        ("&&&", query(false, None, Sid::Absent)),
        ("=&==&=4", query(false, None, Sid::Absent)),
        ("EIO", query(false, None, Sid::Absent)),
        ("EIO=4&transport", query(true, None, Sid::Absent)),
        (
            "?EIO=4&transport=polling",
            query(false, POLLING, Sid::Absent),
        ),
        ("EIO=4&transport=__proto__", query(true, None, Sid::Absent)),
        (
            "EIO=4&transport=constructor",
            query(true, None, Sid::Absent),
        ),
        (
            "EIO=4&transport=webtransport",
            query(true, None, Sid::Absent),
        ),
        ("EIO=4&transport=Polling", query(true, None, Sid::Absent)),
        ("EIO=4&transport=polling=", query(true, None, Sid::Absent)),
        ("eio=4&Transport=polling", query(false, None, Sid::Absent)),
        (
            "__proto__=polling&__proto__[transport]=x",
            query(false, None, Sid::Absent),
        ),
        // Names that other parsers make arrays of.
        ("EIO=4&transport[]=polling", query(true, None, Sid::Absent)),
        (
            "EIO=4&transport=polling&sid[]=a&sid[0]=b",
            query(true, POLLING, Sid::Absent),
        ),
        ("EIO=4;transport=polling", query(false, None, Sid::Absent)),
    ];
    for (raw, expected) in cases {
        assert_eq!(Query::parse(raw), expected, "{raw}");
    }
}

#[test]
fn only_the_version_4_is_version_4() {
    for (raw, expected) in [
        ("EIO=4", true),
        ("EIO=%34", true),
        ("t=1", false),
        ("EIO=", false),
        ("EIO=3", false),
        ("EIO=5", false),
        ("EIO=+4", false),
        ("EIO=04", false),
        ("EIO=4.0", false),
        ("EIO=%204", false),
        ("EIO=abc", false),
        ("EIO=4444444444444444444444", false),
        ("EIO=٤", false),
        ("EIO=4&EIO=4", false),
    ] {
        assert_eq!(Query::parse(raw).is_version_4(), expected, "{raw}");
    }
}

#[test]
fn a_name_that_comes_twice_is_unusable() {
    let cases = [
        (
            "EIO=4&EIO=3&transport=polling",
            query(false, POLLING, Sid::Absent),
        ),
        (
            "EIO=4&transport=polling&transport=polling",
            query(true, None, Sid::Absent),
        ),
        (
            "EIO=4&transport=polling&transport=websocket",
            query(true, None, Sid::Absent),
        ),
        (
            "EIO=4&transport=polling&sid=a&sid=b",
            query(true, POLLING, Sid::Impossible),
        ),
        (
            "EIO=4&transport=polling&sid=a&sid=",
            query(true, POLLING, Sid::Impossible),
        ),
        (
            "EIO=4&transport=polling&sid=a&%73id=b",
            query(true, POLLING, Sid::Impossible),
        ),
    ];
    for (raw, expected) in cases {
        assert_eq!(Query::parse(raw), expected, "{raw}");
    }
    let flood = "sid=a&".repeat(100_000);
    assert_eq!(Query::parse(&flood).sid, Sid::Impossible);
}

#[test]
fn escapes_are_read_and_junk_stands_for_itself() {
    let cases = [
        (
            "%45IO=%34&tr%61nsport=%70olling",
            query(true, POLLING, Sid::Absent),
        ),
        (
            "EIO=4&transport=polling&sid=%4bufXbHtN1lflCFkO%41AAA",
            query(true, POLLING, given(SID)),
        ),
        ("EIO=4&transport=polling%", query(true, None, Sid::Absent)),
        ("EIO=4&transport=polling%0", query(true, None, Sid::Absent)),
        ("EIO=4&transport=polling%00", query(true, None, Sid::Absent)),
        ("EIO=4&transport=polling%zz", query(true, None, Sid::Absent)),
        (
            "EIO=4&transport=%2570olling",
            query(true, None, Sid::Absent),
        ),
        ("%=%&%%=%%&%é=é", query(false, None, Sid::Absent)),
        ("EIO=4%26transport=polling", query(false, None, Sid::Absent)),
    ];
    for (raw, expected) in cases {
        assert_eq!(Query::parse(raw), expected, "{raw}");
    }
}

#[test]
fn a_sid_that_cannot_exist_is_still_a_sid() {
    let megabyte = "a".repeat(1_000_000);
    for sid in [
        "", "a b", "a+b", "%", "%ff", "%c3%28", "%00", "é", "../x", &megabyte,
    ] {
        let query = Query::parse(&format!("EIO=4&transport=polling&sid={sid}"));
        assert!(query.has_sid(), "{sid:.20}");
        assert_eq!(query.sid(), None, "{sid:.20}");
    }
    // It looks odd, but a table of sessions is not an object: it is merely unknown.
    let query = Query::parse("EIO=4&transport=polling&sid=__proto__");
    assert_eq!(query.sid().unwrap().expose(), "__proto__");
}

#[test]
fn a_query_of_64_kilobytes_is_read_to_its_end() {
    for filler in ["a", "%", "%41", "=", "&", "a=b&", "%73id", "transport[]=&"] {
        let filler = filler.repeat(65_536 / filler.len());
        let query = Query::parse(&format!("{filler}&EIO=4&transport=polling"));
        assert!(query.is_version_4(), "{filler:.20}");
        assert_eq!(query.transport(), POLLING, "{filler:.20}");
    }
}

#[test]
fn text_only_is_asked_for_by_any_value() {
    for (raw, expected) in [
        ("b64=1", true),
        ("b64=0", true),
        ("b64=true", true),
        ("b64=1&b64=", true),
        ("b64=", false),
        ("b64", false),
        ("B64=1", false),
        ("EIO=4", false),
    ] {
        assert_eq!(Query::parse(raw).base64(), expected, "{raw}");
    }
}

proptest! {
    #[test]
    fn no_query_makes_the_reader_panic(raw in "[a-zEIO4=&%+\\[\\]é]{0,200}", any: String) {
        let _ = Query::parse(&raw);
        let _ = Query::parse(&any);
    }

    #[test]
    fn escaping_every_byte_changes_nothing(text: String) {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(percent_decoded(&escaped), text);
    }
}
