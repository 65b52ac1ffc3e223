//! What is shown: messages on standard output, notes on standard error, and both above the line that is being typed.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use wsproto_io::{self as ws, Message};

/// Colours that can be read on a light ground and on a dark one.
const RECEIVED: Style = AnsiColor::Green.on_default().bold();
#[cfg(unix)]
const SENT: Style = AnsiColor::Magenta.on_default().bold();
const NOTE: Style = Style::new().dimmed();

/// Where lines are shown. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Inner>);

struct Inner {
    /// What shows a line above the one that is being typed, while somebody types.
    above: Mutex<Option<Show>>,
    /// Whether standard output is a terminal, and standard error.
    terminals: (bool, bool),
    coloured: bool,
}

/// Shows lines.
type Show = Box<dyn FnMut(String) -> io::Result<()> + Send>;

impl Screen {
    pub(crate) fn new() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let coloured = !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let terminals = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self(Arc::new(Inner { above: Mutex::default(), terminals, coloured }))
    }

    /// From here on all lines are shown by this.
    #[cfg(unix)]
    pub(super) fn show_above(&self, show: impl FnMut(String) -> io::Result<()> + Send + 'static) {
        *self.above() = Some(Box::new(show));
    }

    /// From here on each line goes where it goes without a line that is being typed.
    #[cfg(unix)]
    pub(super) fn show_plainly(&self) {
        *self.above() = None;
    }

    /// Whether somebody types at it.
    pub(super) fn is_interactive(&self) -> bool {
        self.above().is_some()
    }

    /// What stands in front of the line that is being typed.
    #[cfg(unix)]
    pub(super) fn prompt(&self) -> String {
        self.painted(SENT, ">")
    }

    /// Shows a message that was received. `line` is used for it.
    pub(super) fn message(&self, message: &Message, line: &mut Vec<u8>) -> Result<(), String> {
        line.clear();
        append_line(message, self.0.terminals.0, line);
        let shown = match &mut *self.above() {
            Some(show) => show(format!("{} {}", self.painted(RECEIVED, "<"), String::from_utf8_lossy(line))),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(line).and_then(|()| out.flush())
            }
        };
        shown.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => "standard output was closed".to_owned(),
            _ => format!("cannot write to standard output: {error}"),
        })
    }

    /// Shows something that is not a message: one line, or some.
    pub(crate) fn note(&self, text: &str) {
        // Whoever closed standard error does not want to see it.
        let _ = match &mut *self.above() {
            Some(show) if self.0.terminals.1 => {
                let mut painted = String::new();
                text.lines().for_each(|line| {
                    let _ = writeln!(painted, "{}", self.painted(NOTE, line));
                });
                show(painted)
            }
            _ => io::stderr().write_all(format!("{}\n", text.trim_end_matches('\n')).as_bytes()),
        };
    }

    fn painted(&self, style: Style, text: &str) -> String {
        if self.0.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn above(&self) -> MutexGuard<'_, Option<Show>> {
        self.0.above.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends a message as one line; for a terminal, one that does nothing to it.
fn append_line(message: &Message, terminal: bool, line: &mut Vec<u8>) {
    match message {
        Message::Text(text) if terminal => {
            let text = text.replace('\\', "\\\\");
            line.extend_from_slice(ws::Error::printable(&text).to_string().as_bytes());
        }
        Message::Text(text) => {
            for byte in text.bytes() {
                match byte {
                    b'\n' => line.extend_from_slice(b"\\n"),
                    b'\r' => line.extend_from_slice(b"\\r"),
                    b'\\' => line.extend_from_slice(b"\\\\"),
                    byte => line.push(byte),
                }
            }
        }
        Message::Binary(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            line.extend_from_slice(b"hex:");
            for byte in bytes {
                line.push(DIGITS[usize::from(byte >> 4)]);
                line.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t13_messages_are_lines() {
        for (message, line) in [
            (Message::Text("a\nb\r\\c é\t".into()), "a\\nb\\r\\\\c é\t\n"),
            (Message::Text(String::new()), "\n"),
            (Message::Binary(vec![0, 0xAB, 0xff]), "hex:00abff\n"),
            (Message::Binary(vec![]), "hex:\n"),
        ] {
            let mut out = Vec::new();
            append_line(&message, false, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), line);
        }
        for (message, line) in [
            (
                Message::Text("a\nb\r\\n é\t\x1b[2J\u{9b}\u{202e}".into()),
                "a\\nb\\r\\\\n é\\t\\u{1b}[2J\\u{9b}\\u{202e}\n",
            ),
            (Message::Binary(vec![0x1b]), "hex:1b\n"),
        ] {
            let mut out = Vec::new();
            append_line(&message, true, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), line);
        }
    }
}
