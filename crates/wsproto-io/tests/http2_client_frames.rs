//! Our client over HTTP/2 against servers that speak in frames: what it asks for and when, and what it makes of servers that
//! break the protocol, go away, or let in few streams.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/http2.rs"]
mod http2;

use ends::{A_WHILE, soon};
use h2::Reason;
use http2::*;
use tokio::net::TcpListener;
use tokio::time::timeout;
use wsproto_io::{ConnectOptions, Error, Http2Connection, Message, Transport, WebSocket};

/// WebSockets over HTTP/2, as RFC 8441 §3 has it.
const CONNECTS: &[(u16, u32)] = &[(HEADER_TABLE_SIZE, 0), (ENABLE_CONNECT_PROTOCOL, 1)];

/// Our client and a server by hand.
async fn pair(settings: Option<&[(u16, u32)]>) -> (Http2Connection, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = ConnectOptions::new().compression(None).ping_interval(None);
    let (connection, server) = tokio::join!(options.http2(url), Peer::server(&listener, settings));
    (connection.unwrap(), server)
}

fn is_request(frame: &Frame) -> bool {
    frame.kind == HEADERS
}

/// Status 200, from the static table.
fn accept(stream: u32) -> Frame {
    frame(HEADERS, END_HEADERS, stream, [0x88])
}

/// A WebSocket, and its stream.
async fn open(connection: &Http2Connection, server: &mut Peer) -> (WebSocket<Transport>, u32) {
    let accepting = async {
        let stream = server.until(is_request).await.stream;
        server.send([accept(stream)]).await;
        stream
    };
    let (socket, stream) = tokio::join!(soon(connection.open("/")), accepting);
    (socket.unwrap(), stream)
}

/// The server's message to the client.
async fn hears(socket: &mut WebSocket<Transport>, server: &mut Peer, stream: u32) {
    server.send([data(stream, *b"\x82\x02hi")]).await;
    assert_eq!(soon(socket.recv()).await.unwrap(), Some(Message::Binary(b"hi".to_vec())));
}

/// A push and two interim responses made a client of `h2` before 0.4.16 panic.
#[tokio::test]
async fn p05_a_push_is_refused_and_nothing_panics() {
    let interim = |stream| headers(0, stream, &[(":status", "103")]);
    for pushed in [0, 2] {
        let (connection, mut server) = pair(Some(CONNECTS)).await;
        let (mut socket, stream) = open(&connection, &mut server).await;
        hears(&mut socket, &mut server, stream).await;
        let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
        let promise = frame(PUSH_PROMISE, END_HEADERS, stream, [&[0, 0, 0, 2][..], &block(&get)].concat());
        server.send([promise].into_iter().chain((0..pushed).map(|_| interim(2)))).await;
        // "A client [...] MUST treat the receipt of a PUSH_PROMISE frame as a connection error" (RFC 9113 §6.6).
        assert_eq!(server.until_went().await.reason(), Reason::PROTOCOL_ERROR);
        let ended = soon(socket.recv()).await.unwrap_err();
        assert_eq!(ended.close_code(), Some(1006));
        assert!(soon(connection.open("/")).await.is_err());
    }
    // Interim responses alone are passed over (RFC 9113 §8.1).
    let (connection, mut server) = pair(Some(CONNECTS)).await;
    let answering = async {
        let stream = server.until(is_request).await.stream;
        server.send([interim(stream), interim(stream), accept(stream)]).await;
        stream
    };
    let (socket, stream) = tokio::join!(soon(connection.open("/")), answering);
    hears(&mut socket.unwrap(), &mut server, stream).await;
}

/// "Using [...] :protocol [...] prior to receiving" the setting is an error (RFC 8441 §3).
#[tokio::test]
async fn p06_nothing_is_asked_before_the_setting() {
    let (connection, mut server) = pair(None).await;
    let opening = tokio::spawn(async move { connection.open("/").await });
    let seen = timeout(A_WHILE, server.until(is_request)).await;
    assert!(seen.is_err(), "{seen:?}");
    server.send([settings(CONNECTS), frame(SETTINGS, ACK, 0, [])]).await;
    let request = server.until(is_request).await;
    server.send([accept(request.stream)]).await;
    hears(&mut soon(opening).await.unwrap().unwrap(), &mut server, request.stream).await;

    for without in [&[][..], &[(ENABLE_CONNECT_PROTOCOL, 0)]] {
        let (connection, mut server) = pair(Some(without)).await;
        assert!(matches!(soon(connection.open("/")).await, Err(Error::Http2Unsupported)));
        let seen = server.settle().await;
        assert!(!seen.iter().any(is_request), "{seen:?}");
    }
}

/// "A sender MUST NOT send [...] 0 after previously sending a value of 1" (RFC 8441 §3). From one that does, nothing new is
/// asked; what is open goes on.
#[tokio::test]
async fn p06_a_setting_that_is_taken_back_opens_no_new_stream() {
    let (connection, mut server) = pair(Some(CONNECTS)).await;
    let (mut socket, stream) = open(&connection, &mut server).await;
    server.send([settings(&[(ENABLE_CONNECT_PROTOCOL, 0)])]).await;
    server.until(|frame| frame.kind == SETTINGS && frame.flags == ACK).await;
    server.settle().await;
    assert!(matches!(soon(connection.open("/")).await, Err(Error::Http2Unsupported)));
    let seen = server.settle().await;
    assert!(!seen.iter().any(is_request), "{seen:?}");
    hears(&mut socket, &mut server, stream).await;
}

