//! Placeholders: where in the JSON text of a packet its attachments belong.
//!
//! ```text
//!  451-["file",{"_placeholder":true,"num":0}]  +  one binary message
//!                └──────────── becomes ───────────────┘
//! ```
//!
//! # Invariants
//!
//! - After [`check`], every placeholder has an attachment of its own. An attachment without a
//!   placeholder is no error, as in JavaScript.
//!
//! # Not here
//!
//! Writing placeholders (`payload`), counting attachments (`codec`).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::expect_used
)]

use bytes::Bytes;

use crate::json;
use crate::value::Value;

/// The key that marks a placeholder.
pub(crate) const MARK: &str = "_placeholder";

/// The key under which a placeholder has the number of its attachment.
const NUMBER: &str = "num";

/// A placeholder whose number is not that of an attachment, or is another's as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IllegalPlaceholder;

/// What a map is, when looked at as a placeholder.
enum Placeholder {
    /// An ordinary map.
    None,
    /// Stands for the attachment of this number.
    Of(usize),
    /// Marked, but without a usable number.
    Illegal,
}

fn placeholder(value: &Value) -> Placeholder {
    if value.get(MARK).and_then(Value::as_bool) != Some(true) {
        return Placeholder::None;
    }
    let number = value.get(NUMBER).and_then(Value::as_i64);
    number
        .and_then(|number| usize::try_from(number).ok())
        .map_or(Placeholder::Illegal, Placeholder::Of)
}

/// Whether each placeholder in `text`, which is JSON, names one of `count` attachments that no
/// other names.
///
/// The text is looked through without building what it says: whoever sent it may not have been
/// let in yet, and values are many times as large as their text.
pub(crate) fn check(text: &str, count: usize) -> Result<(), IllegalPlaceholder> {
    let mut used = vec![false; count];
    let mut look = |map: &Value| match placeholder(map) {
        Placeholder::None => true,
        Placeholder::Illegal => false,
        Placeholder::Of(number) => match used.get_mut(number) {
            Some(is_used) => !std::mem::replace(is_used, true),
            None => false,
        },
    };
    json::scan_maps(text, [MARK, NUMBER], &mut look).map_err(|_| IllegalPlaceholder)
}

/// Puts the attachments where their placeholders are.
pub(crate) fn resolve(value: &mut Value, attachments: &[Bytes]) {
    if let Placeholder::Of(number) = placeholder(value)
        && let Some(attachment) = attachments.get(number)
    {
        *value = Value::Bytes(attachment.clone());
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                resolve(item, attachments);
            }
        }
        Value::Map(entries) => {
            for (_, item) in entries {
                resolve(item, attachments);
            }
        }
        _ => {}
    }
}

/// Whether some map in `value` uses the key that marks placeholders.
pub(crate) fn has_mark(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_mark),
        Value::Map(entries) => entries
            .iter()
            .any(|(key, item)| key == MARK || has_mark(item)),
        _ => false,
    }
}
