//! Whether the text after `namespace =` names a namespace, or is a pattern of names.
//!
//! # Not here
//!
//! What a name or a pattern matches: the framework reads it again, by the same rules, which a test
//! compares.

/// The longest name of a namespace, slash included.
const MAX_LEN_BYTES: usize = 128;

/// What is wrong with a name or pattern.
pub(super) fn check(text: &str) -> Result<(), String> {
    let forbidden = |found: &char| {
        found.is_control() || matches!(found, '#' | '*' | '?' | '[' | ']' | '\\' | ',')
    };
    if let Some(found) = text.chars().find(forbidden) {
        return Err(format!("a namespace cannot have {found:?} in its name"));
    }
    if text.contains(['{', '}']) {
        return check_pattern(text);
    }
    let len_bytes = text.len() + usize::from(!text.starts_with('/'));
    if len_bytes > MAX_LEN_BYTES {
        return Err(format!(
            "a namespace's name has up to {MAX_LEN_BYTES} bytes, and this one has {len_bytes}"
        ));
    }
    Ok(())
}

fn check_pattern(text: &str) -> Result<(), String> {
    let braces = || {
        "the braces of a pattern belong together, with a name between them: `/tenant-{id}`"
            .to_owned()
    };
    let mut names: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once('{') {
        if literal.contains('}') {
            return Err(braces());
        }
        let (name, after) = tail.split_once('}').ok_or_else(braces)?;
        if name.is_empty() || name.contains('{') {
            return Err(braces());
        }
        if literal.is_empty() && !names.is_empty() {
            return Err(format!(
                "nothing stands between {{{}}} and {{{name}}} to tell them apart",
                names.last().copied().unwrap_or_default()
            ));
        }
        if names.contains(&name) {
            return Err(format!("two parameters are called {{{name}}}"));
        }
        names.push(name);
        rest = after;
    }
    if rest.contains('}') {
        return Err(braces());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis::namespace::Pattern;
    use portcullis::socketio::ids::NamespacePath;

    use super::*;

    #[test]
    fn the_framework_takes_what_is_taken_here() {
        let long = "x".repeat(200);
        for text in [
            "/",
            "",
            "/chat",
            "chat",
            "/a b",
            "/é",
            "/a#",
            "/a*",
            "/a?",
            "/a[",
            "/a]",
            "/a\\",
            "/a,b",
            "/a\n",
            "/tenant-{id}",
            "{id}",
            "/{a}/{b}",
            "/{a}{b}",
            "/{a}-{a}",
            "/{}",
            "/{",
            "/}",
            "/a{b",
            "/a}b",
            "/{a{b}}",
            "/{a}}",
            &long,
        ] {
            let is_taken = if text.contains(['{', '}']) {
                Pattern::parse(text).is_ok()
            } else {
                NamespacePath::parse(text).is_ok()
            };
            assert_eq!(check(text).is_ok(), is_taken, "{text:?}");
        }
    }

    #[test]
    fn names_and_patterns_are_told_from_what_is_neither() {
        for good in [
            "/",
            "",
            "/chat",
            "chat",
            "/tenant-{id}",
            "/a/{b}/c-{d}",
            "{id}",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "/a*", "/a?x=1", "/a,b", "/{", "/}", "/{}", "/a{b", "/a}b", "/{a{b}}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("/{a}{b}").is_err_and(|text| text.contains("{a} and {b}")));
        assert!(check("/{a}-{a}").is_err_and(|text| text.contains("called {a}")));
    }

    #[test]
    fn a_name_has_up_to_128_bytes_slash_included() {
        assert_eq!(check(&format!("/{}", "x".repeat(127))), Ok(()));
        assert_eq!(check(&"x".repeat(127)), Ok(()));
        assert!(check(&"x".repeat(128)).is_err());
    }
}
