//! A server's connection of HTTP/2.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request as HttpRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wsproto::handshake::http1::PlainRequest;
use wsproto::handshake::{HttpVersion, Request, RequestError, ResponseHead, ServerHandshake};

use super::heads;
use super::hub::{Driven, Hub};
use super::inbox::{Inbox, io_error};
use super::stream::Http2Stream;
use super::{HEADER_LIST, STREAM_WINDOW, connection_window};
use crate::accepting::Refusal;
use crate::decision::Decision;
use crate::error::Error;
use crate::tokio::{AcceptOptions, Deadline, Timer, Transport, WebSocket};

/// How long a connection without streams is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Drives a connection until it ends: gives each request to `answer`, whose future runs in a task of its own, and waits for
/// those in the end. When `stopping` is true, no more requests are let in (GOAWAY), and it ends with the last stream.
pub(crate) async fn run<T, F>(
    io: T,
    streams: u32,
    deadline: Deadline,
    mut stopping: watch::Receiver<bool>,
    answer: impl Fn(Asked) -> F,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = h2::server::Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window(streams))
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(STREAM_WINDOW as usize);
    let handshake = async { builder.handshake::<_, Bytes>(io).await.map_err(io_error) };
    let mut serving = Serving {
        driven: Driven::new(deadline.hold(handshake).await?),
        tasks: JoinSet::new(),
        streams: streams as usize,
        idle: None,
        timer: Timer::default(),
    };
    let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
    let mut stops = false;
    let ended = poll_fn(|cx| {
        if !stops && stopped.as_mut().poll(cx).is_ready() {
            stops = true;
            serving.stop();
        }
        serving.poll(cx, &answer)
    })
    .await;
    let Serving { driven, mut tasks, .. } = serving;
    drop(driven); // the streams learn that it has ended
    while tasks.join_next().await.is_some() {}
    ended.map_err(|error| Error::Io(io_error(error)))
}

/// A connection, and the tasks of its streams.
struct Serving<T> {
    driven: Driven<Connection<T, Bytes>>,
    tasks: JoinSet<()>,
    streams: usize,
    /// Since when it has no streams.
    idle: Option<Instant>,
    timer: Timer,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Serving<T> {
    fn stop(&mut self) {
        if let Some(connection) = self.driven.get_mut() {
            connection.graceful_shutdown();
        }
    }

    fn poll<F>(&mut self, cx: &mut Context<'_>, answer: &impl Fn(Asked) -> F) -> Poll<Result<(), h2::Error>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            // (What a task panicked with is the panic hook's to tell.)
            while let Poll::Ready(Some(_)) = self.tasks.poll_join_next(cx) {}
            match self.driven.poll(cx, Connection::poll_accept) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond, answer),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending if !self.tasks.is_empty() => {
                    self.idle = None;
                    return Poll::Pending;
                }
                Poll::Pending => {
                    let since = *self.idle.get_or_insert_with(Instant::now);
                    ready!(self.timer.poll_at(since + IDLE, cx));
                    self.idle = None;
                    self.stop();
                }
            }
        }
    }

    fn begin<F>(
        &mut self,
        request: HttpRequest<RecvStream>,
        mut respond: SendResponse<Bytes>,
        answer: &impl Fn(Asked) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        // A stream that the client has reset counts no more for the protocol, but its task may not have ended yet.
        if self.tasks.len() >= self.streams.saturating_mul(2) {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.tasks.spawn(answer(Asked::new(&self.driven.hub, request, respond)));
    }
}

/// A request that waits for its answer. Dropped, it is reset.
pub(crate) struct Asked {
    request: HttpRequest<()>,
    /// What the client sends behind it. `None` when it was answered.
    inbox: Option<Arc<Inbox>>,
    respond: SendResponse<Bytes>,
}

impl Asked {
    fn new(hub: &Arc<Hub>, request: HttpRequest<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let (head, recv) = request.into_parts();
        Self { request: HttpRequest::from_parts(head, ()), inbox: Some(Inbox::new(hub, recv)), respond }
    }

    /// The server's side of the handshake (RFC 8441 §5).
    pub(crate) async fn shake_hands(
        mut self,
        options: &AcceptOptions,
        decide: impl AsyncFnOnce(&Request) -> Decision,
    ) -> Result<(WebSocket<Transport>, ServerHandshake), Error> {
        match self.agree(options, decide).await {
            Ok((socket, handshake)) => Ok((socket, handshake)),
            Err(refusal) => {
                let Refusal { head, body, error } = *refusal;
                // Nobody is there to be told that the answer did not arrive.
                let _ = self.refuse(&head, body).await;
                Err(error)
            }
        }
    }

    async fn agree(
        &mut self,
        options: &AcceptOptions,
        decide: impl AsyncFnOnce(&Request) -> Decision,
    ) -> Result<(WebSocket<Transport>, ServerHandshake), Box<Refusal>> {
        let accepting = options.accepting();
        let refuse = |error, plain: Option<&PlainRequest>| accepting.refuse(error, plain, HttpVersion::Http2);
        let Ok(head) = heads::request_head(&self.request) else {
            return Err(refuse(RequestError::NotWebSocket, None).into());
        };
        let plain = self.plain();
        let handshake = match ServerHandshake::new(head) {
            Ok(handshake) => handshake,
            Err(error) => return Err(refuse(error, plain.as_ref()).into()),
        };
        let decision = match accepting.prejudge(handshake.request()) {
            Some(decision) => decision,
            None => decide(handshake.request()).await,
        };
        let accepted = accepting.judge(&handshake, decision)?;
        match self.accept(&accepted.response) {
            Ok(stream) => {
                let socket = options.open(Transport::Http2(Box::new(stream)), accepted, Vec::new());
                Ok((socket.multiplexed(), handshake))
            }
            Err(error) => Err(Refusal { error, ..refuse(RequestError::NotWebSocket, None) }.into()),
        }
    }

    /// The request as one for a page, where it is a GET.
    fn plain(&self) -> Option<PlainRequest> {
        let uri = self.request.uri();
        if self.request.method() != Method::GET {
            return None;
        }
        let mut headers = heads::headers(self.request.headers()).ok()?;
        if let Some(authority) = uri.authority().filter(|_| !headers.contains("Host")) {
            headers.push("host", authority.as_str()).ok()?;
        }
        PlainRequest::new(uri.path_and_query()?.as_str(), headers)
    }

    fn accept(&mut self, head: &ResponseHead) -> Result<Http2Stream, Error> {
        let response = heads::response(head).map_err(Error::other)?;
        let send = self.respond.send_response(response, false).map_err(|error| Error::Io(io_error(error)))?;
        // It is there until the request is answered.
        let inbox = self.inbox.take().ok_or(Error::Io(io::ErrorKind::NotConnected.into()))?;
        Ok(Http2Stream::from_inbox(inbox, send))
    }

    /// Writes an answer other than a WebSocket.
    async fn refuse(mut self, head: &ResponseHead, body: Cow<'static, [u8]>) -> Result<(), h2::Error> {
        let Ok(response) = heads::response(head) else { return Ok(()) };
        let mut send = self.respond.send_response(response, body.is_empty())?;
        let mut rest = Bytes::from(body.into_owned());
        while !rest.is_empty() {
            send.reserve_capacity(rest.len());
            let Some(room) = poll_fn(|cx| send.poll_capacity(cx)).await else { return Ok(()) };
            let piece = rest.split_to(room?.min(rest.len()));
            send.send_data(piece, rest.is_empty())?;
        }
        Ok(())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.leave(false);
        }
    }
}
