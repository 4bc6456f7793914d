//! Handing over to the benchmark, with everything that it measures built.
//!
//! ```text
//!  Node, strace, Redis ───────────┐
//!  conformance, bench (release) ──┤
//!  bench/peers/* (npm, cargo) ────┴──▶ bench run …
//! ```
//!
//! # Not here
//!
//! What is measured, and how: the crate `bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command;
use crate::setup::{self, Need};
use crate::workspace::Workspace;

/// The benchmark's option for the server to be measured.
const SERVER_OPTION: &str = "--conformance";

const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
/// A full run takes about four hours on an idle machine, and more where blocks are discarded.
const RUN_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// Builds the servers, the load generator and the peers, then runs the benchmark.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool, String> {
    let root = workspace.root();
    setup::run(workspace, &[Need::Bench, Need::Redis])?;
    build(
        root,
        &["-p", "conformance", "-p", "bench"],
        "our server and the load generator",
    )?;
    for folder in peers(&root.join("bench/peers"))? {
        let name = folder.display().to_string();
        if folder.join("package-lock.json").is_file() {
            setup::npm_packages(&folder, "the packages of a peer")?;
        }
        if folder.join("Cargo.toml").is_file() {
            let target = folder.join("target").display().to_string();
            build(
                &folder,
                &["--locked", "--target-dir", &target],
                &format!("the peer in {name}"),
            )?;
        }
    }
    // Not by `cargo run`, which would build it anew, with the features that it has by itself.
    let mut bench = command::program(workspace.binary("release", "bench"), root);
    bench.arg("run");
    if !arguments.iter().any(|text| text.starts_with(SERVER_OPTION)) {
        let server = workspace.binary("release", "conformance");
        bench.arg(SERVER_OPTION).arg(server);
    }
    bench.args(arguments);
    match command::stream(&mut bench, RUN_LIMIT).failure {
        None => Ok(true),
        Some(failure) => Err(format!("the benchmark {failure}")),
    }
}

fn build(folder: &Path, arguments: &[&str], what: &str) -> Result<(), String> {
    println!(
        "bench: building {what}: cargo build --release {}",
        arguments.join(" ")
    );
    let mut cargo = command::cargo(folder);
    cargo.args(["build", "--release"]).args(arguments);
    match command::stream(&mut cargo, BUILD_LIMIT).failure {
        None => Ok(()),
        Some(failure) => Err(format!("building {what} {failure}")),
    }
}

/// The folders of the peers, sorted.
fn peers(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    Ok(folders)
}
