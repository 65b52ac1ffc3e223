//! What `cargo xtask check` checks. Cheap steps first.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::command::{CommandLine, find_program};
use crate::step::{Outcome, Step};
use crate::workspace::Workspace;
use crate::{autobahn, browser, fuzz, licences, nghttpx, peers, soak, threats};

/// All steps. The last one runs the short Autobahn cases, or all of them (but on threads and by HTTP/2 the short ones).
pub(crate) fn steps(full_autobahn: bool) -> Vec<Step> {
    let step = |name, title, run| Step { name, title, repeat: format!("cargo xtask check {name}"), run };
    let mut steps = vec![
        step("format", "the code is formatted", format),
        step("licences", "licences, banned crates, the core's few dependencies", licences),
        step("threats", "each threat has a test or a written reason", threats),
        step("clippy", "no lint warns", clippy),
        step("test", "unit, property, integration, architecture and documentation tests", test),
        step("features", "the core's tests, and the drivers, without features and with each feature alone", features),
        step("docs", "the documentation builds without warnings", docs),
        step("no-std", "the core builds for a target that has no std", no_std),
        step("package", "the crates can be published and carry their licences", package),
        step("fuzz", "the fuzz targets compile", fuzz_targets),
        step("peers", "other people's libraries against our server and our client, by HTTP/1.1 and HTTP/2", run_peers),
        step("browser", "headless Chromium: the page of `wsproto serve`, and WebSockets over HTTP/2", browser::run),
        step("soak", "500 connections for two minutes, a fault each second: nothing lost, memory steady", run_soak),
    ];
    steps.push(if full_autobahn {
        Step {
            name: "autobahn",
            title: "the Autobahn suite, all 517 cases against our server and our client",
            repeat: "cargo xtask check --full-autobahn autobahn".into(),
            run: |workspace| run_autobahn(workspace, true),
        }
    } else {
        step("autobahn", "the Autobahn suite's short cases against our server and our client", |workspace| {
            run_autobahn(workspace, false)
        })
    });
    steps
}

fn format(_: &Workspace) -> Result<Outcome> {
    CommandLine::new("cargo fmt --all -- --check").run()?;
    if Path::new(fuzz::MANIFEST).exists() {
        CommandLine::new("cargo fmt --manifest-path").arg(fuzz::MANIFEST).args(["--", "--check"]).run()?;
    }
    Ok(Outcome::Passed)
}

fn clippy(_: &Workspace) -> Result<Outcome> {
    CommandLine::new("cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?;
    CommandLine::new("cargo clippy -p wsproto --all-targets --no-default-features -- -D warnings").run()?;
    Ok(Outcome::Passed)
}

fn test(_: &Workspace) -> Result<Outcome> {
    CommandLine::new("cargo test --workspace --all-features").run()?;
    Ok(Outcome::Passed)
}

fn features(workspace: &Workspace) -> Result<Outcome> {
    CommandLine::new("cargo test -p wsproto --lib --tests --no-default-features").run()?;
    for feature in workspace.package("wsproto")?.features.keys().filter(|feature| *feature != "default") {
        CommandLine::new("cargo test -p wsproto --lib --tests --no-default-features --features").arg(feature).run()?;
    }
    // Of the drivers, what one gets without asking, each feature by itself, and none.
    CommandLine::new("cargo clippy -p wsproto-io --all-targets -- -D warnings").run()?;
    let lint = "cargo clippy -p wsproto-io --lib --no-default-features";
    CommandLine::new(lint).args(["--", "-D", "warnings"]).run()?;
    for feature in workspace.package("wsproto-io")?.features.keys().filter(|feature| *feature != "default") {
        CommandLine::new(lint).args(["--features", feature, "--", "-D", "warnings"]).run()?;
    }
    Ok(Outcome::Passed)
}

/// Of the libraries: the command `wsproto` would be written to the same place as the library.
fn docs(workspace: &Workspace) -> Result<Outcome> {
    let mut doc = CommandLine::new("cargo doc --no-deps --all-features").variable("RUSTDOCFLAGS", "-D warnings");
    let published = workspace.published();
    for library in published.iter().filter(|package| package.targets.iter().any(cargo_metadata::Target::is_lib)) {
        doc = doc.args(["-p", library.name.as_str()]);
    }
    doc.run()?;
    Ok(Outcome::Passed)
}

/// A target whose standard library is `core` and `alloc` alone.
const BARE_TARGET: &str = "thumbv7em-none-eabihf";

fn no_std(_: &Workspace) -> Result<Outcome> {
    if let Err(reason) = have_bare_target() {
        CommandLine::new("cargo check -p wsproto --no-default-features").run()?;
        return Ok(Outcome::AdditionLeftOut(format!(
            "{reason:#}; the core was only compiled with #![no_std] for this machine"
        )));
    }
    CommandLine::new("cargo build -p wsproto --no-default-features --target").arg(BARE_TARGET).run()?;
    Ok(Outcome::Passed)
}

fn have_bare_target() -> Result<()> {
    let library = CommandLine::new("rustc --print target-libdir --target").arg(BARE_TARGET).output()?;
    if Path::new(library.trim()).exists() {
        return Ok(());
    }
    if find_program("rustup").is_none() {
        bail!("the compiler has no {BARE_TARGET} and there is no rustup to add it");
    }
    CommandLine::new("rustup target add")
        .arg(BARE_TARGET)
        .run_within(Duration::from_secs(60))
        .context("the target could not be added")
}

fn package(workspace: &Workspace) -> Result<Outcome> {
    // Cargo takes what it compiled of a packaged crate for the next one of the same version: so from nothing, each time.
    let target = workspace.target().join("package-check");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    let mut all =
        CommandLine::new("cargo package --locked --allow-dirty --target-dir").arg(target.display().to_string());
    for package in workspace.published() {
        let list = CommandLine::new("cargo package --locked --allow-dirty --list -p").arg(package.name.as_str());
        let files = list.output()?;
        for file in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
            if !files.lines().any(|line| line == file) {
                bail!("the package {} has no {file} (`{list}`)", package.name);
            }
        }
        all = all.args(["-p", package.name.as_str()]);
    }
    forget_unpacked(workspace)?;
    all.run()?;
    Ok(Outcome::Passed)
}

