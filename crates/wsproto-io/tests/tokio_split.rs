//! Two tasks on one WebSocket.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::polls::poll_with;
use support::{Counted, End, PATIENCE, Wire, encode, frames, server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use wsproto::frame::Opcode;
use wsproto::{CloseCode, CloseFrame, Message, Ping};
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Reader, WebSocket, Writer};

const SECOND: Duration = Duration::from_secs(1);

/// A transport that was ready once need not wake those who waited before: it has said so.
#[tokio::test(start_paused = true)]
async fn a_writer_learns_what_the_transport_took_from_its_reader() {
    for full in [true, false] {
        let wire = Wire::stuck();
        let (mut reader, mut writer) = server(&wire).split();
        writer.feed(vec![7; 60_000]).await.unwrap();
        if full {
            writer.feed(vec![7; 60_000]).await.unwrap();
        }
        let (wakes, waker) = Counted::new();
        let mut writing = Box::pin(async { if full { writer.ready().await } else { writer.flush().await } });
        assert!(poll_with(&mut writing, &waker).is_pending());
        let before = wakes.wakes();
        wire.state().room = usize::MAX;
        // The reader's task is polled for a reason of its own, and writes all.
        assert!(support::poll_once(&mut Box::pin(reader.recv())).is_pending());
        assert!(wakes.wakes() > before, "the writer sleeps for ever");
        assert!(poll_with(&mut writing, &waker).is_ready());
    }
}

/// Who does not wait is not woken.
#[tokio::test(start_paused = true)]
async fn a_half_that_does_not_wait_is_not_woken() {
    let wire = Wire::new([], End::Silence);
    let (mut reader, mut writer) = server(&wire).split();
    let (wakes, waker) = Counted::new();
    assert!(poll_with(&mut Box::pin(writer.send("x")), &waker).is_ready());
    let mut reading = Box::pin(reader.recv());
    for _ in 0..100 {
        assert!(support::poll_once(&mut reading).is_pending());
        wire.push(&encode([Ping::new(&b"?"[..])]));
    }
    assert_eq!(wakes.wakes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_writer_whose_reader_is_gone_throws_away_what_comes() {
    let wire = Wire::new([], End::Silence).with_room(1000);
    let (reader, mut writer) = server(&wire).split();
    drop(reader);
    wire.push(&[encode((0..10_000).map(|_| Message::text("for nobody"))), encode([Ping::new(&b"?"[..])])].concat());
    // It waits; so it reads all, and answers the Ping behind all the messages.
    writer.feed(vec![7; 60_000]).await.unwrap();
    assert!(timeout(SECOND, writer.flush()).await.is_err());
    assert!(wire.is_read());
    wire.give(usize::MAX);
    writer.flush().await.unwrap();
    let sent: Vec<_> = frames(&wire.written()).iter().map(|(header, _)| header.opcode).collect();
    assert_eq!(sent, [Opcode::Binary, Opcode::Pong]);
    wire.push(&encode([Message::text("for nobody")]));
    wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "")]));
    writer.close(CloseCode::NORMAL, "").await.unwrap();
}

/// The reader goes while the writer waits for the end.
#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_leaves_the_close_to_its_writer() {
    let wire = Wire::new([], End::Silence);
    let (mut reader, mut writer) = server(&wire).split();
    let closing = tokio::spawn(async move { writer.close(CloseCode::NORMAL, "").await });
    assert!(timeout(SECOND, reader.recv()).await.is_err());
    drop(reader);
    sleep(SECOND).await;
    wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "")]));
    closing.await.unwrap().unwrap();
}

async fn pair() -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    let (client, server) = tokio::join!(
        async { ConnectOptions::new().compression(None).connect_on("ws://localhost/", near).await.unwrap() },
        async { AcceptOptions::new().compression(None).accept(far).await.unwrap() }
    );
    (client, server)
}

