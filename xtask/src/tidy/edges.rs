//! Which module of `portcullis` may use which: an import may only point down the way of a packet.
//!
//! ```text
//!  xtask/edges.txt      listener: handshake session …      one row per top-level module
//!       │ order         handshake: session client …        a row allows only rows below it
//!       ▼
//!  crates/portcullis/src/session/polling.rs     `use crate::listener` ──▶ finding
//! ```
//!
//! # Invariants
//!
//! - The table has no cycle: a row that allows itself or a row above it is a finding.
//! - Every top-level module has a row, and every row a module.
//! - Paths through `super` that leave a top-level module count like `crate::` paths.
//!
//! # Not here
//!
//! Tests may import what they like; `lib.rs` has to name everything.

use super::source::lines;
use super::{File, Finding};

const TABLE: &str = "xtask/edges.txt";
const SOURCE: &str = "crates/portcullis/src/";

/// A row of the table.
#[derive(Debug)]
struct Row<'a> {
    module: &'a str,
    may_use: Vec<&'a str>,
}

/// The rules for the table and for every file that it governs.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(table) = files.iter().find(|file| file.path == TABLE) else {
        let text = "the table of module edges is missing; write a row per top-level module";
        return vec![Finding::new(TABLE, 1, text)];
    };
    let (rows, mut findings) = parse(table);
    let governed: Vec<(&str, &File)> = files
        .iter()
        .filter_map(|file| Some((file.path.strip_prefix(SOURCE)?, file)))
        .filter(|(path, _)| path.ends_with(".rs") && *path != "lib.rs")
        .collect();
    for row in &rows {
        if !governed
            .iter()
            .any(|(path, _)| top_level(path) == row.module)
        {
            let text = format!("there is no module {}; delete its row", row.module);
            findings.push(Finding::warning(TABLE, 1, text));
        }
    }
    for (path, file) in governed {
        let Some(row) = rows.iter().find(|row| row.module == top_level(path)) else {
            let text = format!("module {} has no row in {TABLE}; add one", top_level(path));
            findings.push(Finding::new(&file.path, 1, text));
            continue;
        };
        findings.extend(check_file(file, path, row));
    }
    findings
}

fn parse(table: &File) -> (Vec<Row<'_>>, Vec<Finding>) {
    let mut rows = Vec::new();
    let mut findings = Vec::new();
    let written = table.text.lines().enumerate().filter_map(|(number, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (!line.is_empty()).then_some((number + 1, line))
    });
    let mut places = Vec::new();
    for (number, line) in written {
        let (module, uses) = line.split_once(':').unwrap_or((line, ""));
        rows.push(Row {
            module: module.trim(),
            may_use: uses.split_whitespace().collect(),
        });
        places.push(number);
    }
    for (position, row) in rows.iter().enumerate() {
        for used in &row.may_use {
            if !rows[position + 1..]
                .iter()
                .any(|below| below.module == *used)
            {
                let text = format!(
                    "{} may not be allowed {used}, which has no row below it; move the trait or \
                     the data that both need down",
                    row.module
                );
                findings.push(Finding::new(TABLE, places[position], text));
            }
        }
    }
    (rows, findings)
}

/// `session` of `session.rs` and of `session/polling.rs`.
fn top_level(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn check_file(file: &File, path: &str, row: &Row<'_>) -> Vec<Finding> {
    let lines = lines(&file.path, &file.text);
    let mut findings = Vec::new();
    // Test lines are left empty, so that places stay right.
    let code: Vec<&str> = lines
        .iter()
        .map(|line| if line.is_test { "" } else { line.code.as_str() })
        .collect();
    for (number, name) in imports(&code.join("\n"), path.split('/').count()) {
        if name == row.module || row.may_use.contains(&name.as_str()) {
            continue;
        }
        let is_module = name.chars().next().is_some_and(char::is_lowercase);
        let text = if is_module {
            format!(
                "{} may not use crate::{name}; let {0} own a trait that {name} implements, or \
                 allow it in {TABLE}",
                row.module
            )
        } else {
            format!("crate::{name} is a re-export; import it from the module that defines it")
        };
        findings.push(Finding::new(&file.path, number, text));
    }
    findings
}

/// The names that follow `crate::`, or as many `super::` as lead to the root, with their lines.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let root_by_super = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", &root_by_super] {
        for (position, _) in code.match_indices(prefix) {
            let before = code[..position].chars().next_back();
            let is_inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if is_inside || code[..position].ends_with("pub(in ") {
                continue;
            }
            let line = code[..position].matches('\n').count() + 1;
            let names = first_names(&code[position + prefix.len()..]);
            found.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `a` of `a::b`, or `a` and `c` of `{a::b, c::{d, e}}`.
fn first_names(rest: &str) -> Vec<String> {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        return identifier(rest).into_iter().collect();
    };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (position, symbol) in group.char_indices() {
        match symbol {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.extend(identifier(group[start..position].trim_start()));
                start = position + 1;
                if symbol == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: &str = "listener: session auth\nsession: auth # what the token says\nauth:\n";

    fn findings(table: &str, path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            file(TABLE, table),
            file("crates/portcullis/src/listener.rs", ""),
            file("crates/portcullis/src/session.rs", ""),
            file("crates/portcullis/src/auth.rs", ""),
            file(&format!("{SOURCE}{path}"), text),
        ];
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_import_downward_is_allowed() {
        let text = "use crate::auth::Token;\nuse crate::session::polling;\n";
        assert!(findings(EDGES, "session/polling.rs", text).is_empty());
    }

    #[test]
    fn an_import_upward_is_found_with_its_line() {
        for text in [
            "\nuse crate::listener::Accept;",
            "\nuse crate::{\n    auth::Token, listener::{Accept, Drain}};",
            "\nfn a() -> crate::listener::Accept {}",
            "\nuse super::super::listener::Accept;",
        ] {
            let found = findings(EDGES, "session/polling.rs", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let place = "crates/portcullis/src/session/polling.rs:2: session may not use";
            assert!(found[0].starts_with(place), "{text}: {found:?}");
        }
    }

    #[test]
    fn super_within_a_module_is_no_edge() {
        let text = "use super::Session;\nuse super::outbox::Frame;\n";
        assert!(findings(EDGES, "session/polling.rs", text).is_empty());
    }

    #[test]
    fn tests_comments_and_visibility_are_no_edges() {
        let text = "// crate::listener\npub(in crate::session) fn a() {}\n\
                    #[cfg(test)]\nmod tests {\n    use crate::listener::Accept;\n}\n";
        assert!(findings(EDGES, "session/polling.rs", text).is_empty());
    }

    #[test]
    fn an_import_of_a_re_export_is_found() {
        let found = findings(EDGES, "session/polling.rs", "use crate::Server;");
        assert!(found[0].contains("import it from the module that defines it"));
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        let found = findings(EDGES, "gateway.rs", "");
        assert!(found[0].contains("module gateway has no row"));
    }

    #[test]
    fn a_table_that_points_upward_is_found() {
        let found = findings(
            "listener: session\nsession: listener\nauth:",
            "auth/a.rs",
            "",
        );
        assert!(found[0].starts_with("xtask/edges.txt:2: session may not be allowed listener"));
    }
}
