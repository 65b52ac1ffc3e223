//! A server's connection of HTTP/2.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Request as HttpRequest, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wsproto::handshake::http1::PlainRequest;
use wsproto::handshake::{HeadError, HttpVersion, Request, RequestError, ResponseHead, ServerHandshake};

use super::hub::{Driven, Hub};
use super::inbox::{Inbox, io_error};
use super::stream::Http2Stream;
use super::{FRAME_BUDGET, STREAM_WINDOW, connection_window};
use crate::accepting::Refusal;
use crate::decision::Decision;
use crate::error::Error;
use crate::heads;
use crate::tokio::{AcceptOptions, Multiplexed, Timer, Transport, WebSocket};

/// How long a connection without streams is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How long it then has to end in order (GOAWAY, which the client has to answer).
const GRACE: Duration = Duration::from_secs(2);

/// Begins a connection of at most so many streams at a time; `head_limit`: of a request's head, in bytes.
pub(crate) async fn begin<T: AsyncRead + AsyncWrite + Unpin>(
    io: T,
    streams: u32,
    head_limit: usize,
) -> Result<Connection<T, Bytes>, Error> {
    let mut builder = h2::server::Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(connection_window(streams))
        .max_concurrent_streams(streams)
        .data_frame_budget(FRAME_BUDGET)
        .max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
        .max_send_buffer_size(STREAM_WINDOW as usize);
    builder.handshake(io).await.map_err(|error| Error::Io(io_error(error)))
}