/// Both ends close at the same time, many times: each sees one Close, and no error.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_closes_that_cross_end_both_sides() {
    for round in 0..200 {
        let (client, server) = pair().await;
        let ends = [client, server].map(|socket| {
            let (mut reader, mut writer) = socket.split();
            let reading = tokio::spawn(async move {
                let result = reader.recv().await;
                (result, reader.closed().map(|closed| closed.code))
            });
            (tokio::spawn(async move { writer.close(CloseCode::NORMAL, "").await }), reading)
        });
        for (closing, reading) in ends {
            timeout(PATIENCE, closing).await.unwrap().unwrap().unwrap();
            let (result, code) = timeout(PATIENCE, reading).await.unwrap().unwrap();
            assert!(matches!(result, Ok(None)), "round {round}: {result:?}");
            assert_eq!(code, Some(1000));
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    /// Mostly short messages, a few long ones.
    fn len(&mut self) -> usize {
        match self.next() % 1000 {
            0 => self.next() % 300_000,
            1..50 => self.next() % 10_000,
            _ => self.next() % 100,
        }
    }
}

async fn send_all<S: AsyncRead + AsyncWrite + Unpin>(writer: &mut Writer<S>, count: usize) {
    let (mut lens, mut ways) = (Random(1), Random(2));
    for i in 0..count {
        let message = vec![i as u8; lens.len()];
        match ways.next() % 8 {
            0 | 1 => writer.send(message).await.unwrap(),
            2 => {
                writer.ready().await.unwrap();
                writer.feed(message).await.unwrap();
                writer.flush().await.unwrap();
            }
            3 => {
                drop(writer.ping().await.unwrap());
                writer.feed(message).await.unwrap();
            }
            _ => writer.feed(message).await.unwrap(),
        }
    }
}

async fn receive_all<S: AsyncRead + AsyncWrite + Unpin>(reader: &mut Reader<S>, count: usize) {
    let mut lens = Random(1);
    for i in 0..count {
        let message = reader.recv().await.unwrap().unwrap();
        let len = lens.len();
        assert!(
            message.as_bytes().len() == len && message.as_bytes().iter().all(|byte| *byte == i as u8),
            "message {i}"
        );
    }
}

async fn stress<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(ends: [WebSocket<S>; 2], count: usize) {
    let work = |socket: WebSocket<S>| {
        let (mut reader, mut writer) = socket.split();
        let writing = tokio::spawn(async move {
            send_all(&mut writer, count).await;
            writer
        });
        let (all, has_all) = oneshot::channel();
        // It goes on until the end: the Pongs of the other end want to be read, too.
        let reading = tokio::spawn(async move {
            receive_all(&mut reader, count).await;
            all.send(()).unwrap();
            reader.recv().await
        });
        (reading, has_all, writing)
    };
    let [(reading, has_all, writing), (far_reading, far_has_all, far_writing)] = ends.map(work);
    // A lost wake shows as one of these timeouts: the last bytes are fed, and a reader writes them.
    let mut writer = timeout(PATIENCE, writing).await.expect("a writer sleeps").unwrap();
    let far_writer = timeout(PATIENCE, far_writing).await.expect("a writer sleeps").unwrap();
    timeout(PATIENCE, has_all).await.expect("a reader sleeps").unwrap();
    timeout(PATIENCE, far_has_all).await.expect("a reader sleeps").unwrap();
    timeout(PATIENCE, writer.close(CloseCode::NORMAL, "")).await.unwrap().unwrap();
    for reading in [reading, far_reading] {
        assert!(matches!(timeout(PATIENCE, reading).await.unwrap().unwrap(), Ok(None)));
    }
    drop(far_writer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_threads_and_many_messages_both_ways() {
    let (client, server) = pair().await;
    stress([client, server], 50_000).await;
}

/// A small pipe: nearly each call waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_threads_and_many_waits() {
    let (near, far) = tokio::io::duplex(61);
    let (client, server) =
        tokio::join!(async { ConnectOptions::new().connect_on("ws://localhost/", near).await.unwrap() }, async {
            AcceptOptions::new().accept(far).await.unwrap()
        });
    stress([client, server], 1_000).await;
}

#[cfg(feature = "tls")]
mod certificates;

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_threads_and_many_messages_over_tls() {
    use wsproto_io::tls::{ClientTls, ServerTls};
    let authority = certificates::Authority::new("ours");
    let leaf = authority.leaf(&["localhost"], certificates::Dates::Good);
    let server_tls = ServerTls::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
    let client_tls = ClientTls::with_ca_pem(authority.pem().as_bytes()).unwrap();
    let (near, far) = tokio::io::duplex(1000);
    let (client, server) = tokio::join!(
        async {
            let stream = client_tls.connect("localhost", near).await.unwrap();
            ConnectOptions::new().connect_on("ws://localhost/", stream).await.unwrap()
        },
        async {
            let stream = server_tls.accept(far).await.unwrap();
            AcceptOptions::new().accept(stream).await.unwrap()
        }
    );
    stress([client, server], 3_000).await;
}

#[tokio::test]
async fn a_dropped_socket_closes() {
    let (client, mut server) = pair().await;
    drop(client);
    assert_eq!(server.recv().await.unwrap_err().close_code(), Some(1006));
    let (client, mut server) = pair().await;
    let (reader, writer) = client.split();
    drop(reader);
    drop(writer);
    let error = server.recv().await.unwrap_err();
    assert!(matches!(error, Error::Remote(_) | Error::Io(_)), "{error:?}");
}
