//! A server: a listener, and a task for each connection.

mod listening;
mod server;

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use wsproto::handshake::Request;

use self::listening::{Listening, Next};
use self::server::Server;
use super::accept::AcceptOptions;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::decision::Decision;
use crate::error::Error;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::trace::debug;

/// Accepts connections, and runs the handler for each WebSocket in a task of its own, until
/// [`shutdown`](ServeOptions::shutdown) says to stop.
///
/// ```no_run
/// use wsproto_io::{ServeOptions, serve};
///
/// # async fn run() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// let options = ServeOptions::new().max_connections(10_000);
/// serve(listener, options, |mut socket, _client| async move {
///     while let Some(message) = socket.recv().await? {
///         socket.feed(message).await?; // leaves when `recv` has to wait
///     }
///     Ok(())
/// })
/// .await;
/// # Ok(()) }
/// ```
///
/// When it is to stop, it accepts nobody any more, ends the handshakes, and sends a Close with 1001 to everybody; a handler
/// sees the end of its connection, and ends. Those that have not ended at the
/// [deadline](ServeOptions::shutdown_timeout) are dropped, with their connections. Dropping the future drops all at once.
///
/// Where the system has no more file descriptors it waits a moment, and goes on. A handler that returns while the connection is
/// open drops it: the client sees 1006, and what was only fed is lost; [`close`](WebSocket::close) ends it in order. A
/// handler that panics ends its own connection, and only the panic hook is told. A connection is a handler's for as long as the handler runs: one that gives the halves to other tasks waits
/// for those, or they are neither counted nor told of the end.
///
/// What all handlers share is cloned for each:
///
/// ```
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// # use wsproto_io::{ServeOptions, serve};
/// # async fn run(listener: tokio::net::TcpListener) {
/// let messages = Arc::new(AtomicU64::new(0));
/// serve(listener, ServeOptions::new(), move |mut socket, _client| {
///     let messages = Arc::clone(&messages);
///     async move {
///         while let Some(message) = socket.recv().await? {
///             messages.fetch_add(1, Ordering::Relaxed);
///             socket.feed(message).await?;
///         }
///         Ok(())
///     }
/// })
/// .await;
/// # }
/// ```
pub async fn serve<H, F>(listener: TcpListener, options: ServeOptions, handler: H)
where
    H: Fn(WebSocket<Transport>, Client) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let ServeOptions { settings, max_connections, shutdown, shutdown_timeout } = options;
    let (stop, stopping) = watch::channel(false);
    let (last, gone) = oneshot::channel();
    let server = Arc::new(Server::new(settings.ready(), handler, stopping, last));
    let mut listening = Listening::new(listener, max_connections, shutdown);
    loop {
        match poll_fn(|cx| listening.poll_next(cx)).await {
            Next::Shutdown => break,
            Next::Connection(tcp, address) => {
                listening.spawn(Arc::clone(&server).run(tcp, address));
            }
            Next::Failure(error) => server.settings.tell(None, &error.into()),
        }
    }
    let mut tasks = listening.close();
    stop.send_replace(true);
    server.close_all();
    let _ = timeout(shutdown_timeout, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
    drop(server);
    let _ = gone.await; // the streams of HTTP/2 have tasks of their own
}

/// Who is connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// What it asked for: path, query, headers.
    pub request: Request,
}

/// What a server can choose, beyond what it can for each connection ([`AcceptOptions`]).
pub struct ServeOptions {
    settings: Settings,
    max_connections: usize,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    shutdown_timeout: Duration,
}

/// What each connection needs to know.
struct Settings {
    accept: AcceptOptions,
    decide: Option<Box<Decide>>,
    errors: Option<Box<Tell>>,
    nodelay: bool,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    /// Most streams of a connection of HTTP/2, where that is spoken.
    #[cfg(feature = "h2")]
    http2: Option<u32>,
}

