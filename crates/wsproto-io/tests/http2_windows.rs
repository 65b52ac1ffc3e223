//! Flow control between our server and a client that speaks in frames (RFC 9113 §5.2, §6.9): the windows that the client
//! gives are kept, and those that we give open only for what the application has taken.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/http2.rs"]
mod http2;

use ends::{Server, echo};
use h2::Reason;
use http2::*;
use tokio::sync::watch;
use wsproto_io::ServeOptions;

/// The window of a stream that is said nothing of.
const INITIAL: u32 = 65_535;

/// A server that echoes, with as many streams; at `/held` it takes nothing until it is told to, at `/dropped` it then drops
/// the WebSocket.
async fn serve(streams: u32) -> (Server, watch::Sender<bool>) {
    let (go_on, goes_on) = watch::channel(false);
    let server = Server::start(ServeOptions::new().http2(streams), move |socket, client| {
        let mut goes_on = goes_on.clone();
        async move {
            let path = client.request.path().to_owned();
            if path != "/" {
                goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
            }
            if path == "/dropped" {
                return Ok(());
            }
            echo(socket, client).await
        }
    });
    (server.await, go_on)
}

/// The bytes of DATA of a stream, when nothing more comes.
async fn now(client: &mut Peer, stream: u32) -> usize {
    let mut len = 0;
    // What the application is to write is written when its task has run: the server has one thread, this one.
    for frame in client.settle().await {
        assert!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
        len += if frame.is(DATA, stream) { frame.payload.len() } else { 0 };
    }
    len
}

#[tokio::test]
async fn the_client_s_window_of_a_stream_is_kept() {
    let (server, _) = serve(10).await;
    let mut client = Peer::client_with(server.address, &[(INITIAL_WINDOW_SIZE, 3)]).await;
    client.open(1, "/").await;
    client.open(3, "/").await;
    client.send([data(1, masked(&[7; 100]))]).await;
    assert_eq!(client.bytes(1, 3).await, [0x82, 100, 7]);
    assert_eq!(now(&mut client, 1).await, 0);
    client.send([window_update(1, 4)]).await;
    assert_eq!(client.bytes(1, 4).await, [7; 4]);
    assert_eq!(now(&mut client, 1).await, 0);
    // A larger window of the beginning is that of the streams that there are, too (§6.9.2).
    client.send([settings(&[(INITIAL_WINDOW_SIZE, 13)])]).await;
    assert_eq!(client.bytes(1, 10).await, [7; 10]);
    assert_eq!(now(&mut client, 1).await, 0);
    // And a smaller one: "a sender MUST track the negative flow-control window".
    client.send([settings(&[(INITIAL_WINDOW_SIZE, 6)]), window_update(1, 7)]).await;
    assert_eq!(now(&mut client, 1).await, 0);
    client.send([window_update(1, 1)]).await;
    assert_eq!(client.bytes(1, 1).await, [7]);
    // The other stream has its own.
    client.echo(3).await;
    client.send([window_update(1, 1000)]).await;
    assert_eq!(client.bytes(1, 84).await, [7; 84]);
    client.echo(1).await;
}

