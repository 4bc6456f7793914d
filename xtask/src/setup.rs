//! Finding out what the tests need, and installing what is missing.
//!
//! | need         | looked for                           | when missing                          |
//! |--------------|--------------------------------------|---------------------------------------|
//! | Node         | `node --version` 20 or newer, `npm`  | said                                  |
//! | Node's peers | `interop/node`, as its lock file says| `npm ci`                              |
//! | NestJS       | `interop/nest`, `nest-cluster`       | `npm ci`                              |
//! | Python       | `python3 --version` 3.11 or newer    | said                                  |
//! | Python peers | `interop/python/.venv`               | made, filled from `requirements.txt`  |
//! | Chromium     | `CHROMIUM_BIN`, then the search path | apt-get as root; else its line is said|
//! | Redis        | `redis-server`, `-sentinel`, openssl | the same                              |
//! | nginx        | the search path, and `/usr/sbin`     | the same                              |
//! | HAProxy      | the search path, and `/usr/sbin`     | the same                              |
//! | OpenSSL      | `pkg-config --exists openssl`        | apt-get as root; else its line is said|
//!
//! # Invariants
//!
//! - Nothing is installed without a line that says what, and why.
//! - With everything in place, a few versions are asked for and nothing is run.
//! - Packages of the system are installed through apt-get and by root only; anybody else is told
//!   the line to type.
//!
//! # Not here
//!
//! The packages of the benchmark's peers (`bench`): the tests do not need them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::workspace::{Workspace, answer};

/// Something that a step cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Node and the packages of `interop/node`.
    Node,
    /// Node and the packages of `interop/nest`.
    Nest,
    /// Python and the packages of `interop/python`.
    Python,
    /// A browser that runs without a screen.
    Chromium,
    /// Redis: the server, the sentinel and the command line.
    Redis,
    /// The proxy nginx.
    Nginx,
    /// The proxy HAProxy.
    Haproxy,
    /// The NestJS nodes of `interop/nest-cluster`.
    NestCluster,
    /// valgrind, which counts instructions and allocations.
    Valgrind,
    /// The headers of OpenSSL, which `rust_socketio` insists on.
    OpenSsl,
    /// Node and strace, for the benchmark; no test needs it.
    Bench,
}

/// Those that run JavaScript.
const ON_NODE: [Need; 4] = [Need::Node, Need::Nest, Need::NestCluster, Need::Bench];

/// Everything that any step needs.
pub(crate) const ALL: &[Need] = &[
    Need::Chromium,
    Need::Node,
    Need::Nest,
    Need::NestCluster,
    Need::Python,
    Need::OpenSsl,
    Need::Valgrind,
    Need::Redis,
    Need::Nginx,
    Need::Haproxy,
];

const NODE_AT_LEAST: (u32, u32) = (20, 0);
const PYTHON_AT_LEAST: (u32, u32) = (3, 11);

/// One download or installation; registries can be slow.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Names under which distributions install the browser.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// A package of the distribution, and what it is for.
struct Package {
    name: &'static str,
    purpose: &'static str,
}

const fn package(name: &'static str, purpose: &'static str) -> Package {
    Package { name, purpose }
}

/// A program that a package brings, for needs that are nothing but programs.
struct Program {
    need: Need,
    name: &'static str,
    package: Package,
}

const fn program(need: Need, name: &'static str, package: Package) -> Program {
    Program {
        need,
        name,
        package,
    }
}

const RECIPES: &str = "the recipes of docs/deploy are tried with it";

const PROGRAMS: &[Program] = &[
    program(
        Need::Redis,
        "redis-server",
        package("redis-server", "the nodes of a cluster meet there"),
    ),
    program(
        Need::Redis,
        "redis-sentinel",
        package("redis-sentinel", "it leads nodes to a new master"),
    ),
    program(
        Need::Redis,
        "redis-cli",
        package("redis-tools", "it does to Redis what operators do"),
    ),
    program(
        Need::Redis,
        "openssl",
        package("openssl", "it makes certificates for Redis over TLS"),
    ),
    program(Need::Nginx, "nginx", package("nginx-light", RECIPES)),
    program(Need::Haproxy, "haproxy", package("haproxy", RECIPES)),
    program(
        Need::Bench,
        "strace",
        package("strace", "it counts the system calls of servers"),
    ),
    program(
        Need::Valgrind,
        "valgrind",
        package("valgrind", "it counts what the hot paths cost"),
    ),
];

