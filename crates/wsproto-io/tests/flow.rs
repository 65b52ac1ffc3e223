//! When bytes leave, and how reading stops.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use support::{End, Wire, encode, frames, server};
use wsproto::frame::Opcode;
use wsproto::{CloseCode, CloseFrame, Connection, Event, Extensions, Limits, Message, Ping};
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, Untimed, WebSocket};
use wsproto_io::{Error, Message as Owned, Timeout};

const KIB: usize = 1024;

/// What may be queued at most: 64 KiB, one step of a message, its header.
const MOST_QUEUED: usize = 128 * KIB + 14;

#[test]
fn a_reply_loop_with_feed_writes_once_for_each_read() {
    let input = encode((0..32).map(|_| Message::binary(&[7; 16][..])));
    let mut socket = server(Wire::new(input, End::Silence));
    for _ in 0..32 {
        let message = socket.recv().unwrap().unwrap();
        socket.feed(message).unwrap();
    }
    assert_eq!(socket.stream().0.writes, 0, "nothing before `recv` has to wait");
    assert!(matches!(socket.recv(), Err(Error::Timeout(Timeout::Receive))));
    assert_eq!(socket.stream().0.writes, 1);
    assert_eq!(frames(&socket.stream().0.written).len(), 32);
}

#[test]
fn a_reply_loop_over_batches_writes_once_for_each_read() {
    let input = encode((0..32).map(|_| Message::binary(&[7; 16][..])));
    let mut socket = server(Wire::new(input, End::Silence));
    let mut batch = socket.read().unwrap().unwrap();
    while let Some(event) = batch.next().unwrap() {
        if let Event::Message(piece) = event {
            batch.feed(piece).unwrap();
        }
    }
    drop(batch);
    assert!(socket.read().is_err());
    assert_eq!((socket.stream().0.writes, frames(&socket.stream().0.written).len()), (1, 32));
}

#[test]
fn after_send_the_peer_has_the_reply_without_a_recv() {
    let mut socket = server(Wire::new([], End::Silence));
    socket.feed("first").unwrap();
    assert_eq!((socket.stream().0.writes, socket.queued()), (0, 7));
    socket.send("second").unwrap();
    assert_eq!((socket.stream().0.writes, socket.queued()), (1, 0));
    assert_eq!(socket.stream().0.written, b"\x81\x05first\x81\x06second");
    socket.feed("third").unwrap();
    socket.flush().unwrap();
    assert_eq!((socket.stream().0.writes, socket.queued()), (2, 0));
}

#[test]
fn a_message_on_a_real_socket_arrives_while_the_server_sleeps() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let mut socket = AcceptOptions::new().accept(listener.accept().unwrap().0).unwrap();
        socket.recv().unwrap().unwrap();
        socket.send("reply").unwrap();
        wait.recv().unwrap(); // no `recv` of the socket until the client has the reply
        socket
    });
    let mut socket = ConnectOptions::new().connect(&url).unwrap();
    socket.send("request").unwrap();
    assert_eq!(socket.recv().unwrap(), Some(Owned::Text("reply".into())));
    done.send(()).unwrap();
    server.join().unwrap();
}

#[test]
fn a_pong_leaves_before_the_message_behind_its_ping_is_given_out() {
    let mut input = encode([Ping::new(&b"?"[..])]);
    input.extend(encode([Message::text("work")]));
    let mut socket = server(Wire::new(input.clone(), End::Silence));
    socket.feed("queued before").unwrap();
    assert_eq!(socket.recv().unwrap(), Some(Owned::Text("work".into())));
    assert_eq!(socket.stream().0.written, b"\x81\x0dqueued before\x8a\x01?");

    let mut socket = server(Wire::new(input, End::Silence));
    let mut batch = socket.read().unwrap().unwrap();
    assert!(matches!(batch.next(), Ok(Some(Event::Ping(_)))));
    assert!(matches!(batch.next(), Ok(Some(Event::Message(_)))));
    drop(batch);
    assert_eq!(socket.stream().0.written, b"\x8a\x01?");
}

#[test]
fn a_close_is_answered_at_once_with_its_own_code() {
    let mut socket = server(Wire::new(encode([CloseFrame::new(CloseCode::GOING_AWAY, "bye")]), End::Fin));
    socket.feed("last").unwrap();
    assert_eq!(socket.recv().unwrap(), None);
    assert_eq!(socket.stream().0.written, b"\x81\x04last\x88\x05\x03\xe9bye");
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, closed.reason.as_str()), (1001, "bye"));
    assert_eq!(socket.recv().unwrap(), None, "for ever");
    assert!(matches!(socket.send("more"), Err(Error::Closed(closed)) if closed.code == 1001));
}

/// The first rule: what the application does not take is not read.
#[test]
fn an_application_that_takes_nothing_reads_no_more_than_one_buffer() {
    let input = encode((0..KIB).map(|_| Message::binary(&[7; 100][..])));
    let mut socket = server(Wire::new(input, End::Repeat(0)));
    for taken in 1..5000 {
        assert_eq!(socket.recv().unwrap().unwrap().as_bytes().len(), 100);
        let unread = socket.stream().0.total_read - taken * 106;
        assert!(unread <= 64 * KIB, "{unread} bytes were read ahead");
    }
}

