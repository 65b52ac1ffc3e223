//! The transport and what is to be written to it.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use wsproto::Message;
use wsproto::frame::Role;

use super::deadline::{Deadline, ignore_unsupported, is_timeout, shorter};
use super::stream::Stream;
use crate::error::{Error, Timeout};
use crate::outgoing::{LOW, Outgoing};

/// The transport, the outgoing queue, and the times that each may take.
#[derive(Debug)]
pub(crate) struct Io<S> {
    pub(super) stream: S,
    pub(super) outgoing: Outgoing,
    pub(super) role: Role,
    pub(super) read_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    /// The write timeout that the transport has now.
    write_timeout_now: Option<Duration>,
    pub(super) close_timeout: Duration,
    /// Until when the peer has to answer our Close.
    pub(super) closing: Option<Deadline>,
    turn: Turn,
    /// Whether the transport was written to, and has not been flushed since.
    unflushed: bool,
    /// What the transport failed with when it was written to: it takes nothing any more.
    pub(super) broken: Option<io::ErrorKind>,
    pub(super) ended: bool,
}

/// How long a server waits for the client to take what was sent and to end the transport, before it does so itself.
/// (A transport that is closed with unread bytes in it may destroy what was sent.)
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How much is read and thrown away for that, in bytes.
pub(super) const LINGER_BYTES: usize = 256 * 1024;

/// How long one who wants to read tries to write first, and then to read, in turns, while the transport takes nothing.
/// (Else two peers could each wait for the other to read.) The turns grow while nothing moves, so that a peer that has
/// stopped for good costs next to nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn(Duration);

impl Turn {
    const SHORTEST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) const fn new() -> Self {
        Self(Self::SHORTEST)
    }

    /// How long one turn lasts: a read timeout has room for two.
    pub(super) fn time(self, read_timeout: Option<Duration>) -> Duration {
        read_timeout.map_or(self.0, |timeout| self.0.min((timeout / 2).max(Self::SHORTEST)))
    }

    /// Nothing moved, in neither direction.
    pub(super) fn lengthen(&mut self) {
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }

    /// A byte moved.
    pub(super) const fn reset(&mut self) {
        self.0 = Self::SHORTEST;
    }
}

impl<S: Stream> Io<S> {
    pub(super) fn new(stream: S, outgoing: Outgoing, role: Role, close_timeout: Duration) -> Self {
        let (closing, broken, ended) = (None, None, false);
        let (read_timeout, write_timeout, write_timeout_now) = (None, None, None);
        Self {
            stream,
            outgoing,
            role,
            read_timeout,
            write_timeout,
            write_timeout_now,
            close_timeout,
            closing,
            turn: Turn::new(),
            unflushed: false,
            broken,
            ended,
        }
    }

    /// Queues a message and writes all.
    pub(super) fn send(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let timed_out = self.feed(message)?;
        if timed_out { Err(Error::Timeout(Timeout::Send { queued: true })) } else { self.write_to(0) }
    }