/// Where distributions put the programs of administrators, whoever's search path lacks it.
const ADMINISTRATORS: &str = "/usr/sbin";

/// Installs what `needs` name and this machine lacks.
///
/// # Errors
///
/// What is missing and cannot be installed from here, with what to do about it.
pub(crate) fn run(workspace: &Workspace, needs: &[Need]) -> Result<(), String> {
    // Ask for everything that only a person can provide before the first download.
    if ON_NODE.iter().any(|need| needs.contains(need)) {
        require(
            "node",
            NODE_AT_LEAST,
            "the peers of the tests and of the benchmark run on it",
        )?;
        if command::find("npm").is_none() {
            return Err("npm is missing: it installs the packages of the peers".to_owned());
        }
    }
    if needs.contains(&Need::Python) {
        require(
            "python3",
            PYTHON_AT_LEAST,
            "the clients in interop/python run on it",
        )?;
    }
    install(workspace.root(), &missing_packages(workspace, needs))?;
    if needs.contains(&Need::Chromium) && browser().is_none() {
        let names = BROWSERS.join(", ");
        return Err(format!(
            "chromium was installed, yet none of {names} is on the search path"
        ));
    }
    let peers = [
        (Need::Node, "interop/node", "the tests' Node peers"),
        (Need::Nest, "interop/nest", "NestJS and its clients"),
        (
            Need::NestCluster,
            "interop/nest-cluster",
            "NestJS as a node of a cluster",
        ),
    ];
    for (need, folder, purpose) in peers {
        if needs.contains(&need) {
            npm_packages(&workspace.root().join(folder), purpose)?;
        }
    }
    if needs.contains(&Need::Python) {
        python_packages(workspace)?;
    }
    Ok(())
}

/// The packages of the distribution that `needs` ask for and this machine lacks.
fn missing_packages(workspace: &Workspace, needs: &[Need]) -> Vec<&'static Package> {
    const CHROMIUM: Package = package("chromium", "the browser tests drive it");
    const VENV: Package = package(
        "python3-venv",
        "the Python peers live in a virtual environment",
    );
    const LINKS: &str = "the client in interop/rust_socketio links to OpenSSL";
    const OPENSSL: [Package; 2] = [package("libssl-dev", LINKS), package("pkg-config", LINKS)];
    let mut packages = Vec::new();
    if needs.contains(&Need::Chromium) && browser().is_none() {
        packages.push(&CHROMIUM);
    }
    if needs.contains(&Need::Python) && !python_can_make_environments(workspace) {
        packages.push(&VENV);
    }
    if needs.contains(&Need::OpenSsl) && !has_openssl_headers() {
        packages.extend(&OPENSSL);
    }
    let programs = PROGRAMS
        .iter()
        .filter(|program| needs.contains(&program.need));
    let missing = programs.filter(|program| !is_installed(program.name));
    packages.extend(missing.map(|program| &program.package));
    packages
}

fn is_installed(program: &str) -> bool {
    command::find(program).is_some() || Path::new(ADMINISTRATORS).join(program).is_file()
}

/// The browser that the tests drive.
pub(crate) fn browser() -> Option<PathBuf> {
    env::var_os("CHROMIUM_BIN")
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .or_else(|| BROWSERS.iter().find_map(|name| command::find(name)))
}

/// Installs the packages of a folder's `package-lock.json`, unless they are there already.
pub(crate) fn npm_packages(folder: &Path, purpose: &str) -> Result<(), String> {
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-lock.json");
    if is_current(&lock, &stamp)? {
        return Ok(());
    }
    println!(
        "setup: {purpose} are missing or outdated: npm ci in {}",
        folder.display()
    );
    // Install scripts download and build things of their own; the peers here need none of it.
    let mut npm = command::program("npm", folder);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    stream(&mut npm)?;
    copy(&lock, &stamp)
}

