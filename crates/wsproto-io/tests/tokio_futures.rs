//! A WebSocket as a stream and a sink, in two tasks that know of nothing else.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt};
use support::{End, PATIENCE, Wire, encode, frames, server};
use tokio::time::{sleep, timeout};
use wsproto::{CloseCode, CloseFrame, Message, Ping};
use wsproto_io::Message as Owned;

const SECOND: Duration = Duration::from_secs(1);

/// The sink waited last, and the transport knows one waker: the stream gets its message all the same.
#[tokio::test(start_paused = true)]
async fn a_sink_that_waits_does_not_take_the_streams_wake() {
    let wire = Wire::new([], End::Silence);
    let (mut sink, mut stream) = StreamExt::split(server(&wire));
    let receiving = tokio::spawn(async move { stream.next().await });
    sleep(SECOND).await;
    wire.state().room = 0;
    let sending = tokio::spawn(async move { sink.send("stuck".into()).await });
    sleep(SECOND).await;
    sending.abort();
    sleep(SECOND).await;
    wire.push(&encode([Message::text("for the stream")]));
    let message = timeout(PATIENCE, receiving).await.unwrap().unwrap();
    assert_eq!(message.unwrap().unwrap(), Owned::Text("for the stream".into()));
}

/// And the other way about: the stream writes, too, and waited last.
#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_does_not_take_the_sinks_wake() {
    let wire = Wire::stuck();
    let (mut sink, mut stream) = StreamExt::split(server(&wire));
    let sending = tokio::spawn(async move { sink.send("stuck".into()).await });
    sleep(SECOND).await;
    let receiving = tokio::spawn(async move { stream.next().await.is_none() });
    sleep(SECOND).await;
    receiving.abort();
    sleep(SECOND).await;
    wire.give(usize::MAX);
    timeout(PATIENCE, sending).await.unwrap().unwrap().unwrap();
    assert_eq!(frames(&wire.written())[0].1, b"stuck");
}

/// What the sink takes and does not flush, is written by the stream that waits.
#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_writes_what_the_sink_took() {
    let wire = Wire::new([], End::Silence);
    let (mut sink, mut stream) = StreamExt::split(server(&wire));
    let _receiving = tokio::spawn(async move { stream.next().await.is_none() });
    sleep(SECOND).await;
    sink.feed("x".into()).await.unwrap();
    sink.feed("y".into()).await.unwrap(); // which the half of a split keeps for itself until it is used again
    sleep(SECOND).await;
    assert_eq!(frames(&wire.written())[0].1, b"x");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_learns_that_the_sink_closed() {
    let wire = Wire::new([], End::Silence);
    let (mut sink, mut stream) = StreamExt::split(server(&wire));
    let receiving = tokio::spawn(async move { stream.next().await.is_none() });
    sleep(SECOND).await;
    let closing = tokio::spawn(async move { sink.close().await });
    sleep(SECOND).await;
    wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "")]));
    wire.end(End::Fin);
    timeout(PATIENCE, closing).await.unwrap().unwrap().unwrap();
    assert!(timeout(PATIENCE, receiving).await.unwrap().unwrap(), "the stream ends");
}

/// Both at once, thousands of messages, over a transport of few bytes.
#[tokio::test]
async fn a_stream_and_a_sink_in_two_tasks_lose_nothing() {
    const COUNT: u32 = 20_000;
    let (ours, theirs) = tokio::io::duplex(300);
    let limits = wsproto::Limits::default();
    let connection = wsproto::Connection::server(wsproto::Extensions::none(), limits);
    let server = wsproto_io::WebSocket::from_connection(ours, connection, limits, Vec::new());
    let client = wsproto_io::WebSocket::from_connection(theirs, support::client(), limits, Vec::new());
    let mut tasks = Vec::new();
    for socket in [server, client] {
        let (mut sink, mut stream) = StreamExt::split(socket);
        tasks.push(tokio::spawn(async move {
            for n in 0..COUNT {
                sink.send(Owned::Text(n.to_string())).await.unwrap();
            }
        }));
        tasks.push(tokio::spawn(async move {
            for n in 0..COUNT {
                assert_eq!(stream.next().await.unwrap().unwrap(), Owned::Text(n.to_string()));
            }
        }));
    }
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

/// A Pong in front of a message is written by the stream without anybody to be woken: the sink, which waits for the
/// transport, is woken all the same.
#[tokio::test(start_paused = true)]
async fn a_pong_in_front_of_a_message_does_not_take_the_sinks_wake() {
    let wire = Wire::stuck();
    let (mut sink, mut stream) = StreamExt::split(server(&wire));
    wire.push(&encode([Message::text("one")]));
    let sending = tokio::spawn(async move { sink.send("stuck".into()).await });
    sleep(SECOND).await; // it holds the message
    wire.push(&[encode([Ping::new(&b"?"[..])]), encode([Message::text("two")])].concat());
    for text in ["one", "two"] {
        assert_eq!(stream.next().await.unwrap().unwrap(), Owned::Text(text.into()));
    }
    sleep(SECOND).await;
    wire.give(usize::MAX);
    timeout(PATIENCE / 2, sending).await.expect("the sink sleeps").unwrap().unwrap();
}
