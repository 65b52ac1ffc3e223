//! The fuzz targets. They are a workspace of their own, and need what a stable compiler hides: `RUSTC_BOOTSTRAP=1`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::command::{CommandLine, find_program};
use crate::workspace::Workspace;

pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// Compiles the targets, without a sanitizer and without linking: so the fuzzer's C++ library is not needed, and naming
/// one keeps it from being built.
pub(crate) fn compile(workspace: &Workspace) -> Result<()> {
    CommandLine::new("cargo check --locked --manifest-path")
        .arg(MANIFEST)
        .arg("--target-dir")
        .path(&workspace.target().join("fuzz"))
        .variable("RUSTC_BOOTSTRAP", "1")
        .variable("CUSTOM_LIBFUZZER_PATH", "/none/libnone.a")
        .run()
}

/// Runs these targets, or all, for so many seconds each.
///
/// The inputs that are in git (`fuzz/seeds/TARGET`) are only read; what the fuzzer finds is kept below `target/fuzz`.
pub(crate) fn run(workspace: &Workspace, seconds: u32, names: &[String]) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target {unknown:?}: the targets are {}", known.join(", "));
    }
    let folder = workspace.target().join("fuzz");
    let cargo_fuzz = cargo_fuzz(workspace)?;
    for target in known.iter().filter(|target| names.is_empty() || names.contains(target)) {
        println!("\n== {target}, {seconds} s");
        let corpus = folder.join("corpus").join(target);
        let artifacts = folder.join("artifacts").join(target);
        for new in [&corpus, &artifacts] {
            std::fs::create_dir_all(new).with_context(|| format!("cannot make {}", new.display()))?;
        }
        let seeds = Path::new("fuzz/seeds").join(target);
        let mut command = CommandLine::new("")
            .path(&cargo_fuzz)
            .variable("RUSTC_BOOTSTRAP", "1")
            .args(["run", "--target-dir"])
            .path(&folder)
            .arg(target)
            .path(&corpus);
        if seeds.exists() {
            command = command.path(&seeds);
        }
        command
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-timeout=20", "-print_final_stats=1"])
            .run()?;
    }
    Ok(())
}

/// The binaries of the fuzz workspace.
fn targets() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().manifest_path(MANIFEST).no_deps().exec().context("the targets of fuzz/")?;
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    Ok(targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect())
}

/// `cargo-fuzz`, installed below `target` where the machine has none.
fn cargo_fuzz(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(program) = find_program("cargo-fuzz") {
        return Ok(program);
    }
    let tools = workspace.target().join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !program.exists() {
        println!("cargo-fuzz is not installed: installing it into {}", tools.display());
        CommandLine::new("cargo install --quiet --locked cargo-fuzz --root").path(&tools).run()?;
    }
    Ok(program)
}
