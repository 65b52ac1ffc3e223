//! Peers that have stopped: what they cost, and how long closing lasts.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use support::encode;
use wsproto::{CloseCode, Connection, Extensions, Limits, Message};
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, Stream, WebSocket};
use wsproto_io::{Error, Timeout};

/// A transport that neither takes nor gives anything. Its time is what its callers were willing to wait; it breaks at
/// the last call.
#[derive(Default)]
struct Stalled(Mutex<State>);

#[derive(Default)]
struct State {
    timeouts: [Option<Duration>; 2],
    calls: Vec<Duration>,
    last: usize,
    /// The call that takes a byte, where it is a write.
    moves: Option<usize>,
}

impl Stalled {
    fn new(last: usize) -> Self {
        Self(Mutex::new(State { last, ..State::default() }))
    }

    fn call(&self, direction: usize) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.calls.len() == state.last {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let time = state.timeouts[direction].expect("a wait without an end");
        state.calls.push(time);
        let calls = state.calls.len();
        if direction == 1 && state.moves.take_if(|at| *at <= calls).is_some() {
            return Ok(1);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Read for &Stalled {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.call(0)
    }
}

impl Write for &Stalled {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        self.call(1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stalled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Stalled {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.lock().unwrap().timeouts[0] = timeout;
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.lock().unwrap().timeouts[1] = timeout;
        Ok(())
    }
}

fn on<S: Stream>(stream: S) -> WebSocket<S> {
    let limits = Limits::default();
    WebSocket::from_connection(stream, Connection::server(Extensions::none(), limits), limits, Vec::new())
}

const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(20);

fn assert_backs_off(calls: &[Duration]) {
    assert_eq!(calls.len(), 60);
    assert_eq!(calls[0], SHORTEST);
    assert_eq!(calls[59], LONGEST);
    let time: Duration = calls.iter().sum();
    assert!(time > Duration::from_secs(40), "60 calls in {time:?}");
}

#[test]
fn t14_a_peer_that_takes_and_sends_nothing_is_asked_ever_less_often() {
    let mut socket = on(Stalled::new(60));
    socket.feed("reply").unwrap();
    assert!(matches!(socket.recv(), Err(Error::Io(_))));
    assert_backs_off(&socket.stream().0.lock().unwrap().calls);

    let (mut reader, mut writer) = on(Stalled::new(60)).split();
    writer.feed("reply").unwrap();
    assert!(matches!(reader.recv(), Err(Error::Io(_))));
    assert_backs_off(&reader.stream().0.lock().unwrap().calls);
}

#[test]
fn a_byte_that_moves_makes_the_turns_short_again() {
    let check = |calls: &[Duration]| {
        let restart = calls.windows(2).position(|pair| pair[0] > SHORTEST && pair[1] == SHORTEST).unwrap();
        assert!((39..45).contains(&restart), "at call {restart}");
        assert_eq!((calls[restart], calls[restart + 20]), (LONGEST, LONGEST));
    };
    let stream = Stalled::new(80);
    stream.0.lock().unwrap().moves = Some(40);
    let mut socket = on(stream);
    socket.feed("reply").unwrap();
    assert!(socket.recv().is_err());
    check(&socket.stream().0.lock().unwrap().calls);

    let stream = Stalled::new(80);
    stream.0.lock().unwrap().moves = Some(40);
    let (mut reader, mut writer) = on(stream).split();
    writer.feed("reply").unwrap();
    assert!(reader.recv().is_err());
    check(&reader.stream().0.lock().unwrap().calls);
}

fn pair(close_timeout: Duration) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = AcceptOptions::new().compression(None);
    let server = thread::spawn(move || options.accept(listener.accept().unwrap().0).unwrap());
    let client = ConnectOptions::new().compression(None).close_timeout(close_timeout).connect(&url).unwrap();
    (client, server.join().unwrap())
}

/// A client whose peer does not read, and whose transport takes no more.
fn stuck() -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (mut client, server) = pair(Duration::from_millis(300));
    client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    while client.feed(vec![7; 60_000]).is_ok() {}
    client.set_write_timeout(None).unwrap();
    (client, server)
}

/// Runs what must not last for ever.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(30)).expect("it still waits")
}

#[test]
fn close_ends_in_time_where_the_peer_does_not_read() {
    let (mut client, _server) = stuck();
    let (result, closed) = in_time(move || (client.close(CloseCode::NORMAL, ""), client.closed().cloned()));
    assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
    assert_eq!(closed.unwrap().code, 1006);

    let (mut client, _server) = stuck();
    let (sent, next) = in_time(move || (client.send_close(CloseCode::NORMAL, ""), client.recv()));
    assert!(matches!(sent, Err(Error::Timeout(Timeout::Close))), "{sent:?}");
    assert_eq!(next.unwrap_err().close_code(), Some(1006));
}

