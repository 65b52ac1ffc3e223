//! Messages that are not compressed on a connection that compresses.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use allocation_counter::measure;
use support::{End, KIB, Wire, encode, frames, poll_once};
use wsproto::extension::{Extension, Negotiated, PerMessageDeflate};
use wsproto::frame::Rsv;
use wsproto::{Connection, Event, Extensions, Input, Limits, Message};
use wsproto_io::WebSocket;

/// Both ends' parts of an agreement on permessage-deflate.
fn agreed() -> (Extensions, Extensions) {
    let deflate = PerMessageDeflate::new();
    let (answer, server) = deflate.accept(&deflate.offers()[0]).unwrap();
    let list = |negotiated: Negotiated| {
        let mut extensions = Extensions::none();
        extensions.push(negotiated).unwrap();
        extensions
    };
    (list(server), list(deflate.finalize(&answer).unwrap()))
}

fn compressing(wire: &Wire) -> WebSocket<Wire> {
    WebSocket::from_connection(wire.clone(), Connection::server(agreed().0, Limits::none()), Limits::none(), Vec::new())
}

/// Which frames say that they begin a compressed message (RFC 7692 §6).
fn marks(wire: &Wire) -> Vec<bool> {
    frames(&wire.written()).iter().map(|(header, _)| header.rsv == Rsv::RSV1).collect()
}

/// The messages as the other end of the agreement has them.
fn received(wire: &Wire) -> Vec<Vec<u8>> {
    let mut connection = Connection::client(agreed().1, Limits::none(), || [0; 4]);
    let mut bytes = wire.written();
    let mut input = Input::new(&mut bytes);
    let mut messages = vec![vec![]];
    while let Some(event) = connection.receive(&mut input).unwrap() {
        let Event::Message(piece) = event else { panic!("{event:?}") };
        messages.last_mut().unwrap().extend_from_slice(piece.data.as_bytes());
        messages.extend(piece.message_finished.then(Vec::new));
    }
    assert_eq!(messages.pop(), Some(vec![]), "all messages are finished");
    messages
}

/// A text, longer than what is compressed at all by default.
const TEXT: &str = "a text that is long enough for compression, and a text that repeats itself for compression";

#[tokio::test(start_paused = true)]
async fn z09_the_choice_is_the_messages_and_made_where_it_begins() {
    let wire = Wire::new([], End::Silence);
    let mut socket = compressing(&wire);
    socket.send(TEXT).await.unwrap();
    socket.send_uncompressed(TEXT).await.unwrap();
    socket.feed(TEXT).await.unwrap();
    socket.feed_uncompressed(TEXT).await.unwrap();
    // By whichever method its pieces come.
    socket.feed_uncompressed(Message::text(TEXT).unfinished()).await.unwrap();
    socket.feed(Message::text(TEXT).unfinished()).await.unwrap();
    socket.send(TEXT).await.unwrap();
    socket.feed(Message::text(TEXT).unfinished()).await.unwrap();
    socket.send_uncompressed(TEXT).await.unwrap();
    assert_eq!(marks(&wire), [true, false, true, false, false, false, false, true, false]);
    let (once, thrice) = (TEXT.as_bytes().to_vec(), TEXT.repeat(3).into_bytes());
    let twice = TEXT.repeat(2).into_bytes();
    assert_eq!(received(&wire), [once.clone(), once.clone(), once.clone(), once, thrice, twice]);
}

#[tokio::test(start_paused = true)]
async fn a_long_message_stays_uncompressed_in_all_its_steps() {
    let wire = Wire::new([], End::Silence);
    let (_, mut writer) = compressing(&wire).split();
    let long = vec![7; 200 * KIB];
    writer.send_uncompressed(&long).await.unwrap();
    writer.feed_uncompressed(TEXT).await.unwrap();
    writer.send(&long).await.unwrap();
    writer.flush().await.unwrap();
    let uncompressed = frames(&wire.written()).iter().map(|(_, payload)| payload.len()).take(4).sum::<usize>();
    assert_eq!((uncompressed, marks(&wire)), (200 * KIB, [&[false; 5][..], &[true, false, false, false]].concat()));
    assert_eq!(received(&wire), [long.clone(), TEXT.into(), long]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_sends_uncompressed() {
    let wire = Wire::new(encode([Message::text(TEXT)]), End::Silence);
    let mut socket = compressing(&wire);
    let mut batch = socket.read().await.unwrap().unwrap();
    let data = batch.message().unwrap();
    batch.feed_uncompressed(&data).await.unwrap();
    batch.send_uncompressed(&data).await.unwrap();
    assert_eq!((marks(&wire), received(&wire)), (vec![false; 2], vec![TEXT.as_bytes().to_vec(); 2]));
}

#[tokio::test(start_paused = true)]
async fn z06_an_unfinished_message_that_is_not_compressed_holds_no_encoder() {
    let held_by = |compressed: bool| {
        let wire = Wire::new([], End::Silence);
        wire.state().written.reserve(KIB);
        let mut socket = compressing(&wire);
        // What the thread lends is made here.
        assert!(poll_once(&mut Box::pin(socket.send_uncompressed("x"))).is_ready());
        let piece = || Message::binary(&[7; 10][..]).unfinished();
        let held = measure(|| {
            let sent = if compressed {
                poll_once(&mut Box::pin(socket.send(piece())))
            } else {
                poll_once(&mut Box::pin(socket.send_uncompressed(piece())))
            };
            assert!(matches!(sent, std::task::Poll::Ready(Ok(()))));
        });
        held.bytes_current
    };
    let (compressed, uncompressed) = (held_by(true), held_by(false));
    assert!(compressed > 100_000 && uncompressed < 1000, "{compressed} and {uncompressed} bytes");
}