/// The second rule: what the peer does not take is not collected.
#[test]
fn a_peer_that_takes_nothing_stops_the_sender_and_nothing_grows() {
    for len in [1, 1000, 60_000, 64 * KIB] {
        let message = vec![7; len];
        let mut wire = Wire::new([], End::Silence);
        wire.room = 100_000;
        let mut socket = server(wire);
        let mut accepted = 0;
        let error = loop {
            match socket.feed(&message) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
            assert!(socket.queued() <= MOST_QUEUED, "{} bytes are queued", socket.queued());
        };
        assert!(matches!(error, Error::Timeout(Timeout::Send { queued: false })), "{error}");
        assert!(accepted * len <= 100_000 + MOST_QUEUED);
        // Nothing of it is lost, and the message that was given back is not sent.
        socket.stream_mut().0.room = usize::MAX;
        socket.flush().unwrap();
        let sent = frames(&socket.stream().0.written);
        assert_eq!(sent.len(), accepted);
        assert!(sent.iter().all(|(_, payload)| *payload == message));
    }
}

#[test]
fn a_send_that_timed_out_says_that_the_message_is_queued_whole() {
    let mut wire = Wire::new([], End::Silence);
    wire.room = 60_000;
    let mut socket = server(wire);
    // Its last step is queued.
    let long: Vec<u8> = (0..130_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let result = socket.send(&long);
    assert!(socket.queued() <= MOST_QUEUED);
    assert!(matches!(result, Err(Error::Timeout(Timeout::Send { queued: true }))));
    assert!(matches!(socket.send("next"), Err(Error::Timeout(Timeout::Send { queued: false }))));
    socket.stream_mut().0.room = usize::MAX;
    socket.send("last").unwrap();
    let sent = frames(&socket.stream().0.written);
    let joined: Vec<u8> = sent[..sent.len() - 1].iter().flat_map(|(_, payload)| payload.clone()).collect();
    assert!(joined == long);
    assert_eq!(sent.last().unwrap().1, b"last");
}

#[test]
fn control_frames_fit_when_the_queue_is_full() {
    let input = encode((0..300_u16).map(|i| Ping::new(i.to_be_bytes().to_vec())));
    let mut wire = Wire::new(input, End::Fin);
    wire.room = 0;
    let mut socket = server(wire);
    socket.feed(vec![7; 60_000]).unwrap();
    socket.feed(vec![7; 60_000]).unwrap();
    assert!(socket.feed("no").is_err());
    assert!(socket.ping(b"!").is_err_and(|error| matches!(error, Error::Timeout(Timeout::Send { queued: true }))));
    // The application wants to read, so the Pings are read; of their Pongs the latest is kept.
    socket.stream_mut().0.end = End::Silence;
    assert!(socket.recv().is_err());
    socket.stream_mut().0.room = usize::MAX;
    socket.stream_mut().0.input.extend(encode([CloseFrame::new(CloseCode::NORMAL, "")]));
    assert_eq!(socket.recv().unwrap(), None);
    let opcodes: Vec<_> = frames(&socket.stream().0.written).iter().map(|frame| frame.0.opcode).collect();
    assert_eq!(opcodes, [Opcode::Binary, Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Close]);
    assert_eq!(frames(&socket.stream().0.written)[3].1, 299_u16.to_be_bytes());
}

/// A reader of many Pings whose peer takes no Pong keeps only the latest.
#[test]
fn f10_pongs_that_the_peer_does_not_take_do_not_grow() {
    let input = encode((0..100_000_u32).map(|i| Ping::new(i.to_be_bytes().to_vec())));
    let mut wire = Wire::new(input, End::Silence);
    wire.room = 0;
    let mut socket = server(wire);
    let mut most = 0;
    for _ in 0..20 {
        assert!(socket.recv().is_err());
        most = most.max(socket.queued());
    }
    assert!(most <= 64 * KIB + 131, "{most} bytes of Pongs");
}

#[test]
fn a_long_message_is_encoded_in_steps_and_arrives_whole() {
    let text: String = "äöü€😀 and so on. ".repeat(20_000);
    let masks = || [1, 2, 3, 4];
    let connection = Connection::client(Extensions::none(), Limits::none(), masks);
    let mut socket =
        WebSocket::from_connection(Untimed(Wire::new([], End::Silence)), connection, Limits::none(), Vec::new());
    socket.feed(&text).unwrap();
    assert!(socket.queued() <= MOST_QUEUED, "{} of {} bytes are queued", socket.queued(), text.len());
    socket.flush().unwrap();
    let written = socket.stream().0.written.clone();
    let mut peer = server(Wire::new(written, End::Fin));
    assert!(peer.recv().unwrap() == Some(Owned::Text(text)));
}

/// Both rules on real sockets: the sender waits, and all arrives when the receiver begins to take it.
#[test]
fn a_server_that_takes_nothing_stops_the_client_and_loses_nothing() {
    const LEN: usize = 60_000;
    const COUNT: usize = 600;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (begin, wait) = std::sync::mpsc::channel::<()>();
    let server = thread::spawn(move || {
        let mut socket = AcceptOptions::new().compression(None).accept(listener.accept().unwrap().0).unwrap();
        wait.recv().unwrap();
        let mut count = 0;
        while let Some(message) = socket.recv().unwrap() {
            assert_eq!(message.as_bytes()[0], (count % 251) as u8);
            assert_eq!(message.as_bytes().len(), LEN);
            count += 1;
        }
        count
    });
    let mut socket: WebSocket<TcpStream> = ConnectOptions::new().compression(None).connect(&url).unwrap();
    socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut begin = Some(begin);
    let mut waited = 0;
    for i in 0..COUNT {
        let message = vec![(i % 251) as u8; LEN];
        loop {
            match socket.send(&message) {
                Ok(()) | Err(Error::Timeout(Timeout::Send { queued: true })) => break,
                Err(Error::Timeout(Timeout::Send { queued: false })) => {
                    assert!(socket.queued() <= MOST_QUEUED, "{} bytes are queued", socket.queued());
                    waited += 1;
                    if let Some(begin) = begin.take() {
                        begin.send(()).unwrap();
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(waited > 0, "the kernel's buffers took all");
    socket.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.join().unwrap(), COUNT);
}
