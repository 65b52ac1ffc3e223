//! Handles: closing from elsewhere, counters, round trips.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use support::{End, Wire, client, encode, frames, poll_once, server};
use tokio::time::{sleep, timeout};
use wsproto::frame::Opcode;
use wsproto::{CloseCode, CloseFrame, Message, Ping, Pong};
use wsproto_io::{Error, Message as Owned};

const SECOND: Duration = Duration::from_secs(1);

fn close_codes(wire: &Wire) -> Vec<u16> {
    frames(&wire.written())
        .iter()
        .filter(|(header, _)| header.opcode == Opcode::Close)
        .map(|(_, payload)| u16::from_be_bytes(payload[..2].try_into().unwrap()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_close_from_another_task_leaves_while_recv_waits() {
    for split in [false, true] {
        let wire = Wire::new([], End::Silence);
        let mut socket = server(&wire);
        let handle = socket.handle();
        let receiving = tokio::spawn(async move {
            if split {
                let (mut reader, _writer) = socket.split();
                reader.recv().await
            } else {
                socket.recv().await
            }
        });
        sleep(SECOND).await;
        std::thread::spawn(move || {
            handle.close(CloseCode::POLICY_VIOLATION, "enough");
            handle.close(CloseCode::NORMAL, "the second does not count");
        })
        .join()
        .unwrap();
        sleep(SECOND).await;
        assert_eq!(close_codes(&wire), [1008]);
        wire.push(&encode([Message::text("on its way")]));
        assert_eq!(receiving.await.unwrap().unwrap(), Some(Owned::Text("on its way".into())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_from_another_task_waits_for_an_idle_application() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    socket.handle().close(CloseCode::GOING_AWAY, &"ä".repeat(100));
    sleep(SECOND).await;
    assert!(wire.written().is_empty());
    wire.push(&encode([CloseFrame::new(CloseCode::GOING_AWAY, "")]));
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(close_codes(&wire), [1001]);
    assert!(frames(&wire.written())[0].1.len() <= 125);
}

/// A task that sends for ever and never waits, as a ticker does, is closed, too; what it sent before is whole.
#[tokio::test(start_paused = true)]
async fn a_close_from_another_task_ends_one_who_only_sends() {
    for how in ["send", "feed", "split", "batch"] {
        let wire = Wire::new(encode([Message::text("x")]), End::Silence);
        let mut socket = server(&wire);
        let handle = socket.handle();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            let error = match how {
                "split" => {
                    let (_reader, mut writer) = socket.split();
                    loop {
                        match writer.send("tick").await {
                            Ok(()) => sleep(SECOND).await,
                            Err(error) => break error,
                        }
                        sent += 1;
                    }
                }
                "batch" => {
                    let mut batch = socket.read().await.unwrap().unwrap();
                    batch.next().unwrap();
                    loop {
                        match batch.send("tick").await {
                            Ok(()) => sleep(SECOND).await,
                            Err(error) => break error,
                        }
                        sent += 1;
                    }
                }
                _ => loop {
                    let result = if how == "send" { socket.send("tick").await } else { socket.feed("tick").await };
                    match result {
                        Ok(()) => sleep(SECOND).await,
                        Err(error) => break error,
                    }
                    sent += 1;
                },
            };
            (error, sent)
        });
        sleep(10 * SECOND).await;
        handle.close(CloseCode::GOING_AWAY, "enough");
        sleep(2 * SECOND).await;
        wire.push(&encode([CloseFrame::new(CloseCode::GOING_AWAY, "")]));
        wire.end(End::Fin);
        let (error, sent) = timeout(10 * SECOND, sending).await.expect("it goes on sending").unwrap();
        if matches!(how, "batch" | "split") {
            assert!(matches!(error, Error::Closing), "{error:?}");
        } else {
            // Who has the connection ends it in order, before it is told.
            assert!(matches!(&error, Error::Closed(closed) if closed.code == 1001), "{how}: {error:?}");
        }
        assert_eq!((close_codes(&wire), frames(&wire.written()).len()), (vec![1001], sent + 1), "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_from_another_task_reaches_one_who_waits_in_send() {
    let wire = Wire::new([], End::Silence).with_room(1000);
    let mut socket = server(&wire);
    let handle = socket.handle();
    let sending = tokio::spawn(async move {
        for _ in 0..2 {
            socket.feed(vec![7; 60_000]).await.unwrap();
        }
        (socket.send("not any more").await, socket)
    });
    sleep(SECOND).await;
    handle.close(CloseCode::GOING_AWAY, "");
    sleep(SECOND).await;
    wire.give(usize::MAX);
    sleep(SECOND).await;
    wire.push(&encode([CloseFrame::new(CloseCode::GOING_AWAY, "")]));
    wire.end(End::Fin);
    let (result, mut socket) = sending.await.unwrap();
    assert!(matches!(&result, Err(Error::Closed(closed)) if closed.code == 1001), "{result:?}");
    assert!(matches!(socket.send("nor this").await, Err(Error::Closed(_))));
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(close_codes(&wire), [1001]);
}

/// A handle that is kept does not keep the task that had the connection.
#[tokio::test(start_paused = true)]
async fn t10_a_handle_does_not_keep_what_waited() {
    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let task = Arc::new(Task);
    let waker = Waker::from(Arc::clone(&task));
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let handle = socket.handle();
    let mut receiving = Box::pin(socket.recv());
    assert!(std::future::Future::poll(receiving.as_mut(), &mut Context::from_waker(&waker)).is_pending());
    drop(receiving);
    drop(socket);
    drop((waker, wire));
    assert_eq!(Arc::strong_count(&task), 1);
    handle.close(CloseCode::NORMAL, "nobody");
    assert_eq!(handle.counters().messages_received, 0);
}

#[tokio::test(start_paused = true)]
async fn counters_are_read_while_recv_waits_and_from_other_threads() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let handle = socket.handle();
    let receiving = tokio::spawn(async move {
        socket.send("hello").await.unwrap();
        while let Ok(Some(_)) = socket.recv().await {}
    });
    let input = [encode([Ping::new(&b"?"[..])]), encode((0..5).map(|_| Message::text("x")))].concat();
    wire.push(&input);
    sleep(SECOND).await;
    let counters = std::thread::spawn(move || handle.counters()).join().unwrap();
    assert_eq!((counters.messages_received, counters.messages_sent), (5, 1));
    assert_eq!((counters.bytes_received, counters.bytes_sent), (input.len() as u64, wire.written().len() as u64));
    assert_eq!((counters.pings_received, counters.pings_sent, counters.queued), (1, 0, 0));
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_is_told_while_somebody_receives() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let round_trip = socket.ping().await.unwrap();
    let pong = frames(&wire.written())[0].1.clone();
    let handle = socket.handle();
    let receiving = tokio::spawn(async move { socket.recv().await });
    sleep(3 * SECOND).await;
    wire.push(&encode([Pong::new(&b"unasked for"[..])]));
    sleep(SECOND).await;
    wire.push(&encode([Pong::new(pong)]));
    assert_eq!(round_trip.await.unwrap(), 4 * SECOND);
    assert_eq!(handle.counters().round_trip, Some(4 * SECOND));
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_ends_with_the_connection() {
    for drops in [true, false] {
        let wire = Wire::new([], End::Silence);
        let mut socket = server(&wire);
        let round_trip = socket.ping().await.unwrap();
        if drops {
            drop(socket);
        } else {
            wire.end(End::Reset);
            assert!(socket.recv().await.is_err());
        }
        assert!(matches!(round_trip.await, Err(Error::Closed(closed)) if closed.code == 1006));
    }
}

/// Of many Pings 16 are waited for; the Pong to the last answers all.
#[tokio::test(start_paused = true)]
async fn f10_round_trips_are_bounded() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    let mut trips = Vec::new();
    for _ in 0..100 {
        trips.push(socket.ping().await.unwrap());
    }
    let last = frames(&wire.written()).pop().unwrap().1;
    let mut bytes = Vec::new();
    client().send(Pong::new(last), &mut bytes).unwrap();
    wire.push(&bytes);
    assert!(poll_once(&mut Box::pin(socket.recv())).is_pending());
    let mut answered = 0;
    for trip in trips {
        answered += usize::from(trip.await.is_ok());
    }
    assert_eq!(answered, 16);
}
