//! Waiting for what the peer says.

use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;

use super::batch::Batch;
use super::side::Side;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::message::Message;

/// The next whole message; `None` after the closing handshake.
///
/// Each message takes from the task's budget (tokio's cooperative scheduling), also where it was in memory already: a
/// peer that sends without end does not keep the thread from other tasks.
pub(super) fn poll_message<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut Incoming,
    mut side: Side<'_, S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Message>, Error>> {
    let budget = ready!(coop::poll_proceed(cx));
    if side.discards() {
        return poll_close(incoming, side, cx).map_ok(|()| None);
    }
    let message = ready!(poll_next_message(incoming, &mut side, cx));
    budget.made_progress();
    Poll::Ready(message)
}

fn poll_next_message<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut Incoming,
    side: &mut Side<'_, S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Message>, Error>> {
    loop {
        if incoming.has_unread() {
            let mut batch = Batch::new(incoming.events(), side.reborrow());
            if let Some(data) = batch.message() {
                return Poll::Ready(Ok(Some(data.into())));
            }
        }
        if !ready!(poll_read(incoming, side, cx))? {
            return Poll::Ready(end(incoming).map(|()| None));
        }
    }
}

/// Waits until there may be events. `false` after the closing handshake.
pub(super) fn poll_unread<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut Incoming,
    mut side: Side<'_, S>,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Error>> {
    let budget = ready!(coop::poll_proceed(cx));
    if side.discards() {
        return poll_close(incoming, side, cx).map_ok(|()| false);
    }
    while !incoming.has_unread() {
        if !ready!(poll_read(incoming, &mut side, cx))? {
            return Poll::Ready(end(incoming).map(|()| false));
        }
    }
    budget.made_progress();
    Poll::Ready(Ok(true))
}

/// Reads and throws away until the peer's Close, and ends the transport.
pub(super) fn poll_close<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut Incoming,
    mut side: Side<'_, S>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    // From here on for good: what is left of a message that was thrown away in part is none.
    side.discard();
    loop {
        let mut batch = Batch::new(incoming.events(), side.reborrow());
        loop {
            // What is thrown away is inflated all the same.
            ready!(coop::poll_proceed(cx)).made_progress();
            if batch.next().is_none() {
                break;
            }
        }
        drop(batch);
        if !ready!(poll_read(incoming, &mut side, cx))? {
            return Poll::Ready(end(incoming));
        }
    }
}

fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
    incoming: &mut Incoming,
    side: &mut Side<'_, S>,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Error>> {
    side.poll(cx, Some(incoming), |io, incoming, cx| match incoming {
        Some(incoming) => io.poll_turn(incoming, cx),
        None => Poll::Ready(Ok(false)),
    })
}

/// How the connection ended.
fn end(incoming: &Incoming) -> Result<(), Error> {
    match (incoming.error(), incoming.closed()) {
        (Some(error), _) => Err(Error::Remote(error)),
        (None, Some(closed)) if closed.code == 1006 => Err(Error::Closed(closed.clone())),
        _ => Ok(()),
    }
}
