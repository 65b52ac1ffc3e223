//! Our server against clients that break the protocol of HTTP/2, frame by frame: what RFC 9113 asks for, and where `h2`
//! answers otherwise, that. A WebSocket of another stream goes on, or ends with 1006 where the connection does.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/http2.rs"]
mod http2;

use std::future::pending;

use ends::{Server, soon};
use h2::Reason;
use http2::*;
use tokio::sync::mpsc;
use wsproto_io::{AcceptOptions, Page, ServeOptions};

/// A server that echoes; at `/held` it does nothing, for ever. At `/page` there is a page. It tells with which code each
/// echo has ended.
async fn serve() -> (Server, mpsc::UnboundedReceiver<Option<u16>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let accept = AcceptOptions::new().pages(|request| (request.path() == "/page").then(|| Page::text("here")));
    let server = Server::start(ServeOptions::new().http2(100).accept(accept), move |socket, client| {
        let tell = tell.clone();
        async move {
            if client.request.path() == "/held" {
                pending::<()>().await;
            }
            let ended = ends::echo(socket, client).await;
            let _ = tell.send(ended.as_ref().err().and_then(wsproto_io::Error::close_code));
            ended
        }
    });
    (server.await, told)
}

/// What frames are answered with.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// A connection error (§5.4.1).
    GoAway(Reason),
    /// A stream error (§5.4.2), of stream 3.
    Reset(Reason),
    /// Nothing.
    Ignored,
}
use Answer::{GoAway, Ignored, Reset};

const PROTOCOL_ERROR: Answer = GoAway(Reason::PROTOCOL_ERROR);

