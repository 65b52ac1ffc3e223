//! `wsproto connect`: lines of standard input are messages, messages are lines of standard output.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::blocking::{ConnectOptions, Reader, WebSocket, Writer};
use wsproto_io::wsproto::{CloseCode, Limits};
use wsproto_io::{self as ws, Message, Timeout};

use crate::frames::Tapped;

/// Connects to a WebSocket: each line of standard input is a message, each message a line of standard output.
///
/// In text, line feed, carriage return and backslash are shown as \n, \r and \\, and on a terminal all other control
/// characters are escaped, too; binary messages are shown as `hex:` and lower-case hex. At the end of input the
/// connection is closed with 1000, at once: what comes before the server's Close is still printed, but a server need not
/// answer any more. Keep the input open to wait for answers. If the server closes it before all input was sent, that is a failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to connect, as `ws://host[:port][/path]`
    url: String,
    /// A header of the request, as 'Name: value'; may be given several times
    #[arg(long, value_name = "K: V")]
    header: Vec<String>,
    /// A subprotocol to offer; may be given several times, in order of preference
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Do not compress (permessage-deflate)
    #[arg(long)]
    no_deflate: bool,
    /// Send the lines as binary messages
    #[arg(long)]
    binary: bool,
    /// Show every frame, both ways, on standard error
    #[arg(long)]
    show_frames: bool,
    /// Longest message that is accepted, in bytes, after inflation
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message_size: u64,
    /// Time for connecting, for sending the rest at the end of input, and for closing, each
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    /// A hundred years.
    const MOST: f64 = 100.0 * 365.0 * 86_400.0;
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(if seconds > MOST { MOST } else { seconds }) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than zero".to_owned()),
    }
}

/// What is known of the input.
#[derive(Default)]
struct Input {
    /// What ended it early, if anything did.
    failure: Mutex<Option<String>>,
    /// How many pieces of it were read and are not sent.
    unsent: AtomicUsize,
    /// Whether a piece of it is being read.
    begun: AtomicBool,
}

impl Input {
    fn fail(&self, error: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_sent(&self) -> bool {
        self.unsent.load(Ordering::Acquire) == 0
    }
}

/// How many pieces of the input are read ahead of what is sent, each of 64 KiB and a line at most.
const AHEAD: usize = 4;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let socket = open(arguments)?;
    let transport = socket.stream().handle()?;
    let (mut reader, writer) = socket.split();
    let input = Arc::new(Input::default());
    let (pieces, received_pieces) = mpsc::sync_channel(AHEAD);
    let (all_sent, wait_for_all) = mpsc::channel::<()>();

    let (binary, of_sender) = (arguments.binary, Arc::clone(&input));
    let sender = thread::Builder::new().spawn(move || {
        let result = send_lines(writer, binary, &received_pieces, &of_sender, all_sent);
        if let Err(error) = result {
            of_sender.fail(error);
        }
    })?;
    let (timeout, of_reader) = (arguments.timeout, Arc::clone(&input));
    thread::Builder::new().spawn(move || {
        read_lines(&of_reader, &pieces);
        drop(pieces);
        // As long as there is input a slow server slows it down. Its end is the beginning of the end.
        if matches!(wait_for_all.recv_timeout(timeout), Err(RecvTimeoutError::Timeout)) {
            of_reader.fail("the server did not take all input in time".to_owned());
            let _ = transport.shutdown(Shutdown::Both);
        }
    })?;

    let printed = print_messages(&mut reader);
    // What went wrong with the input is the cause; how the connection ended then is not.
    if let Some(error) = input.failure() {
        return Err(error.into());
    }
    printed?;
    match reader.closed() {
        Some(closed) if !matches!(closed.code, 1000 | 1001) => {
            return Err(format!("the connection was {closed}").into());
        }
        _ => {}
    }
    // The sender learns of the end, too, if it has something to send.
    while !input.is_sent() && !sender.is_finished() {
        thread::sleep(Duration::from_millis(1));
    }
    match input.failure() {
        Some(error) => Err(error.into()),
        None if !input.is_sent() || input.begun.load(Ordering::Acquire) => {
            Err("the server closed the connection before all input was sent".into())
        }
        None => Ok(()),
    }
}

