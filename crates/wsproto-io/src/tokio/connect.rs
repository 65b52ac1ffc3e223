//! The client's end: from a URL to a WebSocket.

#[cfg(feature = "tls")]
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wsproto::handshake::{Accepted, ClientHandshake, ClientRequest};
use wsproto::{Connection, OsRandom};

use super::dial::dial;
use super::io::Times;
use super::shake::{self, Deadline};
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::connecting::{Answer, Connecting, connecting_setters};
use crate::error::{Error, Timeout};
#[cfg(feature = "h2")]
use crate::http2::{Http, WithoutHttp2};
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
    #[cfg(feature = "h2")]
    http: Http,
    #[cfg(feature = "h2")]
    without_http2: WithoutHttp2,
}

impl ConnectOptions {
    /// The defaults: compression, messages of at most 1 MiB, 10 s to connect, 10 s for the handshake, `TCP_NODELAY`, a Ping
    /// after 20 s of silence, 60 s for a transport that takes nothing; redirects are not followed; TLS as the platform trusts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    connecting_setters!();
    keepalive_setters!();

    /// How many redirects are followed; default 0: a redirect is a rejection with its status, and the header `Location`.
    ///
    /// To another host or port `Authorization`, `Cookie` and `Proxy-Authorization` do not follow, nor do the URL's
    /// credentials. All else does: another [header](Self::header) that holds a secret, such as `X-Api-Key`, and a
    /// [subprotocol](Self::subprotocol) that is a token. No redirect leads from `wss` to `ws`.
    ///
    /// The [time to connect](Self::connect_timeout) and that for the [handshake](Self::handshake_timeout) begin anew with
    /// each of them: all together take up to `most + 1` times as long. (For a bound on the whole, drop the future.)
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

    /// By which version of HTTP the WebSocket is opened; default: HTTP/1.1. To have several over one connection of HTTP/2, use
    /// [`http2`](Self::http2).
    #[cfg(feature = "h2")]
    #[must_use]
    pub const fn http_version(mut self, http: Http) -> Self {
        self.http = http;
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
            let attempted = self.attempt(&target, redirects > 0).await;
            let location = match &attempted {
                Err(Error::Rejected(rejected)) if redirects > 0 => rejected.redirect(),
                _ => None,
            };
            let Some(location) = location else { return attempted };
            target = target.redirect(location)?;
            debug!("redirected to {}", target.place());
            redirects -= 1;
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
        self.shake_hands(request, false, stream, self.deadline()).await
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
        self.deadline().hold(self.secure(&target, tcp)).await
    }

    pub(crate) fn target(&self, target: impl IntoTarget) -> Result<Target, Error> {
        let mut target = target.into_target()?;
        target.add_headers(&self.connecting.headers)?;
        Ok(target)
    }

    async fn attempt(&self, target: &Target, follows: bool) -> Result<WebSocket<Transport>, Error> {
        let request = target.request()?;
        // What cannot be written is told before anybody is called.
        ClientHandshake::new(self.connecting.complete(request.clone()), [0; 16])?;
        let tcp = self.dial(target).await?;
        let deadline = self.deadline();
        #[cfg(feature = "h2")]
        if self.wants_http2(target) {
            let transport = deadline.hold(self.secure_http2(target, tcp)).await?;
            if self.http == Http::PreferTwo && !transport.agreed_on_http2() {
                return self.shake_hands(request, follows, transport, deadline).await;
            }
            return match self.attempt_http2(transport, target, follows, deadline).await? {
                Some(socket) => Ok(socket),
                None => {
                    let tcp = self.dial(target).await?;
                    let transport = deadline.hold(self.secure(target, tcp)).await?;
                    self.shake_hands(request, follows, transport, deadline).await
                }
            };
        }
        let transport = deadline.hold(self.secure(target, tcp)).await?;
        self.shake_hands(request, follows, transport, deadline).await
    }

    #[cfg(feature = "h2")]
    fn wants_http2(&self, target: &Target) -> bool {
        match self.http {
            Http::One => false,
            Http::PreferTwo => target.is_secure() && !self.without_http2.has(target),
            Http::Two => true,
        }
    }

    pub(crate) async fn dial(&self, target: &Target) -> Result<TcpStream, Error> {
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
        Ok(Transport::Tls(Box::new(self.trust()?.connect(target.host(), tcp).await?)))
    }

    /// As [`secure`](Self::secure), for HTTP/2.
    #[cfg(feature = "h2")]
    pub(crate) async fn secure_http2(&self, target: &Target, tcp: TcpStream) -> Result<Transport, Error> {
        if !target.is_secure() {
            return Ok(Transport::Tcp(tcp));
        }
        #[cfg(not(feature = "tls"))]
        return Err(Error::TlsUnavailable);
        #[cfg(feature = "tls")]
        {
            let tls = self.trust()?.connect_http2(target.host(), tcp).await?;
            Ok(Transport::Tls(Box::new(tls)))
        }
    }

    #[cfg(feature = "tls")]
    fn trust(&self) -> Result<&ClientTls, Error> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let platform = ClientTls::platform()?;
        Ok(self.tls.get_or_init(|| platform))
    }

    #[cfg(feature = "h2")]
    pub(crate) const fn http(&self) -> Http {
        self.http
    }

    #[cfg(feature = "h2")]
    pub(crate) const fn without_http2(&self) -> &WithoutHttp2 {
        &self.without_http2
    }

    /// What was chosen for the handshake.
    #[cfg(any(feature = "h2", feature = "hyper"))]
    pub(crate) const fn connecting(&self) -> &Connecting {
        &self.connecting
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.connecting.common.handshake_timeout)
    }

    /// `follows`: whether a redirect will be followed.
    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        request: ClientRequest,
        follows: bool,
        mut stream: S,
        deadline: Deadline,
    ) -> Result<WebSocket<S>, Error> {
        let random = OsRandom::new()?;
        let (out, mut opening) = self.connecting.open(request, random)?;
        opening.follows = follows;
        // A server may reject before it has read all: its answer tells more than the failure to write.
        let unwritten = deadline.hold(shake::write_all(&mut stream, &out)).await.err();
        loop {
            let read = shake::read(&mut stream, |bytes| match bytes {
                [] => None,
                bytes => Some(opening.receive(bytes)),
            });
            let answer = match deadline.hold(read).await {
                Ok(Some(answer)) => answer?,
                Ok(None) => return Err(opening.end(unwritten)),
                Err(error) => return Err(opening.fail(unwritten.unwrap_or(error))),
            };
            match answer {
                None => {}
                Some(Answer::Rejected(error)) => return Err(error),
                Some(Answer::Open(accepted, first)) => {
                    if let Some(error) = unwritten {
                        return Err(error);
                    }
                    debug!("connected, by status {}", accepted.response.status());
                    return Ok(self.opened(stream, accepted, first, random));
                }
            }
        }
    }

    /// A WebSocket on a stream whose handshake is done; `first` is what was read behind it.
    pub(crate) fn opened<S>(&self, stream: S, accepted: Accepted, first: Vec<u8>, random: OsRandom) -> WebSocket<S> {
        let common = &self.connecting.common;
        let encoding = !accepted.extensions.is_empty();
        let connection = Connection::client(accepted.extensions, common.limits, random);
        let times = Times::new(self.keep, common.close_timeout);
        let mut socket = WebSocket::new(stream, connection, common.limits, first, encoding, times);
        socket.agreed_on(accepted.subprotocol, &accepted.agreed);
        socket
    }
}
