//! Transports that stutter: one byte at a time, not ready, interrupted.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use support::{End, Hiccup, Wire, client_on, encode, frames, server};
use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::{CloseCode, CloseFrame, Message, Ping};
use wsproto_io::{Message as Owned, WebSocket};

fn input() -> Vec<u8> {
    let mut client = support::client();
    let mut bytes = Vec::new();
    for i in 0..30_usize {
        client.send(Message::binary(vec![i as u8; i * i]), &mut bytes).unwrap();
        client.send(Message::text("th").unfinished(), &mut bytes).unwrap();
        client.send(Ping::new(vec![i as u8; i]), &mut bytes).unwrap();
        client.send(Message::text("rée"), &mut bytes).unwrap();
    }
    client.send(CloseFrame::new(CloseCode::NORMAL, "bye"), &mut bytes).unwrap();
    bytes
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>) -> Vec<Owned> {
    let mut received = Vec::new();
    while let Some(message) = socket.recv().await.unwrap() {
        socket.feed(&message).await.unwrap();
        received.push(message);
    }
    assert_eq!(socket.closed().unwrap().code, 1000);
    received
}

/// With the two halves in two tasks.
async fn echo_split(socket: WebSocket<Wire>) -> Vec<Owned> {
    let (mut reader, mut writer) = socket.split();
    let (replies, mut owed) = tokio::sync::mpsc::channel::<Owned>(4);
    let writing = tokio::spawn(async move {
        while let Some(message) = owed.recv().await {
            // The last ones may be too late: the peer's Close is answered by the reader.
            if writer.feed(&message).await.is_err() {
                break;
            }
        }
    });
    let mut received = Vec::new();
    while let Some(message) = reader.recv().await.unwrap() {
        let _ = replies.send(message.clone()).await;
        received.push(message);
    }
    drop(replies);
    writing.await.unwrap();
    received
}

/// The payloads, sorted: replies and messages may stand in another order, since the reading stops elsewhere.
fn payloads(wire: &Wire) -> Vec<Vec<u8>> {
    let mut payloads: Vec<_> = frames(&wire.written()).into_iter().map(|frame| frame.1).collect();
    payloads.sort();
    payloads
}

