//! A client's connection of HTTP/2.

use std::collections::HashSet;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use wsproto::OsRandom;
use wsproto::handshake::{Accepted, ClientHandshake, ClientRequest, Outcome, ResponseHead};

use super::batching::Batching;
use super::hub::{Driven, Hub};
use super::inbox::io_error;
use super::stream::Http2Stream;
use super::{FRAME_BUDGET, STREAM_WINDOW, STREAMS, connection_window};
use crate::error::{Error, Rejected};
use crate::heads;
use crate::target::{IntoTarget, Target};
use crate::tokio::{ConnectOptions, Deadline, Multiplexed, Transport, WebSocket};
use crate::trace::debug;

/// A connection of HTTP/2 to a server, on which several WebSockets can be opened (RFC 8441). Cheap to clone. It ends with the
/// last of its clones and WebSockets, or when the server ends it, as servers do where it has no streams for a while.
///
/// ```no_run
/// # async fn run() -> Result<(), wsproto_io::Error> {
/// let connection = wsproto_io::ConnectOptions::new().http2("wss://example.com/").await?;
/// let mut news = connection.open("/news").await?;
/// let mut chat = connection.open("/chat").await?;
/// chat.send("hello").await?;
/// println!("{:?}", news.recv().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Http2Connection {
    send: SendRequest<Bytes>,
    hub: Arc<Hub>,
    /// Whether the server's settings have arrived.
    settled: watch::Receiver<bool>,
    options: ConnectOptions,
    target: Target,
}

impl Http2Connection {
    /// Begins a connection on a stream that leads to the server of this target. A task drives it.
    pub(crate) async fn begin<T>(
        io: T,
        options: ConnectOptions,
        target: Target,
        deadline: Deadline,
    ) -> Result<Self, Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .data_frame_budget(FRAME_BUDGET)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(STREAMS))
            .max_header_list_size(u32::try_from(options.connecting().common.head_limits.size).unwrap_or(u32::MAX))
            .max_send_buffer_size(STREAM_WINDOW as usize)
            // None before the server's settings: so they can be seen to arrive.
            .initial_max_send_streams(0);
        let handshake = async { builder.handshake::<_, Bytes>(Batching::new(io, Vec::new())).await.map_err(io_error) };
        let (send, connection) = deadline.hold(handshake).await?;
        let (settle, settled) = watch::channel(false);
        let mut driven = Driven::new(connection);
        let hub = Arc::clone(&driven.hub);
        let opened = Arc::clone(&hub);
        tokio::spawn(async move {
            let mut streams = STREAMS;
            let _ = poll_fn(|cx| {
                driven.poll(cx, |connection, cx| {
                    let open = u32::try_from(opened.streams()).unwrap_or(u32::MAX);
                    if open > streams {
                        streams = open.saturating_mul(2);
                        connection.set_target_window_size(connection_window(streams));
                    }
                    let polled = Pin::new(&mut *connection).poll(cx);
                    if connection.max_concurrent_send_streams() > 0 {
                        settle.send_if_modified(|settled| !std::mem::replace(settled, true));
                    }
                    polled
                })
            })
            .await;
        });
        Ok(Self { send, hub, settled, options, target })
    }

    /// Opens a WebSocket for this path, with its query. The headers and the other options are those of the connection.
    ///
    /// Waits where the server lets in no more streams at a time, up to the
    /// [time for the handshake](ConnectOptions::handshake_timeout).
    ///
    /// # Errors
    ///
    /// As [`connect`](crate::connect); [`Http2Unsupported`](Error::Http2Unsupported) where the server has no WebSockets over
    /// HTTP/2.
    pub async fn open(&self, path: &str) -> Result<WebSocket<Transport>, Error> {
        let (transport, accepted) = self.ask(self.request(path)?, false, self.options.deadline()).await?;
        self.opened(transport, accepted, Multiplexed::HTTP2)
    }

    /// As [`open`](Self::open), on a transport that wraps the stream: what passes through it are frames, from the first on.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_with<S>(&self, path: &str, wrap: impl FnOnce(Transport) -> S) -> Result<WebSocket<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (transport, accepted) = self.ask(self.request(path)?, false, self.options.deadline()).await?;
        self.opened(wrap(transport), accepted, Multiplexed::PLAIN)
    }

    /// As [`open`](Self::open), for the target that the connection was made for. `follows`: whether a redirect will be followed.
    async fn open_first(&self, follows: bool, deadline: Deadline) -> Result<WebSocket<Transport>, Error> {
        let (transport, accepted) = self.ask(self.target.request()?, follows, deadline).await?;
        self.opened(transport, accepted, Multiplexed::HTTP2)
    }

    fn request(&self, path: &str) -> Result<ClientRequest, Error> {
        let mut request = self.target.request()?;
        path.clone_into(&mut request.path);
        Ok(request)
    }

    fn opened<S>(&self, stream: S, accepted: Accepted, by: Multiplexed<S>) -> Result<WebSocket<S>, Error> {
        Ok(self.options.opened(stream, accepted, Vec::new(), OsRandom::new()?).multiplexed(by))
    }

    /// Asks for a WebSocket: its stream, and what was agreed on. `follows`: whether a redirect will be followed, so that nobody
    /// wants its body.
    async fn ask(
        &self,
        request: ClientRequest,
        follows: bool,
        deadline: Deadline,
    ) -> Result<(Transport, Accepted), Error> {
        let handshake = ClientHandshake::http2(self.options.connecting().complete(request))?;
        let mut request = heads::request(&handshake.request())?;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let asked = async {
            let mut settled = self.settled.clone();
            // It ends without them where the connection does.
            let _ = settled.wait_for(|settled| *settled).await;
            // "A sender MUST NOT send" it before the setting has come, with the value 1 (RFC 8441 §3).
            let mut send = self.send.clone().ready().await.map_err(|error| self.failed(error))?;
            if !send.is_extended_connect_protocol_enabled() {
                return Err(Error::Http2Unsupported);
            }
            let (response, send) = send.send_request(request, false).map_err(|error| self.failed(error))?;
            Ok((response.await.map_err(|error| self.failed(error))?, send))
        };
        let (response, send) = deadline.hold(asked).await?;
        let (head, recv) = response.into_parts();
        let headers = heads::headers(&head.headers)?;
        let head = ResponseHead::new(head.status.as_u16(), headers)?;
        match handshake.response(head)? {
            Outcome::Accepted(accepted) => {
                let stream = Http2Stream::new(&self.hub, recv, send);
                Ok((Transport::Http2(stream.into()), accepted))
            }
            Outcome::Rejected(head) => {
                let headers = head.headers().clone();
                let mut rejected = Rejected { status: head.status(), headers, body: Vec::new(), truncated: true };
                if !(follows && rejected.redirect().is_some()) {
                    let limit = self.options.connecting().rejection_limit;
                    // What came until then is told.
                    let _ = deadline.hold(read_body(recv, limit, &mut rejected)).await;
                }
                Err(Error::Rejected(rejected.into()))
            }
        }
    }

    /// Why a request has no answer.
    fn failed(&self, error: h2::Error) -> Error {
        // What did not even begin with settings is no HTTP/2.
        let is_http2 = *self.settled.borrow() || !error.is_library();
        if is_http2 && error.reason() != Some(Reason::HTTP_1_1_REQUIRED) {
            return Error::Io(io_error(error));
        }
        debug!("no HTTP/2: {error}");
        Error::Http2Unsupported
    }
}

