//! What JavaScript's decoder says about a text, and what ours says.
//!
//! The verdicts of the second column are those of socket.io-parser 4.2.7 (npm) on Node 20.20,
//! fed with as many one-byte attachments `<0>`, `<1>`, … as it then waits for. Where ours differs,
//! it is stricter, or ignores what JavaScript goes on to ignore one layer higher.

use portcullis_socketio::codec::{Codec, Decoder, Limits};
use portcullis_socketio::ids::AckId;
use portcullis_socketio::packet::{Auth, Packet};
use portcullis_socketio::value::Value;

enum Verdict {
    /// The text, and what both say.
    Agrees(&'static str, &'static str),
    /// The text, what JavaScript says, and what ours says.
    Differs(&'static str, &'static str, &'static str),
}

use Verdict::{Agrees, Differs};

const VERDICTS: &[Verdict] = &[
    Differs("", "connect / - -", "error"),
    Differs(" ", "connect / - -", "error"),
    Agrees("0", "connect / - -"),
    Agrees("0/chat", "connect /chat - -"),
    Agrees("0/chat,", "connect /chat - -"),
    Agrees(r#"0{"token":"x"}"#, r#"connect / - {"token":"x"}"#),
    Agrees(
        r#"0/chat,{"token":"x"}"#,
        r#"connect /chat - {"token":"x"}"#,
    ),
    Differs("0/?a=b", "connect /?a=b - -", "invalid connect /?a=b"),
    Differs(
        "0/chat?a=b,{}",
        "connect /chat?a=b - {}",
        "invalid connect /chat?a=b",
    ),
    Agrees("0null", "error"),
    Agrees("0[]", "error"),
    Agrees(r#"0"x""#, "error"),
    Differs("05", "connect / 5 -", "connect / - -"),
    Agrees("0{", "error"),
    Agrees("0{}x", "error"),
    Agrees("1", "disconnect / - -"),
    Agrees("1/chat", "disconnect /chat - -"),
    Agrees("1/chat,", "disconnect /chat - -"),
    Agrees("1{}", "error"),
    Agrees(r#"1"""#, "error"),
    Differs("2", "event / - -", "ignored"),
    Differs("2/chat,", "event /chat - -", "ignored"),
    Agrees(r#"2["e"]"#, r#"event / - ["e"]"#),
    Agrees(
        r#"2["e",1,"two",null,{"a":[]}]"#,
        r#"event / - ["e",1,"two",null,{"a":[]}]"#,
    ),
    Differs("2[1]", "event / - [1]", r#"event / - ["1"]"#),
    Differs(
        r#"2[1.5,"x"]"#,
        r#"event / - [1.5,"x"]"#,
        r#"event / - ["1.5","x"]"#,
    ),
    Differs("2[1e999]", "event / - [null]", "error"),
    Agrees("2[]", "error"),
    Agrees("2{}", "error"),
    Agrees(r#"2"e""#, "error"),
    Agrees("2[null]", "error"),
    Agrees(r#"2[{"toString":"x"}]"#, "error"),
    Agrees(r#"2[["e"]]"#, "error"),
    Agrees("2[true]", "error"),
    Agrees(r#"2["toString"]"#, r#"event / - ["toString"]"#),
    Agrees(r#"2["connect"]"#, "error"),
    Agrees(r#"2["connect_error"]"#, "error"),
    Agrees(r#"2["disconnect"]"#, "error"),
    Agrees(r#"2["disconnecting"]"#, "error"),
    Agrees(r#"2["newListener"]"#, "error"),
    Agrees(r#"2["removeListener"]"#, "error"),
    Agrees(r#"2["error"]"#, r#"event / - ["error"]"#),
    Agrees(r#"2["message"]"#, r#"event / - ["message"]"#),
    Agrees(r#"2["close"]"#, r#"event / - ["close"]"#),
    Agrees(r#"2[""]"#, r#"event / - [""]"#),
    Agrees(r#"2["__proto__"]"#, r#"event / - ["__proto__"]"#),
    Agrees(r#"2["\u0063onnect"]"#, "error"),
    Differs(
        r#"2["\ud800"]"#,
        r#"event / - ["\ud800"]"#,
        r#"event / - ["�"]"#,
    ),
    Agrees(r#"2["e""#, "error"),
    Agrees(r#"2["e"]x"#, "error"),
    Agrees(r#"2["e"] "#, r#"event / - ["e"]"#),
    Agrees(r#"2["e",]"#, "error"),
    Differs(r#"2 ["e"]"#, r#"event / 0 ["e"]"#, "error"),
    Agrees(r#"27["e"]"#, r#"event / 7 ["e"]"#),
    Agrees(r#"2007["e"]"#, r#"event / 7 ["e"]"#),
    Agrees(
        r#"29007199254740991["e"]"#,
        r#"event / 9007199254740991 ["e"]"#,
    ),
    Differs(
        r#"29007199254740992["e"]"#,
        r#"event / 9007199254740992 ["e"]"#,
        "error",
    ),
    Differs(
        r#"299999999999999999999["e"]"#,
        r#"event / 100000000000000000000 ["e"]"#,
        "error",
    ),
    Agrees(r#"2-1["e"]"#, "error"),
    Agrees(r#"21.5["e"]"#, "error"),
    Agrees(r#"2/chat,7["e"]"#, r#"event /chat 7 ["e"]"#),
    Differs(r#"2/chat["e"]"#, r#"event /chat["e"] - -"#, "error"),
    Differs("3", "ack / - -", "ignored"),
    Differs("37", "ack / 7 -", "ack / 7 []"),
    Agrees("37[]", "ack / 7 []"),
    Agrees(r#"37[1,"x"]"#, r#"ack / 7 [1,"x"]"#),
    Differs("3[]", "ack / - []", "ignored"),
    Agrees("37{}", "error"),
    Agrees("37null", "error"),
    Agrees("3x[]", "error"),
    Agrees("4", "connect_error / - -"),
    Differs(
        r#"4{"message":"x"}"#,
        r#"connect_error / - {"message":"x"}"#,
        "connect_error / - -",
    ),
    Differs(r#"4"x""#, r#"connect_error / - "x""#, "connect_error / - -"),
    Differs("4[", "error", "connect_error / - -"),
    Agrees("5", "error"),
    Agrees("51", "error"),
    Differs("51-", "event / - -", "error"),
    Agrees(r#"50-["x"]"#, "error"),
    Agrees(r#"5-["x"]"#, "error"),
    Agrees(r#"5-1-["x"]"#, "error"),
    Differs(r#"51.0-["x"]"#, r#"event / - ["x"]"#, "error"),
    Differs(
        r#"501-["x",{"_placeholder":true,"num":0}]"#,
        r#"event / - ["x","<0>"]"#,
        "error",
    ),
    Differs(r#"5+1-["x"]"#, r#"event / - ["x"]"#, "error"),
    Differs(r#"51e0-["x"]"#, r#"event / - ["x"]"#, "error"),
    Differs(r#"50x1-["x"]"#, r#"event / - ["x"]"#, "error"),
    Differs(r#"5 1-["x"]"#, r#"event / - ["x"]"#, "error"),
    Agrees(r#"51["x"]"#, "error"),
    Agrees(r#"511-["x"]"#, "error"),
    Agrees(r#"59999999999999999999-["x"]"#, "error"),
    Agrees(r#"510-["x"]"#, r#"event / - ["x"]"#),
    Agrees("60-[]", "error"),
    Agrees(
        r#"61-7[{"_placeholder":true,"num":0}]"#,
        r#"ack / 7 ["<0>"]"#,
    ),
    Differs(
        r#"61-[{"_placeholder":true,"num":0}]"#,
        r#"ack / - ["<0>"]"#,
        "ignored",
    ),
    Agrees(
        r#"51-["x",{"_placeholder":true,"num":0}]"#,
        r#"event / - ["x","<0>"]"#,
    ),
    Agrees(
        r#"51-/chat,7["x",{"_placeholder":true,"num":0}]"#,
        r#"event /chat 7 ["x","<0>"]"#,
    ),
    Agrees(r#"51-["x"]"#, r#"event / - ["x"]"#),
    Agrees(r#"51-["x",{"_placeholder":true,"num":"splice"}]"#, "error"),
    Agrees(r#"51-["x",{"_placeholder":true,"num":-1}]"#, "error"),
    Agrees(r#"51-["x",{"_placeholder":true,"num":1}]"#, "error"),
    Differs(
        r#"51-["x",{"_placeholder":true,"num":0.5}]"#,
        r#"event / - ["x",null]"#,
        "error",
    ),
    Agrees(r#"51-["x",{"_placeholder":true}]"#, "error"),
    Agrees(
        r#"51-["x",{"_placeholder":"true","num":0}]"#,
        r#"event / - ["x",{"_placeholder":"true","num":0}]"#,
    ),
    Agrees(
        r#"51-["x",{"_placeholder":false,"num":0}]"#,
        r#"event / - ["x",{"_placeholder":false,"num":0}]"#,
    ),
    Agrees(
        r#"51-["x",{"num":0,"_placeholder":true,"more":1}]"#,
        r#"event / - ["x","<0>"]"#,
    ),
    Differs(
        r#"51-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
        r#"event / - ["x","<0>","<0>"]"#,
        "error",
    ),
    Agrees(r#"51-["connect",{"_placeholder":true,"num":0}]"#, "error"),
    Agrees(r#"51-[{"_placeholder":true,"num":0}]"#, "error"),
    Agrees(r#"7["x"]"#, "error"),
    Agrees("9", "error"),
    Agrees("a", "error"),
    Agrees("-1", "error"),
    Agrees("b", "error"),
    Agrees(r#"2{"a":1}"#, "error"),
];

#[test]
fn our_verdict_on_a_text_is_that_of_javascript_or_differs_on_purpose() {
    for verdict in VERDICTS {
        let (text, expected) = match *verdict {
            Agrees(text, both) => (text, both),
            Differs(text, theirs, ours) => {
                assert_ne!(theirs, ours, "{text} is listed as a difference");
                (text, ours)
            }
        };
        assert_eq!(verdict_on(text), expected, "on {text}");
    }
}

fn verdict_on(text: &str) -> String {
    let limits = Limits::new();
    let mut decoder = Decoder::new(Codec::Json);
    let mut decoded = decoder.handle_text(text, &limits);
    let mut number = 0;
    while decoder.has_pending() {
        decoded = decoder.handle_binary(vec![number].into(), &limits);
        number += 1;
    }
    match decoded {
        Err(_) => "error".to_owned(),
        Ok(None) => "ignored".to_owned(),
        Ok(Some(packet)) => describe(packet),
    }
}

fn describe(packet: Packet) -> String {
    match packet {
        Packet::Connect { namespace, auth } => match auth {
            Auth::Object(text) => format!("connect {namespace} - {text}"),
            other => {
                assert_eq!(other, Auth::Absent);
                format!("connect {namespace} - -")
            }
        },
        Packet::InvalidConnect { raw } => format!("invalid connect {raw}"),
        Packet::Disconnect { namespace } => format!("disconnect {namespace} - -"),
        Packet::ConnectError { namespace } => format!("connect_error {namespace} - -"),
        Packet::Event {
            namespace,
            ack,
            event,
            args,
        } => {
            let mut items = vec![Value::from(event.as_str())];
            items.extend(args.values().unwrap());
            format!("event {namespace} {} {}", id(ack), json(items))
        }
        Packet::Ack {
            namespace,
            id: number,
            args,
        } => {
            let items = args.values().unwrap();
            format!("ack {namespace} {} {}", id(Some(number)), json(items))
        }
    }
}

fn id(id: Option<AckId>) -> String {
    id.map_or("-".to_owned(), |id| id.to_string())
}

fn json(items: Vec<Value>) -> String {
    let items: Vec<Value> = items
        .into_iter()
        .map(|item| match item {
            Value::Bytes(bytes) => Value::from(format!("<{}>", bytes[0])),
            other => other,
        })
        .collect();
    serde_json::to_string(&items).unwrap()
}
