//! Licences, sources and bans of the dependencies, against the lists of `deny.toml`.
//!
//! `deny.toml` is written for cargo-deny, which is run as well where it is installed. This check
//! reads the same lists, so that they hold on every machine.
//!
//! | list in `deny.toml`      | what it says of every package in the lock file              |
//! |--------------------------|-------------------------------------------------------------|
//! | `licenses.allow`         | its licence expression can be met from these                |
//! | `licenses.exceptions`    | …or from these, for that package alone                      |
//! | `sources.allow-registry` | it comes from one of these, or from this workspace          |
//! | `bans.deny`              | it is none of these                                         |
//! | `bans.features`          | none of these features of it is on                          |
//! | `bans.multiple-versions` | with `warn`, more than one version of it is said            |
//!
//! # Invariants
//!
//! - A package without a licence expression fails: a licence file is for a person to read, and to
//!   be written down as an exception.
//!
//! # Not here
//!
//! Advisories: they need the RustSec database, and cargo-deny.

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use toml::Table;

use crate::command;
use crate::workspace::Workspace;

const REGISTRY: &str = "registry+";

/// Prints what `deny.toml` forbids of what is there; true when that is nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<bool, String> {
    let text = fs::read_to_string(workspace.root().join("deny.toml"))
        .map_err(|error| format!("deny.toml cannot be read: {error}"))?;
    let rules = Rules::parse(&text)?;
    let metadata = workspace.metadata(&["--all-features"])?;
    let packages = Package::all(&metadata)?;
    let problems = rules.problems(&packages);
    for problem in &problems {
        println!("deny.toml: {problem}");
    }
    if rules.warns_of_duplicates {
        for duplicate in duplicates(&packages) {
            println!("warning: {duplicate}");
        }
    }
    println!("{} packages checked against deny.toml", packages.len());
    Ok(problems.is_empty())
}

/// Checks known vulnerabilities where that is possible, and says so where it is not.
pub(crate) fn advisories(workspace: &Workspace) -> Result<bool, String> {
    if command::find("cargo-deny").is_none() {
        println!("note: advisories were not checked: cargo-deny is not installed");
        return Ok(true);
    }
    if !has_database() {
        println!("note: advisories were not checked: there is no RustSec database here");
        return Ok(true);
    }
    let mut cargo = command::cargo(workspace.root());
    cargo.args(["deny", "check", "--disable-fetch", "advisories"]);
    let finished = command::stream(&mut cargo, Duration::from_secs(300));
    Ok(finished.failure.is_none())
}

fn has_database() -> bool {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cargo"))
    });
    home.is_some_and(|home| {
        ["advisory-dbs", "advisory-db"]
            .iter()
            .any(|name| home.join(name).is_dir())
    })
}

/// What `deny.toml` says.
#[derive(Debug, Default)]
struct Rules {
    licences: BTreeSet<String>,
    exceptions: BTreeMap<String, BTreeSet<String>>,
    registries: BTreeSet<String>,
    bans: BTreeMap<String, String>,
    banned_features: BTreeMap<String, BTreeSet<String>>,
    warns_of_duplicates: bool,
}

impl Rules {
    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text
            .parse()
            .map_err(|error| format!("deny.toml: {error}"))?;
        let section = |name: &str| {
            let section = table.get(name).and_then(toml::Value::as_table);
            section.ok_or_else(|| format!("deny.toml has no section [{name}]"))
        };
        let (licenses, bans, sources) =
            (section("licenses")?, section("bans")?, section("sources")?);
        let mut rules = Self {
            licences: texts(licenses, "allow"),
            registries: texts(sources, "allow-registry"),
            warns_of_duplicates: text_of(bans, "multiple-versions") == "warn",
            ..Self::default()
        };
        for exception in tables(licenses, "exceptions") {
            rules
                .exceptions
                .insert(text_of(exception, "crate"), texts(exception, "allow"));
        }
        for ban in tables(bans, "deny") {
            rules
                .bans
                .insert(text_of(ban, "crate"), text_of(ban, "reason"));
        }
        for ban in tables(bans, "features") {
            rules
                .banned_features
                .insert(text_of(ban, "crate"), texts(ban, "deny"));
        }
        if rules.licences.is_empty() || rules.registries.is_empty() {
            return Err("deny.toml allows no licence, or no registry".to_owned());
        }
        Ok(rules)
    }

    fn problems(&self, packages: &[Package]) -> Vec<String> {
        packages
            .iter()
            .flat_map(|package| {
                [
                    self.licence_problem(package),
                    self.source_problem(package),
                    self.ban_problem(package),
                    self.feature_problem(package),
                ]
            })
            .flatten()
            .collect()
    }

    fn licence_problem(&self, package: &Package) -> Option<String> {
        let Package {
            name,
            version,
            licence,
            ..
        } = package;
        let Some(licence) = licence else {
            return Some(format!(
                "{name} {version} names no licence; drop it, or add an exception"
            ));
        };
        let exception = self.exceptions.get(name);
        let is_allowed = |id: &str| {
            self.licences.contains(id) || exception.is_some_and(|more| more.contains(id))
        };
        match licence::is_met(licence, is_allowed) {
            Ok(true) => None,
            Ok(false) => Some(format!(
                "{name} {version} is under {licence}, which licenses.allow does not meet"
            )),
            Err(problem) => Some(format!("{name} {version}: licence {licence:?}: {problem}")),
        }
    }

    fn source_problem(&self, package: &Package) -> Option<String> {
        // Packages of this workspace have no source.
        let source = package.source.as_deref()?;
        let is_known = source
            .strip_prefix(REGISTRY)
            .is_some_and(|registry| self.registries.contains(registry));
        let Package { name, version, .. } = package;
        (!is_known).then(|| {
            format!("{name} {version} comes from {source}, which sources.allow-registry lacks")
        })
    }

    fn ban_problem(&self, package: &Package) -> Option<String> {
        let Package { name, version, .. } = package;
        let reason = self.bans.get(name)?;
        let by = package.dependents.join(", ");
        Some(format!(
            "{name} {version} is banned ({reason}); it is used by {by}"
        ))
    }

    fn feature_problem(&self, package: &Package) -> Option<String> {
        let banned = self.banned_features.get(&package.name)?;
        let on = package.features.intersection(banned).next()?;
        let Package { name, version, .. } = package;
        Some(format!(
            "the feature {on} of {name} {version} is on, and is banned"
        ))
    }
}

