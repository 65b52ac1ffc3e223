//! A WebSocket in two tasks.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::CloseCode;

use super::batch::Batch;
use super::futures::poll_item;
use super::handle::{Counters, Handle};
use super::io::Io;
use super::pulse::RoundTrip;
use super::receiving::{poll_close, poll_message, poll_unread};
use super::sending::Sending;
use super::side::{Half, Locked, Shared, Side};
use super::websocket::Agreed;
use crate::error::{Closed, Error};
use crate::incoming::Incoming;
use crate::message::{IntoMessage, Message};

/// The half that receives, and answers Pings and the peer's Close meanwhile ([`WebSocket::split`](super::WebSocket::split)).
///
/// While it waits it also writes what the writer has queued. Dropped, it leaves the connection to the writer, which
/// throws away what comes, and answers it, while it waits in one of its methods.
pub struct Reader<S> {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    shared: Arc<Shared<S>>,
    agreed: Option<Box<Agreed>>,
}

/// The half that sends ([`WebSocket::split`](super::WebSocket::split)).
///
/// Dropped, it leaves the connection to the reader. When both are dropped, the socket is closed.
pub struct Writer<S> {
    shared: Arc<Shared<S>>,
    handle: Handle,
}

pub(super) fn split<S>(incoming: Incoming, io: Io<S>, agreed: Option<Box<Agreed>>) -> (Reader<S>, Writer<S>) {
    let handle = io.handle.clone();
    let shared = Arc::new(Shared::new(io));
    let reader = Reader { incoming: Some(incoming), shared: Arc::clone(&shared), agreed };
    (reader, Writer { shared, handle })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// The next message, whole; as [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The events of one read; as [`WebSocket::read`](super::WebSocket::read).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read(&mut self) -> Result<Option<Batch<'_, S>>, Error> {
        let Self { incoming: Some(incoming), shared, .. } = self else { return Ok(None) };
        let side = || Side::Shared(shared, Half::Reader);
        let open = poll_fn(|cx| poll_unread(incoming, side(), cx)).await?;
        Ok(open.then(|| Batch::new(incoming.events(), side())))
    }

    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let Self { incoming: Some(incoming), shared, .. } = self else { return Poll::Ready(None) };
        poll_item(incoming, cx, |incoming, cx| poll_message(incoming, Side::Shared(shared, Half::Reader), cx))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        let Self { incoming: Some(incoming), shared, .. } = self else { return Poll::Ready(Ok(None)) };
        poll_message(incoming, Side::Shared(shared, Half::Reader), cx)
    }
}

impl<S> Reader<S> {
    /// As [`WebSocket::closed`](super::WebSocket::closed).
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.incoming.as_ref()?.closed()
    }

    /// As [`WebSocket::subprotocol`](super::WebSocket::subprotocol).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.as_ref()?.subprotocol.as_deref()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<S> {
    fn side(&mut self) -> Side<'_, S> {
        Side::Shared(&self.shared, Half::Writer)
    }

    /// Sends a message; as [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side(), None, message.into_message()).send().await
    }

    /// Queues a message; as [`WebSocket::feed`](super::WebSocket::feed). A reader that waits, writes it.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side(), None, message.into_message()).feed().await
    }

    /// Sends a message without compression; as [`WebSocket::send_uncompressed`](super::WebSocket::send_uncompressed).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side(), None, message.into_message()).uncompressed().send().await
    }

    /// Queues a message without compression; as [`WebSocket::feed_uncompressed`](super::WebSocket::feed_uncompressed).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn feed_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side(), None, message.into_message()).uncompressed().feed().await
    }

    /// Waits until there is room for a message; as [`WebSocket::ready`](super::WebSocket::ready).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side().poll(cx, None, Io::poll_ready)
    }

    /// Writes all that is queued; as [`WebSocket::flush`](super::WebSocket::flush).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side().poll(cx, None, Io::poll_flush)
    }

    pub(super) fn queue(&mut self, message: &wsproto::Message<'_>) -> Result<(), Error> {
        self.side().with(|io, _| super::sending::queue(io, message))
    }

    /// Sends a Ping; as [`WebSocket::ping`](super::WebSocket::ping).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ping(&mut self) -> Result<RoundTrip, Error> {
        self.ready().await?;
        let round_trip = self.side().with(|io, _| io.ping())?;
        self.flush().await?;
        Ok(round_trip)
    }

    /// Closes: sends a Close, and waits until the reader, in **another task**, has received the peer's and the connection
    /// has ended. Messages that come before it are the reader's still. Where the reader was dropped, they are thrown away.
    /// At most the [close timeout](crate::ConnectOptions::close_timeout).
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`](super::WebSocket::close).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.send_close(code, reason);
        poll_fn(|cx| self.poll_close(cx)).await
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.poll(Half::Writer, cx, |Locked { io, abandoned }, cx| match abandoned {
            Some(incoming) => poll_close(incoming, Side::Own(io), cx),
            None => io.poll_closed(cx),
        })
    }

    /// Queues a Close, and does not wait; as [`WebSocket::send_close`](super::WebSocket::send_close).
    pub fn send_close(&mut self, code: CloseCode, reason: &str) {
        self.side().with(|io, _| io.send_close(code, reason));
    }
}

impl<S> Writer<S> {
    /// As [`WebSocket::queued`](super::WebSocket::queued).
    #[must_use]
    pub fn queued(&self) -> usize {
        self.handle.counters().queued
    }

    /// As [`WebSocket::counters`](super::WebSocket::counters).
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }

    /// As [`WebSocket::handle`](super::WebSocket::handle).
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl<S> Drop for Reader<S> {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.shared.abandon(incoming);
        }
    }
}

impl<S> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("closed", &self.closed()).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("queued", &self.queued()).finish_non_exhaustive()
    }
}
