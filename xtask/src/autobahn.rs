//! The Autobahn test suite against our server and our client; the work is done by `conformance/autobahn/`.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::CommandLine;
use crate::nghttpx;
use crate::workspace::Workspace;

const SCRIPTS: &str = "conformance/autobahn";

/// All cases of the suite.
const CASES: u32 = 517;

/// Longest message of the 12.* and 13.* cases in a short run, in bytes: the longer ones take nearly all of the time.
const SHORT: u32 = 8192;

/// Longest message that our peers accept, in bytes: the suite's 9.* cases send up to 16 MiB.
const MAX_MESSAGE_SIZE: u32 = 64 * 1024 * 1024;

/// What to run.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) full: bool,
    /// The server only; with neither or both of `server` and `client`, both.
    pub(crate) server: bool,
    pub(crate) client: bool,
    /// Our ends on the blocking driver, instead of those on tokio.
    pub(crate) blocking: bool,
    /// Ours speak HTTP/2, to a proxy between them and the suite, which speaks HTTP/1.1.
    pub(crate) http2: bool,
    /// Both at the same time.
    pub(crate) parallel: bool,
    /// Another echo server than ours, a command with `{port}`.
    pub(crate) server_command: Option<String>,
    /// Another client than ours, a command with `{url}`.
    pub(crate) client_command: Option<String>,
    /// Cases or patterns; none means all.
    pub(crate) cases: Vec<String>,
}

impl Plan {
    /// The folder of its reports, among the suite's.
    const fn driver(&self) -> &'static str {
        match (self.http2, self.blocking) {
            (true, _) => "http2",
            (false, true) => "blocking",
            (false, false) => "tokio",
        }
    }
}

/// How long the set-up may take: it fetches packages.
const SETUP: Duration = Duration::from_secs(600);

/// Sets the suite up, in its own environment.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target().join("autobahn");
    CommandLine::new("bash").arg(format!("{SCRIPTS}/setup.sh")).path(&folder).run_within(SETUP)
}

/// Builds our peers, runs the suite and judges.
pub(crate) fn run(workspace: &Workspace, plan: &Plan) -> Result<()> {
    if plan.http2 && plan.blocking {
        bail!("the blocking driver has no HTTP/2");
    }
    let folder = workspace.target().join("autobahn");
    let directions = directions(workspace, plan)?;
    let mut wrong = Vec::new();
    let mut running = Vec::new();
    for direction in &directions {
        running.push(Run::start(&folder.join(plan.driver()), &folder, direction, plan)?);
        if !plan.parallel {
            wrong.extend(running.drain(..).map(Run::finish).filter_map(Result::err));
        }
    }
    wrong.extend(running.into_iter().map(Run::finish).filter_map(Result::err));
    if !wrong.is_empty() {
        let wrong: Vec<_> = wrong.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// One of the suite's two modes, with the command that it tests.
struct Direction {
    /// `server` or `client`: what is tested, and the folder of the reports.
    peer: &'static str,
    mode: [&'static str; 2],
    command: String,
}

/// Builds one of our ends for the suite.
fn build_end(name: &str) -> Result<()> {
    CommandLine::new("cargo build --release --locked -p wsproto-conformance --bin").arg(name).run()
}

/// Builds what is needed of ours.
fn directions(workspace: &Workspace, plan: &Plan) -> Result<Vec<Direction>> {
    let both = plan.server == plan.client;
    let binary = |name| workspace.target().join("release").join(name).display().to_string();
    let mut directions = Vec::new();
    if plan.server || both {
        let command = if let Some(command) = &plan.server_command {
            command.clone()
        } else if plan.blocking {
            build_end("autobahn-blocking-server")?;
            format!("{} 127.0.0.1:{{port}}", CommandLine::new("").arg(binary("autobahn-blocking-server")))
        } else {
            CommandLine::new("cargo build --release --locked -p wsproto-cli").run()?;
            let wsproto = CommandLine::new("").arg(binary("wsproto")).args(["serve", "--max-message-size"]);
            format!("{} --listen 127.0.0.1:{{port}}", wsproto.arg(MAX_MESSAGE_SIZE.to_string()))
        };
        directions.push(Direction { peer: "server", mode: ["fuzzingclient", "--serve"], command });
    }
    if plan.client || both {
        let command = if let Some(command) = &plan.client_command {
            command.clone()
        } else {
            let name = if plan.blocking { "autobahn-blocking-client" } else { "autobahn-client" };
            build_end(name)?;
            let client = CommandLine::new("").arg(binary(name));
            format!("{} {{url}}", if plan.http2 { client.arg("--http2") } else { client })
        };
        directions.push(Direction { peer: "client", mode: ["fuzzingserver", "--client"], command });
    }
    Ok(directions)
}

/// The suite at work on one direction.
struct Run {
    peer: &'static str,
    python: PathBuf,
    command: CommandLine,
    child: Child,
    reports: PathBuf,
    /// How many cases there must be, where that is known.
    cases: Option<u32>,
}

impl Run {
    fn start(reports: &Path, suite: &Path, direction: &Direction, plan: &Plan) -> Result<Self> {
        let reports = reports.join(direction.peer);
        // A full run takes some ten minutes, a short one half a minute. The limits are for what hangs.
        let seconds = if plan.full { "2400" } else { "300" };
        let python = suite.join("venv/bin/python");
        let mut command = CommandLine::new("")
            .path(&python)
            .variable("PYTHONPATH", suite.join("suite").to_string_lossy())
            .args(["-W", "ignore"])
            .arg(format!("{SCRIPTS}/wstest3.py"))
            .args(direction.mode)
            .arg(&direction.command)
            .arg("--outdir")
            .path(&reports)
            .args(["--timeout", seconds]);
        if plan.http2 {
            let proxy = nghttpx::command("FRONT", "BEHIND", direction.peer == "server", None).to_string();
            command = command.arg("--through").arg(proxy.replace("FRONT", "{front}").replace("BEHIND", "{behind}"));
        }
        if direction.peer == "server" {
            command = command.args(["--agent", "wsproto"]);
        }
        if !plan.full && plan.cases.is_empty() {
            command = command.args(["--max-len", &SHORT.to_string()]);
        }
        command = command.args(plan.cases.iter().map(String::as_str));
        println!("   $ {command}");
        let child = command.spawn()?;
        let cases = (plan.full && plan.cases.is_empty()).then_some(CASES);
        Ok(Self { peer: direction.peer, python, command, child, reports, cases })
    }

    /// Waits for the end, and judges.
    fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        let mut judge = CommandLine::new("")
            .path(&self.python)
            .arg(format!("{SCRIPTS}/summarise.py"))
            .path(&self.reports)
            .args(["--allow", &format!("{SCRIPTS}/allow.txt")]);
        if let Some(cases) = self.cases {
            judge = judge.args(["--expect", &cases.to_string()]);
        }
        let verdict = judge.run();
        if !status.success() {
            bail!("Autobahn, {}: `{}` ended with {status}", self.peer, self.command);
        }
        if verdict.is_err() {
            bail!(
                "Autobahn, {}: results that are not allowed, see {}",
                self.peer,
                self.reports.join("index.html").display()
            );
        }
        Ok(())
    }
}
