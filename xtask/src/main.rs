//! The chores of this workspace. `cargo xtask help` lists them.

#![forbid(unsafe_code)]

mod autobahn;
mod browser;
mod check;
mod command;
mod debian;
mod fuzz;
mod licences;
mod nghttpx;
mod node;
mod peers;
mod program;
mod soak;
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

  autobahn [--full] [--server] [--client] [--blocking|--http2] [--parallel] [CASE…]
      The Autobahn test suite against our server and our client. Reports: target/autobahn/{tokio,blocking,http2}/.
      Without --full, the cases with messages over 8 KiB in 12.* and 13.* are left out.
      --server          our server only
      --client          our client only
      --blocking        our ends on the blocking driver, instead of those on tokio
      --http2           our ends by HTTP/2, through the proxy nghttpx, which speaks HTTP/1.1 to the suite
      --parallel        both at the same time, on two cores
      --server-command CMD, --client-command CMD
                        try another peer: CMD with {port}, or with {url}
      CASE              cases or patterns: 6.4.1 '9.*'

  peers [--only PEER] [--role ROLE] [--case CASE] [--verbose]
      Other people's libraries against our server and our client, and a proxy between the two. The libraries are
      installed in target/peers/.
      --only            this peer only: websockets, aiohttp, wsproto, ws, undici, h2, http2, hypercorn or nghttpx
      --role            only with the peer in this role: client or server; of nghttpx, proxy-to-1.1 or proxy-to-2
      --case            this case only: text-0, or deflate/text-0
      --verbose         one line for each case

  browser
      The page of `wsproto serve` in headless Chromium, and WebSockets over HTTP/2. Screenshots: target/browser/.

  fuzz [--seconds 60] [TARGET…]
      Runs each fuzz target, or those named, for so many seconds. Findings: target/fuzz/artifacts/.

  soak [--minutes 2] [--connections 500]
      Echo connections over faults: nothing may be lost, doubled or reordered, and memory may not climb.

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
        "peers" => peers(arguments),
        "browser" => browser(arguments),
        "fuzz" => fuzz(arguments),
        "soak" => soak(arguments),
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
            Long("http2") => plan.http2 = true,
            Long("parallel") => plan.parallel = true,
            Long("server-command") => plan.server_command = Some(arguments.value()?.string()?),
            Long("client-command") => plan.client_command = Some(arguments.value()?.string()?),
            Value(case) => plan.cases.push(case.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::load()?;
    autobahn::set_up(&workspace)?;
    if plan.http2 {
        nghttpx::have()?;
    }
    autobahn::run(&workspace, &plan)?;
    Ok(true)
}

fn peers(mut arguments: lexopt::Parser) -> Result<bool> {
    let mut plan = peers::Plan::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("only") => plan.only = Some(arguments.value()?.string()?),
            Long("role") => plan.role = Some(arguments.value()?.string()?),
            Long("case") => plan.case = Some(arguments.value()?.string()?),
            Long("verbose") => plan.verbose = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::load()?;
    peers::set_up(&workspace)?;
    passed(peers::run(&workspace, &plan)?)
}

fn browser(mut arguments: lexopt::Parser) -> Result<bool> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    passed(browser::run(&Workspace::load()?)?)
}

/// Who asks for one thing wants all of it.
fn passed(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Passed => Ok(true),
        Outcome::LeftOut(reason) | Outcome::AdditionLeftOut(reason) => bail!("{reason}"),
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

fn soak(mut arguments: lexopt::Parser) -> Result<bool> {
    let mut minutes = soak::MINUTES;
    let mut connections = soak::CONNECTIONS;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => minutes = arguments.value()?.parse()?,
            Long("connections") => connections = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    soak::run(minutes, connections)?;
    Ok(true)
}
