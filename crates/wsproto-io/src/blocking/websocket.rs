//! A WebSocket on one thread.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use wsproto::frame::Role;
use wsproto::{CloseCode, CloseFrame, Connection, Limits, Ping};

use super::batch::Batch;
use super::io::Io;
use super::stream::Stream;
use crate::error::{Closed, Error, Timeout};
use crate::incoming::Incoming;
use crate::message::{IntoMessage, Message};
use crate::outgoing::Outgoing;
use crate::step::Step;

/// A WebSocket over a transport that blocks.
///
/// Made by [`connect`](super::connect) and [`accept`](super::accept). Pings and the peer's Close are answered by
/// themselves, while this thread is in one of the methods.
///
/// # When bytes leave
///
/// [`send`](Self::send) queues a message and writes all that is queued. [`feed`](Self::feed) only queues; what is queued
/// is written when [`recv`](Self::recv) has to wait, when 64 KiB are queued, or by [`flush`](Self::flush). So a reply
/// loop with `feed` makes one write for all the messages of one read, and nothing is held back while it waits.
///
/// # Back-pressure
///
/// One read, at most 64 KiB, is taken from the transport at a time, and the next only when the application has taken
/// all its messages and all that was queued is written. At 64 KiB of queued bytes `send` and `feed` wait until the
/// transport has taken all but 16 KiB. So a slow application slows its peer down, and a slow peer the application.
///
/// While it waits to write, a blocking socket cannot read. Two applications that both only write, without reading,
/// therefore block each other for ever: read on another thread ([`split`](WebSocket::split)), or set a
/// [write timeout](Self::set_write_timeout).
///
/// A dropped `WebSocket` closes its socket; what was queued and not written is lost, and the peer sees 1006.
pub struct WebSocket<S> {
    pub(super) incoming: Incoming,
    pub(super) io: Io<S>,
    pub(super) subprotocol: Option<String>,
}

impl<S: Stream> WebSocket<S> {
    /// A WebSocket whose handshake happened elsewhere: on a stream of HTTP/2, in a proxy, or by agreement.
    ///
    /// `connection` was made for these `limits`; `first` holds the bytes that arrived behind the handshake, may be empty.
    pub fn from_connection(stream: S, connection: Connection, limits: Limits, first: Vec<u8>) -> Self {
        // Whether an extension encodes is not known: long messages are cut into fragments, which is always right.
        Self::new(stream, connection, limits, first, true, Duration::from_secs(10))
    }

    pub(super) fn new(
        stream: S,
        connection: Connection,
        limits: Limits,
        first: Vec<u8>,
        encoding: bool,
        close_timeout: Duration,
    ) -> Self {
        let role = connection.receiver.role();
        let (receiver, sender) = connection.split();
        Self {
            incoming: Incoming::new(receiver, limits, first),
            io: Io::new(stream, Outgoing::new(sender, encoding), role, close_timeout),
            subprotocol: None,
        }
    }

