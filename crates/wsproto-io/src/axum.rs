//! WebSockets in axum's handlers.

use std::fmt;
use std::future::Future;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use wsproto::handshake::Request;

use crate::accepting::Accepting;
use crate::decision::Decision;
use crate::error::Error;
use crate::hyper::{Asked, Refused};
use crate::tokio::{AcceptOptions, Transport, WebSocket};

/// An extractor (axum 0.8) for a valid request for a WebSocket, over HTTP/1.1 and HTTP/2 (RFC 8441). Its route is an `any`: over
/// HTTP/2 the method is CONNECT.
///
/// ```
/// use axum::Router;
/// use axum::response::Response;
/// use axum::routing::any;
/// use wsproto_io::axum::WebSocketUpgrade;
/// use wsproto_io::{AcceptOptions, Error, Transport, WebSocket};
///
/// async fn handler(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.options(AcceptOptions::new().subprotocol("echo")).on_upgrade(echo)
/// }
///
/// async fn echo(mut socket: WebSocket<Transport>) -> Result<(), Error> {
///     while let Some(message) = socket.recv().await? {
///         socket.feed(message).await?;
///     }
///     Ok(())
/// }
///
/// let app: Router = Router::new().route("/echo", any(handler));
/// ```
///
/// A request that is no valid one is answered with its status (400, 426 ...), as a [`Refused`]; `Result<WebSocketUpgrade, Refused>`
/// is an extractor, too, for a route that has a page. Whose origin or host is not let in is answered with 403 or 421, by
/// [`on_upgrade`](Self::on_upgrade). What lies beneath the WebSocket is told at [`hyper`](crate::hyper).
#[must_use = "a request that is not answered by `on_upgrade` becomes no WebSocket"]
pub struct WebSocketUpgrade {
    asked: Asked,
    options: AcceptOptions,
    decision: Decision,
    tell: Box<dyn FnOnce(&Error) + Send>,
}

impl WebSocketUpgrade {
    /// What is chosen for the WebSocket: origins, subprotocols, compression, limits, times. Default: [`AcceptOptions::new`]. Its
    /// pages and the limits for heads have no meaning here.
    pub fn options(self, options: AcceptOptions) -> Self {
        Self { options, ..self }
    }

    /// A decision about the request: a subprotocol of one's own choice, more headers, or a rejection. Default: accept.
    pub fn decision(self, decision: Decision) -> Self {
        Self { decision, ..self }
    }

    /// Is told of the error that ends it from here on: a rejection by origin, host or decision, the handshake, the handler. (An
    /// invalid request is refused by the extractor.) Default: nobody is told.
    pub fn on_error(self, tell: impl FnOnce(&Error) + Send + 'static) -> Self {
        Self { tell: Box::new(tell), ..self }
    }

    /// What the client asks for: path, headers, the [subprotocols](Request::subprotocols) that it offers.
    #[must_use]
    pub const fn request(&self) -> &Request {
        self.asked.request()
    }

    /// Answers the request. When the response has been sent, the handler runs in a task of its own.
    pub fn on_upgrade<F>(self, handler: impl FnOnce(WebSocket<Transport>) -> F + Send + 'static) -> Response
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        match self.asked.answer(&self.options, self.decision) {
            Ok((response, upgrading)) => {
                upgrading.spawn(handler, self.tell);
                response.map(Body::from)
            }
            Err(refused) => {
                (self.tell)(refused.error());
                refused.into_response()
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let asked = Asked::of(parts, &Accepting::default())?;
        Ok(Self { asked, options: AcceptOptions::new(), decision: Decision::accept(), tell: Box::new(|_| ()) })
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.response().map(Body::from)
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, options, decision, .. } = self;
        f.debug_struct("WebSocketUpgrade")
            .field("asked", asked)
            .field("options", options)
            .field("decision", decision)
            .finish_non_exhaustive()
    }
}
