//! Proof that the protocol crates are pure: what they depend on, all the way down.
//!
//! The list of what they may use is short and closed. A runtime, a clock, a source of randomness,
//! a log or a lock could only come in through a package that is not on it.
//!
//! # Invariants
//!
//! - Everything linked into the crate counts: normal dependencies of every platform, with the
//!   features that the crate alone asks for. Procedural macros run in the compiler, and do not.
//!
//! # Not here
//!
//! Calls of the standard library (`Instant::now`): the crates' `clippy.toml` bans those.

use crate::command;
use crate::workspace::{Workspace, answer};

/// The pure crates, and what each may depend on, directly or not.
const PURE: &[(&str, &[&str])] = &[
    (
        "portcullis-engineio",
        // serde comes with bytes, whose feature of that name socketio asks for.
        &["base64", "bytes", "serde", "serde_core", "thiserror"],
    ),
    (
        "portcullis-socketio",
        &[
            "bytes",
            "itoa",
            "memchr",
            "serde",
            "serde_core",
            "serde_json",
            "smallvec",
            "thiserror",
            "zmij",
        ],
    ),
];

/// Prints what a pure crate depends on and may not; true when that is nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    let mut is_pure = true;
    for (name, allowed) in PURE {
        let mut cargo = command::cargo(workspace.root());
        cargo.args(["tree", "--package", name, "--edges", "normal,no-proc-macro"]);
        cargo.args(["--target", "all", "--prefix", "none", "--format", "{p}"]);
        let tree = answer(cargo.env("CARGO_TERM_COLOR", "never"))?;
        let strangers = strangers(&tree, name, allowed);
        for stranger in &strangers {
            println!(
                "crates/{}/Cargo.toml:1: {name} may not depend on {stranger}; do without it, or, \
                 if it has no runtime, clock, randomness, log or lock, list it in xtask's purity",
                name.trim_start_matches("portcullis-")
            );
        }
        is_pure &= strangers.is_empty();
    }
    Ok(is_pure)
}

/// The packages of a tree, a line each, that are neither `root` nor `allowed`.
fn strangers<'a>(tree: &'a str, root: &str, allowed: &[&str]) -> Vec<&'a str> {
    let mut names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != root && !allowed.contains(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
        core v0.1.0 (/checkout/core)\n\
        bytes v1.12.2\n\
        tokio v1.54.1\n\
        bytes v1.12.2 (*)\n\
        tokio v1.54.1 (*)\n";

    #[test]
    fn a_dependency_that_is_not_listed_is_found_once() {
        assert_eq!(strangers(TREE, "core", &["bytes"]), ["tokio"]);
    }

    #[test]
    fn a_crate_within_its_list_is_pure() {
        assert!(strangers(TREE, "core", &["bytes", "tokio"]).is_empty());
    }
}
