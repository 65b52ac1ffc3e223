//! A client of HTTP/2: what it does where a server has none, or leads elsewhere, and with many streams.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use bytes::Bytes;
use ends::{Server, echo, soon};
use futures_util::FutureExt as _;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wsproto::handshake::LocalHandshakeError;
use wsproto_io::{ConnectOptions, Error, Http, Message, ServeOptions, WebSocket};

/// A server by hand: each request, and how to answer it.
type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// One connection of a server that answers as `answer` says.
async fn speak(answer: impl Fn(Asked) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let tcp = listener.accept().await.unwrap().0;
        let mut connection = Builder::new().enable_connect_protocol().handshake(tcp).await.unwrap();
        while let Some(Ok(asked)) = connection.accept().await {
            answer(asked);
        }
    });
    (url, serving)
}

fn over_http2() -> ConnectOptions {
    ConnectOptions::new().http_version(Http::Two)
}

#[tokio::test]
async fn a_server_that_speaks_http1_alone_has_no_websockets_over_http2() {
    let server = Server::echo(ServeOptions::new()).await;
    let refused = soon(over_http2().connect(server.url("/"))).await;
    assert!(matches!(refused, Err(Error::Http2Unsupported)), "{refused:?}");
}

/// "`HTTP_1_1_REQUIRED`: The endpoint requires that HTTP/1.1 be used instead of HTTP/2" (RFC 9113 §7).
#[tokio::test]
async fn a_server_that_wants_http1_for_it_has_no_websockets_over_http2() {
    let (url, _serving) = speak(|(_, mut respond)| respond.send_reset(Reason::HTTP_1_1_REQUIRED)).await;
    let refused = soon(over_http2().connect(&url)).await;
    assert!(matches!(refused, Err(Error::Http2Unsupported)), "{refused:?}");
    // Another reset is a failure of this stream.
    let (url, _serving) = speak(|(_, mut respond)| respond.send_reset(Reason::REFUSED_STREAM)).await;
    let refused = soon(over_http2().connect(&url)).await;
    assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
}

/// What cannot be written is the caller's fault.
#[tokio::test]
async fn a_path_that_is_none_is_told_before_anything_is_sent() {
    let server = Server::echo(ServeOptions::new().http2(100)).await;
    let connection = ConnectOptions::new().http2(server.url("/")).await.unwrap();
    for path in ["", "a", "/a b", "/a#b", "/<a>", "/\u{e9}"] {
        let refused = soon(connection.open(path)).await;
        assert!(matches!(refused, Err(Error::Handshake(LocalHandshakeError::Path))), "{path}: {refused:?}");
    }
    assert!(soon(connection.open("/a?b={c}")).await.is_ok());
}

/// The body of a redirect that is followed is for nobody: it is not waited for.
#[tokio::test]
async fn a_redirect_is_followed_whatever_its_body() {
    let server = Server::start(ServeOptions::new().http2(100), |mut socket, client| async move {
        socket.send(client.request.target()).await?;
        socket.recv().await.map(drop)
    })
    .await;
    let location = server.url("/there");
    let (url, _serving) = speak(move |(_, mut respond)| {
        let response = Response::builder().status(307).header("location", &location).body(()).unwrap();
        let mut body = respond.send_response(response, false).unwrap();
        body.send_data(Bytes::from_static(b"more is to come"), false).unwrap();
        std::mem::forget(body); // and never does
    })
    .await;
    let options = over_http2().follow_redirects(1).handshake_timeout(ends::FOR_EVER);
    let mut socket = soon(options.connect(&url)).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Text("/there".into())));
}

/// The window of the connection is that of all its streams, however many: those that nobody reads stop no other.
#[tokio::test]
async fn streams_that_nobody_reads_stop_no_other_however_many_they_are() {
    const STREAMS: usize = 250;
    /// More than a stream's window.
    const LONG: usize = 100 * 1024;

    let (full, mut filled) = mpsc::unbounded_channel();
    let server = Server::start(ServeOptions::new().http2(1000), move |mut socket, client| {
        let full = full.clone();
        async move {
            if client.request.path() == "/echo" {
                return echo(socket, client).await;
            }
            socket.feed(vec![7; LONG]).await?;
            let _ = socket.flush().now_or_never();
            full.send(()).unwrap();
            socket.recv().await.map(drop)
        }
    })
    .await;
    let connection = ConnectOptions::new().compression(None).http2(server.url("/")).await.unwrap();
    let mut sockets = Vec::new();
    for _ in 0..STREAMS {
        sockets.push(soon(connection.open("/")).await.unwrap());
    }
    for _ in 0..STREAMS {
        soon(filled.recv()).await.unwrap();
    }
    let mut other = soon(connection.open("/echo")).await.unwrap();
    for n in 0..100 {
        let message = Message::Binary(vec![n; 10_000]);
        soon(other.send(message.clone())).await.unwrap();
        assert_eq!(soon(other.recv()).await.unwrap(), Some(message));
    }
    for socket in &mut sockets {
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Binary(vec![7; LONG])));
    }
}

/// A WebSocket that has failed ends its stream at once, also where the application keeps it.
#[tokio::test]
async fn a_stream_whose_websocket_has_failed_is_reset_while_it_is_kept() {
    let (reset, mut was_reset) = mpsc::unbounded_channel();
    let (url, _serving) = speak(move |(request, mut respond)| {
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        let reset = reset.clone();
        tokio::spawn(async move {
            let _body = request.into_body();
            reset.send(std::future::poll_fn(|cx| send.poll_reset(cx)).await.unwrap()).unwrap();
        });
    })
    .await;
    let options = over_http2().close_timeout(ends::A_WHILE);
    let mut socket: WebSocket<_> = soon(options.connect(&url)).await.unwrap();
    let closed = soon(socket.close(wsproto::CloseCode::NORMAL, "")).await;
    assert!(matches!(closed, Err(Error::Timeout(_))), "{closed:?}");
    assert_eq!(soon(was_reset.recv()).await, Some(Reason::CANCEL));
    drop(socket);
}

/// An end without a Close is no end in order: ours is a reset, also while the application keeps the WebSocket.
#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_reset_while_it_is_kept() {
    let (reset, mut was_reset) = mpsc::unbounded_channel();
    let (url, _serving) = speak(move |(request, mut respond)| {
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        send.send_data(Bytes::new(), true).unwrap();
        let reset = reset.clone();
        tokio::spawn(async move {
            let mut body = request.into_body();
            let ended = match body.data().await {
                Some(Err(error)) => error.reason(),
                other => panic!("{other:?}"),
            };
            reset.send(ended).unwrap();
        });
    })
    .await;
    let mut socket = soon(over_http2().connect(&url)).await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));
    assert_eq!(soon(was_reset.recv()).await, Some(Some(Reason::CANCEL)));
    drop(socket);
}