#[test]
fn t14_close_of_a_writer_ends_in_time_where_the_peer_does_not_read() {
    // With a reader that waits, and without.
    for reads in [true, false] {
        let (client, _server) = stuck();
        let (mut reader, mut writer) = client.split();
        let reading = reads.then(|| thread::spawn(move || reader.recv()));
        let result = in_time(move || writer.close(CloseCode::NORMAL, ""));
        assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
        if let Some(reading) = reading {
            let result = in_time(move || reading.join().unwrap());
            assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
        }
    }
}

/// The peer takes a byte now and then: that does not prolong closing.
#[test]
fn close_ends_in_time_where_the_peer_takes_a_byte_now_and_then() {
    struct Slow(Stalled, &'static [u8]);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.is_empty() { self.0.read(buffer) } else { self.1.read(buffer) }
        }
    }
    impl Write for Slow {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(1));
            Ok(1)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Stream for Slow {
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_read_timeout(timeout)
        }
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            assert!(timeout.is_none_or(|time| time <= Duration::from_secs(10)));
            Ok(())
        }
    }
    // 60 kB last a minute.
    let options = AcceptOptions::new().compression(None).close_timeout(Duration::from_millis(300));
    let mut socket = options.accept(Slow(Stalled::new(0), support::REQUEST.as_bytes())).unwrap();
    socket.feed(vec![7; 60_000]).unwrap();
    let result = in_time(move || socket.close(CloseCode::NORMAL, ""));
    assert!(matches!(result, Err(Error::Timeout(Timeout::Close))), "{result:?}");
}

#[test]
fn a_close_timeout_without_an_end_is_no_panic() {
    let (mut client, mut server) = pair(Duration::MAX);
    let closing = thread::spawn(move || server.recv());
    client.close(CloseCode::NORMAL, "").unwrap();
    assert!(matches!(closing.join().unwrap(), Ok(None)));

    let (client, mut server) = pair(Duration::MAX);
    let (mut reader, mut writer) = client.split();
    let reading = thread::spawn(move || reader.recv());
    let closing = thread::spawn(move || server.recv());
    writer.close(CloseCode::NORMAL, "").unwrap();
    assert!(matches!((closing.join().unwrap(), reading.join().unwrap()), (Ok(None), Ok(None))));
}

/// A long message that cannot be finished is not kept: that is the end.
#[test]
fn a_long_message_that_the_peer_stops_taking_ends_the_connection_and_nothing_grows() {
    const BOUND: usize = 128 * 1024 + 14;
    let long = vec![7; 32 << 20];
    let (mut client, mut server) = pair(Duration::from_secs(10));
    client.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = client.send(&long).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Unfinished)), "{error}");
    assert!(client.queued() <= BOUND, "{} bytes are queued", client.queued());
    assert!(matches!(client.send("next"), Err(Error::Io(_))));
    assert_eq!(server.recv().unwrap_err().close_code(), Some(1009), "the limit, at the header");
    assert!(client.recv().is_err());

    let (client, server) = pair(Duration::from_secs(10));
    let (mut reader, mut writer) = client.split();
    let reading = thread::spawn(move || reader.recv());
    writer.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let error = writer.send(&long).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Unfinished)), "{error}");
    assert!(writer.queued() <= BOUND, "{} bytes are queued", writer.queued());
    assert!(writer.send("next").is_err());
    assert!(reading.join().unwrap().is_err());
    drop(server);
}

/// The receiver was made for longer messages than the assembler takes: the peer is told, too.
#[test]
fn a_message_beyond_the_assemblers_limit_is_answered_with_a_close() {
    let input = || encode([Message::binary(vec![7; 900]).unfinished(), Message::binary(vec![7; 200])]);
    let make = |input: Vec<u8>| {
        let wire = support::Wire::new(input, support::End::Fin);
        let connection = Connection::server(Extensions::none(), Limits::none());
        let limits = Limits::default().message(1000);
        WebSocket::from_connection(wsproto_io::blocking::Untimed(wire), connection, limits, Vec::new())
    };
    let mut socket = make(input());
    for _ in 0..3 {
        let error = socket.recv().unwrap_err();
        assert_eq!(error.close_code(), Some(1009), "{error}");
    }
    assert_eq!(socket.closed().unwrap().code, 1009);
    assert!(matches!(socket.send("x"), Err(Error::Closed(closed)) if closed.code == 1009));
    let sent = support::frames(&socket.stream().0.written);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1[..2], 1009_u16.to_be_bytes());
}

/// A connection that is quiet asks for little at a time again.
#[test]
fn a_quiet_connection_holds_a_small_buffer() {
    let mut wire = support::Wire::new(encode([Message::binary(vec![7; 500_000])]), support::End::Silence);
    wire.piece = usize::MAX;
    let mut socket = support::server(wire);
    assert!(socket.recv().unwrap().is_some());
    assert!(socket.stream().0.longest_read >= 64 * 1024);
    assert!(socket.recv().is_err());
    socket.stream_mut().0.longest_read = 0;
    assert!(socket.recv().is_err());
    assert_eq!(socket.stream().0.longest_read, 4096);
}
