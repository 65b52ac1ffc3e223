//! `wsproto connect`: lines of standard input are messages, messages are lines of standard output.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsproto_io::blocking::{ConnectOptions, Reader, WebSocket, Writer};
use wsproto_io::wsproto::{CloseCode, Limits};
use wsproto_io::{self as ws, Message, Timeout};

use crate::frames::Tapped;

/// Connects to a WebSocket: each line of standard input is a message, each message a line of standard output.
///
/// In text, line feed, carriage return and backslash are shown as \n, \r and \\; binary messages as `hex:` and
/// lower-case hex. At the end of input the connection is closed with 1000.
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
    /// Time for connecting, and for closing
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than zero, and not too much".to_owned()),
    }
}

/// What ended the input early, if anything did.
type Failure = Arc<Mutex<Option<String>>>;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let socket = open(arguments)?;
    let (mut reader, writer) = socket.split();
    let failure = Failure::default();
    let (binary, input_failure) = (arguments.binary, Arc::clone(&failure));
    thread::Builder::new().spawn(move || {
        if let Err(error) = send_lines(writer, binary, &input_failure) {
            note(&input_failure, error);
        }
    })?;
    let printed = print_messages(&mut reader);
    // What went wrong with the input is the cause; how the connection ended then is not.
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error.into());
    }
    printed?;
    match reader.closed() {
        Some(closed) if !matches!(closed.code, 1000 | 1001) => Err(format!("the connection was {closed}").into()),
        _ => Ok(()),
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
                let _ = write!(text, ": {}", one_line(body.trim()));
            }
            text.into()
        }
        error => format!("cannot connect to {url}: {error}").into(),
    })
}

/// Foreign text on one line: control characters do nothing to the terminal.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

fn note(failure: &Failure, error: String) {
    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
}

/// Sends each line as a message, and closes at the end. Lines that are there together leave together.
fn send_lines(mut writer: Writer<Tapped>, binary: bool, failure: &Failure) -> Result<(), String> {
    let mut input = BufReader::with_capacity(64 * 1024, io::stdin());
    let mut line = Vec::new();
    let mut number: u64 = 0;
    loop {
        line.clear();
        let n = input.read_until(b'\n', &mut line).map_err(|error| format!("cannot read standard input: {error}"));
        let n = n.unwrap_or_else(|error| {
            note(failure, error);
            0
        });
        if n == 0 {
            break;
        }
        number += 1;
        if line.ends_with(b"\n") {
            line.pop();
        }
        let sent = if binary {
            writer.feed(&line)
        } else if let Ok(text) = std::str::from_utf8(&line) {
            writer.feed(text)
        } else {
            note(failure, format!("line {number} of standard input is not UTF-8 (use --binary to send it as it is)"));
            break;
        };
        let more = input.buffer().contains(&b'\n');
        match sent.and_then(|()| if more { Ok(()) } else { writer.flush() }) {
            Ok(()) => {}
            // How the connection ended, the reader tells.
            Err(ws::Error::Closed(_) | ws::Error::Io(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    match writer.close(CloseCode::NORMAL, "") {
        // The reader tells of these, too.
        Ok(()) | Err(ws::Error::Timeout(Timeout::Close) | ws::Error::Closed(_) | ws::Error::Io(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Prints each message as a line, until the connection ends.
fn print_messages(reader: &mut Reader<Tapped>) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let mut line = Vec::new();
    while let Some(message) = reader.recv()? {
        line.clear();
        append_line(&message, &mut line);
        out.write_all(&line).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => "standard output was closed".to_owned(),
            _ => format!("cannot write to standard output: {error}"),
        })?;
    }
    Ok(())
}

/// Appends a message as one line.
fn append_line(message: &Message, line: &mut Vec<u8>) {
    match message {
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
            append_line(&message, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), line);
        }
        assert_eq!(one_line("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
    }
}
