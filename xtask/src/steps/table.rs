//! The steps of `cargo xtask test`: what is run, where, and what it builds on.
//!
//! In a command line, `{venv}` is the Python of the tests' virtual environment, `{target}` Cargo's
//! target folder, and a word that starts with `*` every file of the folder with that ending.
//!
//! # Invariants
//!
//! - One target folder, one profile: nothing here builds the workspace a second time with other
//!   flags. Servers under test are the ones that `build` leaves in the folder `debug`; under
//!   `--long`, those that are measured are a release.
//! - A step comes after the steps that it builds on.

use crate::setup::Need;
use crate::tally::Runner;
use crate::workspace::Workspace;
use crate::{deny, micro, purity, tidy};

/// One line of the summary.
pub(super) struct Step {
    /// What `--only` calls it.
    pub(super) name: &'static str,
    /// What it is, in a line.
    pub(super) about: &'static str,
    /// What has to be installed.
    pub(super) needs: &'static [Need],
    /// The steps without which this one makes no sense.
    pub(super) after: &'static [&'static str],
    /// How long one of its commands may take.
    pub(super) minutes: u64,
    /// What it does, in order; each is tried, even after one has failed.
    pub(super) tasks: &'static [Task],
}

/// One thing that a step does.
pub(super) struct Task {
    pub(super) what: What,
    pub(super) when: When,
    /// What is said when it does not apply here.
    pub(super) otherwise: &'static str,
    /// Whose closing lines tell how many tests ran, if it runs any.
    pub(super) counts: Option<Runner>,
    pub(super) env: &'static [(&'static str, &'static str)],
}

/// A command, or a check of this tool.
pub(super) enum What {
    /// A command line, run in a folder of the checkout.
    Command {
        line: &'static str,
        dir: &'static str,
    },
    /// Prints what it finds; true when that is nothing.
    Check(fn(&Workspace) -> Result<bool, String>),
}