fn text_of(table: &Table, key: &str) -> String {
    let text = table.get(key).and_then(toml::Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn texts(table: &Table, key: &str) -> BTreeSet<String> {
    let values = table.get(key).and_then(toml::Value::as_array);
    values
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    let values = table.get(key).and_then(toml::Value::as_array);
    values
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_table)
}

/// A package of the lock file, as far as the rules ask.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    source: Option<String>,
    features: BTreeSet<String>,
    dependents: Vec<String>,
}

impl Package {
    fn all(metadata: &Value) -> Result<Vec<Self>, String> {
        let nodes = metadata["resolve"]["nodes"]
            .as_array()
            .ok_or("cargo metadata resolved nothing")?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let mut by_id: BTreeMap<&str, Self> = packages
            .map(|package| (text(&package["id"]), Self::read(package)))
            .collect();
        for node in nodes {
            let user = by_id.get(text(&node["id"])).map(|user| user.name.clone());
            for dependency in node["dependencies"].as_array().into_iter().flatten() {
                if let Some(used) = by_id.get_mut(text(dependency)) {
                    used.dependents.extend(user.clone());
                }
            }
            if let Some(package) = by_id.get_mut(text(&node["id"])) {
                let features = node["features"].as_array().into_iter().flatten();
                package.features = features.map(|name| text(name).to_owned()).collect();
            }
        }
        Ok(by_id.into_values().collect())
    }

    fn read(package: &Value) -> Self {
        Self {
            name: text(&package["name"]).to_owned(),
            version: text(&package["version"]).to_owned(),
            licence: package["license"].as_str().map(str::to_owned),
            source: package["source"].as_str().map(str::to_owned),
            ..Self::default()
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn duplicates(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
        .into_iter()
        .map(|(name, versions)| format!("{name} is there in versions {}", versions.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ crate = "tables", allow = ["Unicode-3.0"] }]
        [bans]
        multiple-versions = "warn"
        deny = [{ crate = "openssl", reason = "TLS is rustls" }]
        features = [{ crate = "tokio", deny = ["full"] }]
        [sources]
        allow-registry = ["https://index.example"]
    "#;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            source: Some("registry+https://index.example".to_owned()),
            ..Package::default()
        }
    }

    fn problems_of(package: Package) -> Vec<String> {
        Rules::parse(RULES).unwrap().problems(&[package])
    }

    #[test]
    fn an_allowed_package_raises_no_problem() {
        assert_eq!(problems_of(package("bytes")), Vec::<String>::new());
    }

    #[test]
    fn an_exception_holds_for_its_package_alone() {
        let under = |name| Package {
            licence: Some("Unicode-3.0".to_owned()),
            ..package(name)
        };
        assert!(problems_of(under("tables")).is_empty());
        assert!(problems_of(under("bytes"))[0].contains("does not meet"));
    }

    #[test]
    fn a_package_without_a_licence_is_a_problem() {
        let nameless = Package {
            licence: None,
            ..package("bytes")
        };
        assert!(problems_of(nameless)[0].contains("names no licence"));
    }

    #[test]
    fn a_package_from_a_git_repository_is_a_problem() {
        let forked = Package {
            source: Some("git+https://index.example".to_owned()),
            ..package("bytes")
        };
        assert!(problems_of(forked)[0].contains("comes from git+"));
    }

    #[test]
    fn a_banned_package_is_named_with_its_users() {
        let mut banned = package("openssl");
        banned.dependents = vec!["client".to_owned()];
        let problems = problems_of(banned);
        assert!(problems[0].contains("TLS is rustls"));
        assert!(problems[0].contains("used by client"));
    }

    #[test]
    fn a_banned_feature_is_a_problem_only_when_on() {
        assert!(problems_of(package("tokio")).is_empty());
        let mut full = package("tokio");
        full.features.insert("full".to_owned());
        assert!(problems_of(full)[0].contains("the feature full"));
    }

    #[test]
    fn two_versions_of_one_package_are_said() {
        let newer = Package {
            version: "2.0.0".to_owned(),
            ..package("bytes")
        };
        let found = duplicates(&[package("bytes"), newer, package("http")]);
        assert_eq!(found, ["bytes is there in versions 1.0.0, 2.0.0"]);
    }

    #[test]
    fn a_deny_file_without_licences_is_refused() {
        let emptied = RULES.replace(r#""MIT", "Apache-2.0""#, "");
        assert!(Rules::parse(&emptied).is_err());
    }
}
