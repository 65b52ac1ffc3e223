//! WebSockets in a stack of tower's services: here where a request asks for one, else what the inner service answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::decision::Decision;
use crate::error::Error;
use crate::hyper::{Asked, is_upgrade};
use crate::tokio::{AcceptOptions, Transport, WebSocket};

/// A layer that answers requests for a WebSocket (RFC 6455 over HTTP/1.1, RFC 8441 over HTTP/2), and runs the handler for each in
/// a task of its own. All other requests are the inner service's, as they are.
///
/// ```
/// use wsproto_io::AcceptOptions;
/// use wsproto_io::tower::WebSocketLayer;
///
/// let layer = WebSocketLayer::new(|mut socket, _request| async move {
///     while let Some(message) = socket.recv().await? {
///         socket.feed(message).await?;
///     }
///     Ok(())
/// })
/// .path("/echo")
/// .options(AcceptOptions::new().subprotocol("echo"));
/// # let _ = tower_layer::Layer::layer(&layer, ());
/// ```
///
/// The handler is given the head of the request, with the extensions that layers before this one have left there: what they
/// reject does not arrive. What lies beneath a WebSocket, and what hyper's connection has to be told, is told at
/// [`hyper`](crate::hyper). The response's body is made from [`Bytes`], as that of axum and `Full` can be.
pub struct WebSocketLayer<H> {
    here: Arc<Here<H>>,
}

/// What happens to a request for a WebSocket.
struct Here<H> {
    handler: Arc<H>,
    options: AcceptOptions,
    path: Option<String>,
    tell: Option<Arc<Tell>>,
}

type Tell = dyn Fn(&Error) + Send + Sync;

impl<H> WebSocketLayer<H> {
    /// A layer with this handler, for any path, with the default options.
    #[must_use]
    pub fn new<F>(handler: H) -> Self
    where
        H: Fn(WebSocket<Transport>, request::Parts) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (handler, options) = (Arc::new(handler), AcceptOptions::new());
        Self { here: Here { handler, options, path: None, tell: None }.into() }
    }

    /// What is chosen for each WebSocket.
    #[must_use]
    pub fn options(self, options: AcceptOptions) -> Self {
        self.with(|here| Here { options, ..here })
    }

    /// The path for which there are WebSockets, as it is sent and without its query; requests for one elsewhere are the inner
    /// service's. Default: any.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        self.with(|here| Here { path: Some(path.into()), ..here })
    }

    /// Is told of each error: of requests that are refused, of handshakes, of handlers. Default: nobody is told.
    #[must_use]
    pub fn on_error(self, tell: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.with(|here| Here { tell: Some(Arc::new(tell)), ..here })
    }

    fn with(self, change: impl FnOnce(Here<H>) -> Here<H>) -> Self {
        Self { here: change((*self.here).clone()).into() }
    }
}

impl<H> Clone for Here<H> {
    fn clone(&self) -> Self {
        let Self { handler, options, path, tell } = self;
        Self { handler: Arc::clone(handler), options: options.clone(), path: path.clone(), tell: tell.clone() }
    }
}

impl<H> Clone for WebSocketLayer<H> {
    fn clone(&self) -> Self {
        Self { here: Arc::clone(&self.here) }
    }
}

impl<S, H> Layer<S> for WebSocketLayer<H> {
    type Service = WebSocketService<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        WebSocketService { inner, here: Arc::clone(&self.here) }
    }
}

/// A service of [`WebSocketLayer`]'s.
pub struct WebSocketService<S, H> {
    inner: S,
    here: Arc<Here<H>>,
}

impl<H> Here<H> {
    fn is_for<B>(&self, request: &Request<B>) -> bool {
        is_upgrade(request) && self.path.as_deref().is_none_or(|path| path == request.uri().path())
    }

    fn answer<B, F>(&self, request: Request<B>) -> Response<Bytes>
    where
        H: Fn(WebSocket<Transport>, request::Parts) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let mut parts = request.into_parts().0;
        let asked = Asked::of(&mut parts, self.options.accepting());
        match asked.and_then(|asked| asked.answer(&self.options, Decision::accept())) {
            Ok((response, upgrading)) => {
                let (handler, tell) = (Arc::clone(&self.handler), self.tell.clone());
                upgrading
                    .spawn(move |socket| handler(socket, parts), move |error| tell.iter().for_each(|tell| tell(error)));
                response
            }
            Err(refused) => {
                self.tell.iter().for_each(|tell| tell(refused.error()));
                refused.response()
            }
        }
    }
}

impl<S, H, F, B, R> Service<Request<B>> for WebSocketService<S, H>
where
    S: Service<Request<B>, Response = Response<R>>,
    H: Fn(WebSocket<Transport>, request::Parts) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.here.is_for(&request) {
            ResponseFuture::Here { response: Some(self.here.answer(request).map(R::from)) }
        } else {
            ResponseFuture::Inner { future: self.inner.call(request) }
        }
    }
}

impl<S: Clone, H> Clone for WebSocketService<S, H> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), here: Arc::clone(&self.here) }
    }
}

pin_project! {
    /// The response: of the handshake, or of the inner service.
    #[project = Project]
    #[derive(Debug)]
    #[allow(missing_docs)]
    pub enum ResponseFuture<F, R> {
        Here { response: Option<Response<R>> },
        Inner { #[pin] future: F },
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            // (Polled again, it waits for ever: a future that has ended may do as it likes.)
            Project::Here { response } => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Project::Inner { future } => Poll::Ready(ready!(future.poll(cx))),
        }
    }
}

impl<H> fmt::Debug for WebSocketLayer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketLayer").field("path", &self.here.path).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, H> fmt::Debug for WebSocketService<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketService")
            .field("inner", &self.inner)
            .field("path", &self.here.path)
            .finish_non_exhaustive()
    }
}
