//! Values into bytes: the shortest form of each.

use crate::value::Value;

/// Two to the power of 63: the first float that is no `i64`.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// Two to the power of 64: the first float that is no `u64`.
const U64_END: f64 = 2.0 * I64_END;

/// Appends `value` to `out`.
///
/// Floats without a fraction are written as ints, as JavaScript peers do, who have no other kind.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    write(value, out, write_timestamp);
}

/// As [`encode`], in the dialect of the clients' msgpack parser: it knows a point in time only as a
/// number of milliseconds.
pub(crate) fn encode_for_clients(value: &Value, out: &mut Vec<u8>) {
    write(value, out, write_date);
}

fn write(value: &Value, out: &mut Vec<u8>, write_timestamp: fn(&mut Vec<u8>, i64, u32)) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Integer(number) => write_int(out, *number),
        Value::Unsigned(number) => write_uint(out, *number),
        Value::Float(number) => write_float(out, *number),
        Value::String(text) => write_str(out, text),
        Value::Bytes(bytes) => {
            write_len(out, bytes.len(), None, Some(0xc4), [0xc5, 0xc6]);
            out.extend_from_slice(bytes);
        }
        Value::Array(items) => {
            write_array_len(out, items.len());
            for item in items {
                write(item, out, write_timestamp);
            }
        }
        Value::Map(entries) => {
            write_map_len(out, entries.len());
            for (key, value) in entries {
                write_str(out, key);
                write(value, out, write_timestamp);
            }
        }
        Value::Timestamp {
            seconds,
            nanoseconds,
        } => write_timestamp(out, *seconds, *nanoseconds),
    }
}

pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    write_len(out, text.len(), Some((0xa0, 32)), Some(0xd9), [0xda, 0xdb]);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_array_len(out: &mut Vec<u8>, len: usize) {
    write_len(out, len, Some((0x90, 16)), None, [0xdc, 0xdd]);
}

pub(crate) fn write_map_len(out: &mut Vec<u8>, len: usize) {
    write_len(out, len, Some((0x80, 16)), None, [0xde, 0xdf]);
}

pub(crate) fn write_uint(out: &mut Vec<u8>, number: u64) {
    if let Ok(small) = u8::try_from(number) {
        if small >= 0x80 {
            out.push(0xcc);
        }
        out.push(small);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(0xcd);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(0xce);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_int(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        write_uint(out, number);
    } else if let Ok(small) = i8::try_from(number) {
        if small < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xd1);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xd2);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_float(out: &mut Vec<u8>, number: f64) {
    match whole_number(number) {
        Some(Whole::Signed(number)) => write_int(out, number),
        Some(Whole::Unsigned(number)) => write_uint(out, number),
        None => {
            out.push(0xcb);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// An integer that a float was exactly.
enum Whole {
    Signed(i64),
    Unsigned(u64),
}

/// The integer that a float is exactly, if it is one that fits.
fn whole_number(number: f64) -> Option<Whole> {
    if number.fract() != 0.0 {
        return None;
    }
    // Nothing is cut off: there is no fraction, and the ranges are those of the types.
    if (-I64_END..I64_END).contains(&number) {
        Some(Whole::Signed(number as i64))
    } else if (0.0..U64_END).contains(&number) {
        Some(Whole::Unsigned(number as u64))
    } else {
        None
    }
}

fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanoseconds: u32) {
    // The three forms of the msgpack specification, "Timestamp extension type".
    match (u32::try_from(seconds), u64::try_from(seconds)) {
        (Ok(seconds), _) if nanoseconds == 0 => {
            out.extend_from_slice(&[0xd6, 0xff]);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        (_, Ok(seconds)) if seconds < 1 << 34 => {
            out.extend_from_slice(&[0xd7, 0xff]);
            let both = (u64::from(nanoseconds) << 34) | seconds;
            out.extend_from_slice(&both.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[0xc7, 12, 0xff]);
            out.extend_from_slice(&nanoseconds.to_be_bytes());
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// Extension 0 of eight bytes, as `notepack.io` 2 writes a `Date`.
fn write_date(out: &mut Vec<u8>, seconds: i64, nanoseconds: u32) {
    let milliseconds = seconds
        .saturating_mul(1_000)
        .saturating_add((nanoseconds / 1_000_000).into());
    out.extend_from_slice(&[0xd7, 0]);
    out.extend_from_slice(&milliseconds.to_be_bytes());
}

/// Writes a marker and a length in the first form that fits: inside the marker, or behind it in
/// one, two or four bytes.
fn write_len(
    out: &mut Vec<u8>,
    len: usize,
    fixed: Option<(u8, u8)>,
    marker_8: Option<u8>,
    [marker_16, marker_32]: [u8; 2],
) {
    match (u8::try_from(len), fixed, marker_8) {
        (Ok(len), Some((marker, limit)), _) if len < limit => out.push(marker | len),
        (Ok(len), _, Some(marker)) => out.extend_from_slice(&[marker, len]),
        _ => {
            if let Ok(len) = u16::try_from(len) {
                out.push(marker_16);
                out.extend_from_slice(&len.to_be_bytes());
            } else {
                debug_assert!(u32::try_from(len).is_ok(), "4 GiB is more than any limit");
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                out.push(marker_32);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
    }
}