/// Drives a connection until it ends: gives each request to `answer`, whose future runs in a task of its own, and waits for
/// those in the end. When `stopping` is true, no more requests are let in (GOAWAY), and it ends with the last stream.
pub(crate) async fn run<T, F>(
    connection: Connection<T, Bytes>,
    streams: u32,
    mut stopping: watch::Receiver<bool>,
    answer: impl Fn(Asked) -> F,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()> + Send + 'static,
{
    let mut serving = Serving {
        driven: Driven::new(connection),
        tasks: JoinSet::new(),
        streams: streams as usize,
        stops: false,
        idle: None,
        timer: Timer::default(),
    };
    let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
    let mut told = false;
    let ended = poll_fn(|cx| {
        if !told && stopped.as_mut().poll(cx).is_ready() {
            told = true;
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
    /// Whether no more requests are let in.
    stops: bool,
    /// Since when it has no streams.
    idle: Option<Instant>,
    timer: Timer,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Serving<T> {
    fn stop(&mut self) {
        (self.stops, self.idle) = (true, None);
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
                    ready!(self.timer.poll_at(since + if self.stops { GRACE } else { IDLE }, cx));
                    if self.stops {
                        return Poll::Ready(Ok(())); // whatever the client still owes
                    }
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
    /// An answer that was sent whole.
    answered: Option<SendStream<Bytes>>,
}

impl Asked {
    fn new(hub: &Arc<Hub>, request: HttpRequest<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let (head, recv) = request.into_parts();
        Self { request: HttpRequest::from_parts(head, ()), inbox: Some(Inbox::new(hub, recv)), respond, answered: None }
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
        let Ok(head) = self.head().as_request() else {
            return Err(refuse(RequestError::Head(HeadError::Character), None).into());
        };
        if self.request.headers().len() > accepting.common.head_limits.headers {
            return Err(refuse(RequestError::Head(HeadError::TooManyHeaders), None).into());
        }
        let plain = self.head().plain();
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
                Ok((socket.multiplexed(Multiplexed::HTTP2), handshake))
            }
            Err(error) => Err(Refusal::of_ours(&handshake, error).into()),
        }
    }

    fn head(&self) -> heads::Head<'_> {
        heads::Head::new(&self.request, self.request.extensions().get::<Protocol>().map(Protocol::as_str))
    }

    fn accept(&mut self, head: &ResponseHead) -> Result<Http2Stream, Error> {
        let response = heads::response(head, Version::HTTP_2, ()).map_err(Error::other)?;
        let send = self.respond.send_response(response, false).map_err(|error| Error::Io(io_error(error)))?;
        // It is there until the request is answered.
        let inbox = self.inbox.take().ok_or(Error::Io(io::ErrorKind::NotConnected.into()))?;
        Ok(Http2Stream::from_inbox(inbox, send))
    }

    /// Writes an answer other than a WebSocket.
    async fn refuse(mut self, head: &ResponseHead, body: Cow<'static, [u8]>) -> Result<(), h2::Error> {
        let Ok(response) = heads::response(head, Version::HTTP_2, ()) else { return Ok(()) };
        let mut send = self.respond.send_response(response, body.is_empty())?;
        let mut rest = Bytes::from(body.into_owned());
        while !rest.is_empty() {
            send.reserve_capacity(rest.len());
            let Some(room) = poll_fn(|cx| send.poll_capacity(cx)).await else { return Ok(()) };
            let piece = rest.split_to(room?.min(rest.len()));
            send.send_data(piece, rest.is_empty())?;
        }
        self.answered = Some(send);
        Ok(())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            match self.answered.take() {
                Some(send) => inbox.leave(send),
                None => inbox.give_up(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use wsproto::{CloseCode, CloseFrame, Connection as Core, Extensions, Limits};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that echoes, in memory, so that the clock stands still while anything moves.
    fn serve() -> (DuplexStream, watch::Sender<bool>, JoinHandle<Result<(), Error>>) {
        let (near, far) = duplex(100_000);
        let (stop, stopping) = watch::channel(false);
        let answer = |asked: Asked| async move {
            let options = AcceptOptions::new().ping_interval(None);
            let (mut socket, _) = asked.shake_hands(&options, async |_| Decision::accept()).await.unwrap();
            while let Ok(Some(message)) = socket.recv().await {
                socket.feed(message).await.unwrap();
            }
        };
        let serving = async move { run(begin(far, 100, 16 * 1024).await?, 100, stopping, answer).await };
        (near, stop, tokio::spawn(serving))
    }

    /// The preface, and empty settings.
    const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    /// A client that says no more than it must, and answers nothing, keeps no place for ever.
    #[tokio::test(start_paused = true)]
    async fn a_connection_without_streams_ends() {
        let (mut client, _stop, serving) = serve();
        client.write_all(BEGINNING).await.unwrap();
        let begun = Instant::now();
        timeout(1000 * SECOND, serving).await.expect("it waits for ever").unwrap().unwrap();
        assert_eq!(begun.elapsed(), IDLE + GRACE);
        // And where the server stops, it is not waited for long.
        let (mut client, stop, serving) = serve();
        client.write_all(BEGINNING).await.unwrap();
        client.read_exact(&mut [0; 9]).await.unwrap();
        let begun = Instant::now();
        stop.send_replace(true);
        timeout(1000 * SECOND, serving).await.expect("it waits for ever").unwrap().unwrap();
        assert_eq!(begun.elapsed(), GRACE);
    }

    /// A client that never ends its direction: our `END_STREAM` is not followed by a reset at once, but in the end it is.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_we_have_ended_is_not_waited_for_for_ever() {
        let (client, _stop, _serving) = serve();
        let (send, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let mut send: h2::client::SendRequest<Bytes> = send.ready().await.unwrap();
        tokio::time::sleep(SECOND).await; // its settings are there
        let request = HttpRequest::builder().method(Method::CONNECT).uri("http://a/");
        let request = request.extension(Protocol::from_static("websocket")).header("sec-websocket-version", "13");
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut close = Vec::new();
        let mut core = Core::client(Extensions::none(), Limits::none(), || [1, 2, 3, 4]);
        core.send(CloseFrame::new(CloseCode::NORMAL, ""), &mut close).unwrap();
        stream.send_data(close.into(), false).unwrap();
        while body.data().await.is_some() {}
        let begun = Instant::now();
        let reset = timeout(1000 * SECOND, poll_fn(|cx| stream.poll_reset(cx))).await.expect("it waits for ever");
        assert_eq!((reset.unwrap(), begun.elapsed().as_secs()), (Reason::CANCEL, 10));
    }
}
