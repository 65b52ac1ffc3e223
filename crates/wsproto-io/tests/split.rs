//! Two threads on one socket.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wsproto::{CloseCode, Event, Limits};
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, WebSocket};
use wsproto_io::{Error, Timeout};

type Socket = WebSocket<TcpStream>;

/// Both ends, without compression.
fn pair() -> (Socket, Socket) {
    pair_with(Duration::from_secs(10))
}

fn pair_with(close_timeout: Duration) -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = AcceptOptions::new().compression(None).close_timeout(close_timeout).limits(Limits::none());
    let server = thread::spawn(move || options.accept(listener.accept().unwrap().0).unwrap());
    let options = ConnectOptions::new().compression(None).close_timeout(close_timeout).limits(Limits::none());
    let client = options.connect(&url).unwrap();
    (client, server.join().unwrap())
}

const LONG: usize = 1 << 20;
/// Into the buffers of the kernel.
const MORE_THAN_FITS: usize = 64 << 20;
/// Queued whole.
const SHORT: usize = 60_000;

/// Both only write at first, more than all buffers between them hold: with `split` both get through.
#[test]
fn t11_both_sides_write_and_read_on_two_threads() {
    const COUNT: usize = 40;
    let (client, server) = pair();
    let work = |socket: Socket| {
        let (mut reader, mut writer) = socket.split();
        let reading = thread::spawn(move || {
            let mut count = 0;
            while let Some(message) = reader.recv().unwrap() {
                assert!(message.as_bytes().iter().all(|byte| usize::from(*byte) == count));
                assert_eq!(message.as_bytes().len(), LONG);
                count += 1;
            }
            count
        });
        for i in 0..COUNT {
            writer.send(vec![i as u8; LONG]).unwrap();
        }
        // The first Close would make the other side stop: wait until both have written all.
        (reading, writer)
    };
    let (client, server) = (thread::spawn(move || work(client)), thread::spawn(move || work(server)));
    let (client_reading, mut client_writer) = client.join().unwrap();
    let (server_reading, server_writer) = server.join().unwrap();
    client_writer.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!((client_reading.join().unwrap(), server_reading.join().unwrap()), (COUNT, COUNT));
    drop(server_writer);
}

/// On one thread the same is a deadlock, which the timeout ends; nothing is lost or doubled.
#[test]
fn t11_both_sides_only_write_and_the_timeout_gives_the_message_back() {
    let (client, server) = pair();
    let work = |mut socket: Socket| {
        socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut sent = 0_usize;
        loop {
            match socket.send(vec![sent as u8; SHORT]) {
                Ok(()) | Err(Error::Timeout(Timeout::Send { queued: true })) => sent += 1,
                Err(Error::Timeout(Timeout::Send { queued: false })) => break,
                Err(error) => panic!("{error}"),
            }
        }
        (socket, sent)
    };
    let (client, server) = (thread::spawn(move || work(client)), thread::spawn(move || work(server)));
    let ((mut client, sent), (mut server, sent_back)) = (client.join().unwrap(), server.join().unwrap());
    assert!(client.queued() > 0 && server.queued() > 0);
    // Now both read, each on a thread of its own.
    let reading = thread::spawn(move || {
        for i in 0..sent {
            assert!(server.recv().unwrap().unwrap().as_bytes().iter().all(|byte| usize::from(*byte) == i % 256));
        }
        server
    });
    for i in 0..sent_back {
        assert!(client.recv().unwrap().unwrap().as_bytes().iter().all(|byte| usize::from(*byte) == i % 256));
    }
    let mut server = reading.join().unwrap();
    let closing = thread::spawn(move || server.close(CloseCode::NORMAL, ""));
    assert!(matches!(client.recv(), Ok(None)), "and no message is left");
    closing.join().unwrap().unwrap();
}

#[test]
fn t11_a_reader_answers_while_its_writer_waits() {
    let (client, mut server) = pair();
    let (mut reader, mut writer) = client.split();
    let reading = thread::spawn(move || reader.recv());
    // The server does not read: the writer waits in the middle of a message.
    let writing = thread::spawn(move || {
        let result = writer.send(vec![7; MORE_THAN_FITS]);
        (writer, result)
    });
    server.stream().peek(&mut [0]).unwrap();
    assert!(!writing.is_finished());
    server.ping(b"1").unwrap();
    server.ping(b"2").unwrap();
    thread::sleep(Duration::from_millis(100));
    // Now it does: first the rest of the long frame, then the Pong, the latest at least.
    let mut received = 0;
    let pong = 'all: loop {
        let mut batch = server.read().unwrap().unwrap();
        while let Some(event) = batch.next().unwrap() {
            match event {
                Event::Message(piece) => received += piece.data.as_bytes().len(),
                Event::Pong(pong) if *pong.payload == *b"2" => break 'all received,
                _ => {}
            }
        }
    };
    assert_eq!(pong, MORE_THAN_FITS);
    let (mut writer, result) = writing.join().unwrap();
    result.unwrap();
    let closing = thread::spawn(move || writer.close(CloseCode::NORMAL, ""));
    assert!(matches!(server.recv(), Ok(None)));
    closing.join().unwrap().unwrap();
    assert!(matches!(reading.join().unwrap(), Ok(None)));
}