/// Each list of frames, on a connection of its own on which stream 1 is a WebSocket.
async fn check(cases: impl IntoIterator<Item = (&'static str, Vec<Frame>, Answer)>) {
    let (server, mut told) = serve().await;
    for (what, frames, answer) in cases {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        client.send(frames).await;
        println!("{what}"); // seen where it fails
        match answer {
            GoAway(reason) => {
                let mut seen = Vec::new();
                let went = loop {
                    match client.next().await {
                        Some(frame) if frame.kind == GOAWAY => break frame,
                        Some(frame) => seen.push(frame),
                        None => panic!("{what}: no GOAWAY in {seen:?}"),
                    }
                };
                assert_eq!(went.reason(), reason, "{what}");
                while client.next().await.is_some() {}
                assert_eq!(soon(told.recv()).await, Some(Some(1006)), "{what}");
            }
            Reset(reason) => {
                let reset = client.until(|frame| frame.is(RST_STREAM, 3)).await;
                assert_eq!(reset.reason(), reason, "{what}");
                client.echo(1).await;
            }
            Ignored => {
                let seen = client.settle().await;
                let is_error = |frame: &Frame| matches!(frame.kind, GOAWAY | RST_STREAM);
                assert!(!seen.iter().any(is_error), "{what}: {seen:?}");
                client.echo(1).await;
            }
        }
    }
    let mut another = Peer::client(server.address).await;
    another.open(1, "/").await;
    another.echo(1).await;
}

fn held() -> Frame {
    request(3, "/held")
}

fn trailers(flags: u8) -> Frame {
    headers(flags, 3, &[("x-trailer", "1")])
}

fn priority(stream: u32, depends_on: u32) -> Frame {
    frame(PRIORITY, 0, stream, [&depends_on.to_be_bytes()[..], &[15]].concat())
}

/// §5.1. "An endpoint MAY choose to treat a stream error as a connection error" (§5.4.1), as `h2` does for DATA and trailers
/// behind the end of a half-closed stream, and for HEADERS on a closed one, with `PROTOCOL_ERROR` instead of `STREAM_CLOSED`.
#[tokio::test]
async fn frames_that_the_state_of_a_stream_does_not_allow() {
    check([
        ("DATA, idle", vec![data(5, [0])], PROTOCOL_ERROR),
        ("RST_STREAM, idle", vec![reset(5, Reason::CANCEL)], PROTOCOL_ERROR),
        ("WINDOW_UPDATE, idle", vec![window_update(5, 1)], PROTOCOL_ERROR),
        ("PRIORITY, idle", vec![priority(5, 0)], Ignored),
        ("DATA, half-closed", vec![held(), end(3), data(3, [0])], PROTOCOL_ERROR),
        ("trailers, half-closed", vec![held(), end(3), trailers(END_STREAM)], PROTOCOL_ERROR),
        ("HEADERS, half-closed", vec![held(), end(3), trailers(0)], Reset(Reason::PROTOCOL_ERROR)),
        ("others, half-closed", vec![held(), end(3), window_update(3, 1), priority(3, 0)], Ignored),
        ("DATA, closed", vec![held(), reset(3, Reason::CANCEL), data(3, [0])], Reset(Reason::STREAM_CLOSED)),
        ("trailers, closed", vec![held(), reset(3, Reason::CANCEL), trailers(END_STREAM)], PROTOCOL_ERROR),
        (
            "others, closed",
            vec![held(), reset(3, Reason::CANCEL), window_update(3, 1), priority(3, 0), reset(3, Reason::CANCEL)],
            Ignored,
        ),
        // A message that is malformed (§8.1): a stream error.
        ("HEADERS, open, without END_STREAM", vec![held(), trailers(0)], Reset(Reason::PROTOCOL_ERROR)),
        ("trailers", vec![held(), trailers(END_STREAM)], Ignored),
    ])
    .await;
}

/// Streams that both ends have ended, and that `h2` has forgotten.
#[tokio::test]
async fn frames_on_streams_that_are_over() {
    let page = [(":method", "GET"), (":scheme", "http"), (":path", "/page"), (":authority", "localhost")];
    let (server, _told) = serve().await;
    for (frames, answer) in [
        (vec![data(3, [0])], Reset(Reason::STREAM_CLOSED)),
        (vec![window_update(3, 1), priority(3, 0), reset(3, Reason::CANCEL)], Ignored),
        // "The identifier of a newly established stream MUST be numerically greater" (§5.1.1).
        (vec![held()], PROTOCOL_ERROR),
    ] {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        client.send([headers(END_STREAM, 3, &page)]).await;
        client.until(|frame| frame.stream == 3 && frame.ends_stream()).await;
        client.settle().await;
        client.send(frames).await;
        match answer {
            GoAway(reason) => {
                let mut went = client.next().await.unwrap();
                while went.kind != GOAWAY {
                    went = client.next().await.unwrap();
                }
                assert_eq!(went.reason(), reason);
                continue;
            }
            Reset(reason) => {
                assert_eq!(client.until(|frame| frame.is(RST_STREAM, 3)).await.reason(), reason);
            }
            Ignored => assert_eq!(client.settle().await, []),
        }
        client.echo(1).await;
    }
}

#[tokio::test]
async fn identifiers_of_streams() {
    let on_connection = |kind, len| frame(kind, 0, 0, vec![0; len]);
    check([
        ("an even stream", vec![request(2, "/")], PROTOCOL_ERROR),
        ("a lower stream", vec![request(5, "/held"), held()], PROTOCOL_ERROR),
        ("DATA on the connection", vec![on_connection(DATA, 1)], PROTOCOL_ERROR),
        ("HEADERS on the connection", vec![request(0, "/")], PROTOCOL_ERROR),
        ("PRIORITY on the connection", vec![priority(0, 3)], PROTOCOL_ERROR),
        ("RST_STREAM on the connection", vec![on_connection(RST_STREAM, 4)], PROTOCOL_ERROR),
        ("CONTINUATION on the connection", vec![on_connection(CONTINUATION, 0)], PROTOCOL_ERROR),
        ("SETTINGS on a stream", vec![frame(SETTINGS, 0, 1, [])], PROTOCOL_ERROR),
        ("PING on a stream", vec![frame(PING, 0, 1, [0; 8])], PROTOCOL_ERROR),
        ("GOAWAY on a stream", vec![frame(GOAWAY, 0, 1, [0; 8])], PROTOCOL_ERROR),
        // "A client cannot push" (§8.4).
        ("PUSH_PROMISE", vec![frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2])], PROTOCOL_ERROR),
    ])
    .await;
}

