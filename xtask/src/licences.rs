//! Which licences and crates may enter: `deny.toml` for the workspace, a shorter list for the core.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Package};
use spdx::{Expression, Licensee, ParseMode};
use toml::Table;

use crate::command::{CommandLine, find_program};
use crate::workspace::Workspace;

/// What the core may depend on. A new one needs a reason, written in DESIGN.md.
const CORE_DEPENDENCIES: [&str; 6] = ["base64", "getrandom", "httparse", "sha1", "simdutf8", "zlib-rs"];

/// What these bring with them: `sha1` its traits, `getrandom` the interfaces of the systems.
const CORE_BROUGHT: [&str; 9] =
    ["block-buffer", "cfg-if", "cpufeatures", "crypto-common", "digest", "hybrid-array", "libc", "r-efi", "typenum"];

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let rules = Rules::read("deny.toml")?;
    let packages = &workspace.metadata.packages;
    let users = |name: &str| -> BTreeSet<&str> {
        let uses = |package: &&Package| package.dependencies.iter().any(|dependency| dependency.name == name);
        packages.iter().filter(uses).map(|package| package.name.as_str()).collect()
    };
    let wrong: Vec<_> = packages.iter().filter_map(|package| rules.judge(package, users)).collect();
    if !wrong.is_empty() {
        bail!("crates that may not enter:\n  {}", wrong.join("\n  "));
    }
    println!("   {} packages, all under an allowed licence", packages.len());
    check_core(workspace)?;
    if find_program("cargo-deny").is_some() {
        CommandLine::new("cargo deny --all-features check licenses bans sources").run()?;
    }
    Ok(())
}

/// What is read of `deny.toml`.
struct Rules {
    licences: Vec<Licensee>,
    /// A banned crate, and who alone may depend on it.
    banned: BTreeMap<String, BTreeSet<String>>,
}

impl Rules {
    fn read(path: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&text).with_context(|| format!("in {path}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse()?;
        let list = |section: &str, key: &str| {
            let list = table.get(section).and_then(|section| section.get(key)).and_then(|list| list.as_array());
            list.with_context(|| format!("{section}.{key} is not a list"))
        };
        let mut licences = Vec::new();
        for licence in list("licenses", "allow")? {
            let licence = licence.as_str().context("licenses.allow holds something else than text")?;
            licences.push(Licensee::parse(licence)?);
        }
        let mut banned = BTreeMap::new();
        for ban in list("bans", "deny")? {
            let name = ban.get("name").and_then(|name| name.as_str()).context("an entry of bans.deny has no name")?;
            let wrappers = ban.get("wrappers").and_then(|list| list.as_array()).into_iter().flatten();
            let wrappers = wrappers.filter_map(|wrapper| wrapper.as_str()).map(str::to_owned).collect();
            banned.insert(name.to_owned(), wrappers);
        }
        Ok(Self { licences, banned })
    }

    /// What is wrong with a package. `users` tells which packages depend on one.
    fn judge<'a>(&self, package: &Package, users: impl Fn(&str) -> BTreeSet<&'a str>) -> Option<String> {
        let name = package.name.as_str();
        if self.bans(name, &users(name)) {
            return Some(format!("{name}: banned in deny.toml"));
        }
        if package.source.as_ref().is_some_and(|source| !source.is_crates_io()) {
            return Some(format!("{name}: not from the registry of crates"));
        }
        let allowed = package.license.as_deref().is_some_and(|licence| self.allows(licence));
        (!allowed).then(|| format!("{name}: licence {}", package.license.as_deref().unwrap_or("not stated")))
    }

    fn bans(&self, name: &str, users: &BTreeSet<&str>) -> bool {
        self.banned
            .get(name)
            .is_some_and(|wrappers| wrappers.is_empty() || users.iter().any(|user| !wrappers.contains(*user)))
    }

    fn allows(&self, licence: &str) -> bool {
        // Lax: old crates write `MIT/Apache-2.0`.
        Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|required| self.licences.iter().any(|licence| licence.satisfies(required)))
        })
    }
}

/// The core depends on what is listed above, no more and no less.
fn check_core(workspace: &Workspace) -> Result<()> {
    let core = workspace.package("wsproto")?;
    let direct = core.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    let direct: BTreeSet<_> = direct.map(|dependency| dependency.name.as_str()).collect();
    compare("the core's dependencies", &direct, &CORE_DEPENDENCIES)?;

    let tree = CommandLine::new("cargo tree --locked -p wsproto --all-features --target all --edges normal,build")
        .args(["--prefix", "none", "--format", "{p}"])
        .output()?;
    let tree = tree.lines().filter_map(|line| line.split_whitespace().next());
    let brought: BTreeSet<_> = tree.filter(|name| *name != "wsproto" && !direct.contains(name)).collect();
    compare("what the core's dependencies bring", &brought, &CORE_BROUGHT)?;
    println!("   the core: {} dependencies, which bring {} more", direct.len(), brought.len());
    Ok(())
}

fn compare(what: &str, found: &BTreeSet<&str>, listed: &[&str]) -> Result<()> {
    let listed: BTreeSet<_> = listed.iter().copied().collect();
    let join = |names: BTreeSet<&&str>| names.into_iter().copied().collect::<Vec<_>>().join(", ");
    if *found != listed {
        bail!(
            "{what} are not those of xtask/src/licences.rs; new: [{}], gone: [{}]",
            join(found.difference(&listed).collect()),
            join(listed.difference(found).collect())
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let text = r#"
            licenses.allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
            bans.deny = [{ name = "openssl" }, { name = "schannel", wrappers = ["certs"] }]
        "#;
        Rules::parse(text).unwrap()
    }

    #[test]
    fn licence_expressions() {
        let rules = rules();
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(rules.allows(good), "{good}");
        }
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0", "something of our own", ""] {
            assert!(!rules.allows(bad), "{bad}");
        }
    }

    #[test]
    fn the_list_of_dependencies_must_match_both_ways() {
        assert!(compare("x", &BTreeSet::from(["a", "b"]), &["b", "a"]).is_ok());
        let error = compare("x", &BTreeSet::from(["a", "c"]), &["a", "b"]).unwrap_err().to_string();
        assert!(error.ends_with("new: [c], gone: [b]"), "{error}");
    }

    #[test]
    fn banned_crates_are_read() {
        let rules = rules();
        assert!(rules.bans("openssl", &BTreeSet::from(["certs"])));
        assert!(!rules.bans("rustls", &BTreeSet::new()));
        assert!(!rules.bans("schannel", &BTreeSet::from(["certs"])));
        assert!(rules.bans("schannel", &BTreeSet::from(["certs", "other"])));
        assert!(Rules::parse("licenses.allow = []").is_err());
    }
}