#[tokio::test(start_paused = true)]
async fn t03_any_pieces_and_hiccups_are_the_same() {
    let smooth = Wire::new(input(), End::Fin);
    let received = echo(server(&smooth)).await;
    assert_eq!((received.len(), frames(&smooth.written()).len()), (60, 91));
    let hiccups = (1..=40).map(Hiccup::Random).chain([Hiccup::None, Hiccup::Pending]);
    for hiccup in hiccups {
        for piece in [1, 2, 5, 100, usize::MAX] {
            let wire = Wire::new(input(), End::Fin).in_pieces(piece).with_hiccups(hiccup);
            assert!(echo(server(&wire)).await == received, "{hiccup:?} in pieces of {piece}");
            assert!(payloads(&wire) == payloads(&smooth), "{hiccup:?} in pieces of {piece}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t03_any_pieces_and_hiccups_are_the_same_for_two_halves() {
    let received = echo(server(&Wire::new(input(), End::Fin))).await;
    for hiccup in (1..=20).map(Hiccup::Random).chain([Hiccup::Pending]) {
        for piece in [1, 7, usize::MAX] {
            let wire = Wire::new(input(), End::Fin).in_pieces(piece).with_hiccups(hiccup);
            assert!(echo_split(server(&wire)).await == received, "{hiccup:?} in pieces of {piece}");
            // What was sent is whole, as far as it goes, and in its order.
            support::assert_whole(&wire);
        }
    }
}

/// What we send is the same in pieces, to the byte.
#[tokio::test(start_paused = true)]
async fn t03_the_same_bytes_leave_in_any_pieces() {
    let send = async |wire: &Wire| {
        let mut socket = client_on(wire);
        for i in 0..40_usize {
            socket.send(vec![i as u8; i * i * i]).await.unwrap();
            socket.feed("fed").await.unwrap();
        }
        socket.send(vec![9; 300_000]).await.unwrap();
        socket.flush().await.unwrap();
        wire.written()
    };
    let whole = send(&Wire::new([], End::Silence)).await;
    for hiccup in [Hiccup::None, Hiccup::Pending, Hiccup::Random(1), Hiccup::Random(2)] {
        for piece in [7, 1000] {
            let wire = Wire::new([], End::Silence).in_pieces(piece).with_hiccups(hiccup);
            assert!(send(&wire).await == whole, "{hiccup:?} in pieces of {piece}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t03_hands_are_shaken_in_any_pieces() {
    for hiccup in (1..=20).map(Hiccup::Random).chain([Hiccup::Pending]) {
        let bytes = [support::REQUEST.as_bytes(), &encode([Message::text("first")])].concat();
        let wire = Wire::new(bytes, End::Silence).in_pieces(1).with_hiccups(hiccup);
        let mut socket = wsproto_io::accept(wire).await.unwrap();
        assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text("first".into())));
    }
}

#[cfg(feature = "tls")]
mod certificates;

/// A stream that gives and takes a few bytes at a time, and is not ready in between: for each direction by itself, so
/// that no order of calls meets only those that do nothing.
#[cfg(feature = "tls")]
struct Stutter(tokio::io::DuplexStream, [bool; 2]);

#[cfg(feature = "tls")]
impl Stutter {
    fn is_ready(&mut self, direction: usize, cx: &std::task::Context<'_>) -> bool {
        self.1[direction] = !self.1[direction];
        if self.1[direction] {
            cx.waker().wake_by_ref();
        }
        !self.1[direction]
    }
}

#[cfg(feature = "tls")]
mod stutter {
    use super::Stutter;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    impl AsyncRead for Stutter {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if !self.is_ready(0, cx) {
                return Poll::Pending;
            }
            let mut few = [0; 5];
            let len = few.len().min(space.remaining());
            let mut few = ReadBuf::new(&mut few[..len]);
            std::task::ready!(Pin::new(&mut self.0).poll_read(cx, &mut few))?;
            space.put_slice(few.filled());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Stutter {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if !self.is_ready(1, cx) {
                return Poll::Pending;
            }
            let len = bytes.len().min(5);
            Pin::new(&mut self.0).poll_write(cx, &bytes[..len])
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            if !self.is_ready(1, cx) {
                return Poll::Pending;
            }
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn t03_tls_in_pieces_is_the_same() {
    use wsproto_io::tls::{ClientTls, ServerTls};
    let authority = certificates::Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], certificates::Dates::Good);
    let server_tls = ServerTls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
    let client_tls = ClientTls::with_ca_pem(authority.pem().as_bytes()).unwrap();
    let (near, far) = tokio::io::duplex(512);
    let serving = tokio::spawn(async move {
        let stream = server_tls.accept(Stutter(far, [false; 2])).await.unwrap();
        echo(wsproto_io::accept(stream).await.unwrap()).await
    });
    let stream = client_tls.connect("localhost", Stutter(near, [false; 2])).await.unwrap();
    let socket = wsproto_io::ConnectOptions::new().connect_on("ws://localhost/", stream).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let reading = tokio::spawn(async move {
        let mut received = Vec::new();
        while let Some(message) = reader.recv().await.unwrap() {
            received.push(message);
            if received.len() == 50 {
                break;
            }
        }
        (received, reader)
    });
    let sent: Vec<_> = (0..50_usize).map(|i| Owned::Binary(vec![i as u8; i * i * 10])).collect();
    for message in &sent {
        writer.send(message).await.unwrap();
    }
    let (received, mut reader) = tokio::time::timeout(support::PATIENCE, reading).await.unwrap().unwrap();
    assert!(received == sent);
    let closing = tokio::spawn(async move { reader.recv().await });
    writer.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(matches!(closing.await.unwrap(), Ok(None)));
    assert!(serving.await.unwrap() == sent);
}
