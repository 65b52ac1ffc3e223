//! `wsproto bench`: a load generator for echo servers.

mod connection;
mod payload;
mod report;
mod tally;

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use wsproto_io::wsproto::{CloseCode, Limits};
use wsproto_io::{self as ws, ConnectOptions, Http2Connection, Transport, WebSocket};

use crate::connect::opening::{Opening, seconds};
use crate::interrupts::Interrupts;
use connection::Load;
use report::{Report, rate};
use tally::Tallies;

/// Measures an echo server: messages for each second, and how long each takes there and back.
///
/// Each connection keeps as many messages in flight as --depth says: when one comes back, the next is sent. Whether what
/// comes back is what was sent, and in this order, is checked. The time of a message runs from when it is queued here to
/// when it is read here. Frames are not compressed, unless --deflate says so: else it would be compression that is measured,
/// of a text that compresses too well.
///
/// Ctrl-C ends it early, and what was measured is told. The generator needs processors, too: on the server's machine the two
/// share them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    opening: Opening,
    /// Time to open each connection, from its name's addresses to the end of its handshakes; one that takes longer is an error
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// How many connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// How many messages each connection has in flight
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    depth: u32,
    /// Length of a message, in bytes; the first 8 are its number, as far as they go
    #[arg(long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=1 << 30))]
    size: u32,
    /// How long to measure, once all are connected
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Send text messages; binary ones by default
    #[arg(long)]
    text: bool,
    /// Offer compression (permessage-deflate)
    #[arg(long)]
    deflate: bool,
    /// Use HTTP/2 (RFC 8441): a hundred of the connections are streams of one TCP connection, the next hundred of another. The
    /// server of a ws:// URL has to know, and to let in a hundred streams
    #[arg(long)]
    http2: bool,
}

/// How many WebSockets share a connection of HTTP/2: as many as RFC 9113 §6.5.2 recommends to let in.
const STREAMS: u32 = 100;

/// How many connections are opened at a time: not more than a server's queue of new ones usually holds.
const OPENING: usize = 64;

/// How long the connections may take to close at the end; what they do then is measured no more.
const CLOSING: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    crate::descriptors::raise_limit();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(measure(arguments));
    runtime.shutdown_background();
    result
}

async fn measure(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut interrupts = Interrupts::new()?;
    let tallies = Arc::new(Tallies::new(thread::available_parallelism().map_or(1, usize::from) * 4)?);
    let mut opening = JoinSet::new();
    open_all(arguments, &mut opening)?;
    let mut sockets = Vec::new();
    loop {
        tokio::select! {
            opened = opening.join_next() => match opened {
                Some(Ok(Ok(socket))) => sockets.push(socket),
                Some(Ok(Err(error))) => tallies.failed(arguments.opening.explain(&error)),
                Some(Err(error)) => tallies.failed(error.to_string()),
                None => break,
            },
            () = interrupts.next() => return Err("interrupted while connecting: nothing was measured".into()),
        }
    }

    let load = Load {
        depth: arguments.depth as usize,
        size: arguments.size as usize,
        text: arguments.text,
        tallies: Arc::clone(&tallies),
    };
    let connected = sockets.len();
    let handles: Vec<_> = sockets.iter().map(WebSocket::handle).collect();
    let mut connections = JoinSet::new();
    let begun = Instant::now();
    for (index, socket) in sockets.into_iter().enumerate() {
        connections.spawn(load.clone().run(index, socket));
    }
    let end = begun.checked_add(arguments.seconds).unwrap_or(begun + Duration::from_secs(365 * 86_400));
    tokio::select! {
        () = all_ended(&mut connections) => {}
        () = sleep_until(end) => {}
        () = progress(&tallies, begun) => {}
        () = interrupts.next() => {}
    }
    tallies.stop();
    let measured = begun.elapsed();
    let moved = handles
        .iter()
        .map(ws::Handle::counters)
        .fold((0, 0), |(sent, received), counters| (sent + counters.bytes_sent, received + counters.bytes_received));
    let report = Report { arguments, connected, measured, moved, total: tallies.total() };
    clear_progress();
    let printed = write!(io::stdout(), "{report}");

    handles.iter().for_each(|handle| handle.close(CloseCode::NORMAL, ""));
    tokio::select! {
        _ = timeout(CLOSING, all_ended(&mut connections)) => {}
        () = interrupts.next() => {}
    }
    printed.map_err(|error| format!("cannot write to standard output: {error}"))?;
    match (report.total.messages(), report.total.errors.count()) {
        (0, _) => Err("nothing could be measured".into()),
        (_, 0) => Ok(()),
        (_, errors) => Err(format!("{errors} connections did not last").into()),
    }
}

fn open_all(
    arguments: &Arguments,
    opening: &mut JoinSet<Result<WebSocket<Transport>, ws::Error>>,
) -> Result<(), Box<dyn Error>> {
    let options = options(arguments)?;
    if let Some(warning) = arguments.opening.warning() {
        // Whoever closed standard error does not want it.
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let places = Arc::new(Semaphore::new(OPENING));
    let (time, path) = (arguments.timeout, arguments.opening.path());
    let mut shared = Arc::default();
    for number in 0..arguments.connections {
        let (options, places, url) = (options.clone(), Arc::clone(&places), arguments.opening.url.clone());
        if number % STREAMS == 0 {
            shared = Arc::default();
        }
        let shared = arguments.http2.then(|| (Arc::clone(&shared), path.clone()));
        opening.spawn(async move {
            // (It is never closed.)
            let _place = places.acquire().await;
            match shared {
                Some((shared, path)) => open_http2(&options, &url, &path, &shared, time).await,
                None => open(options, &url, time).await,
            }
        });
    }
    Ok(())
}

/// Opens a stream on the connection that it shares; the first of them makes that. All together in this time.
async fn open_http2(
    options: &ConnectOptions,
    url: &str,
    path: &str,
    shared: &OnceCell<Http2Connection>,
    time: Duration,
) -> Result<WebSocket<Transport>, ws::Error> {
    let opening = async { shared.get_or_try_init(|| options.http2(url)).await?.open(path).await };
    timeout(time, opening).await.unwrap_or(Err(ws::Error::Timeout(ws::Timeout::Connect)))
}

/// Connects and shakes hands, both together in this time.
async fn open(options: ConnectOptions, url: &str, time: Duration) -> Result<WebSocket<Transport>, ws::Error> {
    let begun = Instant::now();
    let late = Err(ws::Error::Timeout(ws::Timeout::Connect));
    let transport = timeout(time, options.open(url)).await.unwrap_or(late)?;
    options.handshake_timeout(time.saturating_sub(begun.elapsed())).connect_on(url, transport).await
}

fn options(arguments: &Arguments) -> Result<ConnectOptions, String> {
    // What comes is compared with what was sent: a longer message is found out without a limit.
    let options =
        arguments.opening.options(arguments.timeout)?.limits(Limits::default().message(u64::from(arguments.size) + 1));
    Ok(if arguments.deflate { options } else { options.compression(None) })
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Tells a person each second how it goes. Does not end.
async fn progress(tallies: &Tallies, begun: Instant) {
    if !io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let second = Duration::from_secs(1);
    let mut clock = interval(second);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    clock.tick().await;
    let mut before = (0, begun);
    loop {
        clock.tick().await;
        let now = (tallies.messages(), Instant::now());
        let rate = rate(now.0 - before.0, now.1 - before.1);
        let line = format!("{:.0} s: {rate:.0} messages/s", (now.1 - begun).as_secs_f64());
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        before = now;
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
