//! The house rules that a program can check.
//!
//! | module      | reads                    | checks                                             |
//! |-------------|--------------------------|----------------------------------------------------|
//! | `rust`      | Rust files               | sizes, words, leftovers, names, switched-off tests |
//! | `edges`     | `crates/portcullis/src`  | modules import downward, as `xtask/edges.txt` says |
//! | `text`      | scripts, pages, the rest | columns, leftovers, switched-off tests, paths      |
//! | `markdown`  | Markdown                 | one title, links that lead somewhere, linked ADRs  |
//! | `manifests` | manifests, lock files    | copies are equal; locks are there, and public      |
//!
//! # Invariants
//!
//! - Each finding is one line: `file:line: what, and what to do`.
//! - Rules look at text alone: nothing is built, no network is asked.
//!
//! # Not here
//!
//! What clippy and rustfmt check already.

mod edges;
mod manifests;
mod markdown;
mod rust;
mod source;
mod text;

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{Workspace, answer};
use crate::{command, purity};

/// Folders that are made, not written.
const SKIPPED: &[&str] = &[
    ".git",
    ".venv",
    "__pycache__",
    "node_modules",
    "proptest-regressions",
    "target",
];

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    text: String,
    is_warning: bool,
}

impl Finding {
    fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            text: text.into(),
            is_warning: false,
        }
    }

    fn warning(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            is_warning: true,
            ..Self::new(file, line, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        write!(f, "{}:{}: {kind}{}", self.file, self.line, self.text)
    }
}

/// A text file of the checkout.
#[derive(Debug)]
struct File {
    /// Its path from the root, with `/` between the parts.
    path: String,
    text: String,
}

impl File {
    fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// The rules about files, and the purity of the protocol crates.
pub(crate) fn run(workspace: &Workspace) -> Result<bool, String> {
    let is_tidy = check(workspace)?;
    let is_pure = purity::check(workspace)?;
    if is_tidy && is_pure {
        println!("tidy");
    }
    Ok(is_tidy && is_pure)
}

/// Prints what breaks a rule about files; true when that is nothing but warnings.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    let mut files = Vec::new();
    collect(workspace.root(), workspace.root(), &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut findings = Vec::new();
    for file in &files {
        match file.extension() {
            "rs" => findings.extend(rust::check(file)),
            "md" => findings.extend(markdown::check(file, &files, workspace.root())),
            _ => findings.extend(text::check(file)),
        }
        findings.extend(text::machine_paths(file));
    }
    findings.extend(edges::check(&files));
    findings.extend(markdown::unlinked_decisions(&files));
    findings.extend(manifests::check(&files));
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.iter().all(|finding| finding.is_warning))
}

/// On a CI machine, whether the lock file is still as committed: Cargo completes a stale one.
pub(crate) fn check_lock(workspace: &Workspace) -> Result<bool, String> {
    if env::var_os("CI").is_none() || !workspace.root().join(".git").exists() {
        return Ok(true);
    }
    let mut git = command::program("git", workspace.root());
    let changed = answer(git.args(["status", "--porcelain", "--", "Cargo.lock"]))?;
    let is_committed = changed.trim().is_empty();
    if !is_committed {
        let text = "does not match the manifests as committed; build once, and commit it";
        println!("{}", Finding::new("Cargo.lock", 1, text));
    }
    Ok(is_committed)
}

/// Reads every text file below `folder`; what is not UTF-8 is a picture or the like.
fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<(), String> {
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        if kind.is_dir() {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if !SKIPPED.contains(&name) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            files.push(File {
                path: relative(root, &path),
                text,
            });
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let below: PathBuf = path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let parts: Vec<_> = below.iter().map(OsStr::to_string_lossy).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_its_place() {
        let finding = Finding::new("a/b.rs", 7, "too long; split it");
        assert_eq!(finding.to_string(), "a/b.rs:7: too long; split it");
        let warning = Finding::warning("a/b.rs", 1, "longish");
        assert_eq!(warning.to_string(), "a/b.rs:1: warning: longish");
    }

    #[test]
    fn the_extension_is_that_of_the_name_alone() {
        let of = |path: &str| {
            let file = File {
                path: path.to_owned(),
                text: String::new(),
            };
            file.extension().to_owned()
        };
        assert_eq!(of("a.d/b"), "");
        assert_eq!(of("a/b.test.mjs"), "mjs");
    }
}
