//! `wsproto connect`: lines of standard input are messages, messages are lines of standard output.

#[cfg(unix)]
mod editor;
mod input;
#[cfg(unix)]
mod line;
pub(crate) mod opening;
mod pings;
pub(crate) mod screen;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::time::{sleep, timeout};
use wsproto_io::wsproto::{CloseCode, Limits};
use wsproto_io::{self as ws, ConnectOptions, Handle, Reader, Timeout, Transport, WebSocket};

use crate::frames::Tapped;
use crate::interrupts::Interrupts;
use input::{Input, Source};
use opening::{Opening, seconds};
use pings::Pings;
use screen::Screen;

/// Connects to a WebSocket: each line of standard input is a message, each message a line of standard output.
///
/// In text, line feed, carriage return and backslash are shown as \n, \r and \\, and on a terminal all other control
/// characters are escaped, too; binary messages are shown as `hex:` and lower-case hex. At the end of input the
/// connection is closed with 1000, at once: what comes before the server's Close is still printed, but a server need not
/// answer any more. Keep the input open to wait for answers. If the server closes it before all input was sent, that is a failure.
///
/// On a terminal lines can be edited and have a history, which is kept nowhere. Ctrl-D and Ctrl-C close the connection with
/// 1000; a second Ctrl-C ends at once. Colours are left out where `NO_COLOR` is set.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    opening: Opening,
    /// Time for connecting, for sending the rest at the end of input, and for closing, each
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// Do not compress (permessage-deflate)
    #[arg(long)]
    no_deflate: bool,
    /// Send the lines as binary messages
    #[arg(long)]
    binary: bool,
    /// Send a Ping every so often, and tell on standard error how long each Pong took
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ping: Option<Duration>,
    /// Use HTTP/2 (RFC 8441); the server of a ws:// URL has to know
    #[arg(long)]
    http2: bool,
    /// Show every frame, both ways, on standard error
    #[arg(long)]
    show_frames: bool,
    /// Longest message that is accepted, in bytes, after inflation
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message_size: u64,
    /// Tell on standard error what was connected to, what was agreed on, and how it ended
    #[arg(short, long)]
    verbose: bool,
}

impl Arguments {
    /// Where the frames are shown, if they are to be.
    fn screen_for_frames(&self, screen: &Screen) -> Option<Screen> {
        self.show_frames.then(|| screen.clone())
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // This thread reads from the connection and prints; the other writes, also while nobody takes what is printed.
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    #[cfg(unix)]
    if editor::is_possible() {
        builder.on_thread_start(editor::leave_signals_to_editor);
    }
    let runtime = builder.build()?;
    let result = runtime.block_on(session(arguments));
    runtime.shutdown_background();
    result
}

async fn session(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let screen = Screen::new();
    let mut interrupts = Interrupts::new()?;
    let socket = tokio::select! {
        socket = open(arguments, &screen) => socket?,
        () = interrupts.end_at_next() => return Ok(()),
    };
    let (handle, verbose) = (socket.handle(), arguments.verbose);
    let (mut reader, writer) = socket.split();

    let state = Arc::new(Input::default());
    let (source, pieces, overdue) = input::channel(&state, arguments.timeout);
    let pings = arguments.ping.map(|interval| Arc::new(Pings::new(interval, screen.clone())));
    let typing = Typing::start(&screen, source)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    tokio::spawn(close_at_interrupt(interrupts, handle, Arc::clone(&interrupted)));
    let sender = tokio::spawn(pieces.send(writer, arguments.binary, pings.clone()));

    let printed = tokio::select! {
        printed = print_messages(&mut reader, &screen) => printed,
        () = overdue => Err("the server did not take all input in time".into()),
    };
    let interactive = screen.is_interactive();
    typing.end(&screen);
    if let Some(pings) = pings {
        screen.note(&pings.summary());
    }
    // What went wrong with the input is the cause; how the connection ended then is not.
    if let Some(error) = state.failure() {
        return Err(error.into());
    }
    printed?;
    match reader.closed() {
        Some(closed) if !matches!(closed.code, 1000 | 1001) => {
            return Err(format!("the connection was {closed}").into());
        }
        Some(closed) if verbose || interactive => screen.note(&closed.to_string()),
        _ => {}
    }
    // The sender learns of the end, too, if it has something to send.
    while !state.is_sent() && !sender.is_finished() {
        sleep(Duration::from_millis(1)).await;
    }
    match state.failure() {
        Some(error) => Err(error.into()),
        None if interrupted.load(Ordering::Acquire) => Ok(()),
        None if !state.is_sent() || state.is_begun() => {
            Err("the server closed the connection before all input was sent".into())
        }
        None => Ok(()),
    }
}

/// The thread that reads the input.
enum Typing {
    #[cfg(unix)]
    Editor(editor::Editor),
    /// It ends with the program.
    Lines,
}

impl Typing {
    fn start(screen: &Screen, source: Source) -> std::io::Result<Self> {
        #[cfg(unix)]
        let source = match editor::Editor::start(screen, source) {
            Ok(editor) => return Ok(Self::Editor(editor)),
            Err(source) => source,
        };
        thread::Builder::new().spawn(|| source.read_lines())?;
        Ok(Self::Lines)
    }

