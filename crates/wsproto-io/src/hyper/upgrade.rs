//! A server's side of the handshake, where hyper has read the request.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header, request};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use wsproto::handshake::{RequestError, ServerHandshake};

use super::stream::transport;
use crate::accepting::{Accepting, Refusal};
use crate::decision::Decision;
use crate::error::Error;
use crate::heads::{self, Head};
use crate::tokio::{AcceptOptions, Multiplexed, Transport, WebSocket};
use crate::trace::debug;

/// Accepts the WebSocket that this request asks for, with the default [`AcceptOptions`]: see
/// [`AcceptOptions::upgrade`].
///
/// # Errors
///
/// The client's: the request is refused, with the answer to send.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<(Response<Bytes>, Upgrading), Refused> {
    AcceptOptions::new().upgrade(request)
}

/// Whether a request asks for a WebSocket, be it valid or not: a GET of HTTP/1.1 with `Upgrade: websocket` (RFC 6455 §4.1), or an
/// extended CONNECT with the `:protocol` `websocket` (RFC 8441 §4).
#[must_use]
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    match (request.version(), request.method()) {
        (Version::HTTP_11, &Method::GET) => {
            let values = request.headers().get_all(header::UPGRADE);
            let mut tokens = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
            tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
        }
        (Version::HTTP_2, &Method::CONNECT) => {
            request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
        }
        _ => false,
    }
}

impl AcceptOptions {
    /// Accepts the WebSocket that a request of hyper's asks for, over HTTP/1.1 or HTTP/2, by the rules of
    /// [`accept`](Self::accept): gives the response to send, and what becomes the WebSocket when that was sent.
    ///
    /// ```
    /// # use http_body_util::Full;
    /// # use hyper::body::{Bytes, Incoming};
    /// # use hyper::{Request, Response};
    /// # async fn chat(_: wsproto_io::hyper::Upgrading) {}
    /// use wsproto_io::AcceptOptions;
    ///
    /// fn answer(options: &AcceptOptions, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    ///     let response = match options.upgrade(&mut request) {
    ///         Ok((response, upgrading)) => {
    ///             tokio::spawn(chat(upgrading));
    ///             response
    ///         }
    ///         Err(refused) => refused.response(),
    ///     };
    ///     response.map(Full::new)
    /// }
    /// ```
    ///
    /// How long a head may be is hyper's to say: [`head_limits`](Self::head_limits) has no meaning here. The
    /// [time for the handshake](Self::handshake_timeout) runs from here until hyper has sent the response.
    ///
    /// # Errors
    ///
    /// The client's: the request is refused, with the answer to send. Yours, with the status 500, where it is no
    /// request of hyper's, or somebody took its upgrade before.
    pub fn upgrade<B>(&self, request: &mut Request<B>) -> Result<(Response<Bytes>, Upgrading), Refused> {
        self.upgrade_with(request, Decision::accept())
    }

    /// As [`upgrade`](Self::upgrade), with a decision about the request: another status, a subprotocol, more headers. It counts
    /// where the request is valid and its host and origin are let in.
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Self::upgrade); also where the decision rejects.
    pub fn upgrade_with<B>(
        &self,
        request: &mut Request<B>,
        decision: Decision,
    ) -> Result<(Response<Bytes>, Upgrading), Refused> {
        let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
        let head = Head::new(request, protocol);
        let (version, handshake) = (head.version, valid(self.accepting(), &head)?);
        let on = request.extensions_mut().remove();
        Asked::new(handshake, on, version)?.answer(self, decision)
    }
}

/// The request as one for a WebSocket.
fn valid(accepting: &Accepting, head: &Head<'_>) -> Result<ServerHandshake, Refused> {
    let refuse = |error| {
        // Who wants a WebSocket and asks wrongly is told so, and is shown no page.
        let plain = matches!(error, RequestError::NotWebSocket).then(|| head.plain()).flatten();
        let refusal = accepting.refuse(error, plain.as_ref(), head.version());
        Refused::new(refusal, head.version)
    };
    let request = head.as_request().map_err(|_| refuse(RequestError::NotWebSocket))?;
    ServerHandshake::new(request).map_err(refuse)
}

/// A valid request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    handshake: ServerHandshake,
    on: OnUpgrade,
    version: Version,
}