    /// Queues a message, and writes where the queue is full. Gives whether a write timed out behind the point from which
    /// on the message is queued.
    pub(super) fn feed(&mut self, message: &Message<'_>) -> Result<bool, Error> {
        if let Some(kind) = self.broken {
            return Err(Error::Io(kind.into()));
        }
        if self.outgoing.is_full() {
            match self.write_to(LOW) {
                Err(Error::Timeout(_)) if self.outgoing.is_full() => {
                    return Err(Error::Timeout(Timeout::Send { queued: false }));
                }
                Err(Error::Timeout(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        let mut encoding = self.outgoing.begin(message, true)?;
        let mut timed_out = false;
        loop {
            if self.outgoing.is_full() && !timed_out {
                match self.write_to(LOW) {
                    // All of it is in the queue.
                    Err(Error::Timeout(_)) if encoding.is_finished() => timed_out = true,
                    Err(Error::Timeout(_)) => {
                        self.give_up(io::ErrorKind::TimedOut);
                        return Err(Error::Timeout(Timeout::Unfinished));
                    }
                    result => result?,
                }
            }
            if encoding.is_finished() {
                return Ok(timed_out);
            }
            self.outgoing.encode_more(message, &mut encoding)?;
        }
    }

    /// The transport takes nothing any more; whoever reads still gets what the peer sent before.
    fn give_up(&mut self, kind: io::ErrorKind) {
        self.end();
        self.broken = Some(kind);
    }

    /// Writes until at most this many bytes wait.
    pub(super) fn write_to(&mut self, mark: usize) -> Result<(), Error> {
        self.write_within(mark, self.write_timeout)
    }

    /// For one who wants to read: writes what the transport takes soon. Whether something still waits: then it is time to
    /// read, for the peer may not read before we do.
    pub(super) fn write_in_turn(&mut self) -> Result<bool, Error> {
        let turn = self.turn.time(self.read_timeout);
        match self.write_within(0, shorter(self.write_timeout, Some(turn))) {
            Ok(()) => Ok(false),
            Err(Error::Timeout(_)) => Ok(true),
            // A transport that takes nothing any more may still hold what the peer sent before: reading will tell.
            Err(Error::Io(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_within(&mut self, mark: usize, timeout: Option<Duration>) -> Result<(), Error> {
        if let Some(kind) = self.broken {
            self.outgoing.discard();
            return Err(Error::Io(kind.into()));
        }
        if self.outgoing.is_empty() && !self.unflushed {
            return Ok(());
        }
        self.limit_write(timeout)?;
        while !self.outgoing.is_below(mark) {
            let bytes = self.outgoing.unwritten();
            if bytes.is_empty() {
                break; // what was owed is owed no more: a Close has left
            }
            match self.stream.write(bytes) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.turn.reset();
                    self.unflushed = true;
                    self.outgoing.advance(n);
                    // A peer that takes a byte now and then does not prolong the time for closing.
                    self.limit_write(timeout)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(self.write_timed_out()),
                Err(error) => return Err(self.broken(error)),
            }
        }
        loop {
            match self.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(self.write_timed_out()),
                Err(error) => return Err(self.broken(error)),
                Ok(()) => {
                    self.unflushed = false;
                    return Ok(());
                }
            }
        }
    }

    /// Whether the transport has yet to pass on what it took.
    pub(super) const fn wants_flush(&self) -> bool {
        self.unflushed && self.broken.is_none() && !self.ended
    }

    /// Sets the time that the next write may take: this, and no more than is left for closing.
    fn limit_write(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        let timeout = match self.closing {
            Some(closing) => shorter(timeout, closing.left()?),
            None => timeout,
        };
        if timeout != self.write_timeout_now {
            if let Err(error) = ignore_unsupported(self.stream.set_write_timeout(timeout)) {
                return Err(self.broken(error));
            }
            self.write_timeout_now = timeout;
        }
        Ok(())
    }

    fn write_timed_out(&self) -> Error {
        self.check_closing().err().unwrap_or(Error::Timeout(Timeout::Send { queued: true }))
    }

    fn broken(&mut self, error: io::Error) -> Error {
        self.outgoing.discard();
        self.broken = Some(error.kind());
        Error::Io(error)
    }

    /// One read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if let Some(closing) = self.closing {
            let left = closing.left()?;
            if let (Some(timeout), true) = (self.read_timeout, self.read_timeout < left || left.is_none()) {
                return self.read_within(timeout, buffer);
            }
            return closing.read(&mut self.stream, buffer);
        }
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(Error::Timeout(Timeout::Receive)),
                result => {
                    self.turn.reset();
                    return Ok(result?);
                }
            }
        }
    }

    /// One read while we close, in less time than that may take.
    fn read_within(&mut self, timeout: Duration, buffer: &mut [u8]) -> Result<usize, Error> {
        ignore_unsupported(self.stream.set_read_timeout(Some(timeout)))?;
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(Error::Timeout(Timeout::Receive)),
                result => return Ok(result?),
            }
        }
    }

