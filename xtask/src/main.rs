//! The chores of this workspace. `cargo xtask help` lists them.

#![forbid(unsafe_code)]

mod autobahn;
mod browser;
mod check;
mod command;
mod fuzz;
mod licences;
mod step;
mod threats;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::step::Outcome;
use crate::workspace::Workspace;

const HELP: &str = "\
The chores of this workspace.

usage: cargo xtask COMMAND

  check [--full-autobahn] [STEP…]
      All checks, step by step, up to the first failure; or only the steps named.
      --full-autobahn   the Autobahn step runs all 517 cases both ways, instead of the short ones
      --list            print the names of the steps

  autobahn [--full] [--server] [--client] [--blocking] [--parallel] [CASE…]
      The Autobahn test suite against our server and our client. Reports: target/autobahn/{tokio,blocking}/.
      Without --full, the cases with messages over 8 KiB in 12.* and 13.* are left out.
      --server          our server only
      --client          our client only
      --blocking        our ends on the blocking driver, instead of those on tokio
      --parallel        both at the same time, on two cores
      --server-command CMD, --client-command CMD
                        try another peer: CMD with {port}, or with {url}
      CASE              cases or patterns: 6.4.1 '9.*'

  browser
      The page of `wsproto serve` in headless Chromium. Screenshots: target/browser/.

  fuzz [--seconds 60] [TARGET…]
      Runs each fuzz target, or those named, for so many seconds. Findings: target/fuzz/artifacts/.

  help
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Gives `false` where the failure has been told already.
fn run() -> Result<bool> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        None | Some(Long("help") | Short('h')) => "help".into(),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "check" => check(arguments),
        "autobahn" => autobahn(arguments),
        "browser" => browser(arguments),
        "fuzz" => fuzz(arguments),
        "help" => {
            print!("{HELP}");
            Ok(true)
        }
        _ => bail!("there is no command {command:?}: see cargo xtask help"),
    }
}

fn check(mut arguments: lexopt::Parser) -> Result<bool> {
    let mut full_autobahn = false;
    let mut list = false;
    let mut names = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("full-autobahn") => full_autobahn = true,
            Long("list") => list = true,
            Value(name) => names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let steps = check::steps(full_autobahn);
    if list {
        for step in &steps {
            println!("{:<10} {}", step.name, step.title);
        }
        return Ok(true);
    }
    step::run(&Workspace::load()?, &step::select(steps, &names)?)
}

fn autobahn(mut arguments: lexopt::Parser) -> Result<bool> {
    let mut plan = autobahn::Plan::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("full") => plan.full = true,
            Long("server") => plan.server = true,
            Long("client") => plan.client = true,
            Long("blocking") => plan.blocking = true,
            Long("parallel") => plan.parallel = true,
            Long("server-command") => plan.server_command = Some(arguments.value()?.string()?),
            Long("client-command") => plan.client_command = Some(arguments.value()?.string()?),
            Value(case) => plan.cases.push(case.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    autobahn::run(&Workspace::load()?, &plan)?;
    Ok(true)
}

fn browser(mut arguments: lexopt::Parser) -> Result<bool> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    match browser::run(&Workspace::load()?)? {
        Outcome::Passed => Ok(true),
        Outcome::LeftOut(reason) => bail!("{reason}"),
    }
}

fn fuzz(mut arguments: lexopt::Parser) -> Result<bool> {
    let mut seconds = 60;
    let mut targets = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Value(target) => targets.push(target.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    fuzz::run(&Workspace::load()?, seconds, &targets)?;
    Ok(true)
}
