//! When bytes leave, and how reading stops.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

#[path = "support/tokio.rs"]
mod support;

use std::time::Duration;

use support::{End, KIB, MOST_QUEUED, PATIENCE, Wire, client_on, encode, frames, poll_once, server};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::timeout;
use wsproto::frame::Opcode;
use wsproto::{CloseCode, CloseFrame, Event, Limits, Message, Ping};
use wsproto_io::{AcceptOptions, ConnectOptions, Error, Message as Owned};

fn opcodes(wire: &Wire) -> Vec<Opcode> {
    frames(&wire.written()).iter().map(|(header, _)| header.opcode).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reply_loop_with_feed_writes_once_for_each_read() {
    let wire = Wire::new(encode((0..32).map(|_| Message::binary(&[7; 16][..]))), End::Silence);
    let mut socket = server(&wire);
    for _ in 0..32 {
        let message = socket.recv().await.unwrap().unwrap();
        socket.feed(message).await.unwrap();
    }
    assert_eq!(wire.writes(), 0, "nothing before `recv` has to wait");
    assert!(poll_once(&mut Box::pin(socket.recv())).is_pending());
    assert_eq!((wire.writes(), wire.flushes(), frames(&wire.written()).len()), (1, 1, 32));
}

#[tokio::test(start_paused = true)]
async fn a_reply_loop_over_batches_writes_once_for_each_read() {
    let wire = Wire::new(encode((0..32).map(|_| Message::binary(&[7; 16][..]))), End::Silence);
    let mut socket = server(&wire);
    let mut batch = socket.read().await.unwrap().unwrap();
    while let Some(event) = batch.next() {
        if let Event::Message(piece) = event {
            batch.feed(piece).await.unwrap();
        }
    }
    drop(batch);
    assert!(poll_once(&mut Box::pin(socket.read())).is_pending());
    assert_eq!((wire.writes(), wire.flushes(), frames(&wire.written()).len()), (1, 1, 32));
}

#[tokio::test(start_paused = true)]
async fn after_send_the_peer_has_the_reply_without_a_recv() {
    let wire = Wire::new([], End::Silence);
    let mut socket = server(&wire);
    socket.feed("first").await.unwrap();
    assert_eq!((wire.writes(), socket.queued()), (0, 7));
    socket.send("second").await.unwrap();
    assert_eq!((wire.writes(), socket.queued()), (1, 0));
    assert_eq!(wire.written(), b"\x81\x05first\x81\x06second");
    socket.feed("third").await.unwrap();
    socket.flush().await.unwrap();
    assert_eq!((wire.writes(), socket.queued(), socket.counters().messages_sent), (2, 0, 3));
}

#[tokio::test]
async fn a_message_on_a_real_socket_arrives_while_the_server_sleeps() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let mut socket = wsproto_io::accept(listener.accept().await.unwrap().0).await.unwrap();
        socket.recv().await.unwrap().unwrap();
        socket.send("reply").await.unwrap();
        wait.await.unwrap(); // no `recv` of the socket until the client has the reply
        socket
    });
    let mut socket = wsproto_io::connect(&url).await.unwrap();
    socket.send("request").await.unwrap();
    let reply = timeout(PATIENCE, socket.recv()).await.unwrap().unwrap();
    assert_eq!(reply, Some(Owned::Text("reply".into())));
    done.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pong_leaves_before_the_message_behind_its_ping_is_given_out() {
    let mut input = encode([Ping::new(&b"?"[..])]);
    input.extend(encode([Message::text("work")]));
    let wire = Wire::new(input.clone(), End::Silence);
    let mut socket = server(&wire);
    socket.feed("queued before").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text("work".into())));
    assert_eq!(wire.written(), b"\x81\x0dqueued before\x8a\x01?");

    let wire = Wire::new(input.clone(), End::Silence);
    let mut socket = server(&wire);
    let mut batch = socket.read().await.unwrap().unwrap();
    assert!(matches!(batch.next(), Some(Event::Ping(_))));
    assert!(matches!(batch.next(), Some(Event::Message(_))));
    drop(batch);
    assert_eq!(wire.written(), b"\x8a\x01?");

    let wire = Wire::new(input, End::Silence);
    let (mut reader, _writer) = server(&wire).split();
    assert!(reader.recv().await.unwrap().is_some());
    assert_eq!(wire.written(), b"\x8a\x01?");
}

