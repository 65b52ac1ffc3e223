//! Closing ends in time, whatever the peer does, and who sends learns how it ended.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use support::{End, Wire, encode, server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
use wsproto::{CloseCode, CloseFrame, LocalProtocolError, Message, Ping};
use wsproto_io::{AcceptOptions, Error, ServeOptions, Timeout, connect, serve};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked text message, "Hi", masked with zeros.
const MESSAGE: &[u8] = b"\x81\x82\0\0\0\0Hi";

/// A client that sends its request and then messages without end, of which each read finds some, and takes all.
struct Flood {
    greeted: bool,
}

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        space.put_slice(if self.greeted { MESSAGE } else { REQUEST });
        self.greeted = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// In a thread of its own: what never waits cannot be stopped by a timer of its runtime.
#[test]
fn t16_a_peer_that_sends_for_ever_does_not_prolong_the_time_for_closing() {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(close_in_time());
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).unwrap();
}

async fn close_in_time() {
    let options = AcceptOptions::new().close_timeout(Duration::from_millis(300));
    let mut socket = options.accept(Flood { greeted: false }).await.unwrap();
    let closed = socket.close(CloseCode::NORMAL, "").await;
    assert!(matches!(closed, Err(Error::Timeout(Timeout::Close))));
    assert!(matches!(socket.recv().await, Err(Error::Closed(closed)) if closed.code == 1006));

    // The same for one who receives: messages come, and then the end.
    let mut socket = options.accept(Flood { greeted: false }).await.unwrap();
    socket.send_close(CloseCode::NORMAL, "");
    let end = loop {
        match socket.recv().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(end, Err(Error::Timeout(Timeout::Close))));
}

