//! What the two threads of a split socket share: the write side, under one mutex.
//!
//! The mutex is held to queue, never to wait: who writes takes the queued bytes out, marks the turn as taken, unlocks, and
//! writes. What the other queues meanwhile is written by the same turn, so that a Pong leaves although its thread only
//! reads, and no two threads ever write at once.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wsproto::Reply;
use wsproto::frame::Role;

use super::deadline::{Deadline, ignore_unsupported, is_timeout, shorter};
use super::io::{LINGER, LINGER_BYTES, Turn};
use super::stream::Stream;
use crate::error::{Closed, Error, Timeout};
use crate::outgoing::Outgoing;

/// What both threads need.
pub(super) struct Shared<S> {
    pub(super) stream: S,
    pub(super) role: Role,
    pub(super) close_timeout: Duration,
    pub(super) side: Mutex<Side>,
    /// Told when a turn of writing ends, and when the connection does.
    pub(super) changed: Condvar,
}

/// The write side.
pub(super) struct Side {
    pub(super) outgoing: Outgoing,
    /// Whether a thread is writing, without the mutex.
    pub(super) writing: bool,
    /// Whether a reply is queued that its thread does not write: whoever writes goes on until it has left.
    pub(super) urgent: bool,
    pub(super) write_timeout: Option<Duration>,
    /// Until when the connection must have ended: begins with a Close.
    pub(super) closing: Option<Deadline>,
    pub(super) broken: Option<io::ErrorKind>,
    /// How the connection ended, as the reader saw it.
    pub(super) closed: Option<Closed>,
    /// Whether the peer did not answer our Close in time.
    pub(super) close_timed_out: bool,
    pub(super) ended: bool,
    /// Whether the reader is gone: nobody will see the peer's Close.
    pub(super) unread: bool,
}

pub(super) type Guard<'a> = MutexGuard<'a, Side>;

impl Side {
    /// What is left for closing; `None`: no limit.
    pub(super) fn left(&self) -> Result<Option<Duration>, Error> {
        self.closing.map_or(Ok(None), Deadline::left)
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match (&self.closed, self.broken) {
            (Some(closed), _) => Err(Error::Closed(closed.clone())),
            (None, Some(kind)) => Err(Error::Io(kind.into())),
            (None, None) => Ok(()),
        }
    }
}