    /// The next message, whole. `None` after the closing handshake: [`closed`](Self::closed) tells code and reason.
    ///
    /// Waits, if it must; before that it writes what is queued. Where the transport takes nothing, it reads and writes in
    /// turns.
    ///
    /// # Errors
    ///
    /// The peer's, the transport's, or a timeout, after which the next call goes on and nothing is lost.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let Some(mut batch) = self.read()? else { return Ok(None) };
            if let Some(data) = batch.message()? {
                return Ok(Some(data.into()));
            }
        }
    }

    /// What can be had without a copy: the events of one read, which borrow the thread's reading buffer. `None` after the
    /// closing handshake.
    ///
    /// Waits, if it must; before that it writes what is queued. What is left of the batch before is given first.
    ///
    /// ```no_run
    /// # use wsproto::Event;
    /// # fn echo<S: wsproto_io::blocking::Stream>(
    /// #     mut socket: wsproto_io::blocking::WebSocket<S>,
    /// # ) -> Result<(), wsproto_io::Error> {
    /// while let Some(mut batch) = socket.read()? {
    ///     while let Some(event) = batch.next()? {
    ///         if let Event::Message(piece) = event {
    ///             batch.feed(piece)?; // no copy but the one into the queue, no allocation
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn read(&mut self) -> Result<Option<Batch<'_, S>>, Error> {
        let mut since = None;
        loop {
            match Step::next(&self.incoming, &self.io.outgoing) {
                Step::Receive => {
                    return Ok(Some(Batch { events: self.incoming.events(), io: &mut self.io, replied: false }));
                }
                step if step == Step::Write || (step == Step::Read && self.io.wants_flush()) => {
                    self.incoming.give_back();
                    if self.io.write_in_turn()? {
                        self.fill_in_turn(*since.get_or_insert_with(Instant::now))?;
                    }
                }
                Step::End => return self.ended(),
                _ => {
                    self.incoming.before_waiting();
                    self.fill(Io::read)?;
                }
            }
        }
    }

    /// One read from the transport, short enough to write again soon.
    fn fill_in_turn(&mut self, since: Instant) -> Result<(), Error> {
        let mut nothing = false;
        let result = self.fill(|io, buffer| {
            io.read_in_turn(buffer, since)?.map_or_else(
                || {
                    nothing = true;
                    Err(Error::Timeout(Timeout::Receive))
                },
                Ok,
            )
        });
        if nothing { Ok(()) } else { result }
    }

    /// One read from the transport.
    fn fill(&mut self, read: impl FnOnce(&mut Io<S>, &mut [u8]) -> Result<usize, Error>) -> Result<(), Error> {
        let mut buffer = self.incoming.lend();
        let result = read(&mut self.io, &mut buffer);
        self.incoming.received(buffer, result.as_ref().map_or(0, |n| *n));
        match result {
            Ok(0) => {
                let eof = self.incoming.eof();
                self.io.end();
                Ok(eof?)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                if matches!(error, Error::Timeout(Timeout::Receive)) {
                    self.incoming.quiet();
                }
                if !error.is_timeout() || matches!(error, Error::Timeout(Timeout::Close)) {
                    self.incoming.broken();
                    self.io.end();
                }
                Err(error)
            }
        }
    }

    /// What the transport failed with; the connection is over where the time for closing is.
    fn written(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        if matches!(result, Err(Error::Timeout(Timeout::Close))) {
            self.incoming.broken();
            self.io.end();
        }
        result
    }

    fn ended(&self) -> Result<Option<Batch<'_, S>>, Error> {
        match (self.incoming.error(), self.incoming.closed()) {
            (Some(error), _) => Err(Error::Remote(error)),
            (None, Some(closed)) if closed.code == 1006 => Err(Error::Closed(closed.clone())),
            _ => Ok(None),
        }
    }

    /// Sends a message: queues it, and writes all that is queued.
    ///
    /// # Errors
    ///
    /// Yours, the transport's, [`Closed`](Error::Closed) after the end, or a timeout, which says whether the message was
    /// queued.
    pub fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        self.check_open()?;
        self.io.send(&message.into_message())
    }

    /// Queues a message. It is written with the others when [`recv`](Self::recv) has to wait, when 64 KiB are queued, or
    /// by [`flush`](Self::flush).
    ///
    /// Where 64 KiB are queued already, waits until the transport has taken all but 16 KiB. A message of any length is
    /// accepted; a long one is encoded in steps of 64 KiB, and not copied whole.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). After [`Timeout::Send`] the message was not queued.
    pub fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        self.check_open()?;
        self.io.feed(&message.into_message()).map(|_| ())
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// The transport's, or a timeout; what is not written stays queued.
    pub fn flush(&mut self) -> Result<(), Error> {
        let result = self.io.write_to(0);
        self.written(result)
    }

    /// Sends a Ping with at most 125 bytes. The Pong is an event of a [`Batch`]; [`recv`](Self::recv) passes over it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); after a timeout it is queued.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.check_open()?;
        self.io.outgoing.control(Ping::new(payload))?;
        self.io.write_to(0)
    }

    /// Closes: sends a Close, then reads and discards until the peer's Close, then ends the transport. At most the
    /// [close timeout](super::ConnectOptions::close_timeout), where the stream has timeouts. Does nothing where the
    /// connection has ended.
    ///
    /// # Errors
    ///
    /// The peer's, where it ended without a Close; the transport's; or [`Timeout::Close`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if self.incoming.closed().is_some() {
            return Ok(());
        }
        match self.send_close(code, reason) {
            // Reading will tell, and goes on writing.
            Ok(()) | Err(Error::Io(_) | Error::Timeout(_)) => {}
            Err(error) => return Err(error),
        }
        loop {
            let left = self.io.check_closing();
            self.written(left)?;
            let batch = self.read();
            match batch {
                Ok(Some(mut batch)) => while batch.next()?.is_some() {},
                Ok(None) => return Ok(()),
                Err(Error::Timeout(Timeout::Receive)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a Close, and does not wait: messages may still come, until [`recv`](Self::recv) gives `None`. From here on
    /// the [close timeout](super::ConnectOptions::close_timeout) runs. Does nothing where a Close was sent before.
    ///
    /// # Errors
    ///
    /// The transport's, or a timeout: the Close is queued, unless it is [`Timeout::Close`], the end.
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if self.io.outgoing.close_was_sent() {
            return Ok(());
        }
        self.io.outgoing.control(CloseFrame::new(code, reason))?;
        self.io.start_closing();
        self.flush()
    }

    /// How the connection ended: what the peer's Close said, 1005 where it said nothing, 1006 where there was none. `None`
    /// while it has not ended.
    #[must_use]
    pub const fn closed(&self) -> Option<&Closed> {
        self.incoming.closed()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.io.role
    }

    /// Bytes that are queued and not yet written; at most 128 KiB, and what frame headers and control frames add, also
    /// after a timeout.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.io.outgoing.queued()
    }

    /// The longest time that one read waits; then `recv` gives [`Timeout::Receive`]. Default: for ever.
    ///
    /// # Errors
    ///
    /// The transport's; [`Unsupported`](io::ErrorKind::Unsupported) where it has no timeouts.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_read_timeout(timeout)
    }

    /// The longest time that one write waits; then [`Timeout::Send`] says whether the message was queued. Default: for
    /// ever.
    ///
    /// A message longer than 64 KiB is not queued whole. Where the transport takes nothing for this long in the middle of
    /// one, it cannot be finished and nothing else can be said: that is [`Timeout::Unfinished`], and the connection is
    /// over. Who wants to go on after a timeout sends long messages in pieces ([`wsproto::Message::unfinished`]).
    ///
    /// # Errors
    ///
    /// The transport's; [`Unsupported`](io::ErrorKind::Unsupported) where it has no timeouts.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.io.set_write_timeout(timeout)
    }

    /// The transport. To read from it or to write to it destroys the connection.
    #[must_use]
    pub const fn stream(&self) -> &S {
        &self.io.stream
    }

    /// The transport. To read from it or to write to it destroys the connection.
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.io.stream
    }

    fn check_open(&self) -> Result<(), Error> {
        self.incoming.closed().map_or(Ok(()), |closed| Err(Error::Closed(closed.clone())))
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.io.role)
            .field("subprotocol", &self.subprotocol)
            .field("queued", &self.io.outgoing.queued())
            .field("closed", &self.incoming.closed())
            .finish_non_exhaustive()
    }
}
