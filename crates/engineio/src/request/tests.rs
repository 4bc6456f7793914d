use super::*;

use Known::{Nothing, Session};
use Method::{Get, Other, Post};
use RejectionCode::{
    BadHandshakeMethod, BadRequest, Forbidden, SessionUnknown, TransportUnknown,
    UnsupportedProtocol,
};
use TransportName::{Polling, WebSocket};

type Verified = Result<Wanted, RejectionCode>;

const BOTH: Transports = Transports {
    polling: true,
    websocket: true,
};
const UPGRADE: bool = true;
const PLAIN: bool = false;

fn verify(method: Method, is_upgrade: bool, query: &str, known: Known) -> Verified {
    Request {
        method,
        is_upgrade,
        query: &Query::parse(query),
        origin_is_valid: true,
        transports: BOTH,
        known,
    }
    .verify()
}

/// Requests that name no session.
const WITHOUT_SID: &[(Method, bool, &str, Verified)] = &[
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling",
        Ok(Wanted::Open(Polling)),
    ),
    (
        Get,
        UPGRADE,
        "EIO=4&transport=websocket",
        Ok(Wanted::Open(WebSocket)),
    ),
    (Get, PLAIN, "EIO=4", Err(TransportUnknown)),
    (
        Get,
        PLAIN,
        "EIO=4&transport=__proto__",
        Err(TransportUnknown),
    ),
    (
        Get,
        PLAIN,
        "EIO=4&transport=constructor",
        Err(TransportUnknown),
    ),
    (
        Get,
        PLAIN,
        "EIO=4&transport=webtransport",
        Err(TransportUnknown),
    ),
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling&transport=polling",
        Err(TransportUnknown),
    ),
    (
        Post,
        PLAIN,
        "EIO=4&transport=polling",
        Err(BadHandshakeMethod),
    ),
    (
        Other,
        PLAIN,
        "EIO=4&transport=polling",
        Err(BadHandshakeMethod),
    ),
    (
        Post,
        UPGRADE,
        "EIO=4&transport=websocket",
        Err(BadHandshakeMethod),
    ),
    (Get, PLAIN, "EIO=4&transport=websocket", Err(BadRequest)),
    (Get, UPGRADE, "EIO=4&transport=polling", Err(BadRequest)),
    (Get, PLAIN, "transport=polling", Err(UnsupportedProtocol)),
    (
        Get,
        PLAIN,
        "EIO=3&transport=polling",
        Err(UnsupportedProtocol),
    ),
    (
        Get,
        PLAIN,
        "EIO=abc&transport=polling",
        Err(UnsupportedProtocol),
    ),
    (
        Get,
        UPGRADE,
        "EIO=3&transport=websocket",
        Err(UnsupportedProtocol),
    ),
];

#[test]
fn requests_without_a_sid_open_a_session_or_are_refused() {
    for (method, is_upgrade, query, expected) in WITHOUT_SID.iter().copied() {
        let verdict = verify(method, is_upgrade, query, Nothing);
        assert_eq!(verdict, expected, "{method:?} upgrade={is_upgrade} {query}");
    }
}

const POLLING_SID: &str = "EIO=4&transport=polling&sid=a";
const WEBSOCKET_SID: &str = "EIO=4&transport=websocket&sid=a";

/// Requests that name a session.
const WITH_SID: &[(Method, bool, &str, Known, Verified)] = &[
    (Get, PLAIN, POLLING_SID, Session(Polling), Ok(Wanted::Poll)),
    (Post, PLAIN, POLLING_SID, Session(Polling), Ok(Wanted::Post)),
    (
        Other,
        PLAIN,
        POLLING_SID,
        Session(Polling),
        Ok(Wanted::UnsupportedMethod),
    ),
    (
        Get,
        UPGRADE,
        WEBSOCKET_SID,
        Session(Polling),
        Ok(Wanted::Upgrade),
    ),
    // Let in and closed at once, so that the first WebSocket is not affected.
    (
        Get,
        UPGRADE,
        WEBSOCKET_SID,
        Session(WebSocket),
        Ok(Wanted::Upgrade),
    ),
    (Get, PLAIN, POLLING_SID, Nothing, Err(SessionUnknown)),
    (Post, PLAIN, POLLING_SID, Nothing, Err(SessionUnknown)),
    (Get, UPGRADE, WEBSOCKET_SID, Nothing, Err(SessionUnknown)),
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling&sid=__proto__",
        Nothing,
        Err(SessionUnknown),
    ),
    // A sid that nobody can have does not open a new session.
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling&sid=",
        Nothing,
        Err(SessionUnknown),
    ),
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling&sid=%00",
        Nothing,
        Err(SessionUnknown),
    ),
    (
        Get,
        PLAIN,
        "EIO=4&transport=polling&sid=a&sid=a",
        Nothing,
        Err(SessionUnknown),
    ),
    // After the upgrade, polling is over.
    (Get, PLAIN, POLLING_SID, Session(WebSocket), Err(BadRequest)),
    (
        Post,
        PLAIN,
        POLLING_SID,
        Session(WebSocket),
        Err(BadRequest),
    ),
    (Get, PLAIN, WEBSOCKET_SID, Session(Polling), Err(BadRequest)),
    (
        Get,
        PLAIN,
        WEBSOCKET_SID,
        Session(WebSocket),
        Err(BadRequest),
    ),
    (Get, UPGRADE, POLLING_SID, Session(Polling), Err(BadRequest)),
    (
        Post,
        UPGRADE,
        WEBSOCKET_SID,
        Session(Polling),
        Err(BadRequest),
    ),
    // The protocol of the session is 4.
    (
        Get,
        PLAIN,
        "EIO=3&transport=polling&sid=a",
        Session(Polling),
        Err(BadRequest),
    ),
    (
        Get,
        PLAIN,
        "transport=polling&sid=a",
        Session(Polling),
        Err(BadRequest),
    ),
    (
        Get,
        UPGRADE,
        "EIO=3&transport=websocket&sid=a",
        Session(Polling),
        Err(BadRequest),
    ),
];

