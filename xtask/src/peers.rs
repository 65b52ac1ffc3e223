//! Other people's WebSocket libraries against our client and our server; the cases stand in `conformance/peers/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::command::{CommandLine, find_program};
use crate::program::Program;
use crate::step::Outcome;
use crate::workspace::Workspace;
use crate::{nghttpx, node};

const FOLDER: &str = "conformance/peers";

/// Most time for all cases of one peer in one role. They take seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Longest message that our echo server accepts, in bytes: four times the longest of the cases.
const MAX_MESSAGE_SIZE: &str = "16777216";

/// How the roles of a proxy begin; then comes the version of HTTP by which it speaks to our server.
const PROXY: &str = "proxy-to-";

/// What to run.
#[derive(Default)]
pub(crate) struct Plan {
    /// Only this peer.
    pub(crate) only: Option<String>,
    /// Only with the peer in this role: `client`, `server`, or one of a proxy's.
    pub(crate) role: Option<String>,
    /// Only this case: `NAME`, or `MODE/NAME`.
    pub(crate) case: Option<String>,
    /// Every case has a line, also where it passed.
    pub(crate) verbose: bool,
}

/// `cases.json`, as far as it matters here.
#[derive(Deserialize)]
struct Cases {
    peers: BTreeMap<String, Peer>,
    modes: BTreeMap<String, Mode>,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
struct Peer {
    /// What its scripts are written in; none for a proxy, which has none.
    language: Option<String>,
    roles: Vec<String>,
    /// The versions of HTTP by which it is spoken to, or speaks.
    http: Vec<String>,
    /// Without compression there is none only if our server declines it.
    #[serde(default)]
    always_offers_deflate: bool,
}

#[derive(Deserialize)]
struct Mode {
    http: String,
    deflate: bool,
    tls: bool,
}

/// What is missing here for the peers; none where they can be installed, if the network allows.
pub(crate) fn missing() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    if find_program(&python).is_none() {
        return Some(format!("there is no {python}"));
    }
    if let Some(missing) = node::missing() {
        return Some(missing);
    }
    let venv = CommandLine::new(&python).args(["-c", "import venv, ensurepip"]).run();
    venv.err().map(|_| format!("{python} has no venv module"))
}

/// Installs the peers, unless they are there.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    CommandLine::new("bash")
        .arg(format!("{FOLDER}/setup.sh"))
        .path(&workspace.target().join("peers"))
        .run_within(Duration::from_secs(300))
}

/// Builds our ends, and runs the cases, one peer after the other. Left out may be the proxy, where it cannot be had.
pub(crate) fn run(workspace: &Workspace, plan: &Plan) -> Result<Outcome> {
    let text = fs::read_to_string(format!("{FOLDER}/cases.json"))?;
    let cases: Cases = serde_json::from_str(&text).context("cases.json")?;
    if let Some(unknown) = plan.only.as_ref().filter(|name| !cases.peers.contains_key(*name)) {
        let known: Vec<_> = cases.peers.keys().map(String::as_str).collect();
        bail!("there is no peer {unknown:?}: the peers are {}", known.join(", "));
    }
    CommandLine::new("cargo build --release --locked -p wsproto-cli -p wsproto-conformance --bins").run()?;

    let proof =
        Proof { folder: workspace.target().join("peers"), binaries: workspace.target().join("release"), cases, plan };
    proof.binary("peer-certificate").path(&proof.folder).run()?;
    let mut failed = Vec::new();
    let mut left_out = None;
    let mut ran = 0;
    for (name, peer) in proof.cases.peers.iter().filter(|(name, _)| plan.only.as_ref().is_none_or(|only| only == *name))
    {
        for role in peer.roles.iter().filter(|role| plan.role.as_ref().is_none_or(|only| only == *role)) {
            ran += 1;
            if role.starts_with(PROXY) {
                if let Err(reason) = nghttpx::have() {
                    left_out = Some(format!("{reason:#}; no WebSocket went through a proxy"));
                    continue;
                }
            }
            failed.extend(proof.run_role(name, peer, role).with_context(|| format!("{name} as {role}"))?);
        }
    }
    if ran == 0 {
        bail!("no peer has this role");
    }
    if !failed.is_empty() {
        bail!("{} cases failed; to repeat them one by one:\n\n{}", failed.len(), failed.join("\n"));
    }
    Ok(left_out.map_or(Outcome::Passed, Outcome::LeftOut))
}

