//! Peers that have stopped, or that never stop: what they cost, and how long closing lasts.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::{Counted, End, KIB, Wire, accepted, client, client_on, encode, frames, poll_once, server};
use tokio::time::{Instant, sleep, timeout};
use wsproto::frame::Opcode;
use wsproto::{CloseCode, CloseFrame, Connection, Extensions, Limits, Message, Ping};
use wsproto_io::{Error, Timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than any deadline here.
const FOR_EVER: Duration = Duration::from_secs(100_000);

fn is_close_timeout<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Timeout(Timeout::Close)))
}

#[tokio::test(start_paused = true)]
async fn t14_a_peer_that_takes_and_sends_nothing_costs_nothing() {
    let wire = Wire::stuck();
    let mut socket = server(&wire);
    socket.feed("reply").await.unwrap();
    // Before the keepalive looks.
    assert!(timeout(19 * SECOND, socket.recv()).await.is_err());
    let polls = wire.polls();
    assert!(polls <= 8, "{polls} calls of the transport");
    assert!(timeout(19 * SECOND, socket.flush()).await.is_err());
    let polls = wire.polls() - polls;
    assert!(polls <= 16, "{polls} calls of the transport");

    let (mut reader, mut writer) = socket.split();
    let before = wire.polls();
    let reading = async { timeout(19 * SECOND, reader.recv()).await.is_err() };
    let writing = async { timeout(19 * SECOND, writer.flush()).await.is_err() };
    assert_eq!(tokio::join!(reading, writing), (true, true));
    let polls = wire.polls() - before;
    assert!(polls <= 32, "{polls} calls of the transport");
}

/// No wake without a reason, counted: neither half wakes the other for ever.
#[tokio::test(start_paused = true)]
async fn t14_two_halves_that_wait_do_not_wake_each_other() {
    let wire = Wire::stuck();
    let (mut reader, mut writer) = server(&wire).split();
    writer.feed("reply").await.unwrap();
    let (mut reading, mut writing) = (Box::pin(reader.recv()), Box::pin(writer.flush()));
    let (read_wakes, read_waker) = Counted::new();
    let (write_wakes, write_waker) = Counted::new();
    let mut seen = (0, 0);
    for _ in 0..100 {
        assert!(support::polls::poll_with(&mut reading, &read_waker).is_pending());
        assert!(support::polls::poll_with(&mut writing, &write_waker).is_pending());
        let now = (read_wakes.wakes(), write_wakes.wakes());
        if now == seen {
            return; // both would sleep now
        }
        seen = now;
    }
    // A writer tells the reader that something is queued each time that it is polled; nothing polls it again.
    assert_eq!(seen.1, 0, "the reader wakes the writer");
}

#[tokio::test(start_paused = true)]
async fn t14_closing_ends_at_its_deadline() {
    for queued in [0, 60_000] {
        for wire in [Wire::stuck(), Wire::new([], End::Silence)] {
            let mut socket = server(&wire);
            socket.feed(vec![7; queued]).await.unwrap();
            let begun = Instant::now();
            assert!(is_close_timeout(&timeout(FOR_EVER, socket.close(CloseCode::NORMAL, "")).await.unwrap()));
            assert_eq!(begun.elapsed(), 10 * SECOND);
            assert_eq!(socket.closed().unwrap().code, 1006);
            assert!(matches!(socket.recv().await, Err(Error::Closed(closed)) if closed.code == 1006));
        }
    }
}

