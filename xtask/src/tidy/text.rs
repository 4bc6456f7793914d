//! Rules about scripts, pages, manifests and other text, and about paths in any file.

use super::{File, Finding};

/// How wide a line of code may be.
pub(super) const MAX_COLUMNS: usize = 100;

/// Notes that something was not done.
pub(super) const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX"];

/// What a test runner's own way to switch a test off, or all others, looks like.
const SWITCHED_OFF: &[&str] = &[
    "it.skip",
    "test.skip",
    "describe.skip",
    "t.skip(",
    "it.only",
    "test.only",
    "describe.only",
    "it.todo",
    "test.todo",
    "skip: true",
    "@unittest.skip",
    "@unittest.expectedFailure",
    "self.skipTest",
    "unittest.SkipTest",
];

/// Where homes and checkouts lie; a path that starts so exists on one machine only.
const MACHINE_FOLDERS: &[&str] = &["/home/", "/root/", "/Users/", "C:\\"];

/// All rules for one file that is neither Rust nor Markdown.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_script = matches!(file.extension(), "mjs" | "cjs" | "js" | "ts" | "py" | "sh");
    let is_commented = matches!(
        file.extension(),
        "css" | "html" | "toml" | "yml" | "yaml" | "txt"
    );
    if !is_script && !is_commented {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut add = |text: String| findings.push(Finding::new(&file.path, number + 1, text));
        for word in LEFTOVERS.iter().filter(|word| holds_word(line, word)) {
            add(format!(
                "{word} in the file; do it, or open an issue and delete the note"
            ));
        }
        if !is_script {
            continue;
        }
        let count = line.chars().count();
        if count > MAX_COLUMNS {
            add(format!(
                "{count} columns, over {MAX_COLUMNS}; break the line"
            ));
        }
        if let Some(mark) = SWITCHED_OFF.iter().find(|mark| holds(line, mark)) {
            add(format!(
                "`{mark}` switches tests off; repair the test or delete it"
            ));
        }
    }
    findings
}

/// Paths that exist on one machine only.
pub(super) fn machine_paths(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let found = MACHINE_FOLDERS
            .iter()
            .find(|folder| starts_path(line, folder));
        // This table has to name them.
        if let Some(folder) = found
            && !file.path.ends_with("tidy/text.rs")
        {
            let text =
                format!("a path below {folder} exists on one machine only; make it relative");
            findings.push(Finding::new(&file.path, number + 1, text));
        }
    }
    findings
}

/// Whether a path in `line` starts with `folder`: not in the middle of a longer one or of a URL.
fn starts_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        !before.is_some_and(|symbol| symbol.is_alphanumeric() || "._-~/})>*$".contains(symbol))
    })
}

/// Whether `word` stands in `text` by itself.
pub(super) fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        let after = text[position + word.len()..].chars().next();
        let is_inside = |symbol: Option<char>| {
            symbol.is_some_and(|symbol| symbol.is_alphanumeric() || symbol == '_')
        };
        !is_inside(before) && !is_inside(after)
    })
}

/// Whether `mark` stands in `text` and does not start within a word.
fn holds(text: &str, mark: &str) -> bool {
    text.match_indices(mark).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        !before.is_some_and(|symbol| symbol.is_alphanumeric() || symbol == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        for line in [
            "it.skip('a')",
            "  describe.only('a', () => {",
            "test('a', { skip: true })",
        ] {
            let found = check(&file("interop/a.test.mjs", line));
            assert!(found[0].text.contains("switches tests off"), "{line}");
        }
        assert!(check(&file("interop/test_a.py", "@unittest.skip('slow')")).len() == 1);
    }

    #[test]
    fn a_call_that_ends_like_a_switch_is_not_found() {
        assert!(check(&file("a.mjs", "await transmit.skip(2)")).is_empty());
        assert!(check(&file("a.mjs", "const message = 'split.only'")).is_empty());
    }

    #[test]
    fn long_lines_are_found_in_scripts_and_not_in_data() {
        let long = "a".repeat(101);
        assert_eq!(check(&file("a.py", &long)).len(), 1);
        assert!(check(&file("a.json", &long)).is_empty());
    }

    #[test]
    fn leftovers_are_whole_words() {
        assert!(holds_word("# FIXME: this", "FIXME"));
        assert!(!holds_word("XXXL", "XXX"));
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_route_is_not() {
        let found = machine_paths(&file("a.mjs", "open('/home/alice/x')"));
        assert_eq!(found.len(), 1);
        for line in [
            "https://example.org/home/x",
            "./home/x",
            "${base}/root/x",
            "/rooms/x",
        ] {
            assert!(machine_paths(&file("a.mjs", line)).is_empty(), "{line}");
        }
    }
}
