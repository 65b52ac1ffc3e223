//! How messages leave over HTTP/2: in how many frames, with how many copies, and how much waits for a peer that does not read.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;

use ends::{A_WHILE, Server, soon};
use futures_util::FutureExt as _;
use h2::ext::Protocol;
use http::{Method, Request};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wsproto_io::{ConnectOptions, Message, ServeOptions};

/// What a client gets that asks for frames as long as they may be: the lengths of `count` DATA frames.
async fn frames(server: &Server, count: usize) -> Vec<usize> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.max_frame_size(1 << 20).initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
    let (send, connection) = builder.handshake::<_, bytes::Bytes>(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut send = soon(send.ready()).await.unwrap();
    while !send.is_extended_connect_protocol_enabled() {
        sleep(A_WHILE / 10).await;
    }
    let request = Request::builder().method(Method::CONNECT).uri("http://localhost/");
    let request = request.extension(Protocol::from_static("websocket")).header("sec-websocket-version", "13");
    let (response, _stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
    let mut body = soon(response).await.unwrap().into_body();
    let mut lengths = Vec::new();
    while lengths.len() < count {
        lengths.push(soon(body.data()).await.unwrap().unwrap().len());
    }
    lengths
}

/// A batch of messages is one DATA frame, whether its buffer is copied or given away.
#[tokio::test]
async fn what_was_fed_together_is_one_data_frame() {
    for (messages, len) in [(20, 100), (50, 1000), (1, 60_000)] {
        let server = Server::start(ServeOptions::new().http2(100), move |mut socket, _| async move {
            for _ in 0..2 {
                for _ in 0..messages {
                    socket.feed(vec![7; len]).await?;
                }
                socket.flush().await?;
                // The next batch stands behind a Ping, which has a frame of its own.
                socket.ping().await?;
            }
            socket.recv().await.map(drop)
        })
        .await;
        let header = if len < 126 { 2 } else { 4 };
        let batch = messages * (len + header);
        assert_eq!(frames(&server, 3).await, [batch, 10, batch], "{messages} of {len}");
    }
}

/// A message is copied into the queue, and no more: the buffer of the queue goes down whole.
#[tokio::test]
async fn a_queue_of_some_length_is_given_away_and_not_copied() {
    let server = Server::echo(ServeOptions::new().http2(100)).await;
    let connection = ConnectOptions::new().compression(None).http2(server.url("/")).await.unwrap();
    let mut socket = soon(connection.open("/")).await.unwrap();
    for len in [4 * 1024, 30_000, 60_000] {
        soon(socket.feed(vec![7; len])).await.unwrap();
        let written = allocation_counter::measure(|| {
            assert!(socket.flush().now_or_never().is_some(), "there is room for all");
        });
        assert!(written.bytes_total < 4 * 1024, "{len}: {written:?}");
        assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Binary(vec![7; len])));
    }
}

/// What waits in `h2` for a client that does not read is bounded: the window, and at most two buffers.
#[tokio::test]
async fn little_waits_for_a_client_that_does_not_read() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(ServeOptions::new().http2(100), move |mut socket, _| {
        let tell = tell.clone();
        async move {
            for _ in 0..100 {
                if timeout(A_WHILE * 4, socket.send(vec![7; 50_000])).await.is_err() {
                    break; // it waits
                }
            }
            tell.send(socket.counters()).unwrap();
            socket.recv().await.map(drop)
        }
    })
    .await;
    let connection = ConnectOptions::new().compression(None).http2(server.url("/")).await.unwrap();
    let _socket = soon(connection.open("/")).await.unwrap();
    let counters = soon(told.recv()).await.unwrap();
    let (sent, queued) = (counters.bytes_sent, counters.queued);
    assert!((64 * 1024..3 * 64 * 1024).contains(&sent), "{sent} sent");
    assert!(queued < 2 * 64 * 1024, "{queued} queued");
}
