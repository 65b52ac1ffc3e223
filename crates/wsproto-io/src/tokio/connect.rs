//! The client's end: from a URL to a WebSocket.

use std::future::Future;
#[cfg(feature = "tls")]
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wsproto::handshake::ClientRequest;
use wsproto::{Connection, OsRandom};

use super::dial::dial;
use super::io::Times;
use super::shake;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::connecting::{Answer, Connecting, connecting_setters};
use crate::error::{Error, Rejected, Timeout};
use crate::options::{Keep, keepalive_setters};
use crate::target::{IntoTarget, Target};
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::trace::debug;

/// Connects to a `ws://` or `wss://` URL, with the default [`ConnectOptions`].
///
/// ```no_run
/// use wsproto_io::wsproto::CloseCode;
///
/// # async fn run() -> Result<(), wsproto_io::Error> {
/// let mut socket = wsproto_io::connect("wss://example.com/chat").await?;
/// socket.send("hello").await?;
/// println!("{:?}", socket.recv().await?);
/// socket.close(CloseCode::NORMAL, "").await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Yours (the URL), the transport's, the server's, its rejection, or a time ran out: 10 s to connect, 10 s for the
/// handshake, that of TLS included.
pub async fn connect(target: impl IntoTarget) -> Result<WebSocket<Transport>, Error> {
    ConnectOptions::new().connect(target).await
}

/// What a client can choose.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    connecting: Connecting,
    keep: Keep,
    redirects: u32,
    /// Shared by clones: what the platform trusts is read once.
    #[cfg(feature = "tls")]
    tls: Arc<OnceLock<ClientTls>>,
}

impl ConnectOptions {
    /// The defaults: compression, messages of at most 1 MiB, 10 s to connect, 10 s for the handshake, `TCP_NODELAY`, a Ping
    /// after 20 s of silence; redirects are not followed; TLS as the platform trusts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    connecting_setters!();
    keepalive_setters!();

    /// How many redirects are followed; default 0: a redirect is a rejection with its status, and the header `Location`.
    ///
    /// Credentials and cookies do not follow to another host, and no redirect leads from `wss` to `ws`.
    #[must_use]
    pub const fn follow_redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// How a server of a `wss://` URL is checked; default: by what the platform trusts, which is read when it is needed
    /// first, for these options and their clones. (Some milliseconds: keep the options where there are many connections.)
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Arc::new(OnceLock::from(tls));
        self
    }

    /// Connects to the server of a URL, by the addresses of its name (RFC 8305).
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn connect(&self, target: impl IntoTarget) -> Result<WebSocket<Transport>, Error> {
        let mut target = self.target(target)?;
        let mut redirects = self.redirects;
        loop {
            match self.attempt(&target).await {
                Err(Error::Rejected(rejected)) if redirects > 0 && is_redirect(rejected.status) => {
                    target = follow(&target, rejected)?;
                    debug!("redirected to {}", target.place());
                    redirects -= 1;
                }
                result => return result,
            }
        }
    }

    /// Opens a WebSocket on a stream that leads to the server of this URL; for `wss` one that speaks TLS already.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn connect_on<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        target: impl IntoTarget,
        stream: S,
    ) -> Result<WebSocket<S>, Error> {
        let request = self.target(target)?.request()?;
        self.in_time(self.shake_hands(request, stream)).await
    }

    /// Connects the transport for a URL, TLS included, and makes no WebSocket's handshake: to wrap it before
    /// [`connect_on`](Self::connect_on).
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn open(&self, target: impl IntoTarget) -> Result<Transport, Error> {
        let target = self.target(target)?;
        let tcp = self.dial(&target).await?;
        self.in_time(self.secure(&target, tcp)).await
    }

    fn target(&self, target: impl IntoTarget) -> Result<Target, Error> {
        let mut target = target.into_target()?;
        target.add_headers(&self.connecting.headers)?;
        Ok(target)
    }

    async fn attempt(&self, target: &Target) -> Result<WebSocket<Transport>, Error> {
        let request = target.request()?;
        let tcp = self.dial(target).await?;
        let opened = async { self.shake_hands(request, self.secure(target, tcp).await?).await };
        self.in_time(opened).await
    }

    async fn dial(&self, target: &Target) -> Result<TcpStream, Error> {
        let dialled = dial(target.host(), target.port(), self.connecting.nodelay);
        let dialled = timeout(self.connecting.connect_timeout, dialled).await;
        dialled.unwrap_or(Err(Error::Timeout(Timeout::Connect)))
    }

    /// TLS, where the URL asks for it.
    async fn secure(&self, target: &Target, tcp: TcpStream) -> Result<Transport, Error> {
        if !target.is_secure() {
            return Ok(Transport::Tcp(tcp));
        }
        #[cfg(not(feature = "tls"))]
        return Err(Error::TlsUnavailable);
        #[cfg(feature = "tls")]
        {
            let tls = match self.tls.get() {
                Some(tls) => tls,
                None => {
                    let platform = ClientTls::platform()?;
                    self.tls.get_or_init(|| platform)
                }
            };
            let stream = tls.connect(target.host(), tcp).await?;
            Ok(Transport::Tls(Box::new(stream.into())))
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let time: Duration = self.connecting.common.handshake_timeout;
        timeout(time, work).await.unwrap_or(Err(Error::Timeout(Timeout::Handshake)))
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        request: ClientRequest,
        mut stream: S,
    ) -> Result<WebSocket<S>, Error> {
        let random = OsRandom::new()?;
        let (out, mut opening) = self.connecting.open(request, random)?;
        // A server may reject before it has read all: its answer tells more than the failure to write.
        let written = shake::write_all(&mut stream, &out).await;
        loop {
            let read = shake::read(&mut stream, |bytes| match bytes {
                [] => Err(opening.end(None)),
                bytes => opening.receive(bytes),
            });
            let answer = match (read.await, &written) {
                (Ok(answer), Ok(())) => answer?,
                (Ok(Ok(answer)), Err(_)) => answer,
                (Ok(Err(_)) | Err(_), Err(_)) => {
                    return Err(written.err().map_or_else(|| opening.end(None), Error::from));
                }
                (Err(error), Ok(())) => return Err(opening.end(Some(error.into()))),
            };
            match answer {
                None => {}
                Some(Answer::Rejected(error)) => return Err(error),
                Some(Answer::Open(accepted, first)) => {
                    written?;
                    debug!("connected, by status {}", accepted.response.status());
                    let common = &self.connecting.common;
                    let encoding = !accepted.extensions.is_empty();
                    let connection = Connection::client(accepted.extensions, common.limits, random);
                    let times = Times::new(self.keep, common.close_timeout);
                    let mut socket = WebSocket::new(stream, connection, common.limits, first, encoding, times);
                    socket.agreed_on(accepted.subprotocol, &accepted.agreed);
                    return Ok(socket);
                }
            }
        }
    }
}

/// The statuses with which a server sends a GET elsewhere (RFC 9110 §15.4).
const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; it stays a rejection where it leads nowhere.
fn follow(target: &Target, rejected: Box<Rejected>) -> Result<Target, Error> {
    match rejected.headers.text("Location") {
        Some(location) => target.redirect(location),
        None => Err(Error::Rejected(rejected)),
    }
}