/// The application only waits in `send` or in `flush`; a message that it does not take stands in front.
#[tokio::test(start_paused = true)]
async fn t14_closing_ends_at_its_deadline_behind_a_message_that_nobody_takes() {
    for flush in [true, false] {
        let wire = Wire::stuck();
        wire.push(&encode([Message::text("for nobody")]));
        let mut socket = server(&wire);
        for _ in 0..2 {
            socket.feed(vec![7; 60_000]).await.unwrap();
        }
        socket.handle().close(CloseCode::NORMAL, "");
        let begun = Instant::now();
        let result =
            if flush { timeout(FOR_EVER, socket.flush()).await } else { timeout(FOR_EVER, socket.send("x")).await };
        let result = result.expect("it waits for ever");
        assert!(is_close_timeout(&result), "{result:?}");
        assert_eq!(begun.elapsed(), 10 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn t14_closing_ends_at_its_deadline_while_a_batch_sends() {
    let wire = Wire::stuck();
    wire.push(&encode([Message::text("one")]));
    let mut socket = server(&wire);
    let handle = socket.handle();
    let mut batch = socket.read().await.unwrap().unwrap();
    batch.next().unwrap();
    tokio::spawn(async move {
        sleep(SECOND).await;
        handle.close(CloseCode::NORMAL, "");
    });
    let begun = Instant::now();
    let result = timeout(FOR_EVER, batch.send(vec![7; 300_000])).await.expect("it waits for ever");
    assert!(is_close_timeout(&result), "{result:?}");
    assert_eq!(begun.elapsed(), 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn t14_closing_ends_at_its_deadline_for_a_writer_whose_reader_is_busy() {
    let wire = Wire::stuck();
    let (reader, mut writer) = server(&wire).split();
    let handle = writer.handle();
    tokio::spawn(async move {
        sleep(SECOND).await;
        handle.close(CloseCode::NORMAL, "");
    });
    let begun = Instant::now();
    let result = timeout(FOR_EVER, writer.send(vec![7; 300_000])).await.expect("it waits for ever");
    assert!(is_close_timeout(&result), "{result:?}");
    assert_eq!(begun.elapsed(), 11 * SECOND);
    drop(reader);
}

/// A reader that has seen the Close and does not go on: the writer's `close` ends all the same.
#[tokio::test(start_paused = true)]
async fn t14_closing_ends_where_the_reader_stops_at_the_close() {
    let wire = Wire::new(encode([CloseFrame::new(CloseCode::NORMAL, "bye")]), End::Silence);
    let (mut reader, mut writer) = server(&wire).split();
    let mut batch = reader.read().await.unwrap().unwrap();
    assert!(matches!(batch.next(), Some(wsproto::Event::Close(_))));
    let begun = Instant::now();
    let _ = timeout(FOR_EVER, writer.close(CloseCode::NORMAL, "")).await.expect("it waits for ever");
    assert!(begun.elapsed() <= 10 * SECOND);
}

/// Time passes with each read, so that one who reads for ever meets the deadline.
#[derive(Clone)]
struct Flood(Wire, bool);

impl tokio::io::AsyncRead for Flood {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        space: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        // One read for each millisecond: the transport is ready again in the next.
        self.1 = !self.1;
        if self.1 {
            let waker = cx.waker().clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(1)).await;
                waker.wake();
            });
            return std::task::Poll::Pending;
        }
        std::pin::Pin::new(&mut self.0).poll_read(cx, space)
    }
}

impl tokio::io::AsyncWrite for Flood {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn t14_a_peer_that_sends_for_ever_does_not_prolong_closing() {
    let messages = encode((0..10).map(|_| Message::text("and another thing")));
    let pings = encode((0..10).map(|_| Ping::new(&b"?"[..])));
    for input in [messages, pings] {
        for stuck in [false, true] {
            let wire = Wire::new(input.clone(), End::Repeat(0)).in_pieces(100);
            wire.state().room = if stuck { 0 } else { usize::MAX };
            let connection = Connection::server(Extensions::none(), Limits::none());
            let mut socket =
                wsproto_io::WebSocket::from_connection(Flood(wire, false), connection, Limits::none(), Vec::new());
            let begun = Instant::now();
            let result = timeout(FOR_EVER, socket.close(CloseCode::NORMAL, "")).await.unwrap();
            assert!(is_close_timeout(&result), "{result:?}");
            assert!((10..=11).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        }
    }
}

/// The same for a task that only flushes: control frames are read for ever, the clock is looked at all the same.
#[tokio::test(start_paused = true)]
async fn t14_pings_without_end_do_not_prolong_closing_while_we_flush() {
    let wire = Wire::new(encode((0..10).map(|_| Ping::new(&b"?"[..]))), End::Repeat(0)).in_pieces(100);
    wire.state().room = 0;
    let connection = Connection::server(Extensions::none(), Limits::none());
    let mut socket = wsproto_io::WebSocket::from_connection(Flood(wire, false), connection, Limits::none(), Vec::new());
    socket.send_close(CloseCode::NORMAL, "");
    let begun = Instant::now();
    let result = timeout(FOR_EVER, socket.flush()).await.unwrap();
    assert!(is_close_timeout(&result), "{result:?}");
    assert!((10..=11).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

/// RFC 6455 §7.1.1: the server ends the transport first. It waits for a client that does not do so, too, for a second.
#[tokio::test(start_paused = true)]
async fn t14_a_peer_that_never_ends_the_transport_is_waited_for_with_a_bound() {
    for (from_client, most) in [(true, SECOND), (false, 10 * SECOND)] {
        let close = CloseFrame::new(CloseCode::NORMAL, "");
        let wire = Wire::new([], End::Silence);
        let mut socket = if from_client {
            wire.push(&encode([close]));
            server(&wire)
        } else {
            let mut bytes = Vec::new();
            Connection::server(Extensions::none(), Limits::none()).send(close, &mut bytes).unwrap();
            wire.push(&bytes);
            client_on(&wire)
        };
        let begun = Instant::now();
        assert_eq!(timeout(FOR_EVER, socket.recv()).await.unwrap().unwrap(), None);
        assert_eq!(begun.elapsed(), most);
        assert!(wire.state().shutdowns > 0);
        assert_eq!(socket.closed().unwrap().code, 1000);
    }
}

/// And one that goes on sending behind its Close is not read for ever.
#[tokio::test(start_paused = true)]
async fn t14_what_comes_behind_a_close_is_read_with_a_bound() {
    for from_client in [true, false] {
        let mut close = Vec::new();
        let frame = CloseFrame::new(CloseCode::NORMAL, "");
        if from_client {
            client().send(frame, &mut close).unwrap();
        } else {
            Connection::server(Extensions::none(), Limits::none()).send(frame, &mut close).unwrap();
        }
        let at = close.len();
        close.extend_from_slice(&[0; 10_000]);
        let wire = Wire::new(close, End::Repeat(at));
        let mut socket = if from_client { server(&wire) } else { client_on(&wire) };
        assert_eq!(timeout(FOR_EVER, socket.recv()).await.unwrap().unwrap(), None);
        let read = wire.state().total_read;
        assert!(read <= 512 * KIB, "{read} bytes");
    }
}

/// F10, F11: Pings from a peer that never reads.
#[tokio::test(start_paused = true)]
async fn f10_pings_from_a_peer_that_never_reads_do_not_grow() {
    let one = encode([Ping::new(vec![7; 100])]);
    let count = 1_000_000 * 10 / one.len(); // as many bytes as 10^6 small ones, nearly
    let wire = Wire::new(one.repeat(count), End::Silence).with_room(0);
    let mut socket = server(&wire);
    socket.feed("first").await.unwrap();
    let mut receiving = Box::pin(socket.recv());
    let mut polls = 0;
    while wire.state().read < one.len() * count {
        assert!(poll_once(&mut receiving).is_pending());
        polls += 1;
        assert!(polls < 1_000_000);
    }
    let calls = wire.polls();
    for _ in 0..10 {
        assert!(poll_once(&mut receiving).is_pending());
    }
    assert!(wire.polls() - calls <= 40, "no spin");
    drop(receiving);
    assert!(socket.queued() <= 64 * KIB + 131, "{} bytes of Pongs", socket.queued());
    assert_eq!(socket.counters().pings_received, count as u64);
    // The latest is among those that are answered.
    wire.push(&encode([Ping::new(&b"last"[..])]));
    assert!(poll_once(&mut Box::pin(socket.recv())).is_pending());
    wire.give(usize::MAX);
    assert!(poll_once(&mut Box::pin(socket.recv())).is_pending());
    let sent = frames(&wire.written());
    let last = sent.last().unwrap();
    assert_eq!((last.0.opcode, last.1.as_slice()), (Opcode::Pong, &b"last"[..]));
}

/// Our own Pings, asked for again and again from one who takes none.
#[tokio::test(start_paused = true)]
async fn f10_pings_that_are_given_up_do_not_grow() {
    let wire = Wire::stuck();
    let mut socket = server(&wire);
    for _ in 0..20_000 {
        assert!(poll_once(&mut Box::pin(socket.ping())).is_pending());
    }
    assert!(socket.queued() <= 64 * KIB + 14, "{} bytes of Pings", socket.queued());
    let (_reader, mut writer) = socket.split();
    for _ in 0..20_000 {
        assert!(poll_once(&mut Box::pin(writer.ping())).is_pending());
    }
    assert!(writer.queued() <= 64 * KIB + 14, "{} bytes of Pings", writer.queued());
}

/// A peer that closes while we send a long frame gets the frame's end, and its answer.
#[tokio::test(start_paused = true)]
async fn a_close_in_the_middle_of_our_long_frame_is_answered_behind_it() {
    for how in ["unsplit", "split", "batch"] {
        let wire = Wire::new([], End::Silence).with_room(10_000);
        let mut socket = accepted(&wire).await;
        let long = vec![7; 500_000];
        let close = encode([CloseFrame::new(CloseCode::NORMAL, "bye")]);
        match how {
            "split" => {
                let (mut reader, mut writer) = socket.split();
                let sending = tokio::spawn(async move {
                    let result = writer.send(long).await;
                    drop(writer);
                    result
                });
                sleep(SECOND).await;
                wire.push(&close);
                let reading = tokio::spawn(async move { reader.recv().await });
                sleep(SECOND).await;
                wire.give(usize::MAX);
                let result = sending.await.unwrap();
                assert!(matches!(&result, Ok(()) | Err(Error::Closed(_))), "{result:?}");
                assert_eq!(reading.await.unwrap().unwrap(), None);
            }
            "unsplit" => {
                wire.push(&close);
                let sending = async {
                    let result = socket.send(&long).await;
                    assert!(matches!(&result, Ok(()) | Err(Error::Closed(_))), "{result:?}");
                };
                let giving = async {
                    sleep(SECOND).await;
                    wire.give(usize::MAX);
                };
                tokio::join!(sending, giving);
                assert_eq!(socket.recv().await.unwrap(), None);
            }
            _ => {
                wire.push(&[encode([Message::text("x")]), close].concat());
                let mut batch = socket.read().await.unwrap().unwrap();
                batch.next().unwrap();
                assert!(timeout(SECOND, batch.send(&long)).await.is_err());
                assert!(matches!(batch.next(), Some(wsproto::Event::Close(_))));
                drop(batch);
                wire.give(usize::MAX);
                assert_eq!(socket.recv().await.unwrap(), None);
            }
        }
        let sent = frames(&wire.written());
        let lens: Vec<_> = sent.iter().map(|(_, payload)| payload.len()).filter(|len| *len > 5).collect();
        let total: usize = lens.iter().sum();
        assert!(total == 500_000, "{how}: {lens:?}");
        assert_eq!(sent.last().unwrap().0.opcode, Opcode::Close, "{how}: the Close is answered");
    }
}

/// The same with our own Close, by the handle, while the frame is not finished.
#[tokio::test(start_paused = true)]
async fn our_close_in_the_middle_of_our_long_frame_stands_behind_it() {
    let wire = Wire::new([], End::Silence).with_room(10_000);
    let mut socket = accepted(&wire).await;
    let handle = socket.handle();
    let sending = tokio::spawn(async move {
        let result = socket.send(vec![7; 500_000]).await;
        (result, socket)
    });
    sleep(SECOND).await;
    handle.close(CloseCode::GOING_AWAY, "enough");
    sleep(SECOND).await;
    wire.give(usize::MAX);
    let (result, mut socket) = sending.await.unwrap();
    result.unwrap();
    wire.push(&encode([CloseFrame::new(CloseCode::GOING_AWAY, "")]));
    assert_eq!(socket.recv().await.unwrap(), None);
    let sent = frames(&wire.written());
    assert_eq!(sent.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), [500_000, 8]);
    assert!(matches!(socket.send("x").await, Err(Error::Closed(_))));
}
