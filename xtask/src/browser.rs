//! The page of `wsproto serve` in headless Chromium, and WebSockets over HTTP/2; the work is done by `conformance/browser/`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::CommandLine;
use crate::program::Program;
use crate::step::Outcome;
use crate::workspace::Workspace;
use crate::{debian, node};

const SCRIPT: &str = "conformance/browser";

/// What is needed of it.
const FILES: [&str; 7] =
    ["README.md", "browser.mjs", "net-log.mjs", "package.json", "package-lock.json", "page.mjs", "websockets.mjs"];

/// The subprotocol that the server speaks, and that the page must show.
const SUBPROTOCOL: &str = "chat.example";

const MINUTE: Duration = Duration::from_secs(60);

/// Builds the server, uses its page, without TLS and with it, and then WebSockets over HTTP/2 without the page. Screenshots:
/// `target/browser/`.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    if let Some(reason) = node::missing() {
        return Ok(Outcome::LeftOut(format!("{reason}; nothing was tried in a browser")));
    }
    if let Err(reason) = have_chromium() {
        return Ok(Outcome::LeftOut(format!("{reason:#}; nothing was tried in a browser")));
    }
    let folder = workspace.target().join("browser");
    if let Err(reason) = install(&folder) {
        return Ok(Outcome::LeftOut(format!("{reason:#}; nothing was tried in a browser")));
    }
    CommandLine::new("cargo build --release --locked -p wsproto-cli").run()?;
    let wsproto = workspace.target().join("release/wsproto");
    for arguments in [&[][..], &["--tls-self-signed"]] {
        let server = Server::start(&wsproto, arguments)?;
        server.show(&folder)?;
    }
    let script = CommandLine::new("node").path(&folder.join("websockets.mjs")).arg("--wsproto").path(&wsproto);
    script.arg("--out").path(&folder).run_within(2 * MINUTE)?;
    Ok(Outcome::Passed)
}

/// Looks where the script does; installs one where this may be done.
fn have_chromium() -> Result<()> {
    if std::env::var_os("CHROMIUM").is_some() {
        return Ok(());
    }
    debian::have(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"], "chromium")
}

/// Copies the script, and fetches what drives the browser. (It is small, and never written into the sources.)
fn install(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in FILES {
        fs::copy(Path::new(SCRIPT).join(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    CommandLine::new("npm ci --ignore-scripts --no-audit --no-fund --prefix")
        .path(folder)
        .run_within(3 * MINUTE)
        .context("what drives the browser cannot be had")
}

/// A running `wsproto serve`.
struct Server {
    program: Program,
    url: String,
}

impl Server {
    fn start(wsproto: &Path, arguments: &[&str]) -> Result<Self> {
        let command = CommandLine::new("")
            .path(wsproto)
            .args(["serve", "--listen", "127.0.0.1:0", "--subprotocol", SUBPROTOCOL])
            .args(arguments.iter().copied());
        println!("   $ {command}");
        let program = Program::start(&command, MINUTE)?;
        let url = line(&program, "listening on ")?;
        Ok(Self { program, url })
    }

    /// Shows its page to the browser.
    fn show(self, folder: &Path) -> Result<()> {
        let script = CommandLine::new("node").path(&folder.join("page.mjs")).args(["--subprotocol", SUBPROTOCOL]);
        let mut script = script.arg("--out").path(folder).arg("--url");
        if let Some(rest) = self.url.strip_prefix("wss") {
            script = script.arg(format!("https{rest}"));
            line(&self.program, "certificate SHA-256: ")?;
            script = script.arg("--spki").arg(line(&self.program, "public key pin (SPKI SHA-256): ")?);
        } else {
            script = script.arg(self.url.replacen("ws", "http", 1));
        }
        script.run_within(5 * MINUTE)
    }
}

/// The next line of its output, without this start.
fn line(program: &Program, start: &str) -> Result<String> {
    let line = program.line()?.context("the server ended")?;
    let rest = line.trim_end().strip_prefix(start);
    Ok(rest.with_context(|| format!("the server printed {line:?}, not {start:?}"))?.to_owned())
}
