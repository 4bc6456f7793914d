//! Can a licence expression be met from the licences that are allowed?
//!
//! Expressions are SPDX's (Annex D of the specification): identifiers, `AND`, `OR`, `WITH` and
//! parentheses; `AND` binds tighter than `OR`. The old form `MIT/Apache-2.0` is read as `OR`.
//!
//! # Invariants
//!
//! - What cannot be read is never met.
//! - An identifier with an exception (`Apache-2.0 WITH LLVM-exception`) is met when the whole, or
//!   the identifier alone, is allowed: an exception only gives permissions.

/// Whether `expression` is met by what `is_allowed` says of each identifier.
pub(super) fn is_met(
    expression: &str,
    is_allowed: impl Fn(&str) -> bool,
) -> Result<bool, &'static str> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut reader = Reader {
        words: spaced.split_whitespace().collect(),
        at: 0,
        is_allowed,
    };
    let met = reader.any()?;
    if reader.peek().is_some() {
        return Err("more follows than was expected");
    }
    Ok(met)
}

struct Reader<'a, F> {
    words: Vec<&'a str>,
    at: usize,
    is_allowed: F,
}

impl<F: Fn(&str) -> bool> Reader<'_, F> {
    fn any(&mut self) -> Result<bool, &'static str> {
        let mut met = self.all()?;
        while self.take("OR") {
            met |= self.all()?;
        }
        Ok(met)
    }

    fn all(&mut self) -> Result<bool, &'static str> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, &'static str> {
        if self.take("(") {
            let met = self.any()?;
            return if self.take(")") {
                Ok(met)
            } else {
                Err("a parenthesis is not closed")
            };
        }
        let id = self.identifier()?;
        if self.take("WITH") {
            let exception = self.identifier()?;
            let whole = format!("{id} WITH {exception}");
            return Ok((self.is_allowed)(&whole) || (self.is_allowed)(&id));
        }
        Ok((self.is_allowed)(&id))
    }

    fn identifier(&mut self) -> Result<String, &'static str> {
        match self.peek() {
            Some("AND" | "OR" | "WITH" | ")") | None => Err("a licence is missing"),
            Some(id) => {
                let id = id.to_owned();
                self.at += 1;
                Ok(id)
            }
        }
    }

    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        self.at += usize::from(is_next);
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> Result<bool, &'static str> {
        is_met(expression, |id| ["MIT", "Apache-2.0", "ISC"].contains(&id))
    }

    #[test]
    fn one_of_several_choices_is_enough() {
        assert_eq!(met("GPL-3.0-only OR MIT"), Ok(true));
        assert_eq!(met("GPL-3.0-only/MIT"), Ok(true));
        assert_eq!(met("GPL-3.0-only OR MPL-2.0"), Ok(false));
    }

    #[test]
    fn all_parts_of_a_conjunction_are_needed() {
        assert_eq!(met("ISC AND MIT"), Ok(true));
        assert_eq!(met("ISC AND OpenSSL"), Ok(false));
        assert_eq!(met("ISC AND (Apache-2.0 OR ISC) AND OpenSSL"), Ok(false));
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert_eq!(met("MIT OR ISC AND GPL-3.0-only"), Ok(true));
        assert_eq!(met("(MIT OR ISC) AND GPL-3.0-only"), Ok(false));
    }

    #[test]
    fn an_exception_takes_nothing_away() {
        assert_eq!(met("Apache-2.0 WITH LLVM-exception"), Ok(true));
        assert_eq!(met("GPL-3.0-only WITH GCC-exception-3.1"), Ok(false));
    }

    #[test]
    fn what_cannot_be_read_is_not_met() {
        for expression in ["", "MIT OR", "(MIT", "MIT ISC", "OR", "MIT WITH"] {
            assert!(met(expression).is_err(), "{expression}");
        }
    }
}