/// A peer that closes and is gone leaves a broken transport, and in it why it closed.
#[tokio::test]
async fn who_only_sends_is_told_the_peers_close_and_not_that_the_pipe_broke() {
    let wire = Wire::new(encode([CloseFrame::new(CloseCode::POLICY_VIOLATION, "enough")]), End::Reset);
    wire.state().broken = Some(io::ErrorKind::BrokenPipe);
    for sends in [true, false] {
        let mut socket = server(&wire);
        let error = if sends {
            socket.send("more").await.unwrap_err()
        } else {
            socket.feed("more").await.unwrap();
            socket.flush().await.unwrap_err()
        };
        assert!(
            matches!(&error, Error::Closed(closed) if closed.code == 1008 && closed.reason == "enough"),
            "{error:?}"
        );
        wire.state().read = 0;
    }
    // Where there is no Close, the transport's own error says most; a message that waits is not thrown away for it.
    let wire = Wire::new(encode([Message::text("last")]), End::Reset);
    wire.state().broken = Some(io::ErrorKind::BrokenPipe);
    let mut socket = server(&wire);
    assert!(matches!(socket.send("more").await, Err(Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("last"));
}

#[tokio::test]
async fn nothing_is_queued_behind_our_own_close() {
    let wire = Wire::stuck();
    let mut socket = server(&wire);
    socket.feed(vec![7; 40_000]).await.unwrap();
    socket.feed(vec![7; 40_000]).await.unwrap();
    socket.send_close(CloseCode::NORMAL, ""); // waits for room, as the queue is full
    wire.give(usize::MAX);
    let refused = socket.send("behind").await;
    assert!(matches!(refused, Err(Error::Local(LocalProtocolError::CloseSent))), "{refused:?}");
    socket.flush().await.unwrap();
    let frames = support::frames(&wire.written());
    assert_eq!(frames.last().unwrap().0.opcode, wsproto::frame::Opcode::Close);
}

#[tokio::test]
async fn a_flush_of_what_was_given_up_is_no_success() {
    let wire = Wire::stuck();
    let (mut reader, mut writer) = server(&wire).split();
    writer.feed("never written").await.unwrap();
    wire.end(End::Reset);
    assert!(matches!(reader.recv().await, Err(Error::Io(_))));
    assert!(matches!(writer.flush().await, Err(Error::Closed(closed)) if closed.code == 1006));
}

#[tokio::test]
async fn a_stream_tells_of_an_error_once() {
    let wire = Wire::new(encode([Message::text("one")]), End::Reset);
    let items: Vec<_> = server(&wire).collect().await;
    assert!(matches!(items.as_slice(), [Ok(_), Err(Error::Io(_))]), "{items:?}");
    let (reader, _writer) = server(&Wire::new(encode([Message::text("one")]), End::Fin)).split();
    let items: Vec<_> = reader.collect().await;
    assert!(matches!(items.as_slice(), [Ok(_), Err(Error::Remote(_))]), "{items:?}");
}

/// What is left of a message that a dropped `close` threw away in part is no message.
#[tokio::test(start_paused = true)]
async fn t08_what_a_dropped_close_began_to_throw_away_is_not_given_out() {
    let (mut client, mut bytes) = (support::client(), Vec::new());
    client.send(Message::text("begun ").unfinished(), &mut bytes).unwrap();
    let wire = Wire::new(bytes.split_off(0), End::Silence);
    let mut socket = server(&wire);
    let close = tokio::time::timeout(Duration::from_secs(1), socket.close(CloseCode::NORMAL, ""));
    assert!(close.await.is_err());
    client.send(Message::text("DROP TABLE"), &mut bytes).unwrap();
    client.send(CloseFrame::new(CloseCode::NORMAL, ""), &mut bytes).unwrap();
    wire.push(&bytes);
    wire.end(End::Fin);
    assert_eq!(socket.recv().await.unwrap(), None);
}

/// Both halves send, one of them a long message through a batch: each message arrives whole.
#[tokio::test(start_paused = true)]
async fn messages_of_two_halves_do_not_mix() {
    let wire = Wire::new(encode([Message::text("go")]), End::Silence).with_room(0);
    let (mut reader, mut writer) = server(&wire).split();
    let long = vec![7; 300_000];
    let expected = long.clone();
    let mut batch = reader.read().await.unwrap().unwrap();
    batch.next().unwrap();
    let mut replying = Box::pin(batch.feed(long));
    assert!(support::poll_once(&mut replying).is_pending());
    wire.give(usize::MAX);
    let mut sending = Box::pin(writer.send("between"));
    assert!(support::poll_once(&mut sending).is_pending(), "in the middle of a frame");
    replying.await.unwrap();
    sending.await.unwrap();
    let _round_trip = writer.ping().await.unwrap();
    let payloads: Vec<_> = support::frames(&wire.written()).into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(payloads.iter().map(Vec::len).collect::<Vec<_>>()[payloads.len() - 2..], [7, 8]);
    assert!(payloads[..payloads.len() - 2].concat() == expected);
}

/// A server that stops while its clients go on sending: the loop of the documentation gives each of them the Close, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_a_client_that_goes_on_sending_gets_the_close_of_a_server_that_stops() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = ServeOptions::new().shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(serve(listener, options, |mut socket, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok(())
    }));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (mut reader, mut writer) = connect(&url).await.unwrap().split();
        clients.push(tokio::spawn(async move {
            let sending = tokio::spawn(async move { while writer.send(vec![7; 1000]).await.is_ok() {} });
            while reader.recv().await.unwrap().is_some() {}
            sending.await.unwrap();
            reader.closed().unwrap().code
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    for client in clients {
        assert_eq!(client.await.unwrap(), 1001);
    }
    server.await.unwrap();
}

/// The transport takes nothing any more, and the peer does not say why.
#[tokio::test(start_paused = true)]
async fn a_close_that_could_not_leave_is_the_transports_fault() {
    let wire = Wire::new([], End::Silence);
    wire.state().broken = Some(io::ErrorKind::BrokenPipe);
    let mut socket = server(&wire);
    let result = socket.close(CloseCode::NORMAL, "").await;
    assert!(matches!(&result, Err(Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe), "{result:?}");
}

/// Whoever closes, whole or in halves, learns that the peer broke the protocol.
#[tokio::test(start_paused = true)]
async fn a_writer_that_closes_learns_what_the_peer_did_wrong() {
    for split in [true, false] {
        let wire = Wire::new([], End::Silence);
        let mut socket = server(&wire);
        let breaking = async {
            sleep(Duration::from_secs(1)).await;
            wire.push(b"\xff\xff\xff");
        };
        let result = if split {
            let (mut reader, mut writer) = socket.split();
            let reading = tokio::spawn(async move { reader.recv().await });
            let (result, ()) = tokio::join!(writer.close(CloseCode::NORMAL, ""), breaking);
            assert!(matches!(reading.await.unwrap(), Err(Error::Remote(_))));
            result
        } else {
            tokio::join!(socket.close(CloseCode::NORMAL, ""), breaking).0
        };
        assert!(matches!(result, Err(Error::Remote(_))), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_close_throws_away_was_not_received() {
    let messages = encode([Message::text("one"), Message::text("two"), Message::text("three")]);
    let close = encode([CloseFrame::new(CloseCode::NORMAL, "")]);
    let mut socket = server(&Wire::new([messages, close].concat(), End::Fin));
    socket.recv().await.unwrap().unwrap();
    socket.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(socket.counters().messages_received, 1);
}

/// Messages that are thrown away are inflated all the same: other tasks have their turn meanwhile.
#[tokio::test(start_paused = true)]
async fn what_a_close_throws_away_takes_from_the_tasks_budget() {
    let input = encode((0..5000).map(|_| Ping::new(&b"?"[..])));
    let (mut turns, mut most, mut before) = (0, 0, 0);
    let mut socket = server(&Wire::new(input, End::Silence));
    let handle = socket.handle();
    let mut closing = Box::pin(socket.close(CloseCode::NORMAL, ""));
    while before < 5000 {
        let polled = std::future::poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_pending())).await;
        assert!(polled);
        let now = handle.counters().pings_received;
        (turns, most, before) = (turns + 1, most.max(now - before), now);
        tokio::task::yield_now().await;
    }
    assert!(turns >= 5000 / 128 && most <= 128, "{most} in one of {turns} turns");
}

/// Fragments behind the peer's Close are for nobody: they are not queued.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_message_is_not_queued_behind_the_peers_close() {
    let wire = Wire::stuck();
    let (mut reader, mut writer) = server(&wire).split();
    // So that our answer finds no room, and does not itself forbid what is behind it.
    writer.feed(vec![7; 60_000]).await.unwrap();
    let long = vec![7; 10_000_000];
    let mut sending = Box::pin(writer.send(&long));
    assert!(support::poll_once(&mut sending).is_pending());
    wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "bye")]));
    assert!(support::poll_once(&mut Box::pin(reader.recv())).is_pending());
    drop(sending);
    assert!(writer.queued() <= support::MOST_QUEUED, "{} bytes", writer.queued());
}
