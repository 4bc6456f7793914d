//! Rules about Rust files.
//!
//! # Not here
//!
//! The length of functions, `unwrap`, lint exceptions without a reason: clippy knows those.

use super::source::{Line, lines};
use super::text::{LEFTOVERS, MAX_COLUMNS, holds_word};
use super::{File, Finding};

/// Lines of code, tests and comments aside, beyond which a file should be split.
const TARGET_LINES: usize = 400;

/// Lines of code beyond which it must be.
const WALL_LINES: usize = 800;

/// Words that the glossary replaces, as parts of names, and the word to use.
const WORDS: &[(&str, &str)] = &[
    ("nsp", "namespace"),
    ("nsps", "namespaces"),
    ("esock", "session"),
    ("esocket", "session"),
    ("esockets", "sessions"),
];

/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "common", "misc", "types"];

/// All rules for one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let lines = lines(&file.path, &file.text);
    let mut findings: Vec<Finding> = name(file).into_iter().collect();
    findings.extend(size(file, &lines));
    findings.extend(columns(file));
    for (number, line) in lines.iter().enumerate() {
        findings.extend(words(file, number + 1, line));
        findings.extend(leftovers(file, number + 1, line));
        if line.code.contains("#[ignore") {
            let text = "a test is switched off; repair it or delete it";
            findings.push(Finding::new(&file.path, number + 1, text));
        }
    }
    findings
}

fn name(file: &File) -> Option<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    if stem == "mod" {
        let text = "a file named mod.rs; move it beside its folder, as the folder's name with .rs";
        return Some(Finding::new(&file.path, 1, text));
    }
    EMPTY_NAMES.contains(&stem).then(|| {
        let text = format!("a file named {stem} says nothing; name what it holds");
        Finding::new(&file.path, 1, text)
    })
}

fn size(file: &File, lines: &[Line]) -> Option<Finding> {
    let is_counted = |line: &&Line| !line.is_test && line.has_code();
    let count = lines.iter().filter(is_counted).count();
    if count > WALL_LINES {
        let text = format!("{count} lines of code, over the wall of {WALL_LINES}; split the file");
        return Some(Finding::new(&file.path, 1, text));
    }
    (count > TARGET_LINES).then(|| {
        let text = format!("{count} lines of code, over the target of {TARGET_LINES}; split it");
        Finding::warning(&file.path, 1, text)
    })
}

fn columns(file: &File) -> Vec<Finding> {
    let too_long = |(number, line): (usize, &str)| {
        let count = line.chars().count();
        (count > MAX_COLUMNS).then(|| {
            let text = format!("{count} columns, over {MAX_COLUMNS}; break the line");
            Finding::new(&file.path, number + 1, text)
        })
    };
    file.text.lines().enumerate().filter_map(too_long).collect()
}

fn words(file: &File, number: usize, line: &Line) -> Vec<Finding> {
    let prose = without_quotes(&line.comment);
    let segments: Vec<String> = [line.code.as_str(), &prose]
        .into_iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
        .flat_map(camel_parts)
        .collect();
    let banned = WORDS
        .iter()
        .filter(|(word, _)| segments.iter().any(|part| part == word));
    banned
        .map(|(word, instead)| {
            let text = format!("`{word}` is not in the glossary; say {instead}");
            Finding::new(&file.path, number, text)
        })
        .collect()
}

fn leftovers(file: &File, number: usize, line: &Line) -> Vec<Finding> {
    let prose = without_quotes(&line.comment);
    let found = LEFTOVERS
        .iter()
        .filter(|word| holds_word(&line.code, word) || holds_word(&prose, word));
    found
        .map(|word| {
            let text = format!("{word} in the code; do it, or open an issue and delete the note");
            Finding::new(&file.path, number, text)
        })
        .collect()
}

/// A comment without what it quotes in backticks: naming Node's `nsp` is not using it.
fn without_quotes(comment: &str) -> String {
    comment.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The lower-case parts of `NspPath`, `nsp` and the like.
fn camel_parts(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut was_lower = false;
    for symbol in word.chars() {
        if parts.is_empty() || (symbol.is_uppercase() && was_lower) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend(symbol.to_lowercase());
        }
        was_lower = !symbol.is_uppercase();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_word_outside_the_glossary_is_found_in_names_of_any_form() {
        for code in [
            "let nsp = 1;",
            "let the_nsp = 1;",
            "struct NspPath;",
            "// the nsp",
        ] {
            let found = findings("src/a.rs", code);
            assert_eq!(
                found,
                ["src/a.rs:1: `nsp` is not in the glossary; say namespace"],
                "{code}"
            );
        }
    }

    #[test]
    fn a_word_of_the_wire_may_be_quoted() {
        let text = "// Node's `nsp`.\nlet key = \"nsp\";\nlet response = transponder;\n";
        assert_eq!(findings("src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_file_beyond_the_wall_is_found_and_beyond_the_target_warned_of() {
        let found = findings("src/a.rs", &"let a = 1;\n".repeat(801));
        assert!(found[0].contains("801 lines of code, over the wall"));
        let found = findings("src/a.rs", &"let a = 1;\n".repeat(401));
        assert!(found[0].contains("warning: 401 lines of code"));
    }

    #[test]
    fn comments_and_tests_do_not_count_as_size() {
        let code = "let a = 1;\n".repeat(300);
        let comments = "/// A line.\n\n".repeat(600);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "a();\n".repeat(600));
        assert!(findings("src/a.rs", &format!("{code}{comments}{tests}")).is_empty());
    }

    #[test]
    fn columns_are_characters_and_not_bytes() {
        assert!(findings("src/a.rs", &format!("// {}", "▶".repeat(97))).is_empty());
        let found = findings("src/a.rs", &format!("// {}", "▶".repeat(98)));
        assert_eq!(found, ["src/a.rs:1: 101 columns, over 100; break the line"]);
    }

    #[test]
    fn a_note_to_do_something_later_is_found() {
        let note = format!("// {}: later", LEFTOVERS[0]);
        assert!(findings("src/a.rs", &note)[0].contains("do it, or open an issue"));
    }

    #[test]
    fn a_test_that_is_switched_off_is_found_even_with_a_reason() {
        let found = findings("src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n");
        assert_eq!(
            found,
            ["src/a.rs:2: a test is switched off; repair it or delete it"]
        );
    }

    #[test]
    fn file_names_that_say_nothing_are_found() {
        assert!(findings("src/a/mod.rs", "")[0].contains("mod.rs"));
        assert!(findings("src/utils.rs", "")[0].contains("says nothing"));
        assert!(findings("src/model.rs", "").is_empty());
    }
}
