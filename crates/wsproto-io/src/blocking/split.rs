//! A WebSocket on two threads: one reads, one writes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wsproto::{CloseCode, CloseFrame, Event, Ping};

use super::deadline::{Deadline, ignore_unsupported, is_timeout, shorter};
use super::io::{Io, Turn, at_least};
use super::shared::{Shared, Side, read_once};
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::error::{Closed, Error, Timeout};
use crate::incoming::Incoming;
use crate::message::{IntoMessage, Message};
use crate::outgoing::LOW;

impl<S> WebSocket<S>
where
    S: Stream,
    for<'a> &'a S: Read + Write,
{
    /// The two directions, for two threads. The socket is closed when both halves are dropped.
    ///
    /// This is the cure for two applications that both only write: while one thread waits to write, the other reads, and
    /// answers Pings and the Close.
    ///
    /// ```no_run
    /// use wsproto_io::wsproto::CloseCode;
    ///
    /// let (mut reader, mut writer) = wsproto_io::blocking::connect("ws://127.0.0.1:9001/")?.split();
    /// let printer = std::thread::spawn(move || -> Result<(), wsproto_io::Error> {
    ///     while let Some(message) = reader.recv()? {
    ///         println!("{message:?}");
    ///     }
    ///     Ok(())
    /// });
    /// writer.send("hello")?;
    /// writer.close(CloseCode::NORMAL, "")?;
    /// # let _ = printer.join();
    /// # Ok::<(), wsproto_io::Error>(())
    /// ```
    pub fn split(self) -> (Reader<S>, Writer<S>) {
        let Self { incoming, io, subprotocol } = self;
        let Io { stream, outgoing, role, read_timeout, write_timeout, close_timeout, closing, broken, ended, .. } = io;
        let side = Side {
            outgoing,
            writing: false,
            urgent: false,
            write_timeout,
            closing,
            broken,
            closed: incoming.closed().cloned(),
            close_timed_out: false,
            ended,
            unread: false,
        };
        let shared = Arc::new(Shared { stream, role, close_timeout, side: Mutex::new(side), changed: Condvar::new() });
        let reader = Reader { shared: Arc::clone(&shared), incoming, subprotocol, read_timeout, turn: Turn::new() };
        (reader, Writer { shared })
    }
}

/// The reading half of a [`WebSocket`]. It answers Pings and the peer's Close.
pub struct Reader<S> {
    shared: Arc<Shared<S>>,
    incoming: Incoming,
    subprotocol: Option<String>,
    read_timeout: Option<Duration>,
    turn: Turn,
}

