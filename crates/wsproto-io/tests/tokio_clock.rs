//! Keepalive and deadlines on tokio, by a clock that the tests move.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::{End, Wire, accepted, client_on, encode, frames, server};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, advance, timeout};
use wsproto::frame::Opcode;
use wsproto::{CloseCode, Message, Pong};
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Message as Owned, Timeout, WebSocket};

const SECOND: Duration = Duration::from_secs(1);

/// The Pings that were written.
fn pings(wire: &Wire) -> usize {
    opcodes(wire).iter().filter(|opcode| **opcode == Opcode::Ping).count()
}

fn opcodes(wire: &Wire) -> Vec<Opcode> {
    frames(&wire.written()).iter().map(|(header, _)| header.opcode).collect()
}

/// The default: a Ping after 20 s, and the end 20 s later.
#[tokio::test(start_paused = true)]
async fn t12_a_peer_that_is_silent_ends_once() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let begun = Instant::now();
    let error = socket.recv().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
    assert_eq!((begun.elapsed().as_secs(), pings(&wire)), (40, 1));
    assert_eq!(socket.closed().unwrap().code, 1006);
    for _ in 0..2 {
        assert!(matches!(socket.recv().await, Err(Error::Closed(closed)) if closed.code == 1006));
    }
    assert!(matches!(socket.send("x").await, Err(Error::Closed(closed)) if closed.code == 1006));
    assert_eq!(opcodes(&wire), [Opcode::Ping], "no Close: there is nobody to send it to");
}

#[tokio::test(start_paused = true)]
async fn t12_any_byte_is_life() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let message = encode([Message::binary(vec![7; 60])]);
    let begun = Instant::now();
    // One byte of one message each 39 s, a second before the end.
    for byte in message.chunks(1) {
        assert!(timeout(39 * SECOND, socket.recv()).await.is_err());
        wire.push(byte);
    }
    assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes().len(), 60);
    assert_eq!(begun.elapsed(), 39 * SECOND * u32::try_from(message.len()).unwrap());
    assert_eq!(pings(&wire), message.len());
}

#[tokio::test(start_paused = true)]
async fn t12_the_time_for_the_pong_begins_when_the_ping_is_written() {
    let wire = Wire::stuck();
    let mut socket = server(&wire);
    let begun = Instant::now();
    // For 59 s the transport does not take the Ping: nothing is known of the peer.
    assert!(timeout(79 * SECOND, socket.recv()).await.is_err());
    wire.give(usize::MAX);
    assert!(matches!(socket.recv().await, Err(Error::Timeout(Timeout::Pong))));
    assert_eq!((begun.elapsed().as_secs(), pings(&wire)), (99, 1));
}

#[tokio::test(start_paused = true)]
async fn t12_bytes_that_the_transport_takes_begin_it_anew() {
    let wire = Wire::new([], End::Silence);
    let (mut reader, mut writer) = server(&wire).split();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { reader.recv().await });
    for _ in 0..10 {
        tokio::time::sleep(19 * SECOND).await;
        writer.send("I am slow").await.unwrap();
    }
    assert!(matches!(reading.await.unwrap(), Err(Error::Timeout(Timeout::Pong))));
    assert_eq!(begun.elapsed().as_secs(), 210, "20 s after the last byte");
}

#[tokio::test(start_paused = true)]
async fn t12_the_time_for_the_pong_stands_still_while_a_message_is_not_taken() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    // The Ping is written at 20 s; a message comes at 30 s, and nobody takes it, because `send` waits.
    assert!(timeout(30 * SECOND, socket.recv()).await.is_err());
    wire.state().room = 0;
    wire.push(&encode([Message::text("one"), Message::text("two")]));
    for _ in 0..2 {
        socket.feed(vec![7; 60_000]).await.unwrap();
    }
    assert!(timeout(59 * SECOND, socket.send("more")).await.is_err());
    assert!(socket.closed().is_none());
    wire.give(usize::MAX);
    socket.send("now").await.unwrap();
    for message in ["one", "two"] {
        assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text(message.into())));
    }
}

/// Once the message is taken, the time runs again: else a peer that dies now is waited for for ever.
#[tokio::test(start_paused = true)]
async fn t12_the_time_for_the_pong_runs_again_when_the_message_is_taken() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    wire.state().room = 0;
    // The Ping waits for the transport; the message comes while it does.
    assert!(timeout(30 * SECOND, socket.recv()).await.is_err());
    wire.push(&encode([Message::text("one")]));
    assert!(timeout(SECOND, socket.flush()).await.is_err());
    wire.give(usize::MAX);
    socket.flush().await.unwrap();
    assert_eq!(pings(&wire), 1);
    let begun = Instant::now();
    assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text("one".into())));
    let error = timeout(1000 * SECOND, socket.recv()).await.expect("it waits for ever").unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
    assert_eq!(begun.elapsed(), 20 * SECOND);
}

/// An application that is away for long does not end a connection whose peer has answered meanwhile.
#[tokio::test(start_paused = true)]
async fn t12_a_pong_that_came_while_nobody_waited_counts() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    assert!(timeout(21 * SECOND, socket.recv()).await.is_err());
    let ping = frames(&wire.written()).pop().unwrap().1;
    wire.push(&encode([Pong::new(ping)]));
    advance(100_000 * SECOND).await;
    assert!(timeout(19 * SECOND, socket.recv()).await.is_err());
    assert_eq!(socket.counters().round_trip, Some(100_001 * SECOND));
    assert!(socket.closed().is_none());
}

