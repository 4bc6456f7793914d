//! Where the workspace, its target folder and the tests' tools are.
//!
//! # Not here
//!
//! Whether the tools are installed (`setup`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command;

/// The checkout that this tool works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the workspace from the manifest folder that Cargo names, and asks Cargo for its
    /// target folder.
    pub(crate) fn find() -> Result<Self, String> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .ok_or("the folder of xtask has no parent")?
            .to_path_buf();
        let mut workspace = Self {
            target: root.join("target"),
            root,
        };
        let metadata = workspace.metadata(&["--no-deps"])?;
        if let Some(target) = metadata["target_directory"].as_str() {
            workspace.target = PathBuf::from(target);
        }
        Ok(workspace)
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A binary of the given profile's folder, whether built or not.
    pub(crate) fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target
            .join(profile)
            .join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// The Python interpreter of the interop tests' virtual environment.
    pub(crate) fn venv_python(&self) -> PathBuf {
        self.root.join("interop/python/.venv/bin/python")
    }

    /// What `cargo metadata` says, with `arguments` added.
    pub(crate) fn metadata(&self, arguments: &[&str]) -> Result<Value, String> {
        let mut cargo = command::cargo(&self.root);
        cargo.args(["metadata", "--format-version", "1"]);
        let text = answer(cargo.args(arguments))?;
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
    }
}

/// What a command prints, when it succeeds.
pub(crate) fn answer(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name} could not be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} failed: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
