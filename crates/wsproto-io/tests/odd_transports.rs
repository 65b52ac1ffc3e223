//! Transports that fail in odd places, and ends that come in an odd order.

#![cfg(feature = "blocking")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use wsproto::{CloseCode, Connection, Extensions, Limits};
use wsproto_io::blocking::{AcceptOptions, ConnectOptions, Stream, WebSocket};
use wsproto_io::{Error, Timeout};

/// Takes what fits, and has one trouble.
#[derive(Default)]
struct Odd {
    taken: Vec<u8>,
    passed_on: usize,
    calls: Cell<u32>,
    trouble: Trouble,
}

#[derive(Default, PartialEq)]
enum Trouble {
    /// Its timeout cannot be set.
    #[default]
    Timeouts,
    /// It keeps what it took until the second flush.
    Flush,
    /// It is broken.
    Write,
    Nothing,
}

impl Odd {
    fn call(&self) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        assert!(self.calls.get() < 1000, "an endless loop");
        Ok(())
    }
}

impl Read for Odd {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        Ok(0)
    }
}

impl Write for Odd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        if self.trouble == Trouble::Write {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call()?;
        if self.trouble == Trouble::Flush {
            self.trouble = Trouble::Nothing;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.passed_on = self.taken.len();
        Ok(())
    }
}

impl Stream for Odd {
    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        self.call()?;
        if self.trouble == Trouble::Timeouts { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }
}

fn on(trouble: Trouble) -> WebSocket<Odd> {
    let limits = Limits::default();
    let stream = Odd { trouble, ..Odd::default() };
    WebSocket::from_connection(stream, Connection::server(Extensions::none(), limits), limits, Vec::new())
}

#[test]
fn a_timeout_that_cannot_be_set_ends_the_wait() {
    let mut socket = on(Trouble::Timeouts);
    socket.feed("reply").unwrap();
    assert!(socket.recv().is_err());
}

#[test]
fn what_a_transport_took_is_flushed_until_it_has_passed_it_on() {
    let mut socket = on(Trouble::Flush);
    assert!(matches!(socket.send("message"), Err(Error::Timeout(Timeout::Send { queued: true }))));
    assert_eq!((socket.queued(), socket.stream().passed_on), (0, 0));
    socket.flush().unwrap();
    assert_eq!(socket.stream().passed_on, 9);
}

#[test]
fn what_was_lost_is_not_called_written() {
    let mut socket = on(Trouble::Write);
    assert!(socket.send("message").is_err());
    assert!(socket.flush().is_err());
    assert!(socket.ping(b"").is_err());
}

fn pair(close_timeout: Duration) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let options = AcceptOptions::new().close_timeout(close_timeout);
    let server = thread::spawn(move || options.accept(listener.accept().unwrap().0).unwrap());
    let client = ConnectOptions::new().close_timeout(close_timeout).connect(&url).unwrap();
    (client, server.join().unwrap())
}

/// Longer than anything here may take: who waits for it gets an error, and the test fails.
const TOO_LONG: Duration = Duration::from_secs(30);

#[test]
fn one_thread_with_both_halves_can_close() {
    let (client, mut server) = pair(TOO_LONG);
    let peer = thread::spawn(move || {
        assert_eq!(server.recv().unwrap(), None);
        server.closed().unwrap().code
    });
    let (mut reader, mut writer) = client.split();
    writer.send_close(CloseCode::POLICY_VIOLATION, "no").unwrap();
    assert_eq!(reader.recv().unwrap(), None);
    assert_eq!((reader.closed().unwrap().code, peer.join().unwrap()), (1008, 1008));
}

#[test]
fn a_writer_without_a_reader_can_close() {
    let (client, mut server) = pair(TOO_LONG);
    let peer = thread::spawn(move || server.recv().map(|_| server.closed().unwrap().code));
    let (reader, mut writer) = client.split();
    drop(reader);
    writer.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(peer.join().unwrap().unwrap(), 1000);
}

#[test]
fn the_time_for_closing_ends_also_a_reader_alone() {
    let (client, server) = pair(Duration::from_millis(200));
    let (mut reader, mut writer) = client.split();
    reader.set_read_timeout(Some(TOO_LONG)).unwrap();
    writer.send_close(CloseCode::NORMAL, "").unwrap();
    // The peer is there, and does not answer.
    assert!(matches!(reader.recv(), Err(Error::Timeout(Timeout::Close))));
    drop(server);
}

#[test]
fn a_read_timeout_holds_while_we_close() {
    let (mut client, server) = pair(TOO_LONG);
    client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    client.send_close(CloseCode::NORMAL, "").unwrap();
    assert!(matches!(client.recv(), Err(Error::Timeout(Timeout::Receive))));
    drop(server);
}
