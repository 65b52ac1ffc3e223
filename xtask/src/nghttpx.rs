//! nghttpx, a proxy that speaks HTTP/1.1 and HTTP/2 to clients, and one of them to the server behind it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::CommandLine;
use crate::debian;
use crate::program::Program;

/// Finds or installs it.
pub(crate) fn have() -> Result<()> {
    debian::have(&["nghttpx"], "nghttp2-proxy")
}

/// Between two ports of this machine. With a certificate and its key it speaks TLS to clients, which choose the version by
/// ALPN; without, they begin with the version that they want.
pub(crate) fn command(front: &str, behind: &str, http2_behind: bool, tls: Option<(&Path, &Path)>) -> CommandLine {
    let protocol = if http2_behind { "h2" } else { "http/1.1" };
    // In one process, so that who ends it ends all of it; and not as the system's own is configured.
    let command = CommandLine::new("nghttpx --single-process --conf=/dev/null --workers=1 --no-ocsp --log-level=ERROR")
        // The suite's server looks whether it is meant.
        .arg("--host-rewrite")
        .arg(format!("--backend=127.0.0.1,{behind};;proto={protocol}"));
    match tls {
        Some((cert, key)) => command.arg(format!("--frontend=127.0.0.1,{front}")).path(key).path(cert),
        None => command.arg(format!("--frontend=127.0.0.1,{front};no-tls")),
    }
}

/// Starts it in front of a port, and waits until it listens: gives its own port.
pub(crate) fn start(
    behind: &str,
    http2_behind: bool,
    tls: Option<(&Path, &Path)>,
    limit: Duration,
) -> Result<(Program, String)> {
    /// It takes milliseconds.
    const PATIENCE: Duration = Duration::from_secs(10);
    // It does not tell which port it was given: so one that was free just now.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let command = command(&port.to_string(), behind, http2_behind, tls);
    let program = Program::start(&command, limit).context("the proxy")?;
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > PATIENCE {
            bail!("`{command}` does not listen");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok((program, port.to_string()))
}
