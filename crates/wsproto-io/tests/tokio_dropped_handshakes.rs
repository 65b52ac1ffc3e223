//! Handshakes that are dropped, at every await: the transport goes with them, and nothing panics.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/ends.rs"]
mod ends;
#[path = "support/tokio.rs"]
mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use ends::{FOR_EVER, Server, request, rest, soon};
use support::{End, Hiccup, REQUEST, Wire, poll_times};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use wsproto_io::{AcceptOptions, ConnectOptions, Decision, Error, Page, ServeOptions, connect};

/// A wire that says when it is dropped.
struct Owned(Wire, Arc<AtomicUsize>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

impl AsyncRead for Owned {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, space)
    }
}

impl AsyncWrite for Owned {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// Polls this handshake once, twice, ... until it ends; each time its transport has been dropped. How often it waited.
fn drop_at_every_await<T, F: Future<Output = Result<T, Error>>>(
    input: &str,
    handshake: impl Fn(Owned) -> F,
    is_right: impl Fn(Result<T, Error>, &Wire),
) -> usize {
    for times in 0..10_000 {
        let wire = Wire::new(input, End::Fin).in_pieces(20).with_hiccups(Hiccup::Pending);
        let dropped = Arc::new(AtomicUsize::new(0));
        let shaken = poll_times(handshake(Owned(wire.clone(), Arc::clone(&dropped))), times);
        if let Some(shaken) = shaken {
            is_right(shaken, &wire);
            assert_eq!(dropped.load(SeqCst), 1);
            return times;
        }
        assert_eq!(dropped.load(SeqCst), 1, "after {times} polls");
    }
    panic!("it does not end");
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_accept_closes() {
    let options = AcceptOptions::new().pages(|_| Some(Page::text("x".repeat(200))));
    let slowly = async |request: &wsproto::handshake::Request| {
        yield_now().await;
        if request.path() == "/no" { Decision::reject(404).body("no") } else { Decision::accept() }
    };
    let waits = drop_at_every_await(
        REQUEST,
        |wire| options.accept_with(wire, slowly),
        |accepted, wire| {
            drop(accepted.unwrap());
            assert!(wire.written().starts_with(b"HTTP/1.1 101 "));
        },
    );
    assert!(waits > 10, "{waits}");
    let rejected = REQUEST.replacen("/chat", "/no", 1);
    assert_ne!(rejected, REQUEST);
    let waits = drop_at_every_await(
        &rejected,
        |wire| options.accept_with(wire, slowly),
        |accepted, wire| {
            assert!(matches!(accepted.err(), Some(Error::Declined(404))));
            assert!(wire.written().ends_with(b"\r\n\r\nno") && wire.state().shutdowns == 1);
        },
    );
    assert!(waits > 10, "{waits}");
    let waits = drop_at_every_await(
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        |wire| options.accept(wire),
        |accepted, wire| {
            assert!(matches!(accepted.err(), Some(Error::PlainRequest)));
            assert!(wire.written().ends_with(b"xxx") && wire.state().shutdowns == 1);
        },
    );
    assert!(waits > 10, "{waits}");
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_connect_closes() {
    let options = ConnectOptions::new();
    let waits = drop_at_every_await(
        "HTTP/1.1 401 No\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n2\r\no?\r\n0\r\n\r\n",
        |wire| options.connect_on("ws://example.com/", wire),
        |connected, wire| match connected.err() {
            Some(Error::Rejected(rejected)) => {
                assert_eq!(rejected.body, b"who?");
                assert!(wire.written().ends_with(b"\r\n\r\n"));
            }
            other => panic!("{other:?}"),
        },
    );
    assert!(waits > 10, "{waits}");
}

/// On sockets, from the look-up of the name on: the server sees the end of each connection that it got.
#[tokio::test]
async fn t08_a_dropped_connect_on_loopback_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let mut ends = 0;
        while ends < 20 {
            let (mut stream, _) = listener.accept().await.unwrap();
            rest(&mut stream).await;
            ends += 1;
        }
        listener // which refuses nobody until the test ends
    });
    let mut dropped = 0;
    while !seen.is_finished() {
        let mut connecting = Box::pin(connect(&url));
        // More turns of the runtime each time, and again from the first.
        for _ in 0..dropped % 50 {
            tokio::select! {
                biased;
                connected = &mut connecting => panic!("nobody answers, and yet: {connected:?}"),
                () = yield_now() => {}
            }
        }
        drop(connecting);
        dropped += 1;
        assert!(dropped < 1_000_000, "the server sees no ends");
    }
    drop(soon(seen).await.unwrap());
}

/// `serve` is dropped while one waits for each thing that a handshake waits for.
#[tokio::test]
async fn t08_a_dropped_serve_closes_the_handshakes_under_way() {
    let whole = request("/", "");
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for bytes in ["", &whole[..30], &whole, plain] {
        let held = Arc::new(());
        let holds = Arc::clone(&held);
        let accept = AcceptOptions::new().handshake_timeout(FOR_EVER).pages(|_| Some(Page::text("x".repeat(1 << 24))));
        let options = ServeOptions::new().accept(accept).decide(move |_, _| {
            let held = Arc::clone(&holds);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Decision::accept()
            }
        });
        let mut server = Server::echo(options).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        // Until the handshake is where it waits, more or less: each point is right.
        for _ in 0..100 {
            yield_now().await;
        }
        server.task.abort();
        assert!(soon(&mut server.task).await.unwrap_err().is_cancelled());
        assert!(rest(&mut stream).await.len() < 1 << 24, "{bytes:?}");
        assert_eq!(Arc::strong_count(&held), 1, "{bytes:?}");
        assert!(server.is_content());
    }
}