/// "An endpoint MUST send an error code of `FRAME_SIZE_ERROR`" (§4.2). `h2` does for frames that are too long, and judges others
/// by `PROTOCOL_ERROR`; where a stream error would do, it ends the connection. No peer depends on which it is.
#[tokio::test]
async fn sizes_of_frames() {
    // The head alone: it is judged by that, and bytes that nobody read would make a reset of the end.
    let long = |kind, stream| {
        let mut long = frame(kind, 0, stream, vec![0; 16_385]);
        long.encode(&mut Vec::new());
        long.flags = END_HEADERS;
        long
    };
    let (server, mut told) = serve().await;
    for long in [long(DATA, 1), long(HEADERS, 3), long(0xfa, 0)] {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        let mut bytes = Vec::new();
        long.encode(&mut bytes);
        client.write(&bytes[..9]).await;
        let went = client.next().await.unwrap();
        assert!(went.kind == GOAWAY && went.reason() == Reason::FRAME_SIZE_ERROR, "{went:?}");
        assert_eq!(soon(told.recv()).await, Some(Some(1006)));
    }
    let of = |kind, flags, stream, len| vec![held(), frame(kind, flags, stream, vec![0; len])];
    check([
        ("the longest", vec![held(), data(3, vec![0; 16_384])], Ignored),
        ("PRIORITY of 4", of(PRIORITY, 0, 3, 4), PROTOCOL_ERROR),
        ("RST_STREAM of 3", of(RST_STREAM, 0, 3, 3), PROTOCOL_ERROR),
        ("SETTINGS of 5", of(SETTINGS, 0, 0, 5), PROTOCOL_ERROR),
        ("SETTINGS with ACK, of 6", of(SETTINGS, ACK, 0, 6), PROTOCOL_ERROR),
        ("PING of 7", of(PING, 0, 0, 7), PROTOCOL_ERROR),
        ("GOAWAY of 7", of(GOAWAY, 0, 0, 7), PROTOCOL_ERROR),
        ("WINDOW_UPDATE of 3", of(WINDOW_UPDATE, 0, 3, 3), PROTOCOL_ERROR),
        // "The length of the padding is the length of the frame payload or greater" (§6.1).
        ("padding that is too long", vec![held(), frame(DATA, PADDED, 3, [2, 0])], PROTOCOL_ERROR),
        ("padding that is none", vec![held(), frame(DATA, PADDED, 3, [])], PROTOCOL_ERROR),
        ("padding alone", vec![held(), frame(DATA, PADDED, 3, [1, 0])], Ignored),
        ("padding of HEADERS that is too long", vec![frame(HEADERS, PADDED | END_HEADERS, 3, [9, 0])], PROTOCOL_ERROR),
    ])
    .await;
}

#[tokio::test]
async fn header_blocks() {
    let held = held().payload;
    let begin = || frame(HEADERS, 0, 3, &held[..10]);
    let go_on = |flags, stream| frame(CONTINUATION, flags, stream, &held[10..]);
    let block = |block: &[u8]| vec![frame(HEADERS, END_HEADERS, 3, block)];
    check([
        ("two frames", vec![begin(), go_on(END_HEADERS, 3)], Ignored),
        ("a frame of another stream between", vec![begin(), data(1, [0])], PROTOCOL_ERROR),
        ("a PING between", vec![begin(), frame(PING, 0, 0, [0; 8])], PROTOCOL_ERROR),
        ("an unknown frame between", vec![begin(), frame(0xfa, 0, 3, [])], PROTOCOL_ERROR),
        ("CONTINUATION of another stream", vec![begin(), go_on(END_HEADERS, 5)], PROTOCOL_ERROR),
        ("CONTINUATION alone", vec![go_on(END_HEADERS, 3)], PROTOCOL_ERROR),
        ("CONTINUATION behind the end", vec![begin(), go_on(END_HEADERS, 3), go_on(END_HEADERS, 3)], PROTOCOL_ERROR),
        // "MUST be treated as a connection error of type COMPRESSION_ERROR" (§4.3): `h2` says PROTOCOL_ERROR.
        ("an index of nothing", block(&[0xff, 0xff, 0x01]), PROTOCOL_ERROR),
        ("a block that is cut", block(&held[..10]), PROTOCOL_ERROR),
        ("a table larger than ours", block(&[0x3f, 0xff, 0xff, 0x7f]), PROTOCOL_ERROR),
        ("Huffman's code with its end", block(&[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]), PROTOCOL_ERROR),
    ])
    .await;
}