/// The writing half of a [`WebSocket`].
pub struct Writer<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Reader<S>
where
    S: Stream,
    for<'a> &'a S: Read + Write,
{
    /// The next message, whole; as [`WebSocket::recv`].
    ///
    /// It goes on reading while the writer waits for the transport: what this thread is given does not depend on the
    /// queue. Before it waits it writes what is queued, unless the other thread does.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::recv`].
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        let mut since = None;
        loop {
            if self.incoming.has_unread() {
                if let Some(message) = self.next_message()? {
                    return Ok(Some(message));
                }
            } else if self.incoming.closed().is_some() {
                return self.end();
            } else {
                self.fill(&mut since)?;
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Message>, Error> {
        let mut replied = false;
        let mut events = self.incoming.events();
        loop {
            match events.next() {
                Ok(None) => return Ok(None),
                Ok(Some((Event::Message(piece), _))) => {
                    let joined = events.join(piece).inspect_err(|error| {
                        self.shared.finish(error.response(), events.closed());
                    })?;
                    if let Some(data) = joined {
                        if replied {
                            self.shared.write_replies(self.shared.lock(), &mut self.turn, self.read_timeout);
                        }
                        return Ok(Some(data.into()));
                    }
                }
                Ok(Some((event, reply))) => {
                    if let Some(reply) = reply {
                        self.shared.lock().outgoing.reply(reply);
                        replied = true;
                    }
                    if matches!(event, Event::Close(_)) {
                        self.shared.finish(None, events.closed());
                        return Ok(None);
                    }
                }
                Err(error) => {
                    self.shared.finish(error.response(), events.closed());
                    return Err(error.into());
                }
            }
        }
    }

    /// One read from the transport, and before it the replies. `since` is when the wait began.
    fn fill(&mut self, since: &mut Option<Instant>) -> Result<(), Error> {
        self.incoming.give_back();
        let waits = self.shared.write_replies(self.shared.lock(), &mut self.turn, self.read_timeout);
        let left = self.shared.lock().left();
        let Ok(left) = left else {
            self.shared.lock().close_timed_out = true;
            self.incoming.broken();
            self.shared.end(self.incoming.closed());
            return left.map(|_| ());
        };
        if !waits {
            self.incoming.before_waiting();
            let result = self.read(shorter(self.read_timeout, left));
            // The time for closing ended this read, not the caller's.
            let ours = left.is_some() && (self.read_timeout.is_none() || self.read_timeout > left);
            return match result {
                Err(Error::Timeout(Timeout::Receive)) if ours => Ok(()),
                result => result,
            };
        }
        // The transport takes nothing: read and write in turns.
        let since = since.get_or_insert_with(Instant::now);
        let turn = self.turn.time(self.read_timeout);
        let result = self.read(Some(turn));
        if matches!(result, Err(Error::Timeout(Timeout::Receive))) {
            self.turn.lengthen();
            if self.read_timeout.is_none_or(|timeout| since.elapsed() < timeout) {
                return Ok(());
            }
        }
        result
    }

    fn read(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        if timeout != self.read_timeout {
            ignore_unsupported(self.shared.stream.set_read_timeout(timeout))?;
        }
        let mut buffer = self.incoming.lend();
        let result = read_once(&self.shared.stream, &mut buffer);
        self.incoming.received(buffer, result.as_ref().map_or(0, |n| *n));
        if timeout != self.read_timeout {
            ignore_unsupported(self.shared.stream.set_read_timeout(self.read_timeout))?;
        }
        match result {
            Ok(0) => {
                let eof = self.incoming.eof();
                let timed_out = self.shared.end(self.incoming.closed());
                if timed_out { Err(Error::Timeout(Timeout::Close)) } else { Ok(eof?) }
            }
            Ok(_) => {
                self.turn.reset();
                Ok(())
            }
            Err(error) if is_timeout(&error) => {
                self.incoming.quiet();
                Err(Error::Timeout(Timeout::Receive))
            }
            Err(error) => {
                self.incoming.broken();
                let timed_out = self.shared.end(self.incoming.closed());
                Err(if timed_out { Error::Timeout(Timeout::Close) } else { error.into() })
            }
        }
    }

    fn end(&self) -> Result<Option<Message>, Error> {
        match (self.incoming.error(), self.incoming.closed()) {
            (Some(error), _) => Err(Error::Remote(error)),
            (None, Some(closed)) if closed.code == 1006 => Err(Error::Closed(closed.clone())),
            _ => Ok(None),
        }
    }

    /// As [`WebSocket::closed`].
    #[must_use]
    pub const fn closed(&self) -> Option<&Closed> {
        self.incoming.closed()
    }

    /// As [`WebSocket::subprotocol`].
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// As [`WebSocket::set_read_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout.map(at_least);
        self.shared.stream.set_read_timeout(self.read_timeout)
    }

    /// The transport.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.shared.stream
    }
}

