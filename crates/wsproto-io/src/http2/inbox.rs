//! What arrived on a stream.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use h2::{Reason, RecvStream};

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
    /// Whether nobody will read any more, and only the end is waited for.
    left: bool,
}

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
        let state = State { recv: Some(recv), chunks: Chunks::default(), end: None, reader: None, left: false };
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
                Poll::Ready(Some(Ok(piece))) if !*left => chunks.push(piece),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => *end = Some(End::Failed(kind(&error))),
                Poll::Ready(None) => *end = Some(End::Finished),
                Poll::Pending => break,
            }
        }
        if *left && end.is_some() {
            state.recv = None;
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

    /// Nobody reads any more. `finished`: whether our direction has ended in order. Then the peer's is waited for without
    /// anybody: a `RST_STREAM` behind our `END_STREAM` would be an error to it. If not, `RST_STREAM` tells the peer.
    pub(super) fn leave(&self, finished: bool) {
        let mut state = self.state();
        state.left = true;
        state.chunks = Chunks::default();
        state.reader = None;
        if !finished || state.end.is_some() {
            let recv = state.recv.take();
            drop(state);
            drop(recv);
        }
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