#[test]
fn requests_with_a_sid_reach_their_session_or_are_refused() {
    for (method, is_upgrade, query, known, expected) in WITH_SID.iter().copied() {
        let verdict = verify(method, is_upgrade, query, known);
        assert_eq!(
            verdict, expected,
            "{method:?} upgrade={is_upgrade} {query} {known:?}"
        );
    }
}

type Mended = (&'static str, bool, Known, Method, bool, Verified);

/// Everything is wrong with the first; each row mends what the row before was refused for.
const MENDED_WITH_SID: &[Mended] = &[
    (
        "EIO=3&transport=x&sid=a",
        false,
        Nothing,
        Post,
        UPGRADE,
        Err(TransportUnknown),
    ),
    (
        "EIO=3&transport=polling&sid=a",
        false,
        Nothing,
        Post,
        UPGRADE,
        Err(BadRequest),
    ),
    (
        "EIO=3&transport=polling&sid=a",
        true,
        Nothing,
        Post,
        UPGRADE,
        Err(SessionUnknown),
    ),
    (
        "EIO=3&transport=polling&sid=a",
        true,
        Session(Polling),
        Post,
        PLAIN,
        Err(BadRequest),
    ),
    (
        "EIO=4&transport=polling&sid=a",
        true,
        Session(Polling),
        Post,
        PLAIN,
        Ok(Wanted::Post),
    ),
];

/// The same without a sid.
const MENDED_WITHOUT_SID: &[Mended] = &[
    (
        "EIO=3&transport=x",
        false,
        Nothing,
        Post,
        PLAIN,
        Err(TransportUnknown),
    ),
    (
        "EIO=3&transport=websocket",
        false,
        Nothing,
        Post,
        PLAIN,
        Err(BadRequest),
    ),
    (
        "EIO=3&transport=websocket",
        true,
        Nothing,
        Post,
        PLAIN,
        Err(BadHandshakeMethod),
    ),
    (
        "EIO=3&transport=websocket",
        true,
        Nothing,
        Get,
        PLAIN,
        Err(BadRequest),
    ),
    (
        "EIO=3&transport=websocket",
        true,
        Nothing,
        Get,
        UPGRADE,
        Err(UnsupportedProtocol),
    ),
    (
        "EIO=4&transport=websocket",
        true,
        Nothing,
        Get,
        UPGRADE,
        Ok(Wanted::Open(WebSocket)),
    ),
];

#[test]
fn what_is_checked_first_is_what_is_answered() {
    for row in MENDED_WITH_SID.iter().chain(MENDED_WITHOUT_SID) {
        let (query, origin_is_valid, known, method, is_upgrade, expected) = *row;
        let verdict = Request {
            method,
            is_upgrade,
            query: &Query::parse(query),
            origin_is_valid,
            transports: BOTH,
            known,
        }
        .verify();
        assert_eq!(verdict, expected, "{row:?}");
    }
}

#[test]
fn a_transport_that_is_not_offered_is_unknown() {
    let cases = [
        (
            "polling",
            PLAIN,
            Transports {
                polling: false,
                websocket: true,
            },
        ),
        (
            "websocket",
            UPGRADE,
            Transports {
                polling: true,
                websocket: false,
            },
        ),
    ];
    for (transport, is_upgrade, transports) in cases {
        for sid in ["", "&sid=a"] {
            let request = Request {
                method: Get,
                is_upgrade,
                query: &Query::parse(&format!("EIO=4&transport={transport}{sid}")),
                origin_is_valid: true,
                transports,
                known: Session(Polling),
            };
            assert_eq!(request.verify(), Err(TransportUnknown), "{transport}{sid}");
        }
    }
}

#[test]
fn refusals_are_the_reference_servers_byte_for_byte() {
    let cases = [
        (
            TransportUnknown,
            400,
            r#"{"code":0,"message":"Transport unknown"}"#,
        ),
        (
            SessionUnknown,
            400,
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ),
        (
            BadHandshakeMethod,
            400,
            r#"{"code":2,"message":"Bad handshake method"}"#,
        ),
        (BadRequest, 400, r#"{"code":3,"message":"Bad request"}"#),
        (Forbidden, 403, r#"{"code":4,"message":"Forbidden"}"#),
        (
            UnsupportedProtocol,
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        ),
    ];
    for (code, status, json) in cases {
        let rejection = Rejection::from(code);
        assert_eq!(rejection.code(), code);
        assert_eq!(rejection.status(), status);
        assert_eq!(rejection.to_json(), json);
    }
}

#[test]
fn the_gate_chooses_its_status_and_its_words() {
    let rejection = Rejection::forbidden(429, Some("slow down"));
    assert_eq!(rejection.code(), Forbidden);
    assert_eq!(rejection.status(), 429);
    assert_eq!(rejection.message(), "slow down");
    assert_eq!(rejection.to_json(), r#"{"code":4,"message":"slow down"}"#);

    assert_eq!(Rejection::forbidden(401, None).message(), "Forbidden");
}

#[test]
fn the_gates_words_cannot_break_out_of_the_json() {
    let rejection = Rejection::forbidden(403, Some("\"}\\ \n\0\x1f é €"));
    assert_eq!(
        rejection.to_json(),
        r#"{"code":4,"message":"\"}\\ \u000a\u0000\u001f é €"}"#,
    );
}
