//! The life of one connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use wsproto::CloseCode;
use wsproto::handshake::{Request, ServerHandshake};

use super::super::handle::Handle;
use super::super::transport::Transport;
use super::super::websocket::WebSocket;
use super::{Client, Settings};
use crate::decision::Decision;
use crate::error::Error;
use crate::trace::debug;

/// What all connections share.
pub(super) struct Server<H> {
    pub(super) settings: Settings,
    handler: H,
    /// The WebSockets that are open, each with a number.
    open: Mutex<HashMap<u64, Handle>>,
    next: AtomicU64,
    stopping: watch::Receiver<bool>,
    /// Dropped with the last task.
    _last: oneshot::Sender<Infallible>,
}

impl<H> Server<H> {
    pub(super) fn new(
        settings: Settings,
        handler: H,
        stopping: watch::Receiver<bool>,
        last: oneshot::Sender<Infallible>,
    ) -> Self {
        Self { settings, handler, open: Mutex::default(), next: AtomicU64::new(0), stopping, _last: last }
    }
}

#[cfg(feature = "h2")]
type Http2 = h2::server::Connection<crate::http2::Batching<Transport>, bytes::Bytes>;

/// What a connection turned out to be.
enum Shaken {
    WebSocket(WebSocket<Transport>, Client),
    #[cfg(feature = "h2")]
    Http2(Box<Http2>),
}

impl<H, F> Server<H>
where
    H: Fn(WebSocket<Transport>, Client) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    /// The life of a connection. Not an `async fn`, which would keep its arguments to its end.
    pub(super) fn run(self: Arc<Self>, tcp: TcpStream, address: SocketAddr) -> impl Future<Output = ()> + Send {
        // Boxed, so that a connection is not as large as its handshake.
        let opening = Box::pin(Arc::clone(&self).open_one(tcp, address));
        async move {
            // A value that is taken apart, or awaited, keeps its place beside those of its parts while its block lasts:
            // hence the block, and the pin.
            let (_guard, handling) = {
                let begun = opening.await.map(|(socket, client)| self.begin(socket, client));
                let Some(begun) = begun else { return };
                begun
            };
            self.ended(address, pin!(handling).await);
        }
    }

    /// A connection up to its WebSocket. `None` where there is none, or there were all those of a connection of HTTP/2.
    async fn open_one(self: Arc<Self>, tcp: TcpStream, address: SocketAddr) -> Option<(WebSocket<Transport>, Client)> {
        match self.shake_hands(tcp, address).await {
            Some(Ok(Shaken::WebSocket(socket, client))) => return Some((socket, client)),
            #[cfg(feature = "h2")]
            Some(Ok(Shaken::Http2(connection))) => Box::pin(Arc::clone(&self).run_http2(connection, address)).await,
            Some(Err(error)) => self.settings.tell(Some(address), &error),
            // Nobody's fault, so nobody is told.
            None => debug!("{address}: in its handshake when the server stopped"),
        }
        None
    }

    /// The life of a connection of HTTP/2: each of its requests has a task of its own.
    #[cfg(feature = "h2")]
    async fn run_http2(self: Arc<Self>, connection: Box<Http2>, address: SocketAddr) {
        let streams = self.settings.http2.unwrap_or_default();
        let answer = |asked| Arc::clone(&self).answer(asked, address);
        let ended = crate::http2::run(*connection, streams, self.stopping.clone(), answer).await;
        self.ended(address, ended);
    }

    /// The life of a stream of HTTP/2.
    #[cfg(feature = "h2")]
    async fn answer(self: Arc<Self>, asked: crate::http2::Asked, address: SocketAddr) {
        let (_guard, handling) = {
            let mut shaking = Box::pin(async {
                let decide = async |request: &Request| self.settings.judge(address, request).await;
                let deadline = self.settings.accept.deadline();
                let agreed = deadline.hold(asked.shake_hands(&self.settings.accept, decide)).await?;
                Ok(self.known(address, agreed))
            });
            let shaken = self.until_stopped(shaking.as_mut()).await;
            drop(shaking);
            let begun = shaken.map(|shaken| shaken.map(|(socket, client)| self.begin(socket, client)));
            match begun {
                Some(Ok(begun)) => begun,
                Some(Err(error)) => return self.settings.tell(Some(address), &error),
                None => return debug!("{address}: in its handshake when the server stopped"),
            }
        };
        self.ended(address, pin!(handling).await);
    }

    fn begin(&self, socket: WebSocket<Transport>, client: Client) -> (impl Drop + use<'_, H, F>, F) {
        (self.enter(&socket.handle()), (self.handler)(socket, client))
    }

    /// Notes that a WebSocket is open, until the guard is dropped.
    fn enter(&self, handle: &Handle) -> impl Drop + use<'_, H, F> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, handle.clone());
        if *self.stopping.borrow() {
            going_away(handle);
        }
        Guard { server: self, number }
    }

    /// The handshakes, of TLS and of the WebSocket, in their time; `None` once the server stops.
    async fn shake_hands(&self, tcp: TcpStream, address: SocketAddr) -> Option<Result<Shaken, Error>> {
        let settings = &self.settings;
        let shaken = pin!(async {
            let deadline = settings.accept.deadline();
            tcp.set_nodelay(settings.nodelay)?;
            let transport = deadline.hold(settings.secure(tcp)).await?;
            #[cfg(feature = "h2")]
            let (transport, first) = match settings.http2 {
                None => (transport, Vec::new()),
                Some(streams) => match deadline.hold(crate::http2::tell(transport)).await? {
                    crate::http2::Begun::Http1(transport, first) => (transport, first),
                    crate::http2::Begun::Http2(io) => {
                        let begun = crate::http2::begin(io, streams, settings.accept.head_limit());
                        return Ok(Shaken::Http2(deadline.hold(begun).await?.into()));
                    }
                },
            };
            #[cfg(not(feature = "h2"))]
            let first = Vec::new();
            let decide = async |request: &Request| settings.judge(address, request).await;
            let agreed = settings.accept.shake_hands(transport, first, decide, deadline).await?;
            let (socket, client) = self.known(address, agreed);
            Ok(Shaken::WebSocket(socket, client))
        });
        self.until_stopped(shaken).await
    }

    fn known(
        &self,
        address: SocketAddr,
        (socket, handshake): (WebSocket<Transport>, ServerHandshake),
    ) -> (WebSocket<Transport>, Client) {
        (socket, Client { address, request: handshake.into_request() })
    }

    /// `None` once the server stops.
    async fn until_stopped<R>(&self, mut work: Pin<&mut impl Future<Output = R>>) -> Option<R> {
        let mut stopping = self.stopping.clone();
        let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|_| None),
        })
        .await
    }

    fn ended(&self, address: SocketAddr, ended: Result<(), Error>) {
        match ended {
            // It sent on, and the server stopped: nobody's fault.
            Ok(()) | Err(Error::Closing) => {}
            Err(error) => self.settings.tell(Some(address), &error),
        }
    }
}

impl Settings {
    async fn judge(&self, address: SocketAddr, request: &Request) -> Decision {
        match &self.decide {
            Some(decide) => decide(address, request.clone()).await,
            None => Decision::accept(),
        }
    }
}

impl<H> Server<H> {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close_all(&self) {
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
