//! Rules about manifests and lock files.
//!
//! # Invariants
//!
//! - A lock file names public registries only: a mirror exists for those who have it.

use super::{File, Finding};

/// Crates whose `clippy.toml` is the root's, plus what a pure crate may not call.
const PURE: &[&str] = &["crates/engineio/clippy.toml", "crates/socketio/clippy.toml"];

/// What a pure crate may not call.
const CLOCKS: &[&str] = &["std::time::Instant::now", "std::time::SystemTime::now"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM: &str = "https://registry.npmjs.org/";

/// All rules.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = clippy_copies(files);
    for file in files {
        match file.path.rsplit('/').next().unwrap_or_default() {
            "Cargo.toml" => {
                findings.extend(lints(file));
                findings.extend(lock_beside(file, files, "Cargo.lock"));
            }
            "package.json" => findings.extend(lock_beside(file, files, "package-lock.json")),
            "Cargo.lock" => findings.extend(sources(file, "source = \"", CRATES_IO)),
            "package-lock.json" => findings.extend(sources(file, "\"resolved\": \"", NPM)),
            "requirements.txt" => findings.extend(pins(file)),
            _ => {}
        }
    }
    findings
}

/// Clippy reads the nearest `clippy.toml` alone, so the pure crates carry copies.
fn clippy_copies(files: &[File]) -> Vec<Finding> {
    let text_of = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str()).unwrap_or_default()
    };
    let original: Vec<&str> = text_of("clippy.toml").lines().collect();
    let mut findings = Vec::new();
    for path in PURE {
        let is_clock = |line: &&str| {
            CLOCKS
                .iter()
                .any(|name| line.contains(&format!("\"{name}\"")))
        };
        let (clocks, copied): (Vec<&str>, Vec<&str>) = text_of(path).lines().partition(is_clock);
        if copied != original {
            let pairs = copied.iter().zip(&original);
            let line = pairs
                .take_while(|(copy, original)| copy == original)
                .count()
                + 1;
            let text = "differs from the clippy.toml of the root; copy that, and add the clocks";
            findings.push(Finding::new(path, line, text));
        }
        if clocks.len() != CLOCKS.len() {
            let text = format!("does not ban {} once each; add them", CLOCKS.join(" and "));
            findings.push(Finding::new(path, 1, text));
        }
    }
    findings
}

/// Every package of this workspace takes part in its lints.
fn lints(file: &File) -> Option<Finding> {
    let is_guest = file.path.starts_with("interop/") || file.path.starts_with("bench/peers/");
    let is_package = file.text.lines().any(|line| line.trim() == "[package]");
    let has_lints = file.text.contains("[lints]\nworkspace = true");
    (!is_guest && is_package && !has_lints).then(|| {
        Finding::new(
            &file.path,
            1,
            "does not take the workspace's lints; add [lints] workspace = true",
        )
    })
}

/// A workspace or an npm package has its lock file beside it.
fn lock_beside(file: &File, files: &[File], name: &str) -> Option<Finding> {
    let is_root = name != "Cargo.lock" || file.text.contains("[workspace]");
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let lock = if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    };
    let is_there = files.iter().any(|file| file.path == lock);
    (is_root && !is_there).then(|| {
        Finding::new(
            &file.path,
            1,
            format!("has no {name} beside it; commit that too"),
        )
    })
}

/// Every source that a lock file names is the public one.
fn sources(file: &File, key: &str, registry: &str) -> Vec<Finding> {
    let foreign = |(number, line): (usize, &str)| {
        let source = line.trim_start().strip_prefix(key)?;
        (!source.starts_with(registry)).then(|| {
            let text =
                format!("a package that does not come from {registry}; lock it anew from there");
            Finding::new(&file.path, number + 1, text)
        })
    };
    file.text.lines().enumerate().filter_map(foreign).collect()
}

/// Every Python package has one version, and comes from wherever pip is set up to look.
fn pins(file: &File) -> Vec<Finding> {
    let loose = |(number, line): (usize, &str)| {
        let entry = line.split('#').next().unwrap_or_default().trim();
        let is_continued = entry.starts_with("--hash=");
        (!entry.is_empty() && !is_continued && !entry.contains("==")).then(|| {
            Finding::new(
                &file.path,
                number + 1,
                "not pinned to one version; write name==version",
            )
        })
    };
    file.text.lines().enumerate().filter_map(loose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "a = 1\nbans = [\n    { path = \"x\" },\n]\n";

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn copy(bans: &str) -> String {
        ROOT.replace(
            "    { path = \"x\" },\n",
            &format!("    {{ path = \"x\" }},\n{bans}"),
        )
    }

    fn clocks() -> String {
        CLOCKS
            .iter()
            .map(|name| format!("    {{ path = \"{name}\" }},\n"))
            .collect()
    }

    #[test]
    fn a_copy_with_the_clocks_banned_is_right() {
        let copy = copy(&clocks());
        let files = [
            file("clippy.toml", ROOT),
            file(PURE[0], &copy),
            file(PURE[1], &copy),
        ];
        assert_eq!(clippy_copies(&files), []);
    }

    #[test]
    fn a_copy_that_differs_is_found_at_the_line() {
        let good = copy(&clocks());
        let changed = good.replace("\"x\"", "\"y\"");
        let files = [
            file("clippy.toml", ROOT),
            file(PURE[0], &good),
            file(PURE[1], &changed),
        ];
        let found = clippy_copies(&files);
        assert_eq!(
            (found.len(), found[0].file.as_str(), found[0].line),
            (1, PURE[1], 3)
        );
    }

    #[test]
    fn a_copy_without_the_clocks_is_found() {
        let files = [
            file("clippy.toml", ROOT),
            file(PURE[0], ROOT),
            file(PURE[1], &copy(&clocks())),
        ];
        assert!(clippy_copies(&files)[0].text.contains("does not ban"));
    }

    #[test]
    fn a_package_outside_the_lints_is_found() {
        assert!(lints(&file("crates/a/Cargo.toml", "[package]\n")).is_some());
        assert!(
            lints(&file(
                "crates/a/Cargo.toml",
                "[package]\n[lints]\nworkspace = true\n"
            ))
            .is_none()
        );
        assert!(lints(&file("interop/a/Cargo.toml", "[package]\n")).is_none());
    }

    #[test]
    fn a_missing_lock_file_is_found() {
        let manifest = file("interop/node/package.json", "{}");
        assert!(lock_beside(&manifest, &[], "package-lock.json").is_some());
        let lock = [file("interop/node/package-lock.json", "{}")];
        assert!(lock_beside(&manifest, &lock, "package-lock.json").is_none());
    }

    #[test]
    fn a_lock_file_that_names_a_mirror_is_found() {
        let mirror = "    \"resolved\": \"https://mirror.example/a.tgz\",\n";
        let files = [file("package-lock.json", mirror)];
        assert!(
            check(&files)
                .iter()
                .any(|finding| finding.text.contains("does not come from"))
        );
        let public = format!("    \"resolved\": \"{NPM}a/-/a.tgz\",\n");
        assert!(sources(&file("package-lock.json", &public), "\"resolved\": \"", NPM).is_empty());
    }

    #[test]
    fn a_python_package_without_a_version_is_found() {
        let text = "# comment\naiohttp==3.9.0 \\\n    --hash=sha256:00\nrequests>=2\n";
        let found = pins(&file("requirements.txt", text));
        assert_eq!((found.len(), found[0].line), (1, 4));
    }
}