impl<S> Writer<S>
where
    S: Stream,
    for<'a> &'a S: Read + Write,
{
    /// Sends a message; as [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As there. After [`Timeout::Send`] with a queued message, [`flush`](Self::flush) goes on.
    pub fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        let timed_out = self.queue(&message.into_message())?;
        if timed_out { Err(Error::Timeout(Timeout::Send { queued: true })) } else { self.flush() }
    }

    /// Queues a message; as [`WebSocket::feed`], but the reader may be waiting already: end with
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        self.queue(&message.into_message()).map(|_| ())
    }

    fn queue(&mut self, message: &wsproto::Message<'_>) -> Result<bool, Error> {
        let mut side = self.shared.lock_open()?;
        if side.outgoing.is_full() {
            let result;
            (side, result) = self.shared.write_to(LOW, side);
            match result {
                Err(Error::Timeout(_)) if side.outgoing.is_full() => {
                    return Err(Error::Timeout(Timeout::Send { queued: false }));
                }
                Err(Error::Timeout(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            side.check_open()?;
        }
        let mut encoding = side.outgoing.begin(message, true)?;
        let mut timed_out = false;
        loop {
            if (side.outgoing.is_full() || side.urgent) && !timed_out {
                let result;
                (side, result) = self.shared.write_to(LOW, side);
                match result {
                    // All of it is in the queue.
                    Err(Error::Timeout(_)) if encoding.is_finished() => timed_out = true,
                    Err(Error::Timeout(_)) => {
                        side.broken = Some(io::ErrorKind::TimedOut);
                        side.outgoing.discard();
                        side.ended = true;
                        drop(side);
                        let _ = self.shared.stream.shutdown(Shutdown::Both);
                        return Err(Error::Timeout(Timeout::Unfinished));
                    }
                    result => result?,
                }
            }
            if encoding.is_finished() {
                return Ok(timed_out);
            }
            side.outgoing.encode_more(message, &mut encoding)?;
        }
    }

    /// Writes all that is queued; as [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.shared.write_to(0, self.shared.lock()).1
    }

    /// Sends a Ping; as [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut side = self.shared.lock_open()?;
        side.outgoing.control(Ping::new(payload))?;
        self.shared.write_to(0, side).1
    }

    /// Sends a Close, and does not wait: the reader still gets what comes before the peer's Close, and `None` behind it.
    /// For one thread that has both halves, or the thread of the reader. Does nothing where a Close was sent before.
    ///
    /// # Errors
    ///
    /// The transport's, or a timeout; the Close is queued.
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let mut side = self.shared.lock_open()?;
        if side.outgoing.close_was_sent() {
            return Ok(());
        }
        side.outgoing.control(CloseFrame::new(code, reason))?;
        let close_timeout = self.shared.close_timeout;
        side.closing.get_or_insert_with(|| Deadline::after(close_timeout, Timeout::Close));
        self.shared.write_to(0, side).1
    }

    /// Closes: sends a Close, and waits until the reader, **on another thread**, has received the peer's and the
    /// connection has ended. Messages that come before it are the reader's still. At the
    /// [close timeout](super::ConnectOptions::close_timeout) the transport is ended; then the reader, too, gets
    /// [`Timeout::Close`]. Where the reader was dropped, nobody sees the peer's Close: the transport is ended when the peer
    /// does, or after a second.
    ///
    /// # Errors
    ///
    /// The transport's, or [`Timeout::Close`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let mut side = self.shared.lock();
        if !side.outgoing.close_was_sent() && side.closed.is_none() {
            side.outgoing.control(CloseFrame::new(code, reason))?;
        }
        let close_timeout = self.shared.close_timeout;
        let deadline = *side.closing.get_or_insert_with(|| Deadline::after(close_timeout, Timeout::Close));
        // After an error of the write side it waits for the reader, which sees the end of a broken transport, too.
        let mut pause = None;
        while !side.ended {
            let Ok(left) = deadline.left() else {
                if side.closed.is_some() {
                    break; // the peer's Close is here; what could not leave in time is lost
                }
                side.close_timed_out = true;
                drop(side);
                // This wakes whoever waits for the transport.
                let _ = self.shared.stream.shutdown(Shutdown::Both);
                return Err(Error::Timeout(Timeout::Close));
            };
            if side.unread && (side.outgoing.is_settled() || side.broken.is_some()) {
                drop(side);
                self.shared.finish_unread(deadline);
                return Ok(());
            }
            if side.closed.is_some() || side.outgoing.is_settled() || side.broken.is_some() || pause.is_some() {
                side = self.shared.wait_for(side, shorter(pause.take(), left));
            } else {
                let result;
                (side, result) = self.shared.write_to(0, side);
                // A transport that does not block would be asked without a pause.
                pause = result.is_err().then_some(Duration::from_millis(1));
            }
        }
        match &side.closed {
            _ if side.close_timed_out => Err(Error::Timeout(Timeout::Close)),
            Some(closed) if closed.code == 1006 => Err(Error::Closed(closed.clone())),
            _ => Ok(()),
        }
    }

    /// As [`WebSocket::queued`].
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().outgoing.queued()
    }

    /// As [`WebSocket::set_write_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(at_least);
        let mut side = self.shared.lock();
        // While the reader tries to write, the timeout is its own.
        while side.writing {
            side = self.shared.wait(side);
        }
        self.shared.stream.set_write_timeout(timeout)?;
        side.write_timeout = timeout;
        Ok(())
    }
}

impl<S> Drop for Reader<S> {
    fn drop(&mut self) {
        let mut side = self.shared.side.lock().unwrap_or_else(PoisonError::into_inner);
        side.unread = true;
        self.shared.changed.notify_all();
    }
}

impl<S> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("closed", &self.incoming.closed()).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