#[tokio::test]
async fn the_client_s_window_of_the_connection_is_kept() {
    let (server, _) = serve(10).await;
    let mut client = Peer::client_with(server.address, &[(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
    let message = masked(&vec![7; 40_000]);
    client.open(1, "/").await;
    client.open(3, "/").await;
    for stream in [1, 3] {
        client.send(message.chunks(16_384).map(|piece| data(stream, piece))).await;
    }
    // Two answers of 40,004 bytes have 65,535 together.
    let mut come = 0;
    while come < INITIAL as usize {
        come += client.until(|frame| frame.kind == DATA).await.payload.len();
    }
    assert_eq!(come, INITIAL as usize);
    let more = client.settle().await;
    assert!(more.iter().all(|frame| frame.kind != DATA), "{more:?}");
    client.send([window_update(0, 1 << 20)]).await;
    while come < 2 * 40_004 {
        come += client.until(|frame| frame.kind == DATA).await.payload.len();
    }
    assert_eq!(come, 2 * 40_004);
    client.echo(1).await;
    client.echo(3).await;
}

/// "A receiver MUST treat the receipt of a `WINDOW_UPDATE` frame with a flow-control window increment of 0 as a stream error
/// [...] of type `PROTOCOL_ERROR`" (§6.9), and on the connection as one of that: `h2` treats both so. "If a sender receives a
/// `WINDOW_UPDATE` that causes a flow-control window to exceed this maximum, it MUST terminate either the stream or the
/// connection" (§6.9.1).
#[tokio::test]
async fn windows_that_cannot_be() {
    let (server, _go_on) = serve(10).await;
    let most = (1 << 31) - 1;
    for (frames, kind, reason) in [
        (vec![window_update(3, 0)], GOAWAY, Reason::PROTOCOL_ERROR),
        (vec![window_update(0, 0)], GOAWAY, Reason::PROTOCOL_ERROR),
        (vec![window_update(3, most)], RST_STREAM, Reason::FLOW_CONTROL_ERROR),
        (vec![window_update(3, most - INITIAL), window_update(3, 1)], RST_STREAM, Reason::FLOW_CONTROL_ERROR),
        (vec![window_update(0, most)], GOAWAY, Reason::FLOW_CONTROL_ERROR),
        // "A change to SETTINGS_INITIAL_WINDOW_SIZE that causes any flow-control window to exceed the maximum size [is] a
        // connection error" (§6.9.2).
        (vec![window_update(3, 1), settings(&[(INITIAL_WINDOW_SIZE, most)])], GOAWAY, Reason::FLOW_CONTROL_ERROR),
    ] {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        client.open(3, "/held").await;
        client.settle().await;
        let shown = format!("{frames:?}");
        client.send(frames).await;
        let mut answer = client.next().await.unwrap();
        while !matches!(answer.kind, GOAWAY | RST_STREAM) {
            answer = client.next().await.unwrap();
        }
        assert_eq!((answer.kind, answer.reason()), (kind, reason), "{shown}");
        if kind == RST_STREAM {
            assert_eq!(answer.stream, 3);
            client.echo(1).await;
        }
    }
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.send([window_update(0, most - INITIAL)]).await;
    client.echo(1).await;
}

/// What is beyond our window of a stream is an error of that stream; beyond that of the connection, of this.
#[tokio::test]
async fn our_windows_are_kept_by_force() {
    let (server, _go_on) = serve(3).await;
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.open(3, "/held").await;
    // 64 KiB, the length of the padding and the padding included (§6.1).
    client.send([data(3, vec![0; 16_384]), data(3, vec![0; 16_384]), data(3, vec![0; 16_384])]).await;
    client.send([frame(DATA, PADDED, 3, [&[255][..], &[0; 16_383]].concat())]).await;
    assert_eq!(now(&mut client, 3).await, 0);
    client.echo(1).await;
    // (The padding has been taken by nobody but `h2`.)
    client.send([data(3, vec![0; 256]), data(3, [0])]).await;
    let reset = client.until(|frame| frame.is(RST_STREAM, 3)).await;
    assert_eq!(reset.reason(), Reason::FLOW_CONTROL_ERROR);
    client.echo(1).await;
}

/// A window opens for what the application has taken, and for nothing else.
#[tokio::test]
async fn p07_a_window_opens_when_the_application_reads() {
    let (server, go_on) = serve(10).await;
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.open(3, "/held").await;
    client.settle().await;
    let message = masked(&vec![7; 60_000]);
    client.send(message.chunks(16_384).map(|piece| data(3, piece))).await;
    for _ in 0..10 {
        client.echo(1).await;
    }
    let seen = client.settle().await;
    assert!(!seen.iter().any(|frame| frame.is(WINDOW_UPDATE, 3)), "{seen:?}");
    go_on.send_replace(true);
    let update = client.until(|frame| frame.is(WINDOW_UPDATE, 3)).await;
    assert!(update.increment() as usize <= message.len(), "{update:?}");
}

/// What a stream holds of the connection's window comes back, however it ends: else the connection dries up.
#[tokio::test]
async fn p07_a_stream_that_ends_unread_gives_back_its_part_of_the_connection_s_window() {
    let (server, go_on) = serve(2).await;
    go_on.send_replace(true);
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.settle().await;
    let mut window = 2 * 64 * 1024;
    for stream in (3..203).step_by(2) {
        // At once: so it is there, and unread, when the WebSocket is dropped.
        let half = || data(stream, vec![0; 16_384]);
        client.send([request(stream, "/dropped"), half(), half()]).await;
        window -= 2 * 16_384;
        let mut reset = None;
        while reset.is_none() {
            let frame = client.until(|frame| frame.is(RST_STREAM, stream) || frame.is(WINDOW_UPDATE, 0)).await;
            match frame.kind {
                RST_STREAM => reset = Some(frame.reason()),
                _ => window += i64::from(frame.increment()),
            }
        }
        assert_eq!(reset, Some(Reason::CANCEL));
        while window < 40_000 {
            window += i64::from(client.until(|frame| frame.is(WINDOW_UPDATE, 0)).await.increment());
        }
    }
    client.echo(1).await;
}

/// A reader that is stalled, and dropped with its window full: the client is told.
#[tokio::test]
async fn p07_a_stalled_stream_is_reset_when_its_websocket_is_dropped() {
    let (server, go_on) = serve(10).await;
    let mut client = Peer::client(server.address).await;
    client.open(1, "/").await;
    client.open(3, "/dropped").await;
    client.send([data(3, vec![0; 16_384]), data(3, vec![0; 16_384]), data(3, vec![0; 16_384])]).await;
    client.send([data(3, vec![0; 16_383])]).await;
    client.echo(1).await;
    go_on.send_replace(true);
    let reset = client.until(|frame| frame.is(RST_STREAM, 3)).await;
    assert_eq!(reset.reason(), Reason::CANCEL);
    client.echo(1).await;
}