impl<S> Shared<S>
where
    S: Stream,
    for<'a> &'a S: Read + Write,
{
    /// A thread that panicked left the side whole: each change of it is one call, and [`Turning`] ends a turn.
    pub(super) fn lock(&self) -> Guard<'_> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_open(&self) -> Result<Guard<'_>, Error> {
        let side = self.lock();
        side.check_open()?;
        Ok(side)
    }

    pub(super) fn wait<'a>(&self, side: Guard<'a>) -> Guard<'a> {
        self.changed.wait(side).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most this long.
    pub(super) fn wait_for<'a>(&self, side: Guard<'a>, time: Option<Duration>) -> Guard<'a> {
        match time {
            None => self.wait(side),
            Some(time) => self.changed.wait_timeout(side, time).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// Writes until at most `mark` bytes wait, and no reply; where a Close was sent, no longer than closing may take.
    pub(super) fn write_to<'a>(&'a self, mark: usize, mut side: Guard<'a>) -> (Guard<'a>, Result<(), Error>) {
        loop {
            while side.writing {
                match side.left() {
                    Ok(left) => side = self.wait_for(side, left),
                    Err(error) => return (side, Err(error)),
                }
            }
            side.urgent &= !side.outgoing.is_settled();
            if side.outgoing.is_below(if side.urgent { 0 } else { mark }) {
                return (side, Ok(()));
            }
            let result;
            let timeout = side.write_timeout;
            (side, result) = self.write_turn(side, timeout);
            if result.is_err() {
                return (side, result);
            }
        }
    }

    /// Takes all that is queued, and writes it without the mutex. The transport has this timeout.
    fn write_turn<'a>(&'a self, mut side: Guard<'a>, timeout: Option<Duration>) -> (Guard<'a>, Result<(), Error>) {
        if let Some(kind) = side.broken {
            side.outgoing.discard();
            return (side, Err(Error::Io(kind.into())));
        }
        side.writing = true;
        let bytes = side.outgoing.take();
        let closing = side.closing;
        drop(side);
        let whole = Turning(self);
        let (written, result) = write_all(&self.stream, &bytes, timeout, closing);
        drop(whole);
        let mut side = self.lock();
        side.writing = false;
        side.outgoing.put_back(bytes, written);
        if let Err(Error::Io(error)) = &result {
            side.broken = Some(error.kind());
            side.outgoing.discard();
        }
        self.changed.notify_all();
        (side, result)
    }

    /// For the reader: sees to it that what is queued leaves, and waits for nobody who writes. Whether it still waits
    /// and nobody writes.
    pub(super) fn write_replies<'a>(&'a self, mut side: Guard<'a>, turn: &mut Turn, longest: Option<Duration>) -> bool {
        if side.outgoing.is_settled() {
            return false;
        }
        side.urgent = true;
        if side.writing || side.outgoing.is_empty() || side.broken.is_some() {
            return false;
        }
        let timeout = side.write_timeout;
        let short = shorter(timeout, Some(turn.time(longest)));
        let timed = self.stream.set_write_timeout(short).is_ok();
        let before = side.outgoing.queued();
        (side, _) = self.write_turn(side, short);
        if side.outgoing.queued() < before {
            turn.reset();
        }
        if timed {
            let _ = self.stream.set_write_timeout(timeout);
        }
        !side.outgoing.is_empty() && !side.writing && side.broken.is_none()
    }

    /// After the peer's Close, or its error: says the last, and ends the transport so that it arrives.
    pub(super) fn finish(&self, reply: Option<Reply>, closed: Option<&Closed>) {
        let mut side = self.lock();
        let deadline = *side.closing.get_or_insert_with(|| Deadline::after(self.close_timeout, Timeout::Close));
        side.closed = closed.cloned();
        let failed = reply.is_some();
        if let Some(reply) = reply {
            side.outgoing.reply(reply);
        }
        side.urgent = true;
        self.changed.notify_all();
        // The writer may be in the middle of a message: what it has begun, it ends, or the deadline does.
        while !side.outgoing.is_empty() && side.broken.is_none() {
            let Ok(left) = deadline.left() else { break };
            if side.writing {
                side = self.wait_for(side, left);
            } else {
                (side, _) = self.write_turn(side, None);
            }
        }
        let written = side.outgoing.is_empty();
        drop(side);
        if written && self.role == Role::Client && !failed {
            self.drain(deadline, usize::MAX);
        } else if written {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.drain(deadline.or_after(LINGER), LINGER_BYTES);
        }
        self.end(closed);
    }

    /// There is no reader: waits until the peer has ended the transport, then ends it.
    pub(super) fn finish_unread(&self, deadline: Deadline) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.drain(deadline.or_after(LINGER), LINGER_BYTES);
        let mut side = self.lock();
        side.ended = true;
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn drain(&self, deadline: Deadline, mut bytes: usize) {
        let mut buffer = [0; 1024];
        while let Ok(left) = deadline.left() {
            if self.stream.set_read_timeout(left).is_err() {
                return;
            }
            match read_once(&self.stream, &mut buffer) {
                Ok(n) if n > 0 && n <= bytes => bytes -= n,
                _ => return,
            }
        }
    }

    /// Ends the transport, and tells the writer. Whether it had ended because the peer's Close did not come.
    pub(super) fn end(&self, closed: Option<&Closed>) -> bool {
        let mut side = self.lock();
        side.closed = closed.cloned();
        if !side.ended {
            side.ended = true;
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
        side.close_timed_out
    }
}

/// A turn of writing. Where the transport panics in it, nobody waits for its end, and nothing is written behind half a
/// frame.
struct Turning<'a, S>(&'a Shared<S>);

impl<S> Drop for Turning<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut side = self.0.side.lock().unwrap_or_else(PoisonError::into_inner);
            side.writing = false;
            side.broken = Some(io::ErrorKind::Other);
            side.outgoing.discard();
            self.0.changed.notify_all();
        }
    }
}

pub(super) fn read_once<S>(mut stream: &S, buffer: &mut [u8]) -> io::Result<usize>
where
    for<'a> &'a S: Read,
{
    loop {
        match Read::read(&mut stream, buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes all, or as much as the transport takes; and says how much that is. The transport has this timeout, and gets
/// less where less is left for closing.
fn write_all<S>(
    mut stream: &S,
    bytes: &[u8],
    timeout: Option<Duration>,
    closing: Option<Deadline>,
) -> (usize, Result<(), Error>)
where
    S: Stream,
    for<'a> &'a S: Write,
{
    let mut written = 0;
    while written < bytes.len() {
        if let Some(closing) = closing {
            let limited = closing
                .left()
                .and_then(|left| Ok(ignore_unsupported(stream.set_write_timeout(shorter(timeout, left)))?));
            if let Err(error) = limited {
                return (written, Err(error));
            }
        }
        match Write::write(&mut stream, &bytes[written..]) {
            Ok(0) => return (written, Err(Error::Io(io::ErrorKind::WriteZero.into()))),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {
                return (written, Err(Error::Timeout(Timeout::Send { queued: true })));
            }
            Err(error) => return (written, Err(error.into())),
        }
    }
    let flushed = Write::flush(&mut stream).map_err(|error| match error {
        error if is_timeout(&error) => Error::Timeout(Timeout::Send { queued: true }),
        error => error.into(),
    });
    (written, flushed)
}
