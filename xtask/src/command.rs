//! A command line that can be shown, run, and repeated by hand.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A program, its arguments and the variables set for it.
pub(crate) struct CommandLine {
    variables: Vec<(String, String)>,
    words: Vec<String>,
}

impl CommandLine {
    /// Takes the words of `line` as they are separated by spaces; words with spaces are for [`Self::arg`].
    pub(crate) fn new(line: &str) -> Self {
        Self { variables: Vec::new(), words: line.split_whitespace().map(str::to_owned).collect() }
    }

    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn args(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn path(self, path: &Path) -> Self {
        self.arg(path.to_string_lossy())
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Shows the command and runs it; its output is seen as it comes.
    pub(crate) fn run(&self) -> Result<()> {
        println!("   $ {self}");
        let status = self.command().status().with_context(|| format!("cannot start `{self}`"))?;
        self.judge(status)
    }

    /// As [`Self::run`], with an end.
    pub(crate) fn run_within(&self, limit: Duration) -> Result<()> {
        println!("   $ {self}");
        let mut command = self.command();
        // In a group of its own, so that those whom it starts end with it; but not where a Ctrl-C of the terminal's is to
        // reach them.
        #[cfg(unix)]
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start `{self}`"))?;
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return self.judge(status);
            }
            if start.elapsed() > limit {
                kill_group(&mut child);
                child.wait()?;
                bail!("`{self}` took longer than {} s", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the command; the caller waits for it.
    pub(crate) fn spawn(&self) -> Result<Child> {
        self.command().spawn().with_context(|| format!("cannot start `{self}`"))
    }

    /// What the command prints to standard output.
    pub(crate) fn output(&self) -> Result<String> {
        let output =
            self.command().stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{self}`"))?;
        self.judge(output.status)?;
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed something else than UTF-8"))
    }

    fn judge(&self, status: std::process::ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("`{self}` ended with {status}");
        }
        Ok(())
    }

    /// As the standard library has it.
    pub(crate) fn command(&self) -> Command {
        let program = match self.words[0].as_str() {
            "cargo" => std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()),
            program => program.into(),
        };
        let mut command = Command::new(program);
        command.args(&self.words[1..]).envs(self.variables.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        command
    }
}

/// Kills a child, and the group that it leads, where it leads one. (The standard library kills one process only.)
fn kill_group(child: &mut Child) {
    #[cfg(unix)]
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
    let _ = child.kill();
}

/// As one types it into a shell.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(value))?;
        }
        let words: Vec<_> = self.words.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Where a program is, among the folders of `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_shown_as_a_shell_takes_it() {
        let line =
            CommandLine::new("cargo doc --no-deps").variable("RUSTDOCFLAGS", "-D warnings").arg("9.*").arg("it's");
        assert_eq!(line.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps '9.*' 'it'\''s'");
    }

    #[test]
    fn a_command_that_fails_or_takes_too_long_is_an_error() {
        assert!(CommandLine::new("true").run().is_ok());
        let failed = CommandLine::new("false").run().unwrap_err();
        assert!(failed.to_string().starts_with("`false` ended with"), "{failed}");
        let slow = CommandLine::new("sleep 60").run_within(Duration::from_millis(10)).unwrap_err();
        assert!(slow.to_string().contains("took longer"), "{slow}");
        // Nor do those whom it started go on.
        let file = std::env::temp_dir().join(format!("xtask-{}-child", std::process::id()));
        let shell = format!("sleep 60 & echo $! > {}; wait", file.display());
        assert!(CommandLine::new("sh -c").arg(shell).run_within(Duration::from_secs(1)).is_err());
        let id = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        // (A dead one may stay in the table of processes until somebody asks for it.)
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        let begun = Instant::now();
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", state());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(CommandLine::new("sleep 0").run_within(Duration::from_secs(10)).is_ok());
    }
}
