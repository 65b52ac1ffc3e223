//! A person at a terminal: lines are edited, have a history, and stay whole while messages arrive.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, raise};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, ExternalPrinter as _, Helper};

use super::input::Source;
use super::screen::Screen;
use crate::interrupts::INTERRUPTED;

/// How many lines the history has. It is kept in memory, and ends with the program: what is typed here may be secret.
const HISTORY: usize = 1000;

type LineEditor = rustyline::Editor<Prompt, MemHistory>;

/// The thread in which lines are typed.
pub(super) struct Editor {
    thread: JoinHandle<()>,
    over: Arc<AtomicBool>,
}

impl Editor {
    /// Begins, where there is a terminal for it; else the source comes back.
    ///
    /// While it runs SIGINT is its own: whoever handles that, too, does so before this.
    pub(super) fn start(screen: &Screen, source: Source) -> Result<Self, Source> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(source);
        }
        let Ok((editor, mut printer)) = open(screen) else { return Err(source) };
        screen.show_above(move |line| printer.print(line).map_err(|error| io::Error::other(error.to_string())));
        let over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&over);
        let thread = thread::spawn(move || edit(editor, source, &of_thread));
        Ok(Self { thread, over })
    }

    /// Ends it, and leaves the terminal as it was. What was shown before is there.
    pub(super) fn end(self, screen: &Screen) {
        screen.show_plainly();
        if !self.thread.is_finished() {
            self.over.store(true, Ordering::Release);
            // The one way to end a line that is being typed. (Where the thread ends at this moment, the handler of before
            // takes it.)
            let _ = raise(Signal::SIGINT);
        }
        let _ = self.thread.join();
    }
}

fn open(screen: &Screen) -> rustyline::Result<(LineEditor, impl rustyline::ExternalPrinter + Send + use<>)> {
    let config = Config::builder().max_history_size(HISTORY)?.auto_add_history(true).build();
    let history = MemHistory::with_config(&config);
    let mut editor = LineEditor::with_history(config, history)?;
    editor.set_helper(Some(Prompt { painted: screen.prompt() + " " }));
    let printer = editor.create_external_printer()?;
    Ok((editor, printer))
}

/// Takes lines until the connection is over. After the end of the input it goes on showing what arrives; a second Ctrl-C
/// ends all at once.
fn edit(mut editor: LineEditor, source: Source, over: &AtomicBool) {
    let mut source = Some(source);
    let mut again = String::new();
    while !over.load(Ordering::Acquire) {
        let prompt = if source.is_some() { "> " } else { "" };
        let typed = editor.readline_with_initial(prompt, (&again, ""));
        again.clear();
        match (typed, &source) {
            (Ok(line), Some(open)) => {
                if let Err(line) = open.offer(line) {
                    again = line;
                    let _ = writeln!(io::stdout(), "not sent: the server does not take what was sent before");
                }
            }
            (Ok(_), None) => {}
            (Err(ReadlineError::Interrupted), _) if over.load(Ordering::Acquire) => return,
            // "at once" means: not even a farewell.
            (Err(ReadlineError::Interrupted), None) => std::process::exit(INTERRUPTED),
            (Err(ReadlineError::Interrupted | ReadlineError::Eof), _) => source = None,
            (Err(error), _) => {
                if let Some(source) = source {
                    source.fail(format!("cannot read from the terminal: {error}"));
                }
                return;
            }
        }
    }
}

/// What stands in front of the line, in its colour.
struct Prompt {
    painted: String,
}

impl Highlighter for Prompt {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        Cow::Borrowed(if prompt.is_empty() { prompt } else { &self.painted })
    }
}

impl Completer for Prompt {
    type Candidate = String;
}

impl Hinter for Prompt {
    type Hint = String;
}

impl Validator for Prompt {}
impl Helper for Prompt {}
