//! The dynamic type, and reading it as other types.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use portcullis_socketio::value::Value;
use serde::{Deserialize, Serialize};

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from_iter(entries)
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i32, i32),
    Named { width: u8, name: Option<String> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    Text { body: String },
    File { data: Bytes },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    File { data: Bytes },
    Text(String),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(Option<u16>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[test]
fn every_kind_of_enum_can_be_read_by_name() {
    let read = |value: Value| value.to::<Shape>();

    assert_eq!(read("Empty".into()).unwrap(), Shape::Empty);
    assert_eq!(read(parsed(r#"{"Empty":null}"#)).unwrap(), Shape::Empty);
    assert_eq!(read(parsed(r#"{"Circle":2}"#)).unwrap(), Shape::Circle(2.0));
    assert_eq!(
        read(parsed(r#"{"Line":[1,-2]}"#)).unwrap(),
        Shape::Line(1, -2)
    );
    assert_eq!(
        read(parsed(r#"{"Named":{"width":3}}"#)).unwrap(),
        Shape::Named {
            width: 3,
            name: None
        }
    );
    for bad in [
        r#""Circle""#,
        "{}",
        r#"{"Line":1}"#,
        "1",
        r#"{"Empty":null,"Line":[1,2]}"#,
        r#""?""#,
    ] {
        assert!(read(parsed(bad)).is_err(), "{bad}");
    }
}

#[test]
fn binary_is_found_below_flatten_tags_and_untagged_enums() {
    let data = Bytes::from_static(b"\x00\xff");
    let file = || map([("data", data.clone().into())]);

    let flat: Flat = map([("id", 7.into()), ("data", data.clone().into())])
        .to()
        .unwrap();
    assert_eq!(flat.rest["data"], Value::Bytes(data.clone()));

    assert_eq!(
        file().to::<Untagged>().unwrap(),
        Untagged::File { data: data.clone() }
    );
    assert_eq!(
        Value::from(7).to::<Untagged>().unwrap(),
        Untagged::Number(7)
    );

    let tagged = map([("data", data.clone().into()), ("kind", "file".into())]);
    assert_eq!(
        tagged.to::<Tagged>().unwrap(),
        Tagged::File { data: data.clone() }
    );

    assert_eq!(Value::Bytes(data.clone()).to::<Bytes>().unwrap(), data);
    assert_eq!(Value::Bytes(data).to::<Vec<u8>>().unwrap(), [0, 255]);
}

#[test]
fn null_is_none_and_unit_and_the_inside_of_a_wrapper() {
    assert_eq!(Value::Null.to::<Option<u8>>().unwrap(), None);
    assert_eq!(Value::from(1).to::<Option<u8>>().unwrap(), Some(1));
    assert_eq!(Value::Null.to::<Wrapper>().unwrap(), Wrapper(None));
    assert_eq!(Value::from(9).to::<Wrapper>().unwrap(), Wrapper(Some(9)));
    Value::Null.to::<()>().unwrap();
    assert_eq!(Value::Null.to::<Unit>().unwrap(), Unit);
}

#[test]
fn keys_can_be_numbers_and_truth_values() {
    let numbers: HashMap<u32, bool> = parsed(r#"{"7":true,"8":false}"#).to().unwrap();
    assert_eq!(numbers, HashMap::from([(7, true), (8, false)]));

    let truths: HashMap<bool, u8> = parsed(r#"{"true":1}"#).to().unwrap();
    assert_eq!(truths, HashMap::from([(true, 1)]));

    let error = parsed(r#"{"seven":true}"#)
        .to::<HashMap<u32, bool>>()
        .unwrap_err();
    assert_eq!(error.to_string(), "invalid type: string, expected u32");
}

#[test]
fn an_error_says_where_and_what_kind_but_never_what() {
    #[derive(Debug, Deserialize)]
    struct User {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "tags")]
        _tags: Vec<u8>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        #[serde(rename = "user")]
        _user: User,
    }
    let error = |json: &str| parsed(json).to::<Login>().unwrap_err().to_string();

    assert_eq!(
        error(r#"{"user":{"name":"secret","tags":[1,"secret"]}}"#),
        "user.tags[1]: invalid type: string, expected u8"
    );
    assert_eq!(
        error(r#"{"user":{"name":"x","tags":[1,300]}}"#),
        "user.tags[1]: invalid value: integer, expected u8"
    );
    assert_eq!(
        error(r#"{"user":{"name":"x"}}"#),
        "user.tags: missing field"
    );
    assert_eq!(
        error(r#"{"secret":1}"#),
        "unknown field, expected one of user"
    );
    assert_eq!(
        error(r#"["secret"]"#),
        "[0]: invalid type: string, expected an object"
    );
    assert_eq!(
        error(r#""secret""#),
        "invalid type: string, expected an object"
    );
}

#[test]
fn what_a_type_itself_says_is_kept_apart() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Even;

    impl TryFrom<String> for Even {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("{text} is odd"))
        }
    }

    let error = map([("n", "secret".into())])
        .to::<HashMap<String, Even>>()
        .unwrap_err();
    assert_eq!(error.to_string(), "n: invalid value");
    assert_eq!(error.path(), "n");
    assert_eq!(error.detail(), Some("secret is odd"));
}

#[test]
fn a_key_that_is_no_name_stays_out_of_the_path() {
    let long = "k".repeat(65);
    for key in ["", "two words", "a.b", "<script>", long.as_str()] {
        let error = map([(key, "x".into())])
            .to::<HashMap<String, u8>>()
            .unwrap_err();
        assert_eq!(error.path(), "[key]");
    }
}

#[test]
fn any_json_is_a_value_and_the_same_json_again() {
    let json = r#"{"z":[null,true,-1,18446744073709551615,1.5,"é\n"],"a":{"b":{}},"":[]}"#;
    assert_eq!(serde_json::to_string(&parsed(json)).unwrap(), json);
    assert_eq!(parsed(json).to::<Value>().unwrap(), parsed(json));
}

#[test]
fn of_equal_keys_the_last_counts() {
    let value = parsed(r#"{"a":1,"a":2}"#);
    assert_eq!(value.get("a"), Some(&Value::from(2)));
    assert_eq!(value.get("b"), None);
    assert_eq!(value.to::<HashMap<String, u8>>().unwrap()["a"], 2);
}

#[test]
fn whole_numbers_above_63_bits_are_unsigned_and_no_others() {
    assert_eq!(Value::from(u64::MAX), Value::Unsigned(u64::MAX));
    assert_eq!(Value::from(i64::MAX as u64), Value::Integer(i64::MAX));
    assert_eq!(parsed("9223372036854775808"), Value::Unsigned(1 << 63));
    assert_eq!(Value::Unsigned(u64::MAX).to::<u64>().unwrap(), u64::MAX);
    assert!(Value::Integer(-1).to::<u64>().is_err());
}

#[test]
fn anything_that_serialises_is_a_value() {
    assert_eq!(Value::from_serialize("text").unwrap(), Value::from("text"));
    assert_eq!(Value::from_serialize(&(1, 2)).unwrap(), parsed("[1,2]"));
    assert_eq!(Value::from_serialize(&()).unwrap(), Value::Null);
    assert_eq!(
        Value::from_serialize(&Tagged::File {
            data: Bytes::from_static(b"x")
        })
        .unwrap(),
        map([
            ("kind", "file".into()),
            ("data", Bytes::from_static(b"x").into())
        ]),
    );
}

#[test]
fn a_timestamp_reads_and_prints_as_javascript_prints_a_date() {
    let text = |seconds, nanoseconds| {
        let timestamp = Value::Timestamp {
            seconds,
            nanoseconds,
        };
        let text: String = timestamp.to().unwrap();
        assert_eq!(
            serde_json::to_string(&timestamp).unwrap(),
            format!("{text:?}")
        );
        text
    };

    assert_eq!(text(0, 0), "1970-01-01T00:00:00.000Z");
    assert_eq!(text(-1, 999_999_999), "1969-12-31T23:59:59.999Z");
    assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00.000Z");
    assert_eq!(text(1_767_225_599, 123_456_789), "2025-12-31T23:59:59.123Z");
    assert_eq!(text(253_402_300_800, 0), "+010000-01-01T00:00:00.000Z");
    assert_eq!(text(-62_198_755_200, 0), "-000001-01-01T00:00:00.000Z");
    text(i64::MAX, u32::MAX);
    text(i64::MIN, 0);
}

#[test]
fn the_size_of_a_value_covers_what_it_holds() {
    let item = size_of::<Value>();
    assert_eq!(Value::Null.size_bytes(), item);
    assert_eq!(Value::from("1234").size_bytes(), item + 4);
    assert_eq!(Value::from(vec![Value::Null; 3]).size_bytes(), 4 * item);
    assert!(map([("key", Value::from(Bytes::from(vec![0; 100])))]).size_bytes() > 2 * item + 103);
    assert!(item <= 40);
}

#[test]
fn a_number_is_one_where_json_has_numbers_of_any_size() {
    // As serde_json hands them over if any crate turns `arbitrary_precision` on.
    let number = |text: &str| {
        let entries = [("$serde_json::private::Number", text)];
        let map = serde::de::value::MapDeserializer::new(entries.into_iter());
        let read: Result<Value, serde::de::value::Error> = Value::deserialize(map);
        read.unwrap()
    };
    assert_eq!(number("1.5"), Value::Float(1.5));
    assert_eq!(number("-3"), Value::Integer(-3));
    assert!(matches!(number("no number"), Value::Map(_)));
}
