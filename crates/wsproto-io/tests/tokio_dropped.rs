//! Futures that are dropped, at every await.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt as _};
use support::{End, Hiccup, KIB, MOST_QUEUED, Wire, accepted, client_on, encode, poll_once, poll_times, server};
use tokio::time::{interval, sleep};
use wsproto::{CloseCode, CloseFrame, Event, Message, Ping};
use wsproto_io::{Error, Message as Owned};

/// More polls than any of these futures needs in pieces of [`PIECE`].
const MANY: usize = 10_000;

/// A transport that is not ready between any two calls.
fn stutter(input: impl Into<Vec<u8>>) -> Wire {
    Wire::new(input, End::Silence).with_hiccups(Hiccup::Pending)
}

/// What the peer has received: all of it, which must be whole. A message may be cut at the end only.
async fn received(wire: &Wire) -> Vec<Vec<u8>> {
    let mut peer = client_on(&Wire::new(wire.written(), End::Fin));
    let mut messages = Vec::new();
    loop {
        match peer.recv().await {
            Ok(Some(message)) => messages.push(message.as_bytes().to_vec()),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.close_code(), Some(1006), "a corrupted stream: {error:?}");
                break;
            }
        }
    }
    messages
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_recv_loses_nothing() {
    let mut input = encode([Message::text("hel").unfinished()]);
    let mut client = support::client();
    let mut bytes = Vec::new();
    for frame in [Message::text("one"), Message::text("t").unfinished(), Message::text("wo")] {
        client.send(frame, &mut bytes).unwrap();
        client.send(Ping::new(&b"?"[..]), &mut bytes).unwrap();
    }
    client.send(Message::binary(vec![3; 1000]), &mut bytes).unwrap();
    client.send(CloseFrame::new(CloseCode::NORMAL, ""), &mut bytes).unwrap();
    std::mem::swap(&mut input, &mut bytes);
    let expected = [Owned::Text("one".into()), Owned::Text("two".into()), Owned::Binary(vec![3; 1000])].map(Some);
    for split in [false, true] {
        for times in 1..40 {
            for piece in [1, 10, usize::MAX] {
                let wire = stutter(input.clone()).in_pieces(piece);
                wire.state().end = End::Fin;
                let mut whole = Some(server(&wire));
                let mut halves = if split { whole.take().map(wsproto_io::WebSocket::split) } else { None };
                let mut got = Vec::new();
                // Each future is dropped after so many polls.
                for _ in 0..MANY {
                    let polled = match (&mut whole, &mut halves) {
                        (Some(socket), _) => poll_times(socket.recv(), times),
                        (_, Some((reader, _))) => poll_times(reader.recv(), times),
                        _ => None,
                    };
                    match polled.map(Result::unwrap) {
                        Some(None) => break,
                        Some(message) => got.push(message),
                        None => {}
                    }
                }
                assert_eq!(got, expected, "after {times} polls in pieces of {piece}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_read_loses_nothing() {
    let input = encode((0..20_u8).map(|i| Message::binary(vec![i; 100])));
    for times in 1..5 {
        let wire = stutter(input.clone()).in_pieces(90);
        let mut socket = server(&wire);
        let mut got = Vec::new();
        for _ in 0..MANY {
            let mut reading = Box::pin(socket.read());
            let batch = (0..times).find_map(|_| match poll_once(&mut reading) {
                Poll::Ready(batch) => Some(batch),
                Poll::Pending => None,
            });
            if let Some(batch) = batch {
                // One event of each batch: what is not taken stays.
                if let Some(Event::Message(piece)) = batch.unwrap().unwrap().next() {
                    got.extend_from_slice(piece.data.as_bytes());
                }
            }
            if got.len() == 2000 {
                break;
            }
        }
        assert!(got == (0..20_u8).flat_map(|i| [i; 100]).collect::<Vec<_>>(), "after {times} polls");
    }
}

/// Of three messages the middle one's `send` or `feed` is dropped, at each of its awaits.
async fn drop_the_middle(len: usize, how: &str, fragments: bool) {
    let middle: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let mut outcomes = [0; 3];
    let step = if len > 100_000 { 7 } else { 1 };
    for times in (0..).step_by(step) {
        let wire = Wire::new(encode([Message::text("unread")]), End::Silence).in_pieces(len / 16 + 8000);
        // 120 KiB are queued: so the message waits at first.
        wire.state().room = 0;
        let mut socket = if fragments { server(&wire) } else { accepted(&wire).await };
        for _ in 0..2 {
            socket.feed(vec![1; 60 * KIB]).await.unwrap();
        }
        wire.give(usize::MAX);
        wire.state().hiccup = Hiccup::Pending;
        let sent = match how {
            "send" => {
                let sent = poll_times(socket.send(&middle), times);
                wire.state().hiccup = Hiccup::None;
                socket.send("last").await.unwrap();
                socket.flush().await.unwrap();
                sent
            }
            "feed" => {
                let sent = poll_times(socket.feed(&middle), times);
                socket.feed("last").await.unwrap();
                socket.flush().await.unwrap();
                sent
            }
            "batch" => {
                let mut batch = socket.read().await.unwrap().unwrap();
                batch.next().unwrap();
                let sent = poll_times(batch.send(&middle), times);
                batch.send("last").await.unwrap();
                drop(batch);
                socket.flush().await.unwrap();
                sent
            }
            "split" => {
                let (reader, mut writer) = socket.split();
                let sent = poll_times(writer.send(&middle), times);
                writer.send("last").await.unwrap();
                writer.flush().await.unwrap();
                drop(reader);
                sent
            }
            _ => {
                let sent = poll_times(SinkExt::send(&mut socket, Owned::Binary(middle.clone())), times);
                SinkExt::send(&mut socket, Owned::Text("last".into())).await.unwrap();
                sent
            }
        };
        let done = sent.is_some();
        sent.transpose().unwrap();
        let mut got = received(&wire).await;
        assert!(got.drain(..2).all(|first| first == vec![1; 60 * KIB]));
        let whole = got.len() == 2;
        assert!(!done || whole, "a message that was sent is there");
        if whole {
            assert!(got.remove(0) == middle, "{how} of {len} dropped after {times} polls");
        }
        assert_eq!(got, [b"last"], "{how} of {len} dropped after {times} polls");
        outcomes[usize::from(whole) + usize::from(done)] += 1;
        if done {
            break;
        }
        assert!(times < MANY);
    }
    assert!(outcomes[0] > 0 && outcomes[2] > 0, "{how} of {len}: {outcomes:?}");
    assert!(len <= 64 * KIB || outcomes[1] > 0 || how == "sink", "{how} of {len}: {outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_send_leaves_no_message_or_one() {
    for how in ["send", "feed", "batch", "split", "sink"] {
        for len in [10, 64 * KIB, 300 * KIB] {
            for fragments in [false, true] {
                drop_the_middle(len, how, fragments).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t08_dropped_flushes_and_pings_and_closes_go_on() {
    for times in 0..60 {
        let wire = stutter([]).in_pieces(10);
        let mut socket = server(&wire);
        socket.feed("message").await.unwrap();
        let _ = poll_times(socket.flush(), times);
        let pinged = poll_times(socket.ping(), times);
        let _ = poll_times(socket.close(CloseCode::NORMAL, "bye"), times);
        wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "")]));
        socket.close(CloseCode::GOING_AWAY, "the second does not count").await.unwrap();
        let sent = support::frames(&wire.written());
        let payloads: Vec<_> = sent.iter().map(|(_, payload)| payload.as_slice()).collect();
        assert_eq!(payloads[0], b"message");
        assert!(pinged.is_none() || payloads.len() == 3);
        let last = *payloads.last().unwrap();
        let first_counts = if times == 0 { &b"\x03\xe9the second does not count"[..] } else { b"\x03\xe8bye" };
        assert_eq!(last, first_counts, "after {times} polls");
        support::assert_whole(&wire);
    }
}

#[tokio::test(start_paused = true)]
async fn t08_behind_ready_a_feed_does_not_wait() {
    for len in [1, 1000, 64 * KIB] {
        let wire = Wire::stuck();
        let mut socket = server(&wire);
        let mut fed = 0;
        for _ in 0..200_000 {
            if poll_times(socket.ready(), 3).is_none() {
                break;
            }
            poll_times(socket.feed(vec![7; len]), 1).expect("it waits").unwrap();
            fed += 1;
            assert!(socket.queued() <= MOST_QUEUED);
        }
        assert!(fed > 0 && fed < 200_000);
        // A dropped `ready` has changed nothing.
        wire.give(usize::MAX);
        socket.flush().await.unwrap();
        assert_eq!(support::frames(&wire.written()).len(), fed);
    }
}

#[tokio::test(start_paused = true)]
async fn t08_a_select_of_recv_a_clock_and_a_channel() {
    let messages: Vec<_> = (0..300_u32).map(|i| Message::binary(i.to_le_bytes().to_vec())).collect();
    let wire = Wire::new([], End::Silence).in_pieces(3);
    let mut socket = server(&wire);
    let feeding = {
        let (wire, bytes) = (wire.clone(), encode(messages));
        tokio::spawn(async move {
            for piece in bytes.chunks(5) {
                wire.push(piece);
                sleep(Duration::from_millis(3)).await;
            }
            wire.end(End::Fin);
        })
    };
    let (sender, mut channel) = tokio::sync::mpsc::channel(1);
    let sending = tokio::spawn(async move {
        for i in 0..500_u32 {
            sender.send(i).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    });
    let mut clock = interval(Duration::from_millis(2));
    let (mut received, mut sent, mut ticks) = (0, 0, 0);
    let end = loop {
        tokio::select! {
            message = socket.recv() => match message {
                Ok(Some(message)) => {
                    assert_eq!(message.as_bytes(), u32::to_le_bytes(received));
                    received += 1;
                }
                end => break end,
            },
            _ = clock.tick() => ticks += 1,
            Some(i) = channel.recv() => {
                socket.send(&i.to_le_bytes()).await.unwrap();
                sent += 1;
            }
        }
    };
    assert!(matches!(end, Err(Error::Remote(_))), "{end:?}");
    feeding.await.unwrap();
    sending.await.unwrap();
    assert_eq!((received, sent), (300, 500));
    assert!(ticks > 300);
    assert_eq!(support::frames(&wire.written()).len(), 500);
}

#[tokio::test(start_paused = true)]
async fn t08_a_dropped_next_of_a_stream_loses_nothing() {
    let wire = stutter(encode((0..10_u8).map(|i| Message::binary(vec![i])))).in_pieces(1);
    let (mut reader, _writer) = server(&wire).split();
    let mut got = Vec::new();
    while got.len() < 10 {
        if let Some(message) = poll_times(reader.next(), 1) {
            got.extend_from_slice(message.unwrap().unwrap().as_bytes());
        }
    }
    assert_eq!(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}
