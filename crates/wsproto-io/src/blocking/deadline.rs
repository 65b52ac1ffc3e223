//! A point in time for something that takes many reads and writes.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::stream::Stream;
use crate::error::{Error, Timeout};

/// Until when; on the monotonic clock. `None`: no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    what: Timeout,
}

impl Deadline {
    pub(crate) fn after(time: Duration, what: Timeout) -> Self {
        Self { at: Instant::now().checked_add(time), what }
    }

    /// The earlier of this and one that begins now.
    pub(crate) fn or_after(self, time: Duration) -> Self {
        let other = Self::after(time, self.what);
        match (self.at, other.at) {
            (Some(at), Some(earlier)) if earlier < at => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    /// What is left; an error where nothing is.
    pub(crate) fn left(self) -> Result<Option<Duration>, Error> {
        match self.at {
            None => Ok(None),
            Some(at) => match at.checked_duration_since(Instant::now()) {
                // Sockets count in microseconds, and take zero for an error.
                Some(left) if left >= Duration::from_micros(1) => Ok(Some(left)),
                _ => Err(Error::Timeout(self.what)),
            },
        }
    }

    /// After a timeout: usually the deadline has passed. A transport that does not block is asked again, with a pause.
    pub(crate) fn pause(self) -> Result<(), Error> {
        self.left()?;
        thread::sleep(Duration::from_millis(1));
        Ok(())
    }

    /// One read, by the deadline.
    pub(crate) fn read(self, stream: &mut impl Stream, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            ignore_unsupported(stream.set_read_timeout(self.left()?))?;
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => self.pause()?,
                result => return Ok(result?),
            }
        }
    }

    /// Writes all, by the deadline.
    pub(crate) fn write_all(self, stream: &mut impl Stream, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            ignore_unsupported(stream.set_write_timeout(self.left()?))?;
            match stream.write(bytes) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => self.pause()?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(stream.flush()?)
    }
}

/// The shorter of two times, where `None` has no end.
pub(crate) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a read or a write ended because of its timeout. (Which of the two kinds it is depends on the system.)
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A transport without timeouts goes on without deadlines.
pub(crate) fn ignore_unsupported(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}
