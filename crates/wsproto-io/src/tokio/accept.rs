//! The server's end: from a stream to a WebSocket.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::Connection;
use wsproto::handshake::{Accepted, Request, ServerHandshake};

use super::io::Times;
use super::shake::{self, Deadline};
use super::websocket::WebSocket;
use crate::accepting::{Accepting, LINGER, Refused, accepting_setters};
use crate::decision::Decision;
use crate::error::Error;
use crate::options::{Keep, keepalive_setters};
use crate::trace::debug;

/// Accepts a WebSocket on this stream: the server's side of the opening handshake, with the default [`AcceptOptions`].
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     tokio::spawn(async move {
///         let mut socket = wsproto_io::accept(stream).await?;
///         while let Some(message) = socket.recv().await? {
///             socket.feed(message).await?; // leaves when `recv` has to wait
///         }
///         Ok::<(), wsproto_io::Error>(())
///     });
/// }
/// # }
/// ```
///
/// [`serve`](crate::serve) is this loop with a bound, a way to stop, and TLS.
///
/// # Errors
///
/// The client's, which was answered; the transport's; or the handshake took longer than 10 s.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, Error> {
    AcceptOptions::new().accept(stream).await
}

/// What a server can choose.
#[derive(Clone, Debug, Default)]
pub struct AcceptOptions {
    accepting: Accepting,
    keep: Keep,
}

impl AcceptOptions {
    /// The defaults: pages of the same host only, compression, messages of at most 1 MiB, 10 s for the handshake, a Ping
    /// after 20 s of silence, 60 s for a transport that takes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    accepting_setters!();
    keepalive_setters!();

    /// Accepts a WebSocket on this stream.
    ///
    /// # Errors
    ///
    /// The client's, which was answered; [`Declined`](Error::Declined) where the origin is not let in; the transport's; or
    /// the handshake took too long.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<WebSocket<S>, Error> {
        self.accept_with(stream, async |_| Decision::accept()).await
    }

    /// Accepts a WebSocket on this stream, if `decide` says so. It is asked after the request was found to be valid and its
    /// origin to be let in; the time that it takes counts for the handshake.
    ///
    /// ```no_run
    /// use wsproto_io::{AcceptOptions, Decision};
    ///
    /// # async fn is_known(cookie: Option<&[u8]>) -> bool { cookie.is_some() }
    /// # async fn run(stream: tokio::net::TcpStream) -> Result<(), wsproto_io::Error> {
    /// let decide = async |request: &wsproto_io::wsproto::handshake::Request| {
    ///     if is_known(request.headers().values("Cookie").next()).await {
    ///         Decision::accept()
    ///     } else {
    ///         Decision::reject(401).body("who are you?\n")
    ///     }
    /// };
    /// let socket = AcceptOptions::new().accept_with(stream, decide).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept); [`Declined`](Error::Declined) also where `decide` rejected, and
    /// [`Handshake`](Error::Handshake) where its decision cannot be written: the client got a 500.
    pub async fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        decide: impl AsyncFnOnce(&Request) -> Decision,
    ) -> Result<WebSocket<S>, Error> {
        self.shake_hands(stream, Vec::new(), decide, self.deadline()).await.map(|(socket, _)| socket)
    }

    /// Until when a handshake that begins now has to be done.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.accepting.common.handshake_timeout)
    }

    #[cfg(any(feature = "h2", feature = "hyper"))]
    pub(crate) const fn accepting(&self) -> &Accepting {
        &self.accepting
    }

    /// Most bytes of a head.
    #[cfg(feature = "h2")]
    pub(super) const fn head_limit(&self) -> usize {
        self.accepting.common.head_limits.size
    }

    /// The handshake; `first` is what was read already.
    pub(super) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        first: Vec<u8>,
        decide: impl AsyncFnOnce(&Request) -> Decision,
        deadline: Deadline,
    ) -> Result<(WebSocket<S>, ServerHandshake), Error> {
        let agreed = deadline.hold(self.agree(&mut stream, first, decide)).await?;
        let (handshake, first, accepted) = match agreed {
            Ok(agreed) => agreed,
            Err((out, error)) => {
                shake::answer(&mut stream, &out, deadline, LINGER).await;
                return Err(error);
            }
        };
        // Without the query, which may hold a secret.
        debug!("accepted a WebSocket for {}", handshake.request().path());

        Ok((self.open(stream, accepted, first), handshake))
    }

    /// A WebSocket on a stream whose handshake is done; `first` is what was read behind it.
    pub(crate) fn open<S>(&self, stream: S, accepted: Accepted, first: Vec<u8>) -> WebSocket<S> {
        let common = &self.accepting.common;
        let encoding = !accepted.extensions.is_empty();
        let connection = Connection::server(accepted.extensions, common.limits);
        let times = Times::new(self.keep, common.close_timeout);
        let mut socket = WebSocket::new(stream, connection, common.limits, first, encoding, times);
        socket.agreed_on(accepted.subprotocol, &accepted.agreed);
        socket
    }

    /// Reads the request, decides, and writes an acceptance; a refusal is the caller's to write.
    async fn agree<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        first: Vec<u8>,
        decide: impl AsyncFnOnce(&Request) -> Decision,
    ) -> Result<Result<(ServerHandshake, Vec<u8>, Accepted), Refused>, Error> {
        let (handshake, first) = match self.read_request(stream, first).await? {
            Ok(request) => request,
            Err(refused) => return Ok(Err(refused)),
        };
        let decision = match self.accepting.prejudge(handshake.request()) {
            Some(decision) => decision,
            None => decide(handshake.request()).await,
        };
        let (out, accepted) = match self.accepting.answer(&handshake, decision) {
            Ok(accepted) => accepted,
            Err(refused) => return Ok(Err(refused)),
        };
        shake::write_all(stream, &out).await?;
        Ok(Ok((handshake, first, accepted)))
    }

    /// Reads the request. What follows it is the connection's first input.
    async fn read_request<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        first: Vec<u8>,
    ) -> Result<Result<(ServerHandshake, Vec<u8>), Refused>, Error> {
        let mut reading = self.accepting.reading();
        if !first.is_empty() {
            match reading.receive(&self.accepting, &first) {
                Ok(None) => {}
                Ok(Some(request)) => return Ok(Ok(request)),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        loop {
            let read = shake::read(stream, |bytes| match bytes {
                [] => Err(None),
                bytes => reading.receive(&self.accepting, bytes).map_err(Some),
            });
            match read.await? {
                Ok(None) => {}
                Ok(Some(request)) => return Ok(Ok(request)),
                Err(Some(refused)) => return Ok(Err(refused)),
                Err(None) => return Err(Error::Io(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }
}