    fn end(self, screen: &Screen) {
        match self {
            #[cfg(unix)]
            Self::Editor(editor) => editor.end(screen),
            Self::Lines => {}
        }
    }
}

fn options(arguments: &Arguments, screen: &Screen) -> Result<ConnectOptions, String> {
    let opening = &arguments.opening;
    let mut options = opening.options(arguments.timeout)?.limits(Limits::default().message(arguments.max_message_size));
    if arguments.no_deflate {
        options = options.compression(None);
    }
    if let Some(warning) = opening.warning() {
        screen.note(warning);
    }
    Ok(options)
}

fn explain(opening: &Opening, error: &ws::Error) -> String {
    match error {
        ws::Error::Rejected(_) => opening.explain(error),
        error => format!("cannot connect to {}: {}", opening.shown_url(), opening.explain(error)),
    }
}

/// Connects and shakes hands, both together in the time that there is.
async fn open(arguments: &Arguments, screen: &Screen) -> Result<WebSocket<Tapped<Transport>>, String> {
    let options = options(arguments, screen)?;
    let opened = if arguments.http2 {
        open_http2(arguments, options, screen).await
    } else {
        open_http1(arguments, options, screen).await
    };
    let socket = opened.map_err(|error| explain(&arguments.opening, &error))?;
    if arguments.verbose {
        screen.note(&format!("subprotocol: {}", socket.subprotocol().unwrap_or("none")));
        screen.note(&format!("extensions: {}", socket.extensions().unwrap_or("none")));
    }
    Ok(socket)
}

async fn open_http1(
    arguments: &Arguments,
    options: ConnectOptions,
    screen: &Screen,
) -> Result<WebSocket<Tapped<Transport>>, ws::Error> {
    let begun = Instant::now();
    let url = &arguments.opening.url;
    let late = Err(ws::Error::Timeout(Timeout::Connect));
    let transport = timeout(arguments.timeout, options.open(url)).await.unwrap_or(late)?;
    if arguments.verbose {
        tell_transport(&transport, screen);
    }
    let options = options.handshake_timeout(arguments.timeout.saturating_sub(begun.elapsed()));
    options.connect_on(url, Tapped::with_heads(transport, arguments.screen_for_frames(screen))).await
}

async fn open_http2(
    arguments: &Arguments,
    options: ConnectOptions,
    screen: &Screen,
) -> Result<WebSocket<Tapped<Transport>>, ws::Error> {
    let opened = async {
        let connection = options.http2(&arguments.opening.url).await?;
        let tap = |transport| Tapped::without_heads(transport, arguments.screen_for_frames(screen));
        connection.open_with(&arguments.opening.path(), tap).await
    };
    let late = Err(ws::Error::Timeout(Timeout::Connect));
    let socket = timeout(arguments.timeout, opened).await.unwrap_or(late)?;
    if arguments.verbose {
        screen.note("http: 2");
    }
    Ok(socket)
}

/// What is known before the WebSocket's handshake: where that fails, it is of use.
fn tell_transport(transport: &Transport, screen: &Screen) {
    if let Some(Ok(address)) = transport.tcp().map(tokio::net::TcpStream::peer_addr) {
        screen.note(&format!("address: {address}"));
    }
    if let Some(tls) = transport.tls() {
        let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown");
        let suite = tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
        screen.note(&format!("tls: {}, {suite}", version.replace("TLSv1_", "1.")));
        let alpn = tls.alpn_protocol().map_or("none".into(), String::from_utf8_lossy);
        screen.note(&format!("alpn: {}", ws::Error::printable(&alpn)));
    }
}

/// The first interrupt closes the connection, the second ends all at once.
async fn close_at_interrupt(mut interrupts: Interrupts, handle: Handle, interrupted: Arc<AtomicBool>) {
    interrupts.next().await;
    interrupted.store(true, Ordering::Release);
    handle.close(CloseCode::NORMAL, "");
    interrupts.end_at_next().await;
}

/// Prints each message as a line, until the connection ends.
async fn print_messages(reader: &mut Reader<Tapped<Transport>>, screen: &Screen) -> Result<(), Box<dyn Error>> {
    let mut line = Vec::new();
    while let Some(message) = reader.recv().await? {
        screen.message(&message, &mut line)?;
    }
    Ok(())
}
