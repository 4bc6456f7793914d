//! A revocation as it is kept in Redis, and as nodes tell each other. Node knows nothing of it.
//!
//! ```text
//!  sorted set   {socket.io-revocations}:set   member {"sub":"alice","before":1900000000}
//!                                             score  1900086400, until when it is kept
//!  channel      {socket.io-revocations}#      {"from":"4355…","to":"9f86…","until":1900086400,…}
//! ```
//!
//! # Invariants
//!
//! - The same revocation is the same bytes: a set holds it once, whoever writes it.

use std::borrow::Cow;

use portcullis::revocation::{Revocation, Revoked};
use serde::{Deserialize, Serialize};

use crate::revocations::{Change, Version};

/// The largest member or message that is read.
const MAX_BYTES: usize = 16 * 1024;

/// The fields of both forms, in the order in which they are written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Fields<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    jti: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    sid: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    sub: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    iss: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
struct Message<'a> {
    /// The versions of the set before and after.
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    until: u64,
    #[serde(borrow, flatten)]
    fields: Fields<'a>,
}

impl<'a> Fields<'a> {
    fn of(revocation: &'a Revocation) -> Self {
        let mut fields = Self {
            iss: revocation.only_issuer().map(Cow::Borrowed),
            before: revocation.before_seconds(),
            ..Self::default()
        };
        match revocation.what() {
            Revoked::Token(id) => fields.jti = Some(Cow::Borrowed(id)),
            Revoked::Session(id) => fields.sid = Some(Cow::Borrowed(id)),
            Revoked::User(subject) => fields.sub = Some(Cow::Borrowed(subject)),
            // What a newer framework may know besides is kept by nobody.
            _ => {}
        }
        fields
    }

    fn into_revocation(self, until: u64) -> Option<Revocation> {
        let what = match (self.jti, self.sid, self.sub) {
            (Some(id), None, None) => Revoked::Token(id.into_owned()),
            (None, Some(id), None) => Revoked::Session(id.into_owned()),
            (None, None, Some(subject)) => Revoked::User(subject.into_owned()),
            _ => return None,
        };
        let is_user = matches!(what, Revoked::User(_));
        if is_user != self.before.is_some() {
            return None;
        }
        let issuer = self.iss.map(Cow::into_owned);
        Some(Revocation::stored(what, issuer, self.before, until))
    }
}

/// A revocation as a member of the set.
pub(crate) fn member(revocation: &Revocation) -> String {
    serde_json::to_string(&Fields::of(revocation)).unwrap_or_default()
}

/// A member of the set as a revocation; `None` if it is none.
pub(crate) fn read_member(member: &[u8], until: u64) -> Option<Revocation> {
    if member.len() > MAX_BYTES {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_slice(member).ok()?;
    fields.into_revocation(until)
}

/// A revocation as the other nodes are told, with what it has changed.
pub(crate) fn message(revocation: &Revocation, change: &Change) -> String {
    let message = Message {
        from: Cow::Borrowed(change.from.as_str()),
        to: Cow::Borrowed(change.to.as_str()),
        until: revocation.kept_until_seconds().unwrap_or(u64::MAX),
        fields: Fields::of(revocation),
    };
    serde_json::to_string(&message).unwrap_or_default()
}

/// What another node has told: the change of the set, and the revocation.
pub(crate) fn read_message(payload: &[u8]) -> Option<(Change, Revocation)> {
    if payload.len() > MAX_BYTES {
        return None;
    }
    let message: Message<'_> = serde_json::from_slice(payload).ok()?;
    let revocation = message.fields.into_revocation(message.until)?;
    let change = Change {
        from: Version::from(&*message.from),
        to: Version::from(&*message.to),
    };
    Some((change, revocation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Revocation> {
        let issuer = Some("https://login.example.com".to_owned());
        vec![
            Revocation::stored(Revoked::Token("t \"1\"".into()), issuer, None, 9),
            Revocation::stored(Revoked::Session("é\u{0}".into()), None, None, u64::MAX),
            Revocation::stored(Revoked::User("alice".into()), None, Some(7), 8),
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        for revocation in all() {
            let until = revocation.kept_until_seconds().unwrap();
            let read = read_member(member(&revocation).as_bytes(), until);
            assert_eq!(read.as_ref(), Some(&revocation));
            let change = Change {
                from: "".into(),
                to: Version::random(),
            };
            let told = read_message(message(&revocation, &change).as_bytes());
            assert_eq!(told, Some((change, revocation)));
        }
    }

    #[test]
    fn what_is_no_revocation_is_none() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"jti":1}"#,
            r#"{"jti":"a","sub":"b"}"#,
            r#"{"sub":"a"}"#,
            r#"{"jti":"a","before":1}"#,
            r#"{"sub":"a","before":-1}"#,
            r#"{"sub":"a","before":1e3}"#,
            r#"{"iss":"a"}"#,
        ] {
            assert_eq!(read_member(text.as_bytes(), 1), None, "{text}");
            assert_eq!(read_message(text.as_bytes()), None, "{text}");
        }
        let long = format!(r#"{{"jti":"{}"}}"#, "x".repeat(MAX_BYTES));
        assert_eq!(read_member(long.as_bytes(), 1), None);
    }

    #[test]
    fn the_bytes_of_a_member_are_these() {
        let user = Revocation::stored(Revoked::User("a".into()), Some("i".into()), Some(7), 9);
        assert_eq!(member(&user), r#"{"sub":"a","iss":"i","before":7}"#);
    }
}