/// In order, a server lets the streams up to the last one finish; the others were not processed (RFC 9113 §6.8).
#[tokio::test]
async fn p08_a_server_that_goes_away_in_the_middle_of_a_message() {
    for first in [None, Some((1 << 31) - 1)] {
        let (connection, mut server) = pair(Some(CONNECTS)).await;
        let (mut kept, stream) = open(&connection, &mut server).await;
        let (mut lost, other) = open(&connection, &mut server).await;
        server.send([data(stream, *b"\x82\x02h")]).await;
        server.send(first.map(|last| go_away(last, Reason::NO_ERROR))).await;
        if first.is_some() {
            hears(&mut lost, &mut server, other).await;
        }
        server.send([go_away(stream, Reason::NO_ERROR)]).await;
        assert_eq!(soon(lost.recv()).await.unwrap_err().close_code(), Some(1006));
        server.send([data(stream, *b"i")]).await;
        assert_eq!(soon(kept.recv()).await.unwrap(), Some(Message::Binary(b"hi".to_vec())));
        hears(&mut kept, &mut server, stream).await;
        assert!(soon(connection.open("/")).await.is_err());
        // And its end in order.
        kept.send_close(wsproto::CloseCode::NORMAL, "");
        let (ended, ()) = tokio::join!(soon(kept.recv()), async {
            server.until(|frame| frame.is(DATA, stream)).await;
            server.send([data(stream, [0x88, 2, 3, 0xe8]), end(stream)]).await;
        });
        assert_eq!(ended.unwrap(), None);
    }
    // With an error it is the end.
    let (connection, mut server) = pair(Some(CONNECTS)).await;
    let (mut socket, stream) = open(&connection, &mut server).await;
    server.send([data(stream, *b"\x82\x02h"), go_away(stream, Reason::INTERNAL_ERROR)]).await;
    drop(server);
    assert_eq!(soon(socket.recv()).await.unwrap_err().close_code(), Some(1006));
}

#[tokio::test]
async fn open_waits_where_the_server_lets_in_no_more() {
    let (connection, mut server) = pair(Some(&[CONNECTS, &[(MAX_CONCURRENT_STREAMS, 1)]].concat())).await;
    let (socket, first) = open(&connection, &mut server).await;
    let again = connection.clone();
    let opening = tokio::spawn(async move { again.open("/").await });
    // No place is lost by one that is given up while it waits.
    let given_up = timeout(A_WHILE, connection.open("/given-up")).await;
    assert!(given_up.is_err(), "it does not wait");
    let seen = server.settle().await;
    assert!(!seen.iter().any(is_request), "{seen:?}");
    drop(socket);
    server.until(|frame| frame.is(RST_STREAM, first)).await;
    // (It is asked for all the same when `h2` comes to it, and reset at once.)
    let given_up = server.until(is_request).await.stream;
    server.until(|frame| frame.is(RST_STREAM, given_up)).await;
    let second = server.until(is_request).await.stream;
    server.send([accept(second)]).await;
    hears(&mut soon(opening).await.unwrap().unwrap(), &mut server, second).await;
}

#[tokio::test]
async fn an_open_that_is_dropped_resets_its_stream() {
    let (connection, mut server) = pair(Some(&[CONNECTS, &[(MAX_CONCURRENT_STREAMS, 2)]].concat())).await;
    let (mut sibling, stream) = open(&connection, &mut server).await;
    // More often than there may be streams.
    for _ in 0..100 {
        let again = connection.clone();
        let opening = tokio::spawn(async move { again.open("/").await });
        let asked = server.until(is_request).await.stream;
        opening.abort();
        let reset = server.until(|frame| frame.is(RST_STREAM, asked)).await;
        assert_eq!(reset.reason(), Reason::CANCEL);
        // An answer that was on its way harms nobody.
        server.send([accept(asked)]).await;
    }
    hears(&mut sibling, &mut server, stream).await;
    let (mut socket, stream) = open(&connection, &mut server).await;
    hears(&mut socket, &mut server, stream).await;
}

/// A WebSocket that is dropped with its window full.
#[tokio::test]
async fn a_stalled_reader_that_is_dropped_resets_its_stream() {
    let (connection, mut server) = pair(Some(CONNECTS)).await;
    let (mut sibling, other) = open(&connection, &mut server).await;
    let (socket, stream) = open(&connection, &mut server).await;
    for len in [16_384, 16_384, 16_384, 16_383] {
        server.send([data(stream, vec![0; len])]).await;
    }
    let seen = server.settle().await;
    assert!(!seen.iter().any(|frame| frame.is(WINDOW_UPDATE, stream)), "{seen:?}");
    drop(socket);
    let reset = server.until(|frame| frame.is(RST_STREAM, stream)).await;
    assert_eq!(reset.reason(), Reason::CANCEL);
    hears(&mut sibling, &mut server, other).await;
}
