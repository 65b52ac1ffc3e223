//! A transport in memory that does what a test wants, for the blocking driver.

#![allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]

mod peer;

use std::io::{self, Read, Write};

use wsproto::{Connection, Extensions, Limits};
use wsproto_io::blocking::{Untimed, WebSocket};

#[allow(unused_imports)]
pub use peer::{REQUEST, client, encode, frames};

/// What comes after the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
    Silence,
    /// The input again, from this byte on.
    Repeat(usize),
}

/// Reads a script, records what is written.
pub struct Wire {
    pub input: Vec<u8>,
    pub read: usize,
    pub end: End,
    /// Most bytes of one read, and of one write.
    pub piece: usize,
    /// Whether each second call is interrupted, or would block, in turns.
    pub hiccups: bool,
    calls: usize,
    /// Bytes that are still accepted; then a write would block.
    pub room: usize,
    /// Whether every write fails.
    pub broken: bool,
    pub written: Vec<u8>,
    pub writes: usize,
    /// Bytes read in all.
    pub total_read: usize,
    /// The longest read that was asked for.
    pub longest_read: usize,
}

impl Wire {
    pub fn new(input: impl Into<Vec<u8>>, end: End) -> Self {
        Self {
            input: input.into(),
            read: 0,
            end,
            piece: usize::MAX,
            hiccups: false,
            calls: 0,
            room: usize::MAX,
            broken: false,
            written: Vec::new(),
            writes: 0,
            total_read: 0,
            longest_read: 0,
        }
    }

    fn hiccup(&mut self) -> io::Result<()> {
        self.calls += 1;
        match (self.hiccups, self.calls % 4) {
            (true, 1) => Err(io::ErrorKind::WouldBlock.into()),
            (true, 3) => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.longest_read = self.longest_read.max(buffer.len());
        self.hiccup()?;
        if self.read == self.input.len() {
            match self.end {
                End::Fin => return Ok(0),
                End::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
                End::Silence => return Err(io::ErrorKind::WouldBlock.into()),
                End::Repeat(from) => self.read = from,
            }
        }
        let rest = &self.input[self.read..];
        let n = rest.len().min(buffer.len()).min(self.piece);
        buffer[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        self.total_read += n;
        Ok(n)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hiccup()?;
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(self.piece).min(self.room);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= n;
        self.written.extend_from_slice(&bytes[..n]);
        self.writes += 1;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub type Server = WebSocket<Untimed<Wire>>;

/// A server on this wire, after its handshake.
pub fn server(wire: Wire) -> Server {
    server_with(wire, Limits::default())
}

pub fn server_with(wire: Wire, limits: Limits) -> Server {
    WebSocket::from_connection(Untimed(wire), Connection::server(Extensions::none(), limits), limits, Vec::new())
}
