//! What is sent: pieces of the input, read ahead by a thread and sent by a task.

use std::io::{self, BufRead as _, BufReader};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};
use wsproto_io::wsproto::CloseCode;
use wsproto_io::{self as ws, Timeout, Writer};

use super::pings::Pings;

/// What is known of the input.
#[derive(Default)]
pub(super) struct Input {
    /// What ended it early, if anything did.
    failure: Mutex<Option<String>>,
    /// How many pieces of it were read and are not sent.
    unsent: AtomicUsize,
    /// Whether a piece of it is being read.
    begun: AtomicBool,
}

impl Input {
    pub(super) fn fail(&self, error: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_sent(&self) -> bool {
        self.unsent.load(Ordering::Acquire) == 0
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }
}

/// How many pieces of the input are read ahead of what is sent, each of 64 KiB and a line at most.
const AHEAD: usize = 4;

/// Where the pieces of the input go. Dropped, it is the end of the input.
pub(super) struct Source {
    pieces: mpsc::Sender<Vec<u8>>,
    input: Arc<Input>,
    _ended: oneshot::Sender<()>,
}

/// Where they come from.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    input: Arc<Input>,
    _all_sent: oneshot::Sender<()>,
}

/// Both ends, and what is ready when the input has ended and was not sent in this time after that.
pub(super) fn channel(input: &Arc<Input>, time: Duration) -> (Source, Pieces, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (ended, input_ended) = oneshot::channel::<()>();
    let (all_sent, wait_for_all) = oneshot::channel::<()>();
    let source = Source { pieces: sender, input: Arc::clone(input), _ended: ended };
    let pieces = Pieces { pieces: receiver, input: Arc::clone(input), _all_sent: all_sent };
    // As long as there is input a slow server slows it down. Its end is the beginning of the end.
    let overdue = async move {
        let _ = input_ended.await;
        if tokio::time::timeout(time, wait_for_all).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    (source, pieces, overdue)
}

impl Source {
    /// Gives a line that a person typed, unless too many wait already: then it comes back. Nobody takes it after the end.
    #[cfg(unix)]
    pub(super) fn offer(&self, line: String) -> Result<(), String> {
        self.input.unsent.fetch_add(1, Ordering::AcqRel);
        let offered = self.pieces.try_send((line + "\n").into_bytes());
        offered.map_err(|refused| {
            self.input.unsent.fetch_sub(1, Ordering::AcqRel);
            let mut line = String::from_utf8(refused.into_inner()).unwrap_or_default();
            line.pop();
            line
        })
    }

    #[cfg(unix)]
    pub(super) fn fail(&self, error: String) {
        self.input.fail(error);
    }

    /// Reads standard input to its end. Lines that are there together stay together.
    pub(super) fn read_lines(self) {
        let state = &self.input;
        let mut input = BufReader::with_capacity(64 * 1024, io::stdin());
        loop {
            let mut piece = Vec::new();
            // A line without an end is input, too. (The end is asked for once: a terminal has it once for each Ctrl-D.)
            let begun = input.fill_buf().map(|bytes| !bytes.is_empty());
            state.begun.store(matches!(begun, Ok(true)), Ordering::Release);
            if matches!(begun, Ok(false)) {
                return;
            }
            match input.read_until(b'\n', &mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return state.fail(format!("cannot read standard input: {error}")),
            }
            let ended = !piece.ends_with(b"\n");
            if let Some(end) = input.buffer().iter().rposition(|byte| *byte == b'\n') {
                piece.extend_from_slice(&input.buffer()[..=end]);
                input.consume(end + 1);
            }
            state.unsent.fetch_add(1, Ordering::AcqRel);
            // What is left of what was read is the beginning of a line.
            state.begun.store(!input.buffer().is_empty(), Ordering::Release);
            // Behind a line without an end there is nothing: on a terminal, it ended with the same key as the input.
            if self.pieces.blocking_send(piece).is_err() || ended {
                return;
            }
        }
    }
}

impl Pieces {
    /// Sends each line as a message, and closes at the end. Lines that are there together leave together. Pings meanwhile,
    /// where it is to.
    pub(super) async fn send<S>(mut self, mut writer: Writer<S>, binary: bool, pings: Option<Arc<Pings>>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Err(error) = self.send_all(&mut writer, binary, pings.as_ref()).await {
            match error {
                // How the connection ended, the reader tells.
                ws::Error::Closed(_) | ws::Error::Io(_) | ws::Error::Timeout(Timeout::Close) => {}
                // An interrupt came first.
                ws::Error::Closing => {}
                error => self.input.fail(error.to_string()),
            }
            return;
        }
        drop(self);
        writer.send_close(CloseCode::NORMAL, "");
        // It leaves with the reader where it does not leave at once; and the reader tells how it ended.
        let _ = writer.flush().await;
    }

    async fn send_all<S>(
        &mut self,
        writer: &mut Writer<S>,
        binary: bool,
        pings: Option<&Arc<Pings>>,
    ) -> Result<(), ws::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut number: u64 = 0;
        let mut clock = pings.map(|pings| every(pings.interval()));
        loop {
            let piece = tokio::select! {
                piece = self.pieces.recv() => piece,
                () = tick(clock.as_mut()) => {
                    if let Some(pings) = pings {
                        pings.sent(writer.ping().await?);
                    }
                    continue;
                }
            };
            let Some(piece) = piece else { return Ok(()) };
            for line in piece.strip_suffix(b"\n").unwrap_or(&piece).split(|byte| *byte == b'\n') {
                number += 1;
                if binary {
                    writer.feed(line).await?;
                } else if let Ok(text) = std::str::from_utf8(line) {
                    writer.feed(text).await?;
                } else {
                    self.input.fail(format!(
                        "line {number} of standard input is not UTF-8 (use --binary to send it as it is)"
                    ));
                    return Ok(());
                }
            }
            // What leaves behind the peer's Close, the peer does not take.
            writer.ready().await?;
            writer.flush().await?;
            self.input.unsent.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut interval = interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The next tick of the clock, if there is one.
async fn tick(clock: Option<&mut Interval>) {
    match clock {
        Some(clock) => drop(clock.tick().await),
        None => std::future::pending().await,
    }
}