    /// One read that waits for a short time only. `since` is when this wait began: then `None` if nothing came yet.
    pub(super) fn read_in_turn(&mut self, buffer: &mut [u8], since: Instant) -> Result<Option<usize>, Error> {
        let left = self.closing.map_or(Ok(None), Deadline::left)?;
        if self.read_timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
            return Err(Error::Timeout(Timeout::Receive));
        }
        let turn = shorter(left, Some(self.turn.time(self.read_timeout)));
        let timed = self.stream.set_read_timeout(turn).is_ok();
        let result = match self.stream.read(buffer) {
            Err(error) if is_timeout(&error) && timed => {
                self.turn.lengthen();
                Ok(None)
            }
            // A transport that does not block is asked again, with a pause, until the time for closing is over.
            Err(error) if is_timeout(&error) => {
                self.closing.map_or(Ok(()), Deadline::pause)?;
                Err(Error::Timeout(Timeout::Receive))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            result => {
                self.turn.reset();
                Ok(Some(result?))
            }
        };
        if timed {
            self.stream.set_read_timeout(self.read_timeout)?;
        }
        result
    }

    /// Our Close is queued: the time of the peer's answer begins.
    pub(super) fn start_closing(&mut self) {
        self.closing = Some(Deadline::after(self.close_timeout, Timeout::Close));
    }

    /// Whether the peer still has time to answer our Close.
    pub(super) fn check_closing(&self) -> Result<(), Error> {
        self.closing.map_or(Ok(()), |closing| closing.left().map(|_| ()))
    }

    /// After the closing handshake: a server ends the transport, a client waits for that (RFC 6455 §7.1.1).
    pub(super) fn finish(&mut self) {
        match self.role {
            Role::Server => self.fail(),
            Role::Client => {
                let deadline = self.last_deadline();
                if self.write_last(deadline) {
                    self.drain(deadline, usize::MAX);
                }
                self.end();
            }
        }
    }

    /// Writes the last that there is to say, and ends the transport so that it arrives.
    pub(super) fn fail(&mut self) {
        if self.ended {
            return;
        }
        let deadline = self.last_deadline();
        if self.write_last(deadline) {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.drain(deadline.or_after(LINGER), LINGER_BYTES);
        }
        self.end();
    }

    /// Until when the connection must have ended: its time began with our Close, or begins now.
    fn last_deadline(&self) -> Deadline {
        self.closing.unwrap_or_else(|| Deadline::after(self.close_timeout, Timeout::Close))
    }

    /// Writes what is queued, in the time that closing may take.
    fn write_last(&mut self, deadline: Deadline) -> bool {
        let mut written = true;
        while written && !self.outgoing.is_empty() {
            let bytes = self.outgoing.unwritten();
            let len = bytes.len();
            written = deadline.write_all(&mut self.stream, bytes).is_ok();
            self.outgoing.advance(len);
        }
        written
    }

    /// Reads and throws away until the peer ends the transport; not where there is no timeout for it.
    fn drain(&mut self, deadline: Deadline, mut bytes: usize) {
        let Ok(left) = deadline.left() else { return };
        if self.stream.set_read_timeout(left).is_err() {
            return;
        }
        let mut buffer = [0; 1024];
        while let Ok(n) = deadline.read(&mut self.stream, &mut buffer) {
            if n == 0 || n > bytes {
                return;
            }
            bytes -= n;
        }
    }

    /// Ends the transport.
    pub(super) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.outgoing.discard();
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout = timeout.map(at_least);
        self.stream.set_read_timeout(self.read_timeout)
    }

    pub(super) fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout = timeout.map(at_least);
        self.write_timeout_now = self.write_timeout;
        self.stream.set_write_timeout(self.write_timeout)
    }
}

/// Sockets refuse a timeout of zero, and may round one below a microsecond to it, which means for ever.
pub(super) fn at_least(timeout: Duration) -> Duration {
    timeout.max(Duration::from_micros(1))
}
