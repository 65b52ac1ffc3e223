//! Attacks on our server over HTTP/2, in frames: most are bounded by `h2` with our settings, and this holds that they are.

#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/http2.rs"]
mod http2;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allocation_counter::measure;
use ends::{Server, echo, soon};
use h2::Reason;
use http2::*;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use wsproto_io::ServeOptions;

const MIB: u64 = 1 << 20;

fn options() -> ServeOptions {
    ServeOptions::new().http2(100)
}

/// Runs this, both ends on this thread: the most bytes that were allocated at a time.
fn most_bytes(work: impl Future<Output = ()>) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    measure(|| runtime.block_on(work)).bytes_max
}

/// Writes this again and again, until the server has had enough. How often it took it; the last GOAWAY, where that was not
/// lost: a socket that is closed with unread bytes may destroy what it has sent.
async fn flood(client: &mut Peer, frames: &[Frame], most: usize) -> (usize, Option<Frame>) {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    let mut taken = 0;
    while taken < most && client.write(&bytes).await {
        taken += 1;
    }
    let mut went = None;
    while let Some(frame) = client.next().await {
        went = Some(frame).filter(|frame| frame.kind == GOAWAY).or(went);
    }
    (taken, went)
}

/// A new connection echoes.
async fn others_live(server: &Server) {
    let mut another = Peer::client(server.address).await;
    another.open(1, "/").await;
    another.echo(1).await;
}

fn is_calm(went: Option<&Frame>) -> bool {
    went.is_none_or(|went| went.reason() == Reason::ENHANCE_YOUR_CALM)
}

/// CVE-2023-44487.
#[test]
fn p01_rapid_reset_ends_the_connection() {
    let most = most_bytes(async {
        let mut server = Server::echo(options()).await;
        let mut client = Peer::client(server.address).await;
        let mut frames = Vec::new();
        let mut went = None;
        for round in 0..1000 {
            frames.clear();
            for n in 0..100 {
                let stream = (round * 100 + n) * 2 + 1;
                frames.extend([request(stream, "/"), reset(stream, Reason::CANCEL)]);
            }
            if !client.send(frames.iter().cloned()).await {
                break;
            }
        }
        while let Some(frame) = client.next().await {
            went = Some(frame).filter(|frame| frame.kind == GOAWAY).or(went);
        }
        assert!(is_calm(went.as_ref()), "{went:?}");
        while !server.error().await.1.contains("excessive load") {}
        others_live(&server).await;
    });
    assert!(most < 8 * MIB, "{most} bytes");
}

/// The same, so slowly that `h2` does not mind: what the streams had ends with them.
#[test]
fn p01_slow_resets_hold_nothing() {
    let most = most_bytes(async {
        let server = Server::echo(options()).await;
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        for n in 1..3000 {
            let stream = 2 * n + 1;
            client.send([request(stream, "/")]).await;
            client.until(|frame| frame.is(HEADERS, stream)).await;
            client.send([reset(stream, Reason::CANCEL)]).await;
        }
        client.echo(1).await;
    });
    assert!(most < MIB, "{most} bytes");
}

/// Handlers that do not see that their streams were reset: there are at most twice as many as there may be streams.
#[tokio::test]
async fn p01_handlers_of_reset_streams_are_bounded() {
    let (go_on, goes_on) = watch::channel(false);
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let server = Server::start(options().http2(5), move |socket, client| {
        let (mut goes_on, running) = (goes_on.clone(), Arc::clone(&counted));
        async move {
            running.fetch_add(1, Ordering::Relaxed);
            goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
            echo(socket, client).await
        }
    })
    .await;
    let mut client = Peer::client(server.address).await;
    for n in 0..10 {
        client.open(2 * n + 1, "/").await;
        client.send([reset(2 * n + 1, Reason::CANCEL)]).await;
    }
    client.settle().await;
    client.send([request(21, "/")]).await;
    let refused = client.until(|frame| frame.stream == 21).await;
    assert_eq!((refused.kind, refused.reason()), (RST_STREAM, Reason::REFUSED_STREAM));
    assert_eq!(running.load(Ordering::Relaxed), 10);
    go_on.send_replace(true);
    client.settle().await;
    client.open(23, "/").await;
    client.echo(23).await;
}

