//! A server: a listener, and a task for each connection.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wsproto::CloseCode;
use wsproto::handshake::Request;

use super::accept::AcceptOptions;
use super::handle::Handle;
use super::timer::Timer;
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
    let server = Arc::new(Server { settings, handler, open: Mutex::default(), stopping });
    let mut listening =
        Listening { listener, tasks: JoinSet::new(), max_connections, shutdown, pause: None, timer: Timer::default() };
    let mut number = 0;
    loop {
        match poll_fn(|cx| listening.poll_next(cx)).await {
            Next::Shutdown => break,
            Next::Connection(tcp, address) => {
                number += 1;
                listening.tasks.spawn(Arc::clone(&server).run(number, tcp, address));
            }
            Next::Failure(error) => server.settings.tell(None, &error.into()),
        }
    }
    let Listening { listener, mut tasks, .. } = listening;
    drop(listener);
    stop.send_replace(true);
    server.close_all();
    let _ = timeout(shutdown_timeout, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
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
}

/// The listener and the tasks.
struct Listening {
    listener: TcpListener,
    tasks: JoinSet<()>,
    max_connections: usize,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Until when nobody is accepted.
    pause: Option<Instant>,
    timer: Timer,
}

enum Next {
    Shutdown,
    Connection(TcpStream, SocketAddr),
    Failure(io::Error),
}

/// How long nobody is accepted where that fails: out of descriptors or of memory, which ends when others end.
const PAUSE: Duration = Duration::from_millis(100);

impl Listening {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.shutdown.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Next::Shutdown);
        }
        // Tasks that have ended make room. (What they panicked with is the panic hook's to tell.)
        while let Poll::Ready(Some(_)) = self.tasks.poll_join_next(cx) {}
        if self.tasks.len() >= self.max_connections {
            return Poll::Pending;
        }
        if let Some(until) = self.pause {
            std::task::ready!(self.timer.poll_at(until, cx));
            self.pause = None;
        }
        match std::task::ready!(self.listener.poll_accept(cx)) {
            Ok((tcp, address)) => Poll::Ready(Next::Connection(tcp, address)),
            Err(error) => {
                // One that has left already is no reason to wait.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    self.pause = Some(Instant::now() + PAUSE);
                }
                Poll::Ready(Next::Failure(error))
            }
        }
    }
}

/// What all connections share.
struct Server<H> {
    settings: Settings,
    handler: H,
    /// The connections whose handshake is done.
    open: Mutex<HashMap<u64, Handle>>,
    stopping: watch::Receiver<bool>,
}

impl<H, F> Server<H>
where
    H: Fn(WebSocket<Transport>, Client) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    /// The life of a connection. Not an `async fn`, which would keep its arguments to its end.
    fn run(self: Arc<Self>, number: u64, tcp: TcpStream, address: SocketAddr) -> impl Future<Output = ()> + Send {
        // Boxed, so that a connection is not as large as its handshake.
        let shaking = Box::pin(Arc::clone(&self).shake_hands(tcp, address));
        async move {
            // A value that is taken apart, or awaited, keeps its place beside those of its parts while its block lasts:
            // hence the block, and the pin.
            let (_guard, handling) = {
                let begun =
                    shaking.await.map(|shaken| shaken.map(|(socket, client)| self.begin(number, socket, client)));
                match begun {
                    Some(Ok(begun)) => begun,
                    Some(Err(error)) => return self.settings.tell(Some(address), &error),
                    // Nobody's fault, so nobody is told.
                    None => return debug!("{address}: in its handshake when the server stopped"),
                }
            };
            match pin!(handling).await {
                // It sent on, and the server stopped: nobody's fault.
                Ok(()) | Err(Error::Closing) => {}
                Err(error) => self.settings.tell(Some(address), &error),
            }
        }
    }

    fn begin(&self, number: u64, socket: WebSocket<Transport>, client: Client) -> (impl Drop + use<'_, H, F>, F) {
        (self.enter(number, &socket.handle()), (self.handler)(socket, client))
    }

    /// Notes that a connection is open, until the guard is dropped.
    fn enter(&self, number: u64, handle: &Handle) -> impl Drop + use<'_, H, F> {
        self.open().insert(number, handle.clone());
        if *self.stopping.borrow() {
            going_away(handle);
        }
        Guard { server: self, number }
    }

    /// The handshakes, of TLS and of the WebSocket, in their time; `None` once the server stops.
    async fn shake_hands(
        self: Arc<Self>,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> Option<Result<(WebSocket<Transport>, Client), Error>> {
        let settings = &self.settings;
        let mut shaken = pin!(async {
            let deadline = settings.accept.deadline();
            tcp.set_nodelay(settings.nodelay)?;
            let transport = deadline.hold(settings.secure(tcp)).await?;
            let decide = async |request: &Request| match &settings.decide {
                Some(decide) => decide(address, request.clone()).await,
                None => Decision::accept(),
            };
            let (socket, handshake) = settings.accept.shake_hands(transport, decide, deadline).await?;
            Ok((socket, Client { address, request: handshake.into_request() }))
        });
        let mut stopping = self.stopping.clone();
        let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
        poll_fn(|cx| match shaken.as_mut().poll(cx) {
            Poll::Ready(shaken) => Poll::Ready(Some(shaken)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|_| None),
        })
        .await
    }
}

impl Settings {
    async fn secure(&self, tcp: TcpStream) -> Result<Transport, Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Transport::Tls(Box::new(tls.accept(tcp).await?)));
        }
        Ok(Transport::Tcp(tcp))
    }
}

impl<H> Server<H> {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_all(&self) {
        self.open().values().for_each(going_away);
    }
}

/// "1001 indicates that an endpoint is 'going away', such as a server going down" (RFC 6455 §7.4.1).
fn going_away(handle: &Handle) {
    handle.close(CloseCode::GOING_AWAY, "the server stops");
}

/// Takes a connection from the list, also where its handler panics or is dropped.
struct Guard<'a, H> {
    server: &'a Server<H>,
    number: u64,
}

impl<H> Drop for Guard<'_, H> {
    fn drop(&mut self) {
        self.server.open().remove(&self.number);
    }
}
