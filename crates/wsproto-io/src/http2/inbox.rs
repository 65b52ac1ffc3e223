//! What arrived on a stream.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use super::chunks::Chunks;
use super::hub::Hub;

/// What arrived on a stream and was not read yet: at most the stream's window.
///
/// It is filled by whoever drives the connection, also while nobody reads: `h2` holds each DATA frame in a place of its own,
/// and gives up a connection on which many small ones wait. The window is opened again only by who reads; so it bounds
/// what waits here.
pub(super) struct Inbox {
    /// Whoever drives the connection.
    hub: Weak<Hub>,
    state: Mutex<State>,
}

struct State {
    /// `None` when the stream has been left.
    recv: Option<RecvStream>,
    chunks: Chunks,
    end: Option<End>,
    reader: Option<Waker>,
    /// When nobody reads any more, and only the peer's end is waited for.
    left: Option<Left>,
}

/// A stream that we have ended, and nobody has.
struct Left {
    send: SendStream<Bytes>,
    /// How much may still come.
    bytes: usize,
}

/// How much is taken and thrown away of a stream that we have ended, until the peer ends it, too, in bytes. So it can: what
/// it had on the way before its end needs the window.
const LEFT_BYTES: usize = 256 * 1024;

/// How the peer's direction ended.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By `END_STREAM`.
    Finished,
    /// By `RST_STREAM`, or with the whole connection.
    Failed(io::ErrorKind),
}

impl Inbox {
    /// The inbox of this stream. What is there already is taken at once.
    pub(super) fn new(hub: &Arc<Hub>, recv: RecvStream) -> Arc<Self> {
        let state = State { recv: Some(recv), chunks: Chunks::default(), end: None, reader: None, left: None };
        hub.enter();
        let inbox = Arc::new(Self { hub: Arc::downgrade(hub), state: Mutex::new(state) });
        inbox.take();
        inbox
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all that `h2` has for this stream, and wakes who reads.
    pub(super) fn take(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        let mut state = self.state();
        let State { recv: Some(recv), chunks, end, left, .. } = &mut *state else { return };
        while end.is_none() {
            match recv.poll_data(&mut cx) {
                Poll::Ready(Some(Ok(piece))) => match left {
                    None => chunks.push(piece),
                    Some(left) => {
                        let _ = recv.flow_control().release_capacity(piece.len());
                        left.bytes = left.bytes.saturating_sub(piece.len());
                        if left.bytes == 0 {
                            break;
                        }
                    }
                },
                Poll::Ready(Some(Err(error))) => *end = Some(End::Failed(kind(&error))),
                Poll::Ready(None) => *end = Some(End::Finished),
                Poll::Pending => break,
            }
        }
        let is_done = left.as_ref().is_some_and(|left| end.is_some() || left.bytes == 0);
        if is_done {
            drop(state);
            return self.give_up();
        }
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Reads into this space: how many bytes there are in it now, 0 at the end.
    pub(super) fn poll_read(&self, space: &mut [u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        match (state.chunks.read(space), state.end) {
            (0, None) if !space.is_empty() => {
                if !state.reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    state.reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            (0, Some(End::Failed(kind))) => Poll::Ready(Err(kind.into())),
            (n, _) => {
                if let Some(recv) = state.recv.as_mut().filter(|_| n > 0) {
                    // It was lent by the same stream, so it is not too much.
                    let _ = recv.flow_control().release_capacity(n);
                }
                Poll::Ready(Ok(n))
            }
        }
    }

    /// Nobody reads any more, and our direction has ended in order: `send` has sent `END_STREAM`. The peer's end is waited for
    /// without anybody, for a time: a `RST_STREAM` right behind our `END_STREAM` would be an error to it.
    pub(super) fn leave(self: &Arc<Self>, send: SendStream<Bytes>) {
        let mut state = self.state();
        let waiting = state.chunks.len();
        if let Some(recv) = &mut state.recv {
            let _ = recv.flow_control().release_capacity(waiting);
        }
        state.chunks = Chunks::default();
        state.reader = None;
        state.left = Some(Left { send, bytes: LEFT_BYTES });
        let has_ended = state.end.is_some();
        drop(state);
        match self.hub.upgrade() {
            Some(hub) if !has_ended => hub.leave(Arc::downgrade(self)),
            _ => self.give_up(),
        }
    }

    /// The stream is over. Where an end of it is missing, `RST_STREAM` tells the peer.
    pub(super) fn give_up(&self) {
        let mut state = self.state();
        let (recv, left) = (state.recv.take(), state.left.take());
        let has_ended = state.end.replace(End::Failed(io::ErrorKind::ConnectionAborted)).is_some();
        state.chunks = Chunks::default();
        drop(state);
        if let Some(Left { mut send, .. }) = left.filter(|_| !has_ended) {
            send.send_reset(Reason::CANCEL);
        }
        drop(recv);
    }
}

/// `h2` has something for the stream. It holds its own lock now: whoever drives the connection sees to it.
impl Wake for Inbox {
    fn wake(self: Arc<Self>) {
        if let Some(hub) = self.hub.upgrade() {
            hub.note(self);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.exit();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The same with what `h2` says, for one who is told of the whole connection.
pub(super) fn io_error(error: h2::Error) -> io::Error {
    io::Error::new(kind(&error), error)
}

/// What an error of `h2` is to one who reads and writes: "[...] TCP connection closure [...] `RST_STREAM` [...] CANCEL"
/// (RFC 8441 §5).
pub(super) fn kind(error: &h2::Error) -> io::ErrorKind {
    match (error.get_io(), error.reason()) {
        // A transport that breaks is no end of a stream in order.
        (Some(error), _) if error.kind() == io::ErrorKind::UnexpectedEof => io::ErrorKind::ConnectionAborted,
        (Some(error), _) => error.kind(),
        (None, Some(Reason::CANCEL | Reason::NO_ERROR | Reason::REFUSED_STREAM | Reason::STREAM_CLOSED)) => {
            io::ErrorKind::ConnectionReset
        }
        _ => io::ErrorKind::ConnectionAborted,
    }
}