/// A peer cannot make a packet of each of its pairs.
#[tokio::test(start_paused = true)]
async fn pings_in_front_of_messages_cost_one_write_for_each_read() {
    let pair = [encode([Ping::new(&b"?"[..])]), encode([Message::text("x")])].concat();
    let wire = Wire::new(pair.repeat(250), End::Silence);
    let mut socket = server(&wire);
    for _ in 0..250 {
        let message = socket.recv().await.unwrap().unwrap();
        socket.feed(message).await.unwrap();
    }
    assert!(support::poll_once(&mut Box::pin(socket.recv())).is_pending());
    assert_eq!((frames(&wire.written()).len(), wire.writes()), (500, 2), "the first Pong, and all the rest");
}

/// A Pong whose write waits without a waker, because its message was there: the next wait has one.
#[tokio::test(start_paused = true)]
async fn a_pong_that_the_transport_did_not_take_at_once_leaves_with_the_next_wait() {
    let input = [encode([Ping::new(&b"?"[..])]), encode([Message::text("work")])].concat();
    let wire = Wire::new(input, End::Silence).with_room(0);
    let mut socket = server(&wire);
    assert!(socket.recv().await.unwrap().is_some());
    let waiting = tokio::spawn(async move { socket.recv().await });
    yield_now().await;
    wire.give(usize::MAX);
    yield_now().await;
    assert_eq!(wire.written(), b"\x8a\x01?");
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn pongs_and_closes_leave_while_the_application_only_waits_in_send_or_flush() {
    for flush in [true, false] {
        let wire = Wire::new([], End::Silence).with_room(100);
        let mut socket = server(&wire);
        socket.feed(vec![7; 60_000]).await.unwrap();
        let sending = tokio::spawn(async move {
            let result = if flush {
                socket.flush().await
            } else {
                socket.feed(vec![7; 60_000]).await.unwrap();
                socket.send("x").await
            };
            (result, socket)
        });
        yield_now().await;
        wire.push(&encode([Ping::new(&b"1"[..])]));
        yield_now().await;
        wire.push(&encode([Ping::new(&b"2"[..])]));
        yield_now().await;
        wire.push(&[encode([Message::text("for later")]), encode([Ping::new(&b"3"[..])])].concat());
        yield_now().await;
        wire.give(usize::MAX);
        let (result, mut socket) = sending.await.unwrap();
        result.unwrap();
        let pongs: Vec<_> = frames(&wire.written())
            .into_iter()
            .filter_map(|(header, payload)| (header.opcode == Opcode::Pong).then_some(payload))
            .collect();
        let expected: &[&[u8]] = if flush { &[b"1", b"2"] } else { &[b"2"] }; // a full queue keeps the latest
        assert_eq!(pongs, expected);
        assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text("for later".into())));
        assert_eq!(socket.counters().messages_received, 1);
        wire.push(&encode([CloseFrame::new(CloseCode::NORMAL, "")]));
        assert_eq!(socket.recv().await.unwrap(), None);
        let last: Vec<_> = opcodes(&wire).into_iter().rev().take(2).collect();
        assert_eq!(last, [Opcode::Close, Opcode::Pong]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_while_the_application_only_flushes() {
    let wire = Wire::new([], End::Silence).with_room(100);
    let mut socket = server(&wire);
    socket.feed(vec![7; 60_000]).await.unwrap();
    wire.push(&encode([CloseFrame::new(CloseCode::GOING_AWAY, "bye")]));
    assert!(matches!(socket.flush().await, Err(Error::Closed(closed)) if closed.code == 1001));
    wire.give(usize::MAX);
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(opcodes(&wire), [Opcode::Binary, Opcode::Close]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_is_written_by_a_reader_that_waits() {
    let wire = Wire::new([], End::Silence);
    let (mut reader, mut writer) = server(&wire).split();
    let reading = tokio::spawn(async move { reader.recv().await });
    yield_now().await;
    writer.feed("fed").await.unwrap();
    for _ in 0..3 {
        yield_now().await;
    }
    assert_eq!(wire.written(), b"\x81\x03fed");
    wire.push(&encode([Message::text("go")]));
    assert!(reading.await.unwrap().unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_at_once_with_its_own_code() {
    let wire = Wire::new(encode([CloseFrame::new(CloseCode::GOING_AWAY, "bye")]), End::Fin);
    let mut socket = server(&wire);
    socket.feed("last").await.unwrap();
    assert_eq!(socket.recv().await.unwrap(), None);
    assert_eq!(wire.written(), b"\x81\x04last\x88\x05\x03\xe9bye");
    assert_eq!((wire.state().shutdowns > 0, socket.closed().unwrap().reason.as_str()), (true, "bye"));
    assert_eq!(socket.recv().await.unwrap(), None, "for ever");
    assert!(matches!(socket.send("more").await, Err(Error::Closed(closed)) if closed.code == 1001));
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_told_what_it_broke() {
    for (bytes, code) in [(&b"\x83\x80\0\0\0\0"[..], 1002), (b"\x81\x05hello", 1002), (b"\x81\x81\0\0\0\0\xff", 1007)] {
        let wire = Wire::new([&encode([Message::text("ok")]), bytes].concat(), End::Fin);
        let mut socket = server(&wire);
        assert_eq!(socket.recv().await.unwrap(), Some(Owned::Text("ok".into())));
        let error = socket.recv().await.unwrap_err();
        assert!(matches!(error, Error::Remote(_)), "{error:?}");
        assert_eq!((error.close_code(), socket.closed().unwrap().code), (Some(code), code));
        let sent = frames(&wire.written());
        assert_eq!((sent.len(), &sent[0].1[..2]), (1, &code.to_be_bytes()[..]));
        assert_eq!(socket.recv().await.unwrap_err().to_string(), error.to_string(), "the same for ever");
    }
}

/// The first rule: what the application does not take is not read.
#[tokio::test(start_paused = true)]
async fn an_application_that_takes_nothing_reads_no_more_than_one_buffer() {
    let wire = Wire::new(encode((0..KIB).map(|_| Message::binary(&[7; 100][..]))), End::Repeat(0));
    let mut socket = server(&wire);
    for taken in 1..5000 {
        assert_eq!(socket.recv().await.unwrap().unwrap().as_bytes().len(), 100);
        let unread = wire.state().total_read - taken * 106;
        assert!(unread <= 64 * KIB, "{unread} bytes were read ahead");
    }
    // Nor while it only sends.
    wire.state().room = 0;
    let before = wire.state().total_read;
    for _ in 0..10 {
        let _ = poll_once(&mut Box::pin(socket.send(vec![7; 60_000])));
    }
    assert!(wire.state().total_read - before <= 64 * KIB);
}

/// The second rule: what the peer does not take is not collected.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_stops_the_sender_and_nothing_grows() {
    for len in [1, 1000, 60_000, 64 * KIB, KIB * KIB] {
        let message = vec![7; len];
        let wire = Wire::new([], End::Silence).with_room(100_000);
        let (_reader, mut writer) = server(&wire).split();
        let mut accepted = 0;
        let mut feeding = loop {
            let mut feeding = Box::pin(async {
                let fed = writer.feed(&message).await;
                (fed, &mut writer)
            });
            if poll_once(&mut feeding).is_pending() {
                break feeding;
            }
            drop(feeding);
            accepted += 1;
            assert!(writer.queued() <= MOST_QUEUED, "{} bytes are queued", writer.queued());
        };
        assert!(accepted * len <= 100_000 + MOST_QUEUED);
        assert!(poll_once(&mut feeding).is_pending());
        wire.give(usize::MAX);
        let (fed, writer) = feeding.await;
        fed.unwrap();
        writer.flush().await.unwrap();
        let mut peer = client_on(&Wire::new(wire.written(), End::Fin));
        for _ in 0..=accepted {
            assert!(peer.recv().await.unwrap().unwrap().as_bytes() == message);
        }
        assert!(peer.recv().await.is_err(), "none twice");
    }
}

/// Our own read buffers aside, the queue alone: also while a long message waits in the middle.
#[tokio::test(start_paused = true)]
async fn t11_a_long_message_in_the_middle_is_queued_in_steps() {
    let wire = Wire::new([], End::Silence).with_room(100_000);
    let (_reader, mut writer) = server(&wire).split();
    let handle = writer.handle();
    let message = vec![7; 10 * KIB * KIB];
    let mut sending = Box::pin(writer.send(&message));
    for _ in 0..1000 {
        assert!(poll_once(&mut sending).is_pending());
        let queued = handle.counters().queued;
        assert!(queued <= MOST_QUEUED, "{queued}");
        wire.give(10_000);
    }
}

/// Both only write: each waits; a timeout gives the message back, or has sent it whole.
#[tokio::test]
async fn t11_both_sides_only_write_and_a_timeout_gives_the_message_back() {
    let (client, server) = pair().await;
    let (go_on, stuck) = tokio::sync::watch::channel(0);
    let work = |mut socket: wsproto_io::WebSocket<tokio::net::TcpStream>, stuck: tokio::sync::watch::Sender<i32>| async move {
        let mut sent = 0_usize;
        while timeout(Duration::from_millis(300), socket.ready()).await.is_ok_and(|ready| ready.is_ok()) {
            poll_once(&mut Box::pin(socket.feed(vec![sent as u8; 60_000])))
                .map(Result::unwrap)
                .is_ready()
                .then_some(())
                .unwrap();
            sent += 1;
        }
        stuck.send_modify(|count| *count += 1);
        (socket, sent)
    };
    let both = tokio::join!(tokio::spawn(work(client, go_on.clone())), tokio::spawn(work(server, go_on)));
    assert_eq!(*stuck.borrow(), 2);
    let ((mut client, sent), (mut server, sent_back)) = (both.0.unwrap(), both.1.unwrap());
    assert!(client.queued() > 0 && server.queued() > 0);
    let read = async |socket: &mut wsproto_io::WebSocket<_>, count: usize| {
        for i in 0..count {
            let message = timeout(PATIENCE, socket.recv()).await.unwrap().unwrap().unwrap();
            assert!(
                message.as_bytes().iter().all(|byte| usize::from(*byte) == i % 256)
                    && message.as_bytes().len() == 60_000
            );
        }
        // What is queued here leaves, also where nothing is left to be read.
        timeout(PATIENCE, socket.flush()).await.unwrap().unwrap();
    };
    tokio::join!(read(&mut client, sent_back), read(&mut server, sent));
    let (closed, received) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.recv());
    closed.unwrap();
    assert_eq!(received.unwrap(), None, "and no message is left");
}

/// With `split` both get through.
#[tokio::test]
async fn t11_both_sides_write_and_read_in_two_tasks() {
    const COUNT: usize = 40;
    const LONG: usize = 1 << 20;
    let (client, server) = pair().await;
    let work = |socket: wsproto_io::WebSocket<tokio::net::TcpStream>| async move {
        let (mut reader, mut writer) = socket.split();
        let reading = tokio::spawn(async move {
            let mut count = 0;
            while let Some(message) = reader.recv().await.unwrap() {
                assert!(
                    message.as_bytes().len() == LONG
                        && message.as_bytes().iter().all(|byte| usize::from(*byte) == count)
                );
                count += 1;
            }
            count
        });
        for i in 0..COUNT {
            timeout(PATIENCE, writer.send(vec![i as u8; LONG])).await.unwrap().unwrap();
        }
        (reading, writer)
    };
    let (client, server) = tokio::join!(tokio::spawn(work(client)), tokio::spawn(work(server)));
    let ((client_reading, mut client_writer), (server_reading, server_writer)) = (client.unwrap(), server.unwrap());
    client_writer.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!((client_reading.await.unwrap(), server_reading.await.unwrap()), (COUNT, COUNT));
    drop(server_writer);
}

/// Both ends on real sockets, without compression.
async fn pair() -> (wsproto_io::WebSocket<tokio::net::TcpStream>, wsproto_io::WebSocket<tokio::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let near = tokio::net::TcpStream::connect(address).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    let connect = ConnectOptions::new().compression(None).limits(Limits::none());
    let accept = AcceptOptions::new().compression(None).limits(Limits::none());
    let (client, server) = tokio::join!(connect.connect_on("ws://localhost/", near), accept.accept(far));
    (client.unwrap(), server.unwrap())
}

/// A task that receives messages that are there already lets others have their turn.
#[tokio::test]
async fn a_task_that_receives_without_end_lets_others_run() {
    let wire = Wire::new(encode((0..KIB).map(|_| Message::binary(&[7; 10][..]))), End::Repeat(0));
    let pings = Wire::new(encode((0..KIB).map(|_| Ping::new(&b"?"[..]))), End::Repeat(0));
    let socket = server(&wire);
    let handle = socket.handle();
    let (mut reader, _writer) = socket.split();
    let receiving = tokio::spawn(async move { while reader.recv().await.is_ok() {} });
    let mut before = 0;
    for _ in 0..100 {
        yield_now().await;
        let now = handle.counters().messages_received;
        assert!(now - before <= 1000, "{} messages in one turn", now - before);
        before = now;
    }
    assert!(before > 100);
    receiving.abort();
    // The same where only Pings come, which no `recv` gives out: on a transport that is always ready.
    let mut socket = server(&pings);
    let handle = socket.handle();
    let receiving = tokio::spawn(async move { socket.recv().await });
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(handle.counters().pings_received > 100);
    receiving.abort();
    // And where the end has come, and the application does not see it.
    let mut socket = server(&Wire::new([], End::Fin));
    let spinning = tokio::spawn(async move {
        loop {
            let _ = socket.recv().await;
        }
    });
    for _ in 0..10 {
        yield_now().await;
    }
    spinning.abort();
}
