//! A person at a terminal: lines are edited, have a history, and stay whole while messages arrive.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Helper};

use super::input::Source;
use super::line::Line;
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

/// Whether there is a terminal at which lines can be edited.
pub(super) fn is_possible() -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    let known = !["", "dumb", "cons25", "emacs"].iter().any(|dumb| term == *dumb);
    known && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// The signals that only the thread of the editor may take, since they have to wake it: other threads block them.
pub(super) fn leave_signals_to_editor() {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGWINCH]);
    // It fails for no set that can be made.
    let _ = signals.thread_block();
}

impl Editor {
    /// Begins, where it can; else the source comes back. While it runs SIGINT is its own: whoever handles that, too, does so
    /// before this.
    pub(super) fn start(screen: &Screen, source: Source) -> Result<Self, Source> {
        let line = Arc::new(Mutex::new(Line::default()));
        if !is_possible() {
            return Err(source);
        }
        let Ok(editor) = open(screen, &line) else { return Err(source) };
        leave_signals_to_editor();
        let above = Arc::clone(&line);
        screen.show_above(move |text| {
            // The lock is held while it is written: no other line comes in between.
            let line = lock(&above);
            let columns = terminal_size::terminal_size().map_or(80, |(columns, _)| usize::from(columns.0));
            let mut out = io::stdout().lock();
            out.write_all(line.with_above(&text, columns).as_bytes()).and_then(|()| out.flush())
        });
        let over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let _ = SigSet::from_iter([Signal::SIGINT, Signal::SIGWINCH]).thread_unblock();
            edit(editor, source, &line, &of_thread);
        });
        Ok(Self { thread, over })
    }

    /// Ends it, and leaves the terminal as it was.
    pub(super) fn end(self, screen: &Screen) {
        self.over.store(true, Ordering::Release);
        while !self.thread.is_finished() {
            // The one way to end a line that is being typed. It may come when none is waited for.
            let _ = kill(getpid(), Signal::SIGINT);
            thread::sleep(Duration::from_millis(2));
        }
        screen.show_plainly();
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(screen: &Screen, line: &Arc<Mutex<Line>>) -> rustyline::Result<LineEditor> {
    let config = Config::builder().max_history_size(HISTORY)?.auto_add_history(true).build();
    let history = MemHistory::with_config(&config);
    let mut editor = LineEditor::with_history(config, history)?;
    editor.set_helper(Some(Prompt { painted: screen.prompt() + " ", line: Arc::clone(line) }));
    Ok(editor)
}

/// Takes lines until the connection is over. After the end of the input a second Ctrl-C ends all at once.
fn edit(mut editor: LineEditor, source: Source, line: &Mutex<Line>, over: &AtomicBool) {
    let mut source = Some(source);
    let mut again = String::new();
    while !over.load(Ordering::Acquire) {
        let prompt = if source.is_some() { "> " } else { "" };
        let typed = editor.readline_with_initial(prompt, (&again, ""));
        lock(line).leave();
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

/// What stands in front of the line, in its colour; and the eye on what is drawn. (The library's own way of printing above
/// the line forgets to look at keys that it has read already: of several that come at once it takes one.)
struct Prompt {
    painted: String,
    line: Arc<Mutex<Line>>,
}

impl Highlighter for Prompt {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        let painted = if default && !prompt.is_empty() { &self.painted } else { prompt };
        lock(&self.line).draw_prompt(prompt, painted);
        Cow::Borrowed(painted)
    }

    fn highlight<'l>(&self, line: &'l str, position: usize) -> Cow<'l, str> {
        lock(&self.line).draw(line, position);
        Cow::Borrowed(line)
    }

    /// Each change draws all, so that nothing is drawn that is not seen here.
    fn highlight_char(&self, _line: &str, _position: usize, _kind: CmdKind) -> bool {
        true
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