fn require(program: &str, at_least: (u32, u32), purpose: &str) -> Result<(), String> {
    let wanted = format!("{}.{}", at_least.0, at_least.1);
    let text = answer(Command::new(program).arg("--version")).map_err(|_| {
        format!("{program} is missing: {purpose}; install {program} {wanted} or newer")
    })?;
    match version(&text) {
        Some(found) if found >= at_least => Ok(()),
        Some(_) => Err(format!(
            "{program} is too old ({}): {purpose}; install {program} {wanted} or newer",
            text.trim()
        )),
        None => Err(format!(
            "{program} --version said {:?}, which is no version",
            text.trim()
        )),
    }
}

/// The first two numbers of `v20.20.2` or `Python 3.11.7`.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text.get(start..)?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn python_can_make_environments(workspace: &Workspace) -> bool {
    workspace.venv_python().is_file()
        || answer(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

fn has_openssl_headers() -> bool {
    answer(Command::new("pkg-config").args(["--exists", "openssl"])).is_ok()
}

/// Installs packages of the distribution, or says how.
fn install(root: &Path, packages: &[&Package]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    for package in packages {
        println!("setup: {} is missing: {}", package.name, package.purpose);
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    if command::find("apt-get").is_none() {
        return Err(format!(
            "this system has no apt-get; install with its own package manager what Debian calls {}",
            names.join(", ")
        ));
    }
    if !is_root() {
        return Err(format!(
            "only root can install packages; type:\n\n  sudo apt-get update && sudo apt-get \
             install -y --no-install-recommends {}\n",
            names.join(" ")
        ));
    }
    println!("setup: installing {} with apt-get", names.join(", "));
    stream(command::program("apt-get", root).args(["-q", "update"]))?;
    let mut apt = command::program("apt-get", root);
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "install", "-y", "--no-install-recommends"])
        .args(&names);
    stream(&mut apt)
}

fn is_root() -> bool {
    answer(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn python_packages(workspace: &Workspace) -> Result<(), String> {
    let folder = workspace.root().join("interop/python");
    let requirements = folder.join("requirements.txt");
    let stamp = folder.join(".venv/installed-requirements.txt");
    let python = workspace.venv_python();
    // An environment whose interpreter is gone keeps a dangling link: then it is made anew.
    if is_current(&requirements, &stamp)? && python.is_file() {
        return Ok(());
    }
    println!(
        "setup: the tests' Python peers are missing or outdated: installing {} into {}",
        requirements.display(),
        folder.join(".venv").display()
    );
    let mut venv = command::program("python3", &folder);
    stream(venv.args(["-m", "venv", "--clear", ".venv"]))?;
    let mut pip = command::program(&python, &folder);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--requirement",
        "requirements.txt",
    ]);
    stream(&mut pip)?;
    copy(&requirements, &stamp)
}

/// Whether `stamp` says that what `wanted` lists was installed.
fn is_current(wanted: &Path, stamp: &Path) -> Result<bool, String> {
    let wanted_text = fs::read(wanted)
        .map_err(|error| format!("{} cannot be read: {error}", wanted.display()))?;
    Ok(fs::read(stamp).is_ok_and(|installed| installed == wanted_text))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| format!("{} cannot be written: {error}", to.display()))
}

fn stream(command: &mut Command) -> Result<(), String> {
    let line = describe(command);
    match command::stream(command, LIMIT).failure {
        None => Ok(()),
        Some(failure) => Err(format!("`{line}` {failure}")),
    }
}

/// The command as a person would type it.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert!(version("v9.11.2") < version("v20.0.0"));
        assert!(version("Python 3.10.0") > version("Python 3.9.18"));
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn every_program_of_a_need_is_looked_for_by_name_and_comes_with_a_package() {
        for need in [Need::Redis, Need::Nginx, Need::Haproxy] {
            assert!(PROGRAMS.iter().any(|program| program.need == need));
            assert!(ALL.contains(&need));
        }
        assert!(!is_installed("no-such-program-anywhere"));
        assert!(is_installed("sh"));
    }

    #[test]
    fn a_missing_program_is_named_with_its_purpose() {
        let problem = require("no-such-program", (1, 0), "something runs on it").unwrap_err();
        assert!(problem.contains("no-such-program is missing: something runs on it"));
    }
}
