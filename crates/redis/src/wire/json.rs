//! Values as `JSON.stringify` writes them, byte for byte.
//!
//! | value                     | text                                     |
//! |---------------------------|------------------------------------------|
//! | a float without fraction  | as an integer, as far as JavaScript does |
//! | NaN, infinite             | `null`                                   |
//! | binary                    | `{"type":"Buffer","data":[…]}`           |
//! | a timestamp               | ISO 8601, as text                        |

use std::fmt::Write as _;

use portcullis::socketio::value::Value;

/// The largest exponent that JavaScript writes without one.
const MAX_PLAIN_EXPONENT: i32 = 21;

/// The smallest exponent that JavaScript writes without one.
const MIN_PLAIN_EXPONENT: i32 = -6;

/// The text of `value`.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = String::with_capacity(128);
    write(value, &mut out);
    out
}

/// Appends the text of `value`.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // Writing to a string does not fail, here and below.
        Value::Integer(number) => _ = write!(out, "{number}"),
        Value::Unsigned(number) => _ = write!(out, "{number}"),
        Value::Float(number) => write_number(*number, out),
        Value::String(text) => write_text(text, out),
        Value::Bytes(bytes) => {
            out.push_str(r#"{"type":"Buffer","data":["#);
            for (index, byte) in bytes.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                _ = write!(out, "{byte}");
            }
            out.push_str("]}");
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        // Only a timestamp is left, whose own form is text.
        other => match serde_json::to_string(other) {
            Ok(text) => out.push_str(&text),
            Err(_) => out.push_str("null"),
        },
    }
}

fn write_text(text: &str, out: &mut String) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        Err(_) => out.push_str("\"\""),
    }
}

/// A number as ECMAScript's `Number::toString` lays it out.
fn write_number(number: f64, out: &mut String) {
    if !number.is_finite() {
        out.push_str("null");
        return;
    }
    if number == 0.0 {
        out.push('0');
        return;
    }
    // Rust's exponent form has the same shortest digits as JavaScript's: `-1.25e-7`.
    let text = format!("{number:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return;
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // Where the point stands, counted from the first digit.
    let point = exponent.parse::<i32>().unwrap_or(0).saturating_add(1);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    out.push_str(sign);
    if point > MAX_PLAIN_EXPONENT || point < MIN_PLAIN_EXPONENT.saturating_add(1) {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        _ = write!(out, "e{:+}", point.saturating_sub(1));
    } else if point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else if count <= point {
        out.push_str(&digits);
        (count..point).for_each(|_| out.push('0'));
    } else {
        let at = usize::try_from(point).unwrap_or(0);
        let (whole, fraction) = digits.split_at_checked(at).unwrap_or((&digits, "0"));
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_laid_out_as_javascript_does() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (123.456, "123.456"),
            (0.1, "0.1"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            assert_eq!(to_text(&Value::Float(number)), text);
        }
    }

    #[test]
    fn binary_is_what_a_buffer_makes_of_itself() {
        let value = Value::Bytes(Bytes::from_static(&[1, 255]));
        assert_eq!(to_text(&value), r#"{"type":"Buffer","data":[1,255]}"#);
    }

    proptest! {
        #[test]
        fn every_float_is_read_back_as_itself(number in prop::num::f64::NORMAL) {
            let text = to_text(&Value::Float(number));
            prop_assert_eq!(text.parse::<f64>().unwrap(), number);
        }
    }
}