/// More streams than there may be are refused, and the others go on (RFC 9113 §5.1.2).
#[tokio::test]
async fn p01_streams_beyond_the_limit_are_refused() {
    let server = Server::echo(options().http2(3)).await;
    let mut client = Peer::client(server.address).await;
    for stream in [1, 3, 5] {
        client.open(stream, "/").await;
    }
    client.send([request(7, "/")]).await;
    let refused = client.until(|frame| frame.stream == 7).await;
    assert_eq!((refused.kind, refused.reason()), (RST_STREAM, Reason::REFUSED_STREAM));
    for stream in [1, 3, 5] {
        client.echo(stream).await;
    }
}

/// CVE-2024-27316.
#[test]
fn p02_continuation_frames_without_end_are_few() {
    let most = most_bytes(async {
        let mut server = Server::echo(options()).await;
        for len in [0, 1, 16_384] {
            let go_on = frame(CONTINUATION, 0, 1, vec![0; len]);
            let begin = frame(HEADERS, 0, 1, request(1, "/").payload);
            let mut client = Peer::client(server.address).await;
            client.send([begin.clone()]).await;
            let (_, went) = flood(&mut client, std::slice::from_ref(&go_on), 100_000).await;
            let is_over = |reason| matches!(reason, Reason::ENHANCE_YOUR_CALM | Reason::PROTOCOL_ERROR);
            assert!(went.is_none_or(|went| is_over(went.reason())), "{len}");
            server.error().await;
            // So few that the GOAWAY arrives.
            if len == 0 {
                let mut client = Peer::client(server.address).await;
                client.send([begin]).await;
                client.send(vec![go_on; 6]).await;
                let went = client.until_went().await;
                assert_eq!(went.reason(), Reason::ENHANCE_YOUR_CALM);
                assert_eq!(went.debug_data(), "too_many_continuations");
                server.error().await;
            }
        }
        others_live(&server).await;
    });
    assert!(most < MIB, "{most} bytes");
}

/// CVE-2016-6581 and CVE-2026-49975: a byte on the wire is a field of 4 KiB, or a field at all.
#[test]
fn p03_a_small_block_with_large_fields_is_refused() {
    let most = most_bytes(async {
        let mut server = Server::echo(options()).await;
        let stored = {
            // A literal with incremental indexing: the first of the dynamic table, of 62.
            let mut field = vec![0x40];
            integer(1, &mut field);
            field.push(b'x');
            integer(4000, &mut field);
            field.extend([b'y'; 4000]);
            field
        };
        let begin = request(3, "/").payload;
        for (field, times, status) in [
            (62_u8, 2, Some(200)),
            (62, 5, Some(431)),   // beyond 16 KiB
            (62, 12_000, None),   // 48 MB
            (16, 300, Some(431)), // `accept-encoding: gzip, deflate`
            (16, 12_000, None),
        ] {
            let mut client = Peer::client(server.address).await;
            client.open(1, "/").await;
            let block = [&begin[..], &stored, &vec![0x80 | field; times]].concat();
            client.send([frame(HEADERS, END_HEADERS, 3, block)]).await;
            let Some(status) = status else {
                assert_eq!(client.until_went().await.reason(), Reason::ENHANCE_YOUR_CALM);
                while !server.error().await.1.contains("excessive load") {}
                continue;
            };
            assert_eq!(client.until(|frame| frame.is(HEADERS, 3)).await.status(), status);
            client.echo(1).await;
        }
        others_live(&server).await;
    });
    assert!(most < MIB, "{most} bytes");
}

/// RUSTSEC-2026-0258.
#[test]
fn p04_empty_data_frames_end_the_connection() {
    let most = most_bytes(async {
        let mut server = Server::echo(options()).await;
        for empty in [data(1, []), frame(DATA, PADDED, 1, [3, 0, 0, 0])] {
            let mut client = Peer::client(server.address).await;
            client.open(1, "/").await;
            client.send(vec![empty.clone(); 100]).await;
            client.echo(1).await;
            client.send([empty.clone()]).await;
            let went = client.until_went().await;
            assert_eq!(went.reason(), Reason::ENHANCE_YOUR_CALM);
            let mut client = Peer::client(server.address).await;
            client.open(1, "/").await;
            let (taken, went) = flood(&mut client, &vec![empty; 100], 10_000).await;
            assert!(taken < 10_000 && is_calm(went.as_ref()), "{taken}: {went:?}");
            while !server.error().await.1.contains("excessive load") {}
        }
        others_live(&server).await;
    });
    assert!(most < MIB, "{most} bytes");
}

