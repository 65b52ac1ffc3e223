//! Peers that never read: what waits for them does so with an end.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::{End, REQUEST, Wire, encode, server};
use tokio::time::{Instant, sleep, timeout};
use wsproto::{Message, Ping};
use wsproto_io::{AcceptOptions, Error, Timeout, WebSocket};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than any deadline here.
const FOR_EVER: Duration = Duration::from_secs(100_000);

fn is_stalled<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Timeout(Timeout::Stalled)))
}

/// A server on a wire that takes nothing behind the handshake, and gives `input`.
async fn stalled(stall_timeout: Option<Duration>, input: &[u8]) -> (Wire, WebSocket<Wire>) {
    let wire = Wire::new(REQUEST, End::Silence);
    let options = AcceptOptions::new().compression(None).stall_timeout(stall_timeout);
    let socket = options.accept(wire.clone()).await.unwrap();
    wire.state().room = 0;
    wire.push(input);
    (wire, socket)
}

#[tokio::test(start_paused = true)]
async fn t17_a_peer_that_takes_nothing_ends() {
    for how in ["recv", "flush", "send", "read", "behind a message"] {
        let wire = Wire::stuck();
        let mut socket = server(&wire);
        if how == "behind a message" {
            wire.push(&encode([Message::text("for nobody")]));
        }
        for _ in 0..2 {
            socket.feed(vec![7; 60_000]).await.unwrap();
        }
        let begun = Instant::now();
        let result = match how {
            "recv" => timeout(FOR_EVER, socket.recv()).await.map(|result| result.map(|_| ())),
            "read" => timeout(FOR_EVER, socket.read()).await.map(|result| result.map(|_| ())),
            "flush" | "behind a message" => timeout(FOR_EVER, socket.flush()).await,
            _ => timeout(FOR_EVER, socket.send("more")).await,
        };
        let result = result.unwrap_or_else(|_| panic!("{how}: it waits for ever"));
        assert!(is_stalled(&result), "{how}: {result:?}");
        assert_eq!(begun.elapsed(), 60 * SECOND, "{how}");
        assert_eq!((socket.closed().unwrap().code, socket.queued()), (1006, 0), "{how}");
        assert!(wire.state().shutdowns > 0, "{how}");
    }
}

/// A transport that takes all, and keeps it for itself, as TLS may.
#[tokio::test(start_paused = true)]
async fn t17_a_flush_that_does_not_end_counts() {
    let wire = Wire::new(REQUEST, End::Silence);
    let mut socket = AcceptOptions::new().ping_interval(None).accept(wire.clone()).await.unwrap();
    wire.state().stuck_flush = true;
    let begun = Instant::now();
    socket.send("x").await.unwrap();
    assert!(is_stalled(&timeout(FOR_EVER, socket.recv()).await.unwrap()));
    assert_eq!(begun.elapsed(), 60 * SECOND);
}

/// It sends without end, too: its Pings are answered, and nothing else is done, so that the clock is never waited for.
#[tokio::test(start_paused = true)]
async fn t17_a_peer_that_floods_and_takes_nothing_ends() {
    let pings = encode((0..10).map(|_| Ping::new(&b"?"[..])));
    let messages = encode((0..10).map(|_| Message::text("again")));
    for input in [pings, messages] {
        let (wire, mut socket) = stalled(Some(5 * SECOND), &input).await;
        let begun = Instant::now();
        let serving = async {
            while let Some(message) = socket.recv().await? {
                socket.feed(message).await?;
            }
            Ok(())
        };
        let flooding = async {
            loop {
                wire.push(&input);
                sleep(Duration::from_millis(1)).await;
            }
        };
        let result = tokio::select! {
            result = timeout(FOR_EVER, serving) => result.unwrap(),
            () = flooding => unreachable!(),
        };
        assert!(is_stalled(&result), "{result:?}");
        assert!((5..=6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn t17_each_byte_that_the_peer_takes_renews_its_time() {
    let (wire, mut socket) = stalled(Some(5 * SECOND), b"").await;
    socket.feed(vec![7; 90]).await.unwrap();
    let begun = Instant::now();
    let taking = async {
        for _ in 0..10 {
            sleep(4 * SECOND).await;
            wire.give(1);
        }
    };
    let (result, ()) = tokio::join!(timeout(FOR_EVER, socket.recv()), taking);
    assert!(is_stalled(&result.unwrap()));
    assert_eq!(begun.elapsed(), 45 * SECOND);
}

/// Whoever waits for nothing is not given up, however long it does.
#[tokio::test(start_paused = true)]
async fn t17_a_peer_that_takes_all_has_no_deadline() {
    let wire = Wire::new(REQUEST, End::Silence);
    let options = AcceptOptions::new().ping_interval(None).stall_timeout(5 * SECOND);
    let mut socket = options.accept(wire.clone()).await.unwrap();
    wire.state().room = 0;
    socket.feed("x").await.unwrap();
    assert!(timeout(4 * SECOND, socket.recv()).await.is_err());
    wire.give(usize::MAX);
    assert!(timeout(1000 * SECOND, socket.recv()).await.is_err());
    socket.send("y").await.unwrap();
    assert!(timeout(1000 * SECOND, socket.recv()).await.is_err());
    assert!(socket.closed().is_none());
}

#[tokio::test(start_paused = true)]
async fn t17_without_a_stall_timeout_the_peer_is_waited_for() {
    let (wire, mut socket) = stalled(None, b"").await;
    socket.feed("x").await.unwrap();
    assert!(timeout(10_000 * SECOND, socket.recv()).await.is_err());
    wire.give(usize::MAX);
    socket.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn t17_two_halves_both_learn_of_it() {
    for reading in [true, false] {
        let (_wire, socket) = stalled(Some(5 * SECOND), b"").await;
        let (mut reader, mut writer) = socket.split();
        // One that is there and does not wait leaves the clock to the writer.
        let (reading, idle) = if reading {
            (Some(tokio::spawn(async move { reader.recv().await.map(|_| ()) })), None)
        } else {
            (None, Some(reader))
        };
        let begun = Instant::now();
        let result = timeout(FOR_EVER, writer.send(vec![7; 300_000])).await.unwrap();
        assert_eq!(begun.elapsed(), 5 * SECOND);
        let is_told = |result: &Result<(), Error>| match result {
            Err(Error::Timeout(Timeout::Stalled)) => true, // whoever looked at the clock first
            Err(Error::Closed(closed)) => closed.code == 1006,
            _ => false,
        };
        match (reading, idle) {
            (Some(reading), _) => {
                let read = timeout(FOR_EVER, reading).await.unwrap().unwrap();
                assert!(is_told(&result) && is_told(&read) && (is_stalled(&result) || is_stalled(&read)), "{read:?}");
            }
            (None, idle) => {
                assert!(is_stalled(&result), "{result:?}");
                let read = idle.unwrap().recv().await;
                assert!(matches!(&read, Err(Error::Closed(closed)) if closed.code == 1006), "{read:?}");
            }
        }
    }
}