#[tokio::test]
async fn settings_and_pings() {
    let set = |id, value| vec![settings(&[(id, value)])];
    check([
        ("ENABLE_PUSH = 2", set(ENABLE_PUSH, 2), PROTOCOL_ERROR),
        // "MUST be treated as a connection error [...] of type FLOW_CONTROL_ERROR" (§6.5.2): `h2` says PROTOCOL_ERROR.
        ("INITIAL_WINDOW_SIZE = 2^31", set(INITIAL_WINDOW_SIZE, 1 << 31), PROTOCOL_ERROR),
        ("MAX_FRAME_SIZE = 16,383", set(MAX_FRAME_SIZE, 16_383), PROTOCOL_ERROR),
        ("MAX_FRAME_SIZE = 2^24", set(MAX_FRAME_SIZE, 1 << 24), PROTOCOL_ERROR),
        ("ENABLE_CONNECT_PROTOCOL = 2", set(ENABLE_CONNECT_PROTOCOL, 2), PROTOCOL_ERROR),
        ("unknown", set(0xfa, 7), Ignored),
        // An ACK of nothing: §6.5.3 does not say.
        ("an ACK too many", vec![frame(SETTINGS, ACK, 0, [])], PROTOCOL_ERROR),
        // "Implementations MUST ignore and discard frames of unknown types" (§4.1).
        ("an unknown frame", vec![frame(0xfa, 0xff, 3, [0; 100]), frame(0xfa, 0, 0, [])], Ignored),
        ("unknown flags", vec![frame(PING, 0xfe, 0, *b"with all")], Ignored),
        ("PRIORITY", vec![priority(1, 3), priority(3, 1)], Ignored),
        // An error in RFC 7540 §5.3.1 only: RFC 9113 has no priorities.
        ("PRIORITY over itself", vec![held(), priority(3, 3)], Reset(Reason::PROTOCOL_ERROR)),
        ("PRIORITY_UPDATE (RFC 9218)", vec![frame(0x10, 0, 0, [0, 0, 0, 1, b'u'])], Ignored),
    ])
    .await;

    let (server, _told) = serve().await;
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.settle().await;
    client.send([frame(PING, ACK, 0, *b"answered"), frame(PING, 0, 0, *b"question"), settings(&[])]).await;
    // (That a SETTINGS is acknowledged waits for nothing, but no order is asked for.)
    let seen = client.settle().await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    for answer in [frame(PING, ACK, 0, *b"question"), frame(SETTINGS, ACK, 0, [])] {
        assert!(seen.contains(&answer), "{seen:?}");
    }
    client.echo(1).await;
}

/// "This sequence MUST be followed by a SETTINGS frame" (§3.4).
#[tokio::test]
async fn the_preface() {
    let (server, _told) = serve().await;
    // `h2` takes another frame as the first one, too: so the client has the settings of the beginning.
    let mut client = Peer::bare(server.address).await;
    client.send([request(1, "/")]).await;
    assert_eq!(client.until(|frame| frame.is(HEADERS, 1)).await.status(), 200);
    client.echo(1).await;
    // What only begins as the preface is HTTP/1.1 in disorder.
    let mut bytes = PREFACE.to_vec();
    *bytes.last_mut().unwrap() = b'X';
    let answer = ends::ask(server.address, &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 505"), "{answer}");
}
