//! A program that runs beside this one, whose lines are read with a deadline, and which does not outlive us.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::CommandLine;

/// A running program. Dropped, it is killed.
pub(crate) struct Program {
    command: String,
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

impl Program {
    /// Starts it; what it prints to standard output is for [`Self::line`]. Its standard input ends when we end.
    pub(crate) fn start(command: &CommandLine, limit: Duration) -> Result<Self> {
        let mut child = command
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{command}`"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { command: command.to_string(), child, lines, deadline: Instant::now() + limit })
    }

    /// The next line that it prints; `None` after the last.
    pub(crate) fn line(&self) -> Result<Option<String>> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("`{}` took too long", self.command),
        }
    }

    /// Waits for its end, after its last line.
    pub(crate) fn wait(mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > self.deadline {
                bail!("`{}` does not end", self.command);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_order_and_then_the_end() {
        let shell = CommandLine::new("sh -c").arg("echo one; echo two; exit 3");
        let program = Program::start(&shell, Duration::from_secs(20)).unwrap();
        assert_eq!(program.line().unwrap().as_deref(), Some("one"));
        assert_eq!(program.line().unwrap().as_deref(), Some("two"));
        assert_eq!(program.line().unwrap(), None);
        assert_eq!(program.wait().unwrap().code(), Some(3));
    }

    #[test]
    fn a_program_that_says_nothing_is_not_waited_for() {
        let program = Program::start(&CommandLine::new("sleep 60"), Duration::from_millis(20)).unwrap();
        assert!(program.line().unwrap_err().to_string().contains("took too long"));
        assert!(program.wait().unwrap_err().to_string().contains("does not end"));
    }

    #[test]
    fn standard_input_stays_open_and_a_dropped_program_is_killed() {
        let program = Program::start(&CommandLine::new("sh -c").arg("echo $$; cat"), Duration::from_secs(20)).unwrap();
        let id = program.line().unwrap().unwrap();
        let alive = || std::process::Command::new("kill").args(["-0", &id]).stderr(Stdio::null()).status();
        assert!(alive().unwrap().success());
        drop(program);
        assert!(!alive().unwrap().success());
    }
}
