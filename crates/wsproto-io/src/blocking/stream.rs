//! What a driver wants of a transport, beyond reading and writing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A transport: reads, writes, and, where it can, has timeouts and can be shut down.
///
/// Implemented for TCP and Unix sockets. A transport of your own takes one line where it has no timeouts,
/// `impl Stream for MyStream {}`, and [`Untimed`] wraps somebody else's.
///
/// Without timeouts there are no deadlines: a handshake, or the wait for the peer's Close, may then last for ever.
pub trait Stream: Read + Write {
    /// Sets the longest time that one read may wait; `None`: for ever. Never called with zero.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where there are no timeouts: the default.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sets the longest time that one write may wait; `None`: for ever. Never called with zero.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where there are no timeouts: the default.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let _ = timeout;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    ///
    /// The transport's. Does nothing by default.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let _ = how;
        Ok(())
    }
}

macro_rules! socket {
    ($type:ty) => {
        impl Stream for $type {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$type>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$type>::set_write_timeout(self, timeout)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                <$type>::shutdown(self, how)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(UnixStream);

/// Any transport that reads and writes, without timeouts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untimed<S>(
    /// The transport.
    pub S,
);

impl<S: Read> Read for Untimed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Untimed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Stream for Untimed<S> {}
