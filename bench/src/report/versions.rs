//! What was measured, on what: read from the machine and from the peers' lock files.

use std::fs;
use std::path::Path;

use crate::error::{Attempt, BenchError};
use crate::outcome::output;

/// Names and versions, in the order of the page.
pub(super) fn collect(root: &Path) -> Result<Vec<(&'static str, String)>, BenchError> {
    let read = |path: &str| fs::read_to_string(root.join(path)).attempt(&format!("read {path}"));
    let cargo_lock = read("bench/peers/socketioxide/Cargo.lock")?;
    let npm_lock = read("bench/peers/socketio/package-lock.json")?;
    let nest_lock = read("bench/peers/nestjs/package-lock.json")?;
    let unknown = || "unknown".to_owned();
    Ok(vec![
        (
            "socketioxide",
            cargo_version(&cargo_lock, "socketioxide").unwrap_or_else(unknown),
        ),
        (
            "socket.io",
            npm_version(&npm_lock, "socket.io").unwrap_or_else(unknown),
        ),
        (
            "socketioxide-redis",
            cargo_version(&cargo_lock, "socketioxide-redis").unwrap_or_else(unknown),
        ),
        (
            "@socket.io/redis-adapter",
            npm_version(&npm_lock, "@socket.io/redis-adapter").unwrap_or_else(unknown),
        ),
        (
            "bufferutil",
            npm_version(&npm_lock, "bufferutil").unwrap_or_else(|| "none".to_owned()),
        ),
        (
            "NestJS",
            npm_version(&nest_lock, "@nestjs/core").unwrap_or_else(unknown),
        ),
        (
            "Redis",
            output(root, "redis-server", &["--version"]).unwrap_or_else(|_| unknown()),
        ),
        ("ws", npm_version(&npm_lock, "ws").unwrap_or_else(unknown)),
        (
            "Node.js",
            output(root, "node", &["--version"]).unwrap_or_else(|_| unknown()),
        ),
        ("rustc", output(root, "rustc", &["--version"])?),
        ("kernel", output(root, "uname", &["-sr"])?),
        ("processor", processor(&read("/proc/cpuinfo")?)),
        (
            "congestion control",
            read("/proc/sys/net/ipv4/tcp_congestion_control")?
                .trim()
                .to_owned(),
        ),
    ])
}

fn cargo_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = lock.split_once(&name)?;
    let (version, _) = rest.split_once('"')?;
    Some(version.to_owned())
}

fn npm_version(lock: &str, package: &str) -> Option<String> {
    let lock: serde_json::Value = serde_json::from_str(lock).ok()?;
    let entry = &lock["packages"][format!("node_modules/{package}")];
    Some(entry["version"].as_str()?.to_owned())
}

/// The model and the number of processors.
fn processor(cpuinfo: &str) -> String {
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, model)| model.trim())
        .collect();
    let model = models.first().copied().unwrap_or("unknown");
    format!("{} × {model}", models.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_lock_files() {
        let cargo = "[[package]]\nname = \"socketioxide\"\nversion = \"0.18.9\"\n";
        assert_eq!(cargo_version(cargo, "socketioxide").unwrap(), "0.18.9");
        assert_eq!(cargo_version(cargo, "oxide"), None);
        let npm = r#"{"packages":{"node_modules/socket.io":{"version":"4.8.4"}}}"#;
        assert_eq!(npm_version(npm, "socket.io").unwrap(), "4.8.4");
    }

    #[test]
    fn processors_are_counted_by_their_model() {
        let cpuinfo = "model name\t: Some CPU\nflags: x\nmodel name\t: Some CPU\n";
        assert_eq!(processor(cpuinfo), "2 × Some CPU");
    }
}