/// To verify a crate on the packaged ones before it, cargo unpacks those into its home, by the path of the target folder.
/// What lies there of an earlier run has the same version, and would be taken for it, too.
fn forget_unpacked(workspace: &Workspace) -> Result<()> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))) else { return Ok(()) };
    let Ok(registries) = fs::read_dir(home.join("registry/src")) else { return Ok(()) };
    for registry in registries {
        let registry = registry?;
        // A registry that is a folder has no host in its name.
        if registry.file_name().to_string_lossy().starts_with('-') {
            for package in workspace.published() {
                let unpacked = registry.path().join(format!("{}-{}", package.name, package.version));
                if unpacked.exists() {
                    fs::remove_dir_all(&unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
                }
            }
        }
    }
    Ok(())
}

fn licences(workspace: &Workspace) -> Result<Outcome> {
    licences::check(workspace)?;
    Ok(Outcome::Passed)
}

fn threats(_: &Workspace) -> Result<Outcome> {
    threats::check()?;
    Ok(Outcome::Passed)
}

fn fuzz_targets(workspace: &Workspace) -> Result<Outcome> {
    if !Path::new(fuzz::MANIFEST).exists() {
        return Ok(Outcome::LeftOut(format!("there is no {}", fuzz::MANIFEST)));
    }
    fuzz::compile(workspace)?;
    Ok(Outcome::Passed)
}

fn run_peers(workspace: &Workspace) -> Result<Outcome> {
    let had = match peers::missing() {
        None => peers::set_up(workspace).map_err(|error| format!("the peers could not be installed: {error:#}")),
        Some(missing) => Err(missing),
    };
    if let Err(reason) = had {
        return Ok(Outcome::LeftOut(reason));
    }
    peers::run(workspace, &peers::Plan::default())
}

fn run_soak(_: &Workspace) -> Result<Outcome> {
    soak::run(soak::MINUTES, soak::CONNECTIONS)?;
    Ok(Outcome::Passed)
}

fn run_autobahn(workspace: &Workspace, full: bool) -> Result<Outcome> {
    if let Err(error) = autobahn::set_up(workspace) {
        return Ok(Outcome::LeftOut(format!("the suite could not be installed: {error:#}")));
    }
    autobahn::run(workspace, &autobahn::Plan { full, parallel: true, ..Default::default() })?;
    autobahn::run(workspace, &autobahn::Plan { blocking: true, parallel: true, ..Default::default() })?;
    if let Err(error) = nghttpx::have() {
        return Ok(Outcome::LeftOut(format!("{error:#}; the suite was not run by HTTP/2")));
    }
    autobahn::run(workspace, &autobahn::Plan { http2: true, parallel: true, ..Default::default() })?;
    Ok(Outcome::Passed)
}