/// On which machines a task applies.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Always,
    Installed(&'static str),
    Missing(&'static str),
    Target(&'static str),
    /// Under `--long`.
    Long,
}

const fn run(line: &'static str) -> Task {
    run_in("", line)
}

const fn run_in(dir: &'static str, line: &'static str) -> Task {
    Task {
        what: What::Command { line, dir },
        when: When::Always,
        otherwise: "",
        counts: None,
        env: &[],
    }
}

const fn check(check: fn(&Workspace) -> Result<bool, String>) -> Task {
    Task {
        what: What::Check(check),
        ..run("")
    }
}

const fn document(line: &'static str) -> Task {
    Task {
        env: &[("RUSTDOCFLAGS", "-Dwarnings")],
        ..run(line)
    }
}

/// The steps, in order.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "is everything formatted as rustfmt would?",
        needs: &[],
        after: &[],
        minutes: 5,
        tasks: &[
            run("cargo fmt --all --check"),
            run_in("interop/rust_socketio", "cargo fmt --all --check"),
            run_in("bench/peers/socketioxide", "cargo fmt --all --check"),
        ],
    },
    Step {
        name: "tidy",
        about: "the house rules that a program can check",
        needs: &[],
        after: &[],
        minutes: 5,
        tasks: &[check(tidy::check), check(tidy::check_lock)],
    },
    Step {
        name: "clippy",
        about: "lints, as errors",
        needs: &[],
        after: &[],
        minutes: 30,
        tasks: &[run("cargo clippy --workspace --all-targets -- -D warnings")],
    },
    Step {
        name: "build",
        about: "everything, tests and servers too",
        needs: &[],
        after: &[],
        minutes: 40,
        tasks: &[run("cargo build --workspace --all-targets")],
    },
    Step {
        name: "test",
        about: "unit and integration tests",
        needs: &[Need::Redis],
        after: &["build"],
        minutes: 30,
        tasks: &[
            Task {
                when: When::Installed("cargo-nextest"),
                counts: Some(Runner::Nextest),
                ..run("cargo nextest run --workspace --no-fail-fast")
            },
            Task {
                when: When::Missing("cargo-nextest"),
                counts: Some(Runner::Cargo),
                ..run(
                    "cargo test --workspace --no-fail-fast --lib --bins --tests --examples -- \
                    --test-threads=1",
                )
            },
        ],
    },
    Step {
        name: "micro",
        about: "instructions and allocations of the hot paths, within their budgets",
        needs: &[Need::Valgrind],
        after: &["build"],
        minutes: 15,
        tasks: &[check(micro::check)],
    },
    Step {
        name: "doctest",
        about: "the examples in the documentation",
        needs: &[],
        after: &["build"],
        minutes: 20,
        tasks: &[Task {
            counts: Some(Runner::Cargo),
            ..run("cargo test --workspace --no-fail-fast --doc")
        }],
    },
    Step {
        name: "docs",
        about: "the documentation, of private items too, builds without a warning",
        needs: &[],
        after: &[],
        minutes: 20,
        // Programs go first: the pages of the library `portcullis` replace those of the program
        // of that name. Nothing is left out, so that all are checked with the same features.
        tasks: &[
            document("cargo doc --workspace --bins --no-deps"),
            document("cargo doc --workspace --lib --no-deps --document-private-items"),
            document("cargo doc --workspace --lib --no-deps"),
        ],
    },
    Step {
        name: "deny",
        about: "licences, sources and bans of the dependencies, as deny.toml says",
        needs: &[],
        after: &[],
        minutes: 10,
        tasks: &[
            check(deny::check),
            Task {
                when: When::Installed("cargo-deny"),
                ..run("cargo deny check bans licenses sources")
            },
            check(deny::advisories),
        ],
    },
    Step {
        name: "purity",
        about: "the protocol crates need no runtime, clock, log or lock",
        needs: &[],
        after: &[],
        minutes: 10,
        tasks: &[
            check(purity::check),
            Task {
                when: When::Target("wasm32-unknown-unknown"),
                otherwise: "the target wasm32-unknown-unknown is not installed: the protocol \
                            crates were not built for it",
                ..run("cargo check -p portcullis-engineio -p portcullis-socketio \
                       --target wasm32-unknown-unknown")
            },
        ],
    },
    Step {
        name: "node",
        about: "stock clients in Node, and in a browser",
        needs: &[Need::Chromium, Need::Node, Need::Redis, Need::Python],
        after: &["build"],
        minutes: 20,
        tasks: &[Task {
            counts: Some(Runner::Node),
            ..run_in(
                "interop/node",
                "node --test --test-reporter=spec *.test.mjs",
            )
        }],
    },
    Step {
        name: "pressure",
        about: "floods, slow peers, and nodes that are replaced under load",
        needs: &[Need::Node],
        after: &["build"],
        minutes: 10,
        tasks: &[
            Task {
                when: When::Long,
                otherwise: "short runs of a server that is not optimised: no figures",
                ..run("cargo build --release -p conformance")
            },
            Task {
                counts: Some(Runner::Node),
                ..run_in(
                    "interop/node/pressure",
                    // One after the other: each is about how long things take.
                    "node --test --test-concurrency=1 --test-reporter=spec *.test.mjs",
                )
            },
        ],
    },
    Step {
        name: "cluster",
        about: "Rust and Node nodes behind one Redis, one proxy, and each other's faults",
        needs: &[
            Need::Redis,
            Need::Nginx,
            Need::Haproxy,
            Need::Chromium,
            Need::Node,
            Need::NestCluster,
        ],
        after: &["build"],
        minutes: 15,
        tasks: &[Task {
            counts: Some(Runner::Node),
            ..run_in(
                "interop/node/cluster",
                "node --test --test-reporter=spec *.test.mjs",
            )
        }],
    },
    Step {
        name: "nest",
        about: "NestJS and ours, frame by frame",
        needs: &[Need::Nest],
        after: &["build"],
        minutes: 5,
        tasks: &[
            run_in("interop/nest", "node node_modules/typescript/bin/tsc"),
            Task {
                counts: Some(Runner::Node),
                ..run_in(
                    "interop/nest",
                    "node --test --test-reporter=spec *.test.mjs",
                )
            },
        ],
    },
    Step {
        name: "python",
        about: "stock clients in Python",
        needs: &[Need::Python],
        after: &["build"],
        minutes: 10,
        tasks: &[Task {
            counts: Some(Runner::Unittest),
            ..run_in("interop/python", "{venv} -m unittest discover")
        }],
    },
    Step {
        name: "rust",
        about: "a stock client in Rust",
        needs: &[Need::OpenSsl],
        after: &["build"],
        minutes: 20,
        tasks: &[Task {
            counts: Some(Runner::Cargo),
            ..run_in(
                "interop/rust_socketio",
                "cargo test --locked --no-fail-fast --target-dir {target}/rust_socketio",
            )
        }],
    },
];
