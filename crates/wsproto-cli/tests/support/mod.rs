//! The command as a process: what the tests share.

// Each test binary uses a part of it.
#![allow(dead_code, clippy::panic)]

pub(crate) mod client;
#[cfg(target_os = "linux")]
pub(crate) mod process;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::blocking::{ConnectOptions, WebSocket};
use wsproto_io::wsproto::Limits;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_wsproto");

/// Runs `wsproto` with this input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = thread::spawn(move || {
        // Who fails early does not read it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 1, nothing on standard output, one line on standard error that ends with this.
pub(crate) fn assert_fails(output: &Output, end: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("wsproto: ") && error.lines().count() == 1, "{error}");
    assert!(error.trim_end().ends_with(end), "{error}");
}

/// A running `wsproto serve`. It is ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_as(Command::new(BINARY), arguments)
    }

    /// Starts it by another command, to which the arguments are passed on.
    pub(crate) fn start_as(mut command: Command, arguments: &[&str]) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").unwrap().strip_suffix('\n').unwrap().to_owned();
        let address = url.trim_start_matches("wss://").trim_start_matches("ws://");
        assert!(address.starts_with("127.0.0.1:") && url.ends_with('/') && !url.contains(":0/"), "{url}");
        Self { child, stdout, url }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.rsplit('/').nth(1).unwrap()
    }

    /// The next line of its standard output, which begins with this: the rest of it.
    pub(crate) fn line(&mut self, start: &str) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.strip_prefix(start).unwrap().trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self, longest: Duration) -> ExitStatus {
        let deadline = Instant::now() + longest;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {longest:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn connect(&self) -> WebSocket<TcpStream> {
        ConnectOptions::new().limits(Limits::none()).connect(&self.url).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
