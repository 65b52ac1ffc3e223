//! A message on its way into the queue.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::{LocalProtocolError, Message};

use super::io::Io;
use super::side::Side;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::outgoing::Encoding;

/// A message that is being queued, in steps where it is long. Dropped before the first step, it is not sent; dropped
/// between two, the rest is queued at once, so that it is sent whole.
pub(super) struct Sending<'a, 'm, S> {
    pub(super) side: Side<'a, S>,
    /// Where nobody else reads: what is read while the transport takes nothing.
    pub(super) incoming: Option<&'a mut Incoming>,
    pub(super) message: Message<'m>,
    compress: bool,
    encoding: Option<Encoding>,
}

impl<'a, 'm, S: AsyncRead + AsyncWrite + Unpin> Sending<'a, 'm, S> {
    pub(super) const fn new(side: Side<'a, S>, incoming: Option<&'a mut Incoming>, message: Message<'m>) -> Self {
        Self { side, incoming, message, compress: true, encoding: None }
    }

    /// A message that begins with this is not compressed.
    pub(super) const fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }

    /// Queues the message. Waits where there is no room.
    pub(super) async fn feed(mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_feed(cx)).await
    }

    /// Queues the message and writes what the transport takes; waits where the queue is full after that, too.
    pub(super) async fn send(mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_feed(cx)).await?;
        poll_fn(|cx| self.poll_written(cx)).await
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { side, incoming, message, compress, encoding } = self;
        loop {
            if encoding.as_ref().is_some_and(Encoding::is_finished) {
                return Poll::Ready(Ok(()));
            }
            // With each step anew: between two, other tasks have their turn.
            ready!(side.poll(cx, incoming.as_deref_mut(), |io, mut incoming, cx| {
                if encoding.is_none() && io.stepping {
                    return Poll::Pending; // the other half is in the middle of a message, and wakes us behind it
                }
                ready!(io.poll_room(incoming.as_deref_mut(), cx))?;
                if encoding.is_none() && io.asked_to_close {
                    return io.poll_leave(incoming, cx);
                }
                match step(io, message, *compress, encoding) {
                    // Between two fragments of it.
                    Err(Error::Local(LocalProtocolError::CloseSent)) if io.asked_to_close => {
                        *encoding = None;
                        io.stepping = false;
                        io.poll_leave(incoming, cx)
                    }
                    stepped => Poll::Ready(stepped),
                }
            }))?;
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side.poll(cx, self.incoming.as_deref_mut(), Io::poll_send)
    }
}

/// Queues a message whole, at once.
pub(super) fn queue<S>(io: &mut Io<S>, message: &Message<'_>) -> Result<(), Error> {
    io.granted = false;
    let mut encoding = None;
    while !encoding.as_ref().is_some_and(Encoding::is_finished) {
        step(io, message, true, &mut encoding)?;
    }
    Ok(())
}

/// Encodes the next step of the message.
fn step<S>(
    io: &mut Io<S>,
    message: &Message<'_>,
    compress: bool,
    encoding: &mut Option<Encoding>,
) -> Result<(), Error> {
    if encoding.is_none() {
        io.check_sendable()?;
    } else if !io.can_finish() {
        io.check_open()?;
    }
    let encoded = match encoding {
        None => io.outgoing.begin(message, compress).map(|begun| *encoding = Some(begun)),
        Some(begun) => io.outgoing.encode_more(message, begun),
    };
    io.stepping = encoding.as_ref().is_some_and(|encoding| !encoding.is_finished());
    io.handle.queued(io.outgoing.queued());
    match (encoded, io.closed()) {
        // The peer's Close came between two steps, and was answered.
        (Err(LocalProtocolError::CloseSent), Some(closed)) => Err(Error::Closed(closed.clone())),
        (Err(error), _) => Err(error.into()),
        (Ok(()), _) => {
            if message.message_finished && encoding.as_ref().is_some_and(Encoding::is_finished) {
                io.handle.message_sent();
            }
            Ok(())
        }
    }
}

impl<S> Drop for Sending<'_, '_, S> {
    fn drop(&mut self) {
        let Self { side, message, compress, encoding, .. } = self;
        if encoding.as_ref().is_none_or(Encoding::is_finished) {
            return;
        }
        side.with(|io, _| {
            if io.can_finish() {
                while !encoding.as_ref().is_none_or(Encoding::is_finished)
                    && step(io, message, *compress, encoding).is_ok()
                {}
            }
            io.stepping = false;
        });
    }
}
