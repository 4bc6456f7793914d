//! The tables of the papers against the code: every option has its row, every limit its tests and
//! its counter, every advisory and every promise of the headlines its test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LIMITS: &str = include_str!("../../../../docs/manual/limits.md");
const OPTIONS: &str = include_str!("../../../../docs/manual/server.md");
const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// The folder of the whole project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of the project with one of these endings, as text.
fn files(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["crates", "conformance", "interop", "xtask"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "node_modules" && name != "target" {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The names of all tests: functions of Rust that are tests, and titles of Node's.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, text) in files(&[".rs", ".test.mjs"]) {
        if path.extension().is_some_and(|extension| extension == "mjs") {
            names.extend(titles(&text));
            continue;
        }
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if is_test && line.contains("fn ") {
                let name = line.split("fn ").nth(1).unwrap();
                names.insert(name.split('(').next().unwrap().to_owned());
                is_test = false;
            }
        }
    }
    names
}

/// The titles of the tests of one script.
fn titles(text: &str) -> Vec<String> {
    let calls = ["test(", "ours(", "it(", "headline("];
    let titles = calls.iter().flat_map(|call| text.split(call).skip(1));
    titles
        .filter_map(|rest| {
            let quoted = rest.trim_start().strip_prefix('"')?;
            Some(quoted.split_once('"')?.0.to_owned())
        })
        .collect()
}

/// The rows of the table whose heading begins with these cells.
fn table<'a>(text: &'a str, heading: &[&str]) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| -> Vec<&'a str> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(str::trim).collect()
    };
    let mut lines = text.lines();
    let found = lines.any(|line| line.starts_with('|') && cells(line).starts_with(heading));
    assert!(found, "there is no table {heading:?}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(cells).collect()
}

/// The code in a cell.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_option_of_the_builder_has_its_row() {
    let rows = table(OPTIONS, &["option", "default", "meaning"]);
    let told: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| codes(row[0]))
        .filter_map(|code| Some(code.split_once('(')?.0))
        .collect();
    let is_of_builder = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains("src/server/builder/") || path.ends_with("src/server/builder.rs")
    };
    let mut count = 0;
    for (_, text) in files(&[".rs"])
        .iter()
        .filter(|(path, _)| is_of_builder(path))
    {
        let (_, text) = text.split_once("impl ServerBuilder").unwrap_or_default();
        for rest in text.split("    pub fn ").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = &rest[..end.unwrap()];
            assert!(told.contains(name), "{name} has no row");
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn every_limit_of_the_manual_has_a_test_at_it_and_one_past_it() {
    let tests = tests();
    let limits = table(LIMITS, &["limit", "default", "option"]);
    let proofs: BTreeMap<_, _> = table(LIMITS, &["limit", "at the limit", "past it"])
        .into_iter()
        .map(|row| (row[0], (codes(row[1]), codes(row[2]))))
        .collect();
    assert!(limits.len() >= 30, "{}", limits.len());
    assert_eq!(limits.len(), proofs.len());
    for row in limits {
        let (at, past) = proofs.get(row[0]).unwrap_or_else(|| panic!("{}", row[0]));
        assert_eq!((at.len(), past.len()), (1, 1), "{}", row[0]);
        assert_ne!(at, past, "{}", row[0]);
        for test in at.iter().chain(past) {
            assert!(tests.contains(*test), "{}: there is no test {test}", row[0]);
        }
    }
}

#[test]
fn every_limit_of_the_manual_has_its_option_and_its_counter() {
    let sources: String = files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "src"))
        .map(|(_, text)| text)
        .collect();
    for row in table(LIMITS, &["limit", "default", "option"]) {
        for option in codes(row[2]) {
            assert!(
                sources.contains(&format!("pub fn {option}(mut self")),
                "{option}"
            );
        }
        let Some(counter) = codes(row[4]).first().copied() else {
            // A pong that is replaced is no refusal.
            assert_eq!(row[0], "pongs that wait for one peer");
            continue;
        };
        let (name, label) = counter.split_once('{').unwrap_or((counter, ""));
        assert!(
            sources.contains(&format!("\"portcullis_{name}\"")),
            "{name}"
        );
        if let Some((key, value)) = label.trim_end_matches('}').split_once('=') {
            assert!(sources.contains(&format!("\"{key}\" =>")), "{name}: {key}");
            // A status is a number where it is made.
            let is_made = key == "status" || sources.contains(&format!("\"{value}\""));
            assert!(is_made, "{name}: {value}");
        }
    }
}

#[test]
fn every_advisory_of_the_table_has_its_test() {
    let tests = tests();
    let rows = table(SECURITY, &["advisory", "what it takes"]);
    assert!(rows.len() >= 40, "{}", rows.len());
    let mut named = BTreeSet::new();
    for row in rows {
        let of_row = codes(row[2]);
        assert!(!of_row.is_empty(), "{}", row[0]);
        for test in of_row {
            assert!(tests.contains(test), "{}: there is no test {test}", row[0]);
            named.insert(test.to_owned());
        }
    }
    let source = include_str!("advisories.rs");
    for test in tests
        .iter()
        .filter(|test| source.contains(&format!("fn {test}(")))
    {
        assert!(named.contains(test), "{test} stands in no row");
    }
}

#[test]
fn every_headline_has_its_test() {
    let tests = tests();
    let against_the_recipe = include_str!("../../../../interop/node/headlines.test.mjs");
    let against_the_recipe = titles(against_the_recipe);
    let rows = table(SECURITY, &["usual recipe", "here"]);
    assert_eq!(rows.len(), 9);
    for row in rows {
        let of_row = codes(row[2]);
        for test in &of_row {
            assert!(tests.contains(*test), "{}: there is no test {test}", row[0]);
        }
        let is_run = |test: &&str| against_the_recipe.iter().any(|title| title == test);
        assert!(
            of_row.iter().any(is_run),
            "{}: the recipe is not run",
            row[0]
        );
    }
}