impl Asked {
    /// What the head of a request asks for. One that is refused is left as it was.
    #[cfg(any(feature = "tower", feature = "axum"))]
    pub(crate) fn of(parts: &mut request::Parts, accepting: &Accepting) -> Result<Self, Refused> {
        let request::Parts { version, method, uri, headers, extensions, .. } = parts;
        let protocol = extensions.get::<Protocol>().map(Protocol::as_str);
        let handshake = valid(accepting, &Head { version: *version, method, uri, headers, protocol })?;
        Self::new(handshake, extensions.remove(), *version)
    }

    fn new(handshake: ServerHandshake, on: Option<OnUpgrade>, version: Version) -> Result<Self, Refused> {
        match on {
            Some(on) => Ok(Self { handshake, on, version }),
            None => Err(Refused::failed(Error::other("this connection of hyper's does no upgrades"))),
        }
    }

    #[cfg(any(feature = "tower", feature = "axum"))]
    pub(crate) const fn request(&self) -> &wsproto::handshake::Request {
        self.handshake.request()
    }

    pub(crate) fn answer(
        self,
        options: &AcceptOptions,
        decision: Decision,
    ) -> Result<(Response<Bytes>, Upgrading), Refused> {
        let Self { handshake, on, version } = self;
        let accepting = options.accepting();
        let decision = accepting.prejudge(handshake.request()).unwrap_or(decision);
        let accepted = accepting.judge(&handshake, decision).map_err(|refusal| Refused::new(*refusal, version))?;
        let response = heads::response(&accepted.response, version, Bytes::new());
        let response = response.map_err(|error| Refused::failed(Error::other(error)))?;
        let (options, deadline) = (options.clone(), options.deadline());
        let upgrading = async move {
            let upgraded = deadline.hold(async { on.await.map_err(broken) }).await?;
            // Without the query, which may hold a secret.
            debug!("accepted a WebSocket for {}", handshake.request().path());
            let (transport, first) = transport(upgraded, version);
            let socket = options.open(transport, accepted, first);
            Ok(if version == Version::HTTP_2 { socket.multiplexed(Multiplexed::PLAIN) } else { socket })
        };
        Ok((response, Upgrading(Box::pin(upgrading))))
    }
}

/// A WebSocket that is there when hyper has sent the response.
///
/// # Errors
///
/// The transport's: the connection ended before; the response was not sent in the time for the handshake; or yours: the
/// connection is not driven with its upgrades.
#[must_use = "a WebSocket that nobody waits for is dropped"]
pub struct Upgrading(Pin<Box<dyn Future<Output = Result<WebSocket<Transport>, Error>> + Send>>);

impl Upgrading {
    /// Runs a handler for it in a task.
    #[cfg(any(feature = "tower", feature = "axum"))]
    pub(crate) fn spawn<F>(
        self,
        handler: impl FnOnce(WebSocket<Transport>) -> F + Send + 'static,
        tell: impl FnOnce(&Error) + Send + 'static,
    ) where
        F: Future<Output = Result<(), Error>> + Send,
    {
        tokio::spawn(async move {
            let ended = match self.await {
                Ok(socket) => handler(socket).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                debug!("{error}");
                tell(&error);
            }
        });
    }
}

impl Future for Upgrading {
    type Output = Result<WebSocket<Transport>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").finish_non_exhaustive()
    }
}

/// A request that becomes no WebSocket: the answer to send, and why.
#[derive(Debug)]
pub struct Refused(Box<(Response<Bytes>, Error)>);

impl Refused {
    fn new(refusal: Refusal, version: Version) -> Self {
        let Refusal { head, body, error } = refusal;
        let body = match body {
            std::borrow::Cow::Borrowed(body) => Bytes::from_static(body),
            std::borrow::Cow::Owned(body) => Bytes::from(body),
        };
        match heads::response(&head, version, body) {
            Ok(response) => Self((response, error).into()),
            Err(error) => Self::failed(Error::other(error)),
        }
    }

    /// By this server's fault.
    fn failed(error: Error) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        Self((response, error).into())
    }

    /// The answer to send: status, headers and body, a short text. Over HTTP/1.1 it ends the connection, unless the fault was ours.
    #[must_use]
    pub fn response(self) -> Response<Bytes> {
        self.0.0
    }

    /// Why, and whose fault it was.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}

/// What hyper failed with.
pub(super) fn broken(error: hyper::Error) -> Error {
    if error.is_user() {
        return Error::other(error);
    }
    let kind = match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => source.kind(),
        None => io::ErrorKind::ConnectionAborted,
    };
    Error::Io(io::Error::new(kind, error))
}
