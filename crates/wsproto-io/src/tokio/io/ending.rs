//! The end of a connection: the time for closing, and the end of the transport.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use tokio::time::Instant;
use wsproto::frame::Role;

use super::{End, Io, deadline};
use crate::error::{Closed, Error, Timeout};
use crate::incoming::Incoming;

/// How far the end of the transport is, after the end of the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has not begun.
    Open,
    /// What is queued is written, the last Close above all; then our direction ends.
    Writing,
    /// What still comes is thrown away, this many bytes at most, until the peer ends its direction, too.
    Draining {
        until: Instant,
        bytes: usize,
    },
    Over,
}

/// How long a server waits for the client to take what was sent and to end the transport, before it does so itself.
/// (A transport that is closed with unread bytes in it may destroy what was sent.)
const LINGER: Duration = Duration::from_secs(1);

/// How much is read and thrown away for that, at either end, in bytes.
const LINGER_BYTES: usize = 256 * 1024;

impl<S> Io<S> {
    /// From here on the time for closing runs: until when it does.
    pub(super) fn begin_closing(&mut self) -> Instant {
        if !mem::replace(&mut self.closing, true) {
            self.limit = None;
        }
        *self.limit.get_or_insert_with(|| deadline(self.close_timeout))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    /// Which of the times has run out that count whatever the peer sends. To be asked when the transport has just taken
    /// nothing.
    pub(super) fn overdue(&self) -> Option<Timeout> {
        self.limit.filter(|limit| *limit <= Instant::now())?;
        if self.closing {
            return Some(Timeout::Close);
        }
        // A transport that was not asked, because the task has had its share, may have room.
        coop::has_budget_remaining().then_some(Timeout::Stalled)
    }

    pub(super) fn give_up(&mut self, timeout: Timeout) -> Error {
        self.abandon();
        match (timeout, self.broken) {
            // No answer, because our Close never left.
            (Timeout::Close, Some(kind)) => Error::Io(kind.into()),
            _ => Error::Timeout(timeout),
        }
    }

    /// Looks at these times alone. Ready where one ran out.
    pub(super) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(timeout) = self.overdue() {
                return Poll::Ready(Err(self.give_up(timeout)));
            }
            let Some(limit) = self.limit else { return Poll::Pending };
            ready!(self.timer.poll_at(limit, cx));
        }
    }

    /// For one who wants to send behind a Close that another task asked for: ends the connection in order, so that it may be
    /// dropped, and says how it ended. (One who has no `incoming` cannot: that is for the one who has.)
    pub(in super::super) fn poll_leave(
        &mut self,
        incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let Some(incoming) = incoming else { return Poll::Ready(self.check_sendable()) };
        self.discards = true;
        loop {
            ready!(self.poll_ahead(incoming, cx));
            if !ready!(self.poll_turn(incoming, cx))? {
                return Poll::Ready(self.check_sendable());
            }
        }
    }

    /// After the last event: writes the last that there is to say, and ends the transport so that it arrives.
    pub(in super::super) fn poll_end(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<()> {
        let closing = self.begin_closing();
        // A failed connection need not wait for the peer, whichever end it is (RFC 6455 §7.1.7). A stream has two ends, and
        // neither waits for the other's.
        let waits = self.role == Role::Client && incoming.error().is_none() && self.multiplexed.is_none();
        let ends = !waits && self.ends_in_order();
        loop {
            match self.ending {
                Ending::Open => self.ending = Ending::Writing,
                Ending::Writing => {
                    let mut said = self.poll_write(0, cx).map(|_| ());
                    if self.broken.is_none() && !self.outgoing.is_settled() {
                        said = Poll::Pending; // the other half is in the middle of a frame, and our Close behind it
                    }
                    if said.is_ready() && ends {
                        // "a server [...] SHOULD initiate a TCP Close immediately" (RFC 6455 §7.1.1).
                        said = Pin::new(&mut self.stream).poll_shutdown(cx).map(|_| ());
                    }
                    if let Some(by) = self.multiplexed.filter(|_| said.is_ready()) {
                        // What still comes on the stream is seen to by its connection.
                        if !ends {
                            (by.reset)(&mut self.stream);
                        }
                        self.ending = Ending::Over;
                    } else if said.is_ready() {
                        let until = if waits { closing } else { closing.min(deadline(LINGER)) };
                        self.ending = Ending::Draining { until, bytes: LINGER_BYTES };
                    } else {
                        ready!(self.timer.poll_at(closing, cx));
                        self.abandon();
                    }
                }
                Ending::Draining { until, bytes } => match self.poll_drain(incoming, bytes, cx) {
                    Poll::Ready(_) if until <= Instant::now() => self.abandon(),
                    Poll::Ready(Some(bytes)) => self.ending = Ending::Draining { until, bytes },
                    Poll::Ready(None) => self.abandon(),
                    Poll::Pending => {
                        ready!(self.timer.poll_at(until, cx));
                        self.abandon();
                    }
                },
                Ending::Over => return Poll::Ready(()),
            }
        }
    }

    /// Whether the transport is to end as one that has said all. Of a stream that is `END_STREAM`, behind both Closes or
    /// behind that which tells the peer its fault; any other end of a stream is `RST_STREAM`. A socket has one end only.
    fn ends_in_order(&self) -> bool {
        let has_said_all = !self.lost && self.broken.is_none() && !self.outgoing.is_in_frame();
        self.multiplexed.is_none() || has_said_all && self.end.as_deref().is_some_and(|end| end.closed.code != 1006)
    }

    /// For a writer whose reader reads: waits until that has seen the end.
    pub(in super::super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.ending != Ending::Over {
            // The reader may be busy with messages: the Close leaves all the same, and its time runs.
            let _ = self.poll_write(0, cx);
            self.begin_closing();
            let has_ended = self.end.is_some();
            let late = ready!(self.poll_limit(cx));
            if !has_ended {
                return Poll::Ready(late);
            }
            // The peer's Close came in time: only the reader did not go on behind it.
        }
        Poll::Ready(match self.end.as_deref() {
            Some(End { error: Some(error), .. }) => Err(Error::Remote(*error)),
            Some(End { closed, .. }) if closed.code == 1006 => Err(Error::Closed(closed.clone())),
            _ => Ok(()),
        })
    }

    /// Reads and throws away. What is left of `bytes`; `None` at the end.
    fn poll_drain(&mut self, incoming: &mut Incoming, bytes: usize, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        match ready!(self.poll_read(incoming, cx)) {
            Ok(n) if n > 0 => {
                incoming.throw_away();
                Poll::Ready(bytes.checked_sub(n))
            }
            _ => Poll::Ready(None),
        }
    }

    /// Ends all, without a word more: there is nobody to say it to.
    pub(super) fn abandon(&mut self) {
        self.over(Closed::abnormal(), None);
        self.lost |= !self.outgoing.is_settled();
        self.outgoing.discard();
        self.handle.queued(0);
        self.ending = Ending::Over;
        match self.multiplexed {
            Some(by) if !self.ends_in_order() => (by.reset)(&mut self.stream),
            _ => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
            }
        }
    }
}