/// Each byte in a frame of its own, for a stream that nobody reads, while others go on.
#[test]
fn p07_a_stalled_stream_fed_byte_by_byte_holds_little() {
    let most = most_bytes(async {
        let (go_on, goes_on) = watch::channel(false);
        let server = Server::start(options().http2(21), move |socket, client| {
            let mut goes_on = goes_on.clone();
            async move {
                if client.request.path() == "/held" {
                    goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
                }
                echo(socket, client).await
            }
        })
        .await;
        let mut client = Peer::client(server.address).await;
        client.open(1, "/held").await;
        let siblings = (1..21).map(|n| 2 * n + 1);
        for stream in siblings.clone() {
            client.open(stream, "/").await;
        }
        let message = masked(&[7; 9_992]);
        for bytes in message.chunks(250) {
            client.send(bytes.iter().map(|byte| data(1, [*byte]))).await;
            for stream in siblings.clone() {
                client.echo(stream).await;
            }
        }
        go_on.send_replace(true);
        assert_eq!(client.bytes(1, 9_996).await[4..], [7; 9_992]);
    });
    assert!(most < MIB, "{most} bytes");
}

/// As many at once, on a connection of few streams: `h2` counts them, and the thread may be late.
#[tokio::test]
async fn p07_small_frames_that_come_at_once_end_nothing() {
    for streams in [1, 21] {
        let server = Server::echo(options().http2(streams)).await;
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        let message = masked(&[7; 9_992]);
        client.send(message.iter().map(|byte| data(1, [*byte]))).await;
        assert_eq!(client.bytes(1, 9_996).await[4..], [7; 9_992]);
    }
}

/// 200 streams, of which 100 end in the middle of a frame: the others lose nothing.
#[tokio::test]
async fn p08_of_200_streams_100_die() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(options().http2(200), move |socket, client| {
        let tell = tell.clone();
        async move {
            let ended = echo(socket, client).await;
            let _ = tell.send(ended.as_ref().err().and_then(wsproto_io::Error::close_code));
            ended
        }
    })
    .await;
    let mut client = Peer::client(server.address).await;
    let streams = || (0..200_u32).map(|n| 2 * n + 1);
    for stream in streams() {
        client.open(stream, "/").await;
    }
    let half = masked(b"half")[..7].to_vec();
    let lives = |stream: &u32| stream % 4 == 3;
    client.send(streams().map(|stream| data(stream, half.clone()))).await;
    client
        .send(streams().filter(|stream| !lives(stream)).map(|stream| match stream % 8 {
            1 => end(stream),
            _ => reset(stream, Reason::CANCEL),
        }))
        .await;
    for _ in 0..100 {
        assert_eq!(soon(told.recv()).await, Some(Some(1006)));
    }
    // The other half, and one more.
    for stream in streams().filter(lives) {
        client.send([data(stream, masked(b"half")[7..].to_vec())]).await;
        assert_eq!(client.bytes(stream, 6).await, b"\x82\x04half");
        client.echo(stream).await;
    }
}

/// A client that goes away may finish what it has begun; where it goes with an error, it closes.
#[tokio::test]
async fn p08_go_away_lets_the_client_finish() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(options(), move |socket, client| {
        let tell = tell.clone();
        async move {
            let ended = echo(socket, client).await;
            let _ = tell.send(ended.as_ref().map_or_else(wsproto_io::Error::close_code, |()| Some(1000)));
            ended
        }
    })
    .await;
    for reason in [Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let mut client = Peer::client(server.address).await;
        client.open(1, "/").await;
        let message = masked(b"half");
        client.send([data(1, &message[..7]), go_away(0, reason), data(1, &message[7..])]).await;
        if reason == Reason::NO_ERROR {
            assert_eq!(client.bytes(1, 6).await, b"\x82\x04half");
            client.echo(1).await;
            // A Close of 1000, and the end of the stream: then the server ends the connection.
            client.send([data(1, [0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]), end(1)]).await;
            assert_eq!(client.bytes(1, 4).await, [0x88, 2, 3, 0xe8]);
            while client.next().await.is_some() {}
            assert_eq!(soon(told.recv()).await, Some(Some(1000)));
        } else {
            drop(client);
            assert_eq!(soon(told.recv()).await, Some(Some(1006)));
        }
    }
}