#[test]
fn a_reader_alone_answers_pings_and_the_close() {
    let (client, mut server) = pair();
    let (mut reader, writer) = client.split();
    let reading = thread::spawn(move || (reader.recv(), reader));
    server.ping(b"there?").unwrap();
    let mut batch = server.read().unwrap().unwrap();
    assert!(matches!(batch.next(), Ok(Some(Event::Pong(pong))) if *pong.payload == *b"there?"));
    drop(batch);
    server.close(CloseCode::new(4321).unwrap(), "why not").unwrap();
    let (result, reader) = reading.join().unwrap();
    assert!(matches!(result, Ok(None)));
    assert_eq!(reader.closed().unwrap().code, 4321);
    let mut writer = writer;
    let error = writer.send("too late").unwrap_err();
    assert_eq!(error.to_string(), "the connection was closed with code 4321: why not");
    writer.close(CloseCode::NORMAL, "").unwrap();
}

/// Both ends close at the same time, many times: each sees one Close, and no error.
#[test]
fn two_closes_that_cross_end_both_sides() {
    for round in 0..100_u32 {
        let (client, server) = pair();
        let ends = [client, server].map(|socket| {
            let (mut reader, mut writer) = socket.split();
            let reading = thread::spawn(move || {
                let result = reader.recv();
                (result, reader.closed().map(|closed| closed.code))
            });
            (thread::spawn(move || writer.close(CloseCode::NORMAL, "")), reading)
        });
        for (closing, reading) in ends {
            closing.join().unwrap().unwrap();
            let (result, code) = reading.join().unwrap();
            assert!(matches!(result, Ok(None)), "round {round}: {result:?}");
            assert_eq!(code, Some(1000));
        }
    }
}

#[test]
fn a_close_that_is_not_answered_ends_at_its_deadline() {
    let (client, server) = pair_with(Duration::from_millis(200));
    let (mut reader, mut writer) = client.split();
    let reading = thread::spawn(move || (reader.recv(), reader.recv()));
    let begun = Instant::now();
    assert!(matches!(writer.close(CloseCode::NORMAL, ""), Err(Error::Timeout(Timeout::Close))));
    let (first, second) = reading.join().unwrap();
    assert!(matches!(first, Err(Error::Timeout(Timeout::Close))), "{first:?}");
    assert!(matches!(&second, Err(error) if error.close_code() == Some(1006)), "{second:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(server);

    let (mut client, server) = pair_with(Duration::from_millis(200));
    assert!(matches!(client.close(CloseCode::NORMAL, ""), Err(Error::Timeout(Timeout::Close))));
    assert!(matches!(client.recv(), Err(Error::Closed(closed)) if closed.code == 1006));
    drop(server);
}

#[test]
fn timeouts_of_the_halves() {
    let (client, server) = pair();
    let (mut reader, mut writer) = client.split();
    reader.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(matches!(reader.recv(), Err(Error::Timeout(Timeout::Receive))));
    writer.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = loop {
        if let Err(error) = writer.feed(vec![7; 60_000]) {
            break error;
        }
        assert!(writer.queued() <= 128 * 1024 + 14);
    };
    assert!(matches!(error, Error::Timeout(Timeout::Send { queued: false })), "{error}");
    drop((reader, writer));
    drop(server);
}

#[test]
fn a_dropped_socket_closes() {
    let (client, mut server) = pair();
    drop(client);
    assert_eq!(server.recv().unwrap_err().close_code(), Some(1006));
    let (client, mut server) = pair();
    let (reader, writer) = client.split();
    drop(reader);
    drop(writer);
    assert_eq!(server.recv().unwrap_err().close_code(), Some(1006));
}

#[test]
fn t10_ended_sockets_leave_no_descriptors() {
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = open();
    for _ in 0..50 {
        let (mut client, mut server) = pair();
        let closing = thread::spawn(move || client.close(CloseCode::NORMAL, ""));
        assert!(matches!(server.recv(), Ok(None)));
        closing.join().unwrap().unwrap();
    }
    // Other tests of this process have sockets, too: but not one for each of ours.
    assert!(open() < before + 40, "{before} before, {} after", open());
}

#[test]
fn two_threads_that_both_have_work_lose_nothing() {
    const COUNT: u32 = 20_000;
    let (client, server) = pair();
    let (mut reader, mut writer) = client.split();
    let (go, gone) = mpsc::channel::<()>();
    let echo = thread::spawn(move || {
        let mut server = server;
        while let Some(message) = server.recv().unwrap() {
            if message.as_bytes()[0] % 16 == 0 {
                server.ping(b"now").unwrap();
            }
            server.feed(message).unwrap();
        }
    });
    let reading = thread::spawn(move || {
        for i in 0..COUNT {
            assert_eq!(reader.recv().unwrap().unwrap().as_bytes(), i.to_le_bytes());
        }
        go.send(()).unwrap();
        assert!(matches!(reader.recv(), Ok(None)));
    });
    for i in 0..COUNT {
        writer.feed(&i.to_le_bytes()).unwrap();
        if i % 100 == 99 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    gone.recv().unwrap();
    writer.close(CloseCode::NORMAL, "").unwrap();
    reading.join().unwrap();
    echo.join().unwrap();
}