type Tell = dyn Fn(Option<SocketAddr>, &Error) + Send + Sync;
type Decide = dyn Fn(SocketAddr, Request) -> Pin<Box<dyn Future<Output = Decision> + Send>> + Send + Sync;

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            settings: Settings {
                accept: AcceptOptions::new(),
                decide: None,
                errors: None,
                nodelay: true,
                #[cfg(feature = "tls")]
                tls: None,
                #[cfg(feature = "h2")]
                http2: None,
            },
            max_connections: 65_536,
            shutdown: Box::pin(pending()),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl ServeOptions {
    /// The defaults: those of [`AcceptOptions`], at most 65,536 connections, no TLS, no end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is chosen for each connection. The time for the handshake includes that of TLS.
    #[must_use]
    pub fn accept(mut self, options: AcceptOptions) -> Self {
        self.settings.accept = options;
        self
    }

    /// Decides about each request, after it was found to be valid and its origin to be let in. Default: all are accepted.
    #[must_use]
    pub fn decide<F>(mut self, decide: impl Fn(SocketAddr, Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Decision> + Send + 'static,
    {
        self.settings.decide = Some(Box::new(move |address, request| Box::pin(decide(address, request))));
        self
    }

    /// Speaks TLS (`wss`); `None`: does not. Default: does not.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Option<ServerTls>>) -> Self {
        self.settings.tls = tls.into();
        self
    }

    /// Speaks HTTP/2, too (RFC 8441), on the same port: under TLS where the client agrees on it (ALPN), else where it begins
    /// with the preface of HTTP/2. The number is that of WebSockets on one connection at a time, at best 100 or more (RFC 9113
    /// §6.5.2); `None` or 0: HTTP/1.1 alone, as by default.
    ///
    /// Such a connection counts as one for [`max_connections`](Self::max_connections), whatever the number of its WebSockets.
    /// For each, beside what [`WebSocket`] holds, a window of 64 KiB may wait for an application that does not read, and twice
    /// as much for a client that does not.
    #[cfg(feature = "h2")]
    #[must_use]
    pub fn http2(mut self, streams: impl Into<Option<u32>>) -> Self {
        self.settings.http2 = streams.into().filter(|streams| *streams > 0);
        self
    }

    /// Most connections at a time, open and in the handshake together; default 65,536. Those beyond wait in the listener's
    /// queue: who opens many and says nothing keeps others out, each for the
    /// [time of the handshake](AcceptOptions::handshake_timeout), and is for a firewall or a proxy to bound.
    ///
    /// One in the handshake takes less than 8 KiB of memory; with TLS about 9 KiB while it says nothing, and up to 28 KiB in
    /// the middle of a long TLS record, which rustls keeps.
    #[must_use]
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Whether small messages leave at once (`TCP_NODELAY`); default: yes.
    #[must_use]
    pub const fn nodelay(mut self, on: bool) -> Self {
        self.settings.nodelay = on;
        self
    }

    /// Stops the server when this is ready. Default: never.
    #[must_use]
    pub fn shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Box::pin(signal);
        self
    }

    /// The time that connections have to end when the server stops; default 10 s.
    #[must_use]
    pub const fn shutdown_timeout(mut self, time: Duration) -> Self {
        self.shutdown_timeout = time;
        self
    }

    /// Is told of each error, with the client's address: of handshakes, of handlers, and (without an address) of the
    /// listener. Handshakes that the [shutdown](Self::shutdown) ends are no errors. Default: nobody is told.
    #[must_use]
    pub fn on_error(mut self, tell: impl Fn(Option<SocketAddr>, &Error) + Send + Sync + 'static) -> Self {
        self.settings.errors = Some(Box::new(tell));
        self
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("accept", &self.settings.accept)
            .field("max_connections", &self.max_connections)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .finish_non_exhaustive()
    }
}

impl Settings {
    fn tell(&self, address: Option<SocketAddr>, error: &Error) {
        debug!("{address:?}: {error}");
        if let Some(tell) = &self.errors {
            tell(address, error);
        }
    }

    /// As the server uses them.
    fn ready(self) -> Self {
        #[cfg(all(feature = "h2", feature = "tls"))]
        if self.http2.is_some() {
            return Self { tls: self.tls.map(ServerTls::with_http2), ..self };
        }
        self
    }

    async fn secure(&self, tcp: TcpStream) -> Result<Transport, Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Transport::Tls(Box::new(tls.accept(tcp).await?)));
        }
        Ok(Transport::Tcp(tcp))
    }
}
