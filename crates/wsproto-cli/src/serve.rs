//! `wsproto serve`: echoes every message on every path.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wsproto_io::blocking::{AcceptOptions, WebSocket};
use wsproto_io::wsproto::handshake::OriginPolicy;
use wsproto_io::wsproto::{CloseCode, Event, Limits};
use wsproto_io::{self as ws, Timeout};

/// Runs an echo server: every message comes back, on every path.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Longest message that is accepted, in bytes, after inflation
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message_size: u64,
    /// Do not compress (permessage-deflate)
    #[arg(long)]
    no_deflate: bool,
    /// A subprotocol that is spoken; may be given several times
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// An origin whose pages are let in, or `any`; may be given several times [default: the same host]
    #[arg(long, value_name = "ORIGIN|any")]
    origin: Vec<String>,
    /// Log connections to standard error
    #[arg(short, long)]
    verbose: bool,
}

/// What all connections share.
struct Server {
    options: AcceptOptions,
    verbose: bool,
    stopping: AtomicBool,
    connections: AtomicUsize,
}

/// Most connections at a time; those beyond wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;

/// A thread for each connection needs little: its deepest call is the handshake, whose buffers are on the heap, and the
/// codecs of permessage-deflate are, too. (Threads get 2 MiB of address space by default.)
const STACK: usize = 256 * 1024;

/// How often a connection that waits looks whether the server stops.
const LOOK: Duration = Duration::from_millis(500);

/// How long the server waits for its connections when it stops.
const STOP: Duration = Duration::from_secs(3);

/// The answer to a plain GET.
const PAGE: &str = "This is a WebSocket echo server (wsproto serve).\n\
                    Connect with a WebSocket client: every message comes back.\n";

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let server = Arc::new(Server {
        options: options(arguments)?,
        verbose: arguments.verbose,
        stopping: AtomicBool::new(false),
        connections: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind(arguments.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;

    let acceptor = Arc::clone(&server);
    thread::Builder::new().spawn(move || accept(&acceptor, &listener))?;

    // Without a reader of standard output the server still serves.
    let _ = writeln!(io::stdout(), "listening on ws://{address}/");
    let _ = io::stdout().flush();

    signals.forever().next();
    server.stopping.store(true, Ordering::Release);
    let deadline = Instant::now() + STOP;
    while server.connections.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn options(arguments: &Arguments) -> Result<AcceptOptions, Box<dyn Error>> {
    let origins = match arguments.origin.as_slice() {
        [] => OriginPolicy::SameHost,
        list if list.iter().any(|origin| origin == "any") => OriginPolicy::Any,
        list => OriginPolicy::list(list).map_err(|error| format!("--origin: {error}"))?,
    };
    let mut options = AcceptOptions::new()
        .limits(Limits::default().message(arguments.max_message_size))
        .close_timeout(Duration::from_secs(2))
        .origins(origins)
        .pages(|_| Some(ws::Page::text(PAGE)));
    if arguments.no_deflate {
        options = options.compression(None);
    }
    for name in &arguments.subprotocol {
        options = options.subprotocol(name);
    }
    Ok(options)
}

/// Accepts connections, each on a thread of its own.
fn accept(server: &Arc<Server>, listener: &TcpListener) {
    let (mut refused, mut starved) = (Burst::default(), Burst::default());
    while !server.stopping.load(Ordering::Acquire) {
        // More than this wait in the listener's queue, and then at the client.
        if server.connections.load(Ordering::Acquire) >= MAX_CONNECTIONS {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => {
                refused.end();
                accepted
            }
            Err(error) => {
                // Out of descriptors, or a connection that is gone already: neither spin nor die.
                if refused.begins() {
                    log(&format!("wsproto: cannot accept a connection: {error}"));
                }
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        server.connections.fetch_add(1, Ordering::AcqRel);
        let guard = Guard(Arc::clone(server));
        let connection = thread::Builder::new().stack_size(STACK).spawn(move || guard.0.serve(stream, peer));
        match connection {
            Ok(_) => starved.end(),
            Err(error) if starved.begins() => log(&format!("wsproto: no thread for {peer}, nor for others: {error}")),
            Err(_) => {}
        }
    }
}

/// Failures in a row, of which only the first is logged.
#[derive(Default)]
struct Burst {
    failing: bool,
}

impl Burst {
    /// Notes a failure. Whether it is the first.
    fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    /// Notes a success.
    fn end(&mut self) {
        self.failing = false;
    }
}

/// Counts a connection down when it ends, also where its thread could not begin.
struct Guard(Arc<Server>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Server {
    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        match self.echo(stream, peer) {
            Ok(end) => self.log(peer, &end),
            Err(error) => self.log(peer, &error.to_string()),
        }
    }

    fn echo(&self, stream: TcpStream, peer: SocketAddr) -> Result<String, ws::Error> {
        stream.set_nodelay(true)?;
        let mut path = String::new();
        let mut socket = self.options.accept_with(stream, |request| {
            request.target().clone_into(&mut path);
            ws::Decision::accept()
        })?;
        let subprotocol = socket.subprotocol().map(|name| format!(", subprotocol {name}")).unwrap_or_default();
        self.log(peer, &format!("connected to {path}{subprotocol}"));
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        while !self.stopping.load(Ordering::Acquire) {
            match self.echo_batch(&mut socket) {
                Ok(true) | Err(ws::Error::Timeout(Timeout::Receive | Timeout::Send { .. })) => {}
                Ok(false) => break,
                Err(error) => return Err(error),
            }
        }
        socket.close(CloseCode::GOING_AWAY, "the server stops")?;
        Ok(socket.closed().map(ToString::to_string).unwrap_or_default())
    }

    /// Echoes what one read brought: one write for all its messages, pieces as they come, so that no message is held
    /// whole.
    fn echo_batch(&self, socket: &mut WebSocket<TcpStream>) -> Result<bool, ws::Error> {
        let Some(mut batch) = socket.read()? else { return Ok(false) };
        while let Some(event) = batch.next()? {
            let Event::Message(piece) = event else { continue };
            while let Err(error) = batch.feed(&piece) {
                // The client does not read. Neither do we, until it does.
                let again = matches!(error, ws::Error::Timeout(Timeout::Send { queued: false }));
                if !again || self.stopping.load(Ordering::Acquire) {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn log(&self, peer: SocketAddr, what: &str) {
        if self.verbose {
            log(&format!("{peer}: {what}"));
        }
    }
}

/// Writes a line to standard error; whoever closed it does not want it.
fn log(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_burst_of_failures_one_is_logged() {
        let mut burst = Burst::default();
        assert_eq!([burst.begins(), burst.begins(), burst.begins()], [true, false, false]);
        burst.end();
        assert!(burst.begins());
    }
}
