//! Room for what is to be sent: waiting for the transport, and what is done meanwhile.

use std::mem;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use wsproto::Event;

use super::Io;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::outgoing::LOW;

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    /// Waits until there is room for a message. Meanwhile it reads, and answers the control frames in front of the first
    /// message that the application has not taken. (Where somebody else reads, there is no `incoming` here.)
    pub(in super::super) fn poll_room(
        &mut self,
        mut incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if !mem::take(&mut self.granted) {
            // Each message takes from the task's budget: one that sends without end lets others have their turn.
            ready!(coop::poll_proceed(cx)).made_progress();
        }
        self.choked |= self.outgoing.is_full();
        if !self.choked {
            // One who only sends, and never waits, learns of it, too.
            if self.handle.is_asked() {
                self.heed(cx);
                let _ = self.poll_write(0, cx);
            }
            return Poll::Ready(Ok(()));
        }
        self.heed(cx);
        loop {
            match self.poll_write(LOW, cx) {
                Poll::Ready(written) => {
                    self.choked = false;
                    return Poll::Ready(written.map_err(|error| self.explain(error, incoming, cx)));
                }
                Poll::Pending => ready!(self.poll_meanwhile(incoming.as_deref_mut(), cx))?,
            }
        }
    }

    /// As [`poll_room`](Self::poll_room); the next message does not wait then, not for its turn either.
    pub(in super::super) fn poll_ready(
        &mut self,
        incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        self.check_open()?;
        if self.stepping {
            return Poll::Pending; // whoever is at it, wakes us
        }
        ready!(self.poll_room(incoming, cx))?;
        self.granted = true;
        Poll::Ready(Ok(()))
    }

    /// Writes all, and answers control frames meanwhile, as [`poll_room`](Self::poll_room).
    pub(in super::super) fn poll_flush(
        &mut self,
        mut incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        self.heed(cx);
        loop {
            match self.poll_write(0, cx) {
                Poll::Ready(written) => return Poll::Ready(self.written(written, incoming, cx)),
                Poll::Pending => ready!(self.poll_meanwhile(incoming.as_deref_mut(), cx))?,
            }
        }
    }

    /// Writes what the transport takes. What it does not take leaves with the next call, unless that is too much: then this
    /// waits as [`poll_room`](Self::poll_room).
    pub(in super::super) fn poll_send(
        &mut self,
        incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match self.poll_write(0, cx) {
            Poll::Ready(written) => Poll::Ready(self.written(written, incoming, cx)),
            Poll::Pending => self.poll_room(incoming, cx),
        }
    }

    /// What is to be said of a queue that is empty: whether the transport took it.
    fn written(
        &mut self,
        written: Result<(), Error>,
        incoming: Option<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        match written {
            Ok(()) if self.lost => self.check_open(),
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(error, incoming, cx)),
        }
    }

    /// A transport that takes nothing any more may still hold the peer's Close, which says why.
    fn explain(&mut self, error: Error, incoming: Option<&mut Incoming>, cx: &mut Context<'_>) -> Error {
        let Some(incoming) = incoming else { return error };
        loop {
            if self.poll_ahead(incoming, cx).is_pending() {
                return error;
            }
            match self.closed() {
                Some(closed) if closed.code == 1006 => return error,
                Some(closed) => return Error::Closed(closed.clone()),
                None if incoming.has_unread() => return error,
                None => {}
            }
            if !matches!(self.poll_fill(incoming, cx), Poll::Ready(Ok(()))) {
                return error;
            }
        }
    }

    /// What is done while the transport takes nothing. Ready where something was queued, or the connection has ended.
    fn poll_meanwhile(&mut self, incoming: Option<&mut Incoming>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(incoming) = incoming else {
            if self.end.is_some() && !self.outgoing.is_in_frame() {
                self.check_open()?;
            }
            return self.poll_limit(cx);
        };
        loop {
            ready!(self.poll_ahead(incoming, cx));
            if self.end.is_some() && self.outgoing.is_in_frame() {
                // Our Close cannot leave before the end of the frame that is in progress.
                self.begin_closing();
                return self.poll_limit(cx);
            }
            self.check_open()?;
            if let Some(timeout) = self.overdue() {
                incoming.broken();
                return Poll::Ready(Err(self.give_up(timeout)));
            }
            if incoming.has_unread() {
                // The answer to our Ping may be behind the message that nobody takes.
                self.pulse.pause();
                let late = ready!(self.poll_limit(cx));
                incoming.broken();
                return Poll::Ready(late);
            }
            self.pulse.resume();
            match self.poll_fill(incoming, cx) {
                Poll::Ready(read) => read?,
                Poll::Pending => return self.poll_clock(incoming, cx),
            }
        }
    }

    /// Takes the events in front of the next message. Where messages are thrown away it waits for its turn: they are
    /// inflated all the same.
    pub(super) fn poll_ahead(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<()> {
        if incoming.holds_message() && !self.discards {
            return Poll::Ready(());
        }
        let mut events = incoming.events();
        loop {
            if self.discards {
                ready!(coop::poll_proceed(cx)).made_progress();
            }
            match events.next() {
                Ok(Some((Event::Message(_), _))) if self.discards => {}
                Ok(Some((Event::Message(piece), _))) => break events.hold(piece),
                Ok(Some((event, reply))) => self.heard(&event, reply),
                Ok(None) => break,
                Err(error) => break self.refuse(error),
            }
        }
        Poll::Ready(())
    }
}