struct Proof<'p> {
    folder: PathBuf,
    binaries: PathBuf,
    cases: Cases,
    plan: &'p Plan,
}

/// How many cases ended in which way.
#[derive(Default)]
struct Count {
    passed: usize,
    left_out: usize,
    /// How each failed case is repeated.
    failed: Vec<String>,
}

impl Proof<'_> {
    /// One peer in one role, in all modes: how the cases that failed are repeated.
    fn run_role(&self, name: &str, peer: &Peer, role: &str) -> Result<Vec<String>> {
        let start = Instant::now();
        let mut count = Count::default();
        // Modes that can share a server are run together.
        let mut groups: Vec<(Service, Vec<&str>)> = Vec::new();
        for (mode_name, mode) in self.cases.modes.iter().filter(|(_, mode)| peer.http.contains(&mode.http)) {
            let service = Service { tls: mode.tls, deflate: mode.deflate || !peer.always_offers_deflate };
            match groups.iter_mut().find(|(known, _)| *known == service) {
                Some((_, modes)) => modes.push(mode_name),
                None => groups.push((service, vec![mode_name])),
            }
        }
        for (service, modes) in &groups {
            let our_client = |port: &str| {
                self.binary("peer-client").args(["--peer", name, "--role", role, "--url", &service.url(port)])
            };
            let (_running, client) = if let Some(http_behind) = role.strip_prefix(PROXY) {
                let server = self.start(&self.server(Service { tls: false, ..*service }))?;
                let (cert, key) = self.certificate();
                let tls = service.tls.then_some((&*cert, &*key));
                let proxy = nghttpx::start(&server.1, http_behind == "2", tls, LIMIT)?;
                (vec![proxy.0, server.0], our_client(&proxy.1))
            } else if role == "server" {
                let server = self.start(&self.peers_server(name, peer, *service))?;
                (vec![server.0], our_client(&server.1))
            } else {
                let (echo, server) = (self.start(&self.echo(*service))?, self.start(&self.server(*service))?);
                let (url, echo_url) = (service.url(&server.1), service.url(&echo.1));
                let client = self.script(name, peer, "client").args(["--url", &url, "--echo", &echo_url]);
                (vec![server.0, echo.0], client)
            };
            self.run_client(client, *service, modes, &format!("--only {name} --role {role}"), &mut count)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let (passed, left_out, failed) = (count.passed, count.left_out, count.failed.len());
        println!("   {name} as {role}: {passed} passed, {failed} failed, {left_out} left out ({seconds:.1} s)");
        self.check_complete(&count, groups.iter().map(|(_, modes)| modes.len()).sum())?;
        Ok(count.failed)
    }

    /// Runs a client to its end, and counts.
    fn run_client(
        &self,
        mut client: CommandLine,
        service: Service,
        modes: &[&str],
        repeat: &str,
        count: &mut Count,
    ) -> Result<()> {
        client = modes.iter().fold(client, |client, mode| client.args(["--mode", mode]));
        if let Some(case) = &self.plan.case {
            client = client.args(["--case", case]);
        }
        if service.tls {
            client = client.arg("--ca").path(&self.folder.join("ca.pem"));
        }
        let before = count.failed.len();
        let program = Program::start(&client, LIMIT)?;
        while let Some(line) = program.line()? {
            if let Some(failure) = line.strip_prefix("FAILED ") {
                let case = failure.split(':').next().unwrap_or_default();
                let repeat = format!("    cargo xtask peers {repeat} --case {case}");
                println!("   {line}\n   {}", repeat.trim());
                count.failed.push(repeat);
                continue;
            }
            match line.split(' ').next() {
                Some("ok") => count.passed += 1,
                Some("left") => count.left_out += 1,
                _ => {}
            }
            if self.plan.verbose {
                println!("   {line}");
            }
        }
        let status = program.wait()?;
        if !status.success() && count.failed.len() == before {
            bail!("`{client}` ended with {status}");
        }
        Ok(())
    }

    /// A client that tries nothing has not passed.
    fn check_complete(&self, count: &Count, modes: usize) -> Result<()> {
        let told = count.passed + count.left_out + count.failed.len();
        let expected = modes * self.cases.cases.len();
        match &self.plan.case {
            None if told != expected => bail!("{told} cases were run instead of {expected}"),
            Some(case) if told == 0 => bail!("there is no case {case:?}"),
            _ => Ok(()),
        }
    }

    /// Starts a server, and reads the port that its first line ends with.
    fn start(&self, command: &CommandLine) -> Result<(Program, String)> {
        let program = Program::start(command, LIMIT)?;
        let line = program.line()?.with_context(|| format!("`{command}` ended without a word"))?;
        let digits = line.trim_end_matches('/').rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if digits.is_empty() {
            bail!("`{command}` told no port, but {line:?}");
        }
        if self.plan.verbose {
            println!("   $ {command}");
        }
        Ok((program, digits.to_owned()))
    }

    fn binary(&self, name: &str) -> CommandLine {
        CommandLine::new("").path(&self.binaries.join(name))
    }

    fn script(&self, name: &str, peer: &Peer, role: &str) -> CommandLine {
        if peer.language.as_deref() == Some("python") {
            let python = CommandLine::new("").path(&self.folder.join("venv/bin/python"));
            return python.arg("-B").arg(format!("{FOLDER}/python/{name}_{role}.py"));
        }
        let packages = self.folder.join("node");
        let node = CommandLine::new("node").variable("PEERS_NODE", packages.to_string_lossy());
        node.arg(format!("{FOLDER}/node/{name}_{role}.mjs"))
    }

    fn peers_server(&self, name: &str, peer: &Peer, service: Service) -> CommandLine {
        self.with_certificate(self.script(name, peer, "server"), service, "--cert", "--key")
    }

    /// The server of the command, for all cases that only need an echo.
    fn echo(&self, service: Service) -> CommandLine {
        let serve = self.binary("wsproto").args(["serve", "--listen", "127.0.0.1:0", "--subprotocol", "chat"]);
        let serve = serve.args(["--max-message-size", MAX_MESSAGE_SIZE]);
        self.with_certificate(service.declining(serve), service, "--tls-cert", "--tls-key")
    }

    /// The server for all the other cases.
    fn server(&self, service: Service) -> CommandLine {
        self.with_certificate(service.declining(self.binary("peer-server")), service, "--cert", "--key")
    }

    fn with_certificate(&self, command: CommandLine, service: Service, cert: &str, key: &str) -> CommandLine {
        if !service.tls {
            return command;
        }
        let (cert_file, key_file) = self.certificate();
        command.arg(cert).path(&cert_file).arg(key).path(&key_file)
    }

    /// The files of a certificate, and of its key.
    fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("cert.pem"), self.folder.join("key.pem"))
    }
}

/// How a server is started.
#[derive(Clone, Copy, PartialEq)]
struct Service {
    tls: bool,
    /// Compresses where the client offers it.
    deflate: bool,
}

impl Service {
    fn url(self, port: &str) -> String {
        if self.tls { format!("wss://localhost:{port}") } else { format!("ws://127.0.0.1:{port}") }
    }

    /// One of our servers, which compresses unless it is told not to.
    fn declining(self, command: CommandLine) -> CommandLine {
        if self.deflate { command } else { command.arg("--no-deflate") }
    }
}
