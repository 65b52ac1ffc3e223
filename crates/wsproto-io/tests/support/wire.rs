//! A transport in memory: what it gives, what it takes and when it is ready, as a test wants it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What comes after the last byte of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
    Silence,
    /// The input again, from this byte on.
    Repeat(usize),
}

/// What comes between two calls that do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hiccup {
    None,
    /// Not ready, but at once again.
    Pending,
    /// Not ready, but at once again; or interrupted; or nothing: by chance.
    Random(u32),
}

/// Both ends of the transport: what the driver has, and what the test holds in its hand.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<State>>);

pub struct State {
    pub input: Vec<u8>,
    pub read: usize,
    pub end: End,
    /// Most bytes of one read, and of one write.
    pub piece: usize,
    pub hiccup: Hiccup,
    /// Whether the last call was a hiccup, for reading and for writing.
    hicced: [bool; 2],
    /// Bytes that are still accepted; then a write waits.
    pub room: usize,
    /// What every write fails with.
    pub broken: Option<io::ErrorKind>,
    /// Whether a flush waits.
    pub stuck_flush: bool,
    /// Whether a shutdown waits.
    pub stuck_shutdown: bool,
    pub written: Vec<u8>,
    pub writes: usize,
    pub flushes: usize,
    pub shutdowns: usize,
    /// Calls of all four methods.
    pub polls: usize,
    /// Bytes read in all.
    pub total_read: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    pub fn new(input: impl Into<Vec<u8>>, end: End) -> Self {
        Self(Arc::new(Mutex::new(State {
            input: input.into(),
            read: 0,
            end,
            piece: usize::MAX,
            hiccup: Hiccup::None,
            hicced: [false; 2],
            room: usize::MAX,
            broken: None,
            stuck_flush: false,
            stuck_shutdown: false,
            written: Vec::new(),
            writes: 0,
            flushes: 0,
            shutdowns: 0,
            polls: 0,
            total_read: 0,
            reader: None,
            writer: None,
        })))
    }

    /// A peer that is there, and says and takes nothing.
    pub fn stuck() -> Self {
        let wire = Self::new([], End::Silence);
        wire.state().room = 0;
        wire
    }

    pub fn in_pieces(self, piece: usize) -> Self {
        self.state().piece = piece;
        self
    }

    pub fn with_hiccups(self, hiccup: Hiccup) -> Self {
        self.state().hiccup = hiccup;
        self
    }

    pub fn with_room(self, room: usize) -> Self {
        self.state().room = room;
        self
    }

    /// (One guard at a time: two in one statement wait for each other.)
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// More input.
    pub fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.input.extend_from_slice(bytes);
        let waker = state.reader.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What comes after the input.
    pub fn end(&self, end: End) {
        self.state().end = end;
        self.push(&[]);
    }

    /// More room.
    pub fn give(&self, room: usize) {
        let mut state = self.state();
        state.room = state.room.saturating_add(room);
        (state.stuck_flush, state.stuck_shutdown) = (false, false);
        let waker = state.writer.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// All that was written.
    pub fn written(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    pub fn writes(&self) -> usize {
        self.state().writes
    }

    pub fn flushes(&self) -> usize {
        self.state().flushes
    }

    /// Whether all input was read.
    pub fn is_read(&self) -> bool {
        let state = self.state();
        state.read == state.input.len()
    }

    pub fn polls(&self) -> usize {
        self.state().polls
    }
}

impl State {
    /// Whether this call does nothing.
    fn hiccup(&mut self, direction: usize, cx: &Context<'_>) -> Option<Poll<io::Error>> {
        let interrupted = match &mut self.hiccup {
            Hiccup::None => return None,
            Hiccup::Pending => {
                self.hicced[direction] = !self.hicced[direction];
                if !self.hicced[direction] {
                    return None;
                }
                false
            }
            Hiccup::Random(seed) => {
                *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match *seed >> 30 {
                    0 => false,
                    1 => true,
                    _ => return None,
                }
            }
        };
        Some(if interrupted {
            Poll::Ready(io::ErrorKind::Interrupted.into())
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.polls += 1;
        if let Some(hiccup) = state.hiccup(0, cx) {
            return hiccup.map(Err);
        }
        if state.read == state.input.len() {
            match state.end {
                End::Fin => return Poll::Ready(Ok(())),
                End::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                End::Silence => {
                    state.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                End::Repeat(from) => state.read = from,
            }
        }
        let rest = &state.input[state.read..];
        let n = rest.len().min(space.remaining()).min(state.piece);
        space.put_slice(&rest[..n]);
        state.read += n;
        state.total_read += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        state.polls += 1;
        if let Some(hiccup) = state.hiccup(1, cx) {
            return hiccup.map(Err);
        }
        if state.shutdowns > 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(kind) = state.broken {
            return Poll::Ready(Err(kind.into()));
        }
        let n = bytes.len().min(state.piece).min(state.room);
        if n == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.room -= n;
        state.written.extend_from_slice(&bytes[..n]);
        state.writes += 1;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.polls += 1;
        if let Some(hiccup) = state.hiccup(1, cx) {
            return hiccup.map(Err);
        }
        if state.stuck_flush {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.polls += 1;
        if state.stuck_shutdown {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.shutdowns += 1;
        Poll::Ready(Ok(()))
    }
}
