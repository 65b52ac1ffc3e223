//! `wsproto serve`: echoes every message on every path.
//!
//! | file | what it holds |
//! |---|---|
//! | `echo.rs` | what is done with a connection, and what is logged of it |
//! | `identity.rs` | the certificate and its key |
//! | `page.rs` | what a browser is shown |
//! | `../interrupts.rs` | when it stops |

mod echo;
mod identity;
mod page;

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use wsproto_io::wsproto::Limits;
use wsproto_io::wsproto::handshake::OriginPolicy;
use wsproto_io::{AcceptOptions, ServeOptions};

use self::echo::Log;
use self::identity::Identity;
use crate::interrupts::Interrupts;

/// Runs an echo server: every message comes back, on every path, over HTTP/1.1 and HTTP/2. A browser that opens the address is
/// shown a page.
///
/// A client that has `http-version` in its query is told which of the two it is, in a text message before all others: `HTTP/1.1` or
/// `HTTP/2`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
    SIGTERM and SIGINT stop the server: everybody gets a Close with 1001, and 2 seconds to answer it; after 3 seconds, \
    or at a second signal, it ends at once.\n\nEach connection takes a file descriptor: the soft limit of those is raised to the hard one.")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// The certificate for TLS (wss), in PEM, with those between it and its authority
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// TLS with a certificate that is made for this run, for localhost and the address listened on
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    tls_self_signed: bool,
    /// Most connections at a time; more wait until others end
    #[arg(long, value_name = "N", default_value = "65536")]
    max_connections: NonZeroUsize,
    /// Longest message that is accepted, in bytes, after inflation
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_message_size: u64,
    /// Do not compress (permessage-deflate). A message is compressed where it arrived whole, with one read; one that comes
    /// in pieces is sent back as it comes, uncompressed. A client that leaves a compressed message unfinished holds a
    /// decoder of about 48 KB
    #[arg(long)]
    no_deflate: bool,
    /// A subprotocol that is spoken; may be given several times
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// An origin whose pages are let in, or `any`; may be given several times [default: the same host]
    #[arg(long, value_name = "ORIGIN|any")]
    origin: Vec<String>,
    /// Log connections to standard error, each with its version of HTTP
    #[arg(short, long)]
    verbose: bool,
}

/// How long a client has to answer our Close.
const CLOSE: Duration = Duration::from_secs(2);

/// Most WebSockets of one connection of HTTP/2: "no smaller than 100" (RFC 9113 §6.5.2).
const STREAMS: u32 = 100;

/// How long the server waits for its connections when it stops.
const STOP: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let accept = accept_options(arguments)?;
    let identity = identity(arguments)?;
    crate::descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments, accept, identity))
}

async fn serve(arguments: &Arguments, accept: AcceptOptions, identity: Option<Identity>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(arguments.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let mut signals = Interrupts::new()?;
    tell(listener.local_addr()?, identity.as_ref());

    let log = Arc::new(Log::new(arguments.verbose));
    let errors = Arc::clone(&log);
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let options = ServeOptions::new()
        .accept(accept)
        .max_connections(arguments.max_connections.get())
        .http2(STREAMS)
        .shutdown_timeout(STOP)
        .shutdown(async { drop(stopping.await) })
        .on_error(move |client, error| errors.error(client, error))
        .tls(identity.map(|identity| identity.tls));
    let mut serving = std::pin::pin!(wsproto_io::serve(listener, options, move |socket, client| {
        echo::echo(socket, &client, Arc::clone(&log))
    }));
    tokio::select! {
        () = &mut serving => return Ok(()),
        () = signals.next() => drop(stop),
    }
    tokio::select! {
        () = &mut serving => Ok(()),
        () = signals.next() => Err("ended by a second signal, before all connections were closed".into()),
    }
}

/// What others need to connect, on standard output.
fn tell(address: SocketAddr, identity: Option<&Identity>) {
    let scheme = if identity.is_some() { "wss" } else { "ws" };
    let mut lines = format!("listening on {scheme}://{address}/\n");
    if let Some(identity) = identity {
        lines += &identity.to_string();
    }
    // Without a reader of standard output the server still serves.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(lines.as_bytes());
    let _ = stdout.flush();
}

fn accept_options(arguments: &Arguments) -> Result<AcceptOptions, Box<dyn Error>> {
    let origins = match arguments.origin.as_slice() {
        [] => OriginPolicy::SameHost,
        list if list.iter().any(|origin| origin == "any") => OriginPolicy::Any,
        list => OriginPolicy::list(list).map_err(|error| format!("--origin: {error}"))?,
    };
    let pages = page::Pages::new()?;
    let mut options = AcceptOptions::new()
        .limits(Limits::default().message(arguments.max_message_size))
        .close_timeout(CLOSE)
        .origins(origins)
        .pages(move |request| Some(pages.find(request)));
    if arguments.no_deflate {
        options = options.compression(None);
    }
    for name in &arguments.subprotocol {
        options = options.subprotocol(name);
    }
    Ok(options)
}

fn identity(arguments: &Arguments) -> Result<Option<Identity>, Box<dyn Error>> {
    Ok(match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificates), Some(key)) => Some(Identity::from_files(certificates, key)?),
        _ if arguments.tls_self_signed => Some(Identity::self_signed(arguments.listen.ip())?),
        _ => None,
    })
}

/// Writes a line to standard error; whoever closed it does not want it.
fn log(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