/// Both ends of one stream, with these times.
async fn pair(
    interval: Option<Duration>,
    pong_timeout: Duration,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(4096);
    let accept = AcceptOptions::new().ping_interval(None);
    let connect = ConnectOptions::new().ping_interval(interval).pong_timeout(pong_timeout);
    let (client, server) = tokio::join!(connect.connect_on("ws://localhost/", near), accept.accept(far));
    (client.unwrap(), server.unwrap())
}

#[tokio::test(start_paused = true)]
async fn t12_without_an_interval_nobody_is_pinged() {
    let (mut client, mut server) = pair(None, SECOND).await;
    let year = 365 * 86_400 * SECOND;
    assert!(timeout(year, async { tokio::join!(client.recv(), server.recv()) }).await.is_err());
    assert_eq!((client.counters().pings_sent, server.counters().pings_sent), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn t12_a_peer_that_only_waits_answers_for_a_day() {
    let (mut client, mut server) = pair(Some(10 * SECOND), 5 * SECOND).await;
    assert!(timeout(86_400 * SECOND, async { tokio::join!(client.recv(), server.recv()) }).await.is_err());
    let pings = client.counters().pings_sent;
    assert!((8_639..=8_640).contains(&pings), "{pings}");
    assert!(pings - server.counters().pings_received <= 1, "the last is under way");
    let (closed, received) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.recv());
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
}

/// A clock that jumps, forwards, past all deadlines at once, is one that ran: what is due is done once.
#[tokio::test(start_paused = true)]
async fn t09_a_jump_of_the_clock_makes_one_ping() {
    let (mut client, mut server) = pair(Some(10 * SECOND), 5 * SECOND).await;
    for _ in 0..100 {
        assert!(timeout(SECOND, async { tokio::join!(client.recv(), server.recv()) }).await.is_err());
        advance(1_000_000 * SECOND).await;
        assert!(timeout(SECOND, async { tokio::join!(client.recv(), server.recv()) }).await.is_err());
    }
    assert!(client.closed().is_none());
    assert_eq!(client.counters().pings_sent, server.counters().pings_received);
    assert!(client.counters().pings_sent <= 200, "{}", client.counters().pings_sent);
}

#[tokio::test(start_paused = true)]
async fn t09_times_beyond_the_clock_are_times_too() {
    let (near, far) = duplex(4096);
    let accept =
        AcceptOptions::new().ping_interval(Duration::MAX).pong_timeout(Duration::MAX).close_timeout(Duration::MAX);
    let connect = ConnectOptions::new()
        .ping_interval(Duration::MAX)
        .pong_timeout(Duration::MAX)
        .close_timeout(Duration::MAX)
        .handshake_timeout(Duration::MAX);
    let (client, server) = tokio::join!(connect.connect_on("ws://localhost/", near), accept.accept(far));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert!(timeout(86_400 * SECOND, async { tokio::join!(client.recv(), server.recv()) }).await.is_err());
    let (closed, received) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.recv());
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
}

/// A Ping that is due in the middle of a frame waits for its end.
#[tokio::test(start_paused = true)]
async fn t12_a_ping_stands_behind_a_long_frame_in_progress() {
    let wire = Wire::new([], End::Silence).with_room(100_000);
    let (mut reader, mut writer) = accepted(&wire).await.split();
    let long: Vec<u8> = (0..1_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let message = long.clone();
    let reading = tokio::spawn(async move { reader.recv().await });
    let writing = tokio::spawn(async move { writer.send(message).await.map(|()| writer) });
    tokio::time::sleep(60 * SECOND).await; // a Ping is due since 20 s
    assert_eq!(wire.written().len(), 100_000);
    wire.give(usize::MAX);
    let _writer = writing.await.unwrap().unwrap();
    tokio::time::sleep(SECOND).await;
    let mut peer = client_on(&Wire::new(wire.written(), End::Silence));
    let mut got = Vec::new();
    let mut pings = 0;
    while let Ok(Ok(Some(mut batch))) = timeout(SECOND, peer.read()).await {
        for event in &mut batch {
            match event {
                wsproto::Event::Message(piece) => got.extend_from_slice(piece.data.as_bytes()),
                wsproto::Event::Ping(_) => {
                    assert!(got.len() == long.len());
                    pings += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(got == long);
    assert_eq!(pings, 1);
    assert!(matches!(reading.await.unwrap(), Err(Error::Timeout(Timeout::Pong))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_gets_no_answer_ends_at_the_handshake_timeout() {
    let begun = Instant::now();
    let error = ConnectOptions::new().connect_on("ws://localhost/", Wire::new([], End::Silence)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Handshake)), "{error:?}");
    assert_eq!(begun.elapsed(), 10 * SECOND);
    // A byte each second does not prolong it.
    let wire = Wire::new([], End::Silence);
    let accept = async { AcceptOptions::new().accept(wire.clone()).await };
    let drip = async {
        for byte in support::REQUEST.as_bytes().chunks(1).take(100) {
            tokio::time::sleep(SECOND).await;
            wire.push(byte);
        }
    };
    let begun = Instant::now();
    let (error, ()) = tokio::join!(async { (accept.await.unwrap_err(), begun.elapsed()) }, drip);
    assert!(matches!(error.0, Error::Timeout(Timeout::Handshake)));
    assert_eq!(error.1, 10 * SECOND);
}