/// Connects and shakes hands, both together in the time that there is.
fn open(arguments: &Arguments) -> Result<WebSocket<Tapped>, Box<dyn Error>> {
    let begun = Instant::now();
    let mut options = ConnectOptions::new()
        .limits(Limits::default().message(arguments.max_message_size))
        .connect_timeout(arguments.timeout)
        .close_timeout(arguments.timeout);
    if arguments.no_deflate {
        options = options.compression(None);
    }
    for header in &arguments.header {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("--header {header:?}: a header is 'Name: value'"))?;
        if name.eq_ignore_ascii_case("origin") {
            options = options.origin(value.trim());
            continue;
        }
        options = options.header(name, value.trim()).map_err(|error| format!("--header {header:?}: {error}"))?;
    }
    for name in &arguments.subprotocol {
        options = options.subprotocol(name);
    }
    let url = &arguments.url;
    let connected = options.open_tcp(url).and_then(|stream| {
        let options = options.handshake_timeout(arguments.timeout.saturating_sub(begun.elapsed()));
        options.connect_on(url, Tapped::new(stream, arguments.show_frames))
    });
    connected.map_err(|error| match error {
        ws::Error::Rejected(rejected) => {
            let mut text = format!("the server rejected the request with status {}", rejected.status);
            let body = String::from_utf8_lossy(&rejected.body);
            if !body.trim().is_empty() {
                let _ = write!(text, ": {}", ws::Error::printable(body.trim()));
            }
            text.into()
        }
        error => format!("cannot connect to {url}: {error}").into(),
    })
}

/// Reads the input to its end. Lines that are there together stay together.
fn read_lines(state: &Input, pieces: &SyncSender<Vec<u8>>) {
    let mut input = BufReader::with_capacity(64 * 1024, io::stdin());
    loop {
        let mut piece = Vec::new();
        // A line without an end is input, too.
        let begun = input.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        state.begun.store(begun, Ordering::Release);
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
        state.begun.store(false, Ordering::Release);
        // Behind a line without an end there is nothing: on a terminal, it ended with the same key as the input.
        if pieces.send(piece).is_err() || ended {
            return;
        }
    }
}

/// Sends each line as a message, and closes at the end. Lines that are there together leave together.
fn send_lines(
    mut writer: Writer<Tapped>,
    binary: bool,
    pieces: &Receiver<Vec<u8>>,
    state: &Input,
    all_sent: mpsc::Sender<()>,
) -> Result<(), String> {
    let mut number: u64 = 0;
    'input: for piece in pieces {
        for line in piece.strip_suffix(b"\n").unwrap_or(&piece).split(|byte| *byte == b'\n') {
            number += 1;
            let sent = if binary {
                writer.feed(line)
            } else if let Ok(text) = std::str::from_utf8(line) {
                writer.feed(text)
            } else {
                state.fail(format!("line {number} of standard input is not UTF-8 (use --binary to send it as it is)"));
                break 'input;
            };
            if let Err(error) = sent {
                return lost(&error);
            }
        }
        if let Err(error) = writer.flush() {
            return lost(&error);
        }
        state.unsent.fetch_sub(1, Ordering::AcqRel);
    }
    drop(all_sent);
    writer.close(CloseCode::NORMAL, "").map_or_else(|error| lost(&error), Ok)
}

/// How the connection ended, the reader tells.
fn lost(error: &ws::Error) -> Result<(), String> {
    match error {
        ws::Error::Closed(_) | ws::Error::Io(_) | ws::Error::Timeout(Timeout::Close) => Ok(()),
        error => Err(error.to_string()),
    }
}

/// Prints each message as a line, until the connection ends.
fn print_messages(reader: &mut Reader<Tapped>) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let mut line = Vec::new();
    while let Some(message) = reader.recv()? {
        line.clear();
        append_line(&message, terminal, &mut line);
        out.write_all(&line).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => "standard output was closed".to_owned(),
            _ => format!("cannot write to standard output: {error}"),
        })?;
    }
    Ok(())
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
    fn messages_are_lines() {
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