/// Reads what it can of a rejection's body.
async fn read_body(mut body: RecvStream, limit: u64, rejected: &mut Rejected) -> Result<(), Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let piece = match poll_fn(|cx| body.poll_data(cx)).await {
            None => {
                rejected.truncated = false;
                return Ok(());
            }
            Some(Ok(piece)) => piece,
            Some(Err(_)) => return Ok(()),
        };
        let room = limit - rejected.body.len();
        rejected.body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room || body.flow_control().release_capacity(piece.len()).is_err() {
            return Ok(());
        }
    }
}

impl ConnectOptions {
    /// Connects to the server of a URL by HTTP/2, for several WebSockets over one connection. For a `wss` URL the server
    /// has to agree (ALPN `h2`); for `ws` it has to know (RFC 9113 §3.3, "prior knowledge"). The URL's path is not used.
    ///
    /// # Errors
    ///
    /// As [`connect`](crate::connect); [`Http2Unsupported`](Error::Http2Unsupported) where TLS did not agree on HTTP/2.
    pub async fn http2(&self, target: impl IntoTarget) -> Result<Http2Connection, Error> {
        let target = self.target(target)?;
        let tcp = self.dial(&target).await?;
        let deadline = self.deadline();
        let transport = deadline.hold(self.secure_http2(&target, tcp)).await?;
        self.begin_http2(transport, &target, deadline).await
    }

    async fn begin_http2(
        &self,
        transport: Transport,
        target: &Target,
        deadline: Deadline,
    ) -> Result<Http2Connection, Error> {
        if target.is_secure() && !transport.agreed_on_http2() {
            return Err(Error::Http2Unsupported);
        }
        Http2Connection::begin(transport, self.clone(), target.clone(), deadline).await
    }

    /// Opens a WebSocket on a transport for which HTTP/2 may have been agreed on. `None`: the server has none over it, which
    /// is kept in mind, and the transport is of no use.
    pub(crate) async fn attempt_http2(
        &self,
        transport: Transport,
        target: &Target,
        follows: bool,
        deadline: Deadline,
    ) -> Result<Option<WebSocket<Transport>>, Error> {
        let opened = match self.begin_http2(transport, target, deadline).await {
            Ok(connection) => connection.open_first(follows, deadline).await,
            Err(error) => Err(error),
        };
        match opened {
            Err(Error::Http2Unsupported) if self.http() == Http::PreferTwo => {
                self.without_http2().note(target);
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }
}

/// By which version of HTTP a client opens a WebSocket ([`ConnectOptions::http_version`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Http {
    /// HTTP/1.1, as browsers do where they have no connection yet: most servers that speak HTTP/2 have no WebSockets over
    /// it.
    #[default]
    One,
    /// HTTP/2 where a `wss` server agrees on it (ALPN) and has WebSockets over it; else HTTP/1.1. For `ws` it is HTTP/1.1.
    PreferTwo,
    /// HTTP/2 alone; for `ws` the server has to know (RFC 9113 §3.3, "prior knowledge").
    Two,
}

/// Servers that agree on HTTP/2 and have no WebSockets over it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WithoutHttp2(Arc<Mutex<HashSet<String>>>);

impl WithoutHttp2 {
    /// As many are kept in mind; then all are forgotten.
    const MOST: usize = 1024;

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, target: &Target) {
        let mut known = self.known();
        if known.len() >= Self::MOST {
            known.clear();
        }
        known.insert(target.request.authority.clone());
    }

    pub(crate) fn has(&self, target: &Target) -> bool {
        self.known().contains(&target.request.authority)
    }
}

impl fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Connection").field("target", &self.target).finish_non_exhaustive()
    }
}
