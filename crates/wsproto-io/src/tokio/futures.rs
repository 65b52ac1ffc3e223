//! `Stream` and `Sink`, for those who have code that works on them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::CloseCode;

use super::io::Io;
use super::receiving::{poll_close, poll_message};
use super::sending::queue;
use super::side::{Half, Seen, Side};
use super::split::{Reader, Writer};
use super::websocket::{Inner, WebSocket};
use crate::error::Error;
use crate::incoming::Incoming;
use crate::message::{IntoMessage as _, Message};

/// The messages, as [`recv`](WebSocket::recv) gives them. The stream ends after the closing handshake, or after one error.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.attend(Half::Reader, cx, |incoming, io, cx| {
            poll_item(incoming, cx, |incoming, cx| poll_message(incoming, Side::Own(io), cx))
        })
    }
}

impl<S> WebSocket<S> {
    /// Works for the stream or for the sink. Code that knows nothing of this type may have them in two tasks
    /// (`StreamExt::split` of the `futures` crate), but the transport has one waker for each direction, and both halves
    /// write: so it gets one that wakes both tasks.
    fn attend<R>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Incoming, &mut Io<S>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let Inner { incoming, io, tasks, .. } = &mut *self.inner;
        let tasks = tasks.get_or_insert_default();
        tasks.register(half, cx.waker());
        let (before, had_unread) = (Seen::of(io), incoming.has_unread());
        let result = work(incoming, io, &mut Context::from_waker(&Waker::from(Arc::clone(tasks))));
        if result.is_ready() {
            tasks.forget(half);
        }
        let mut concerns_other = before.concerns_other(half, io);
        // What was read meanwhile is the stream's.
        concerns_other |= half == Half::Writer && incoming.has_unread() && !had_unread;
        // In front of a message a Pong is written without a waker: whoever waits for the transport asks it again.
        concerns_other |= half == Half::Reader && result.is_ready() && io.backlog() > 0;
        if concerns_other {
            tasks.rouse(half.other());
        }
        result
    }
}

/// The next item of a stream: one error, and nothing behind it.
pub(super) fn poll_item(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Incoming, &mut Context<'_>) -> Poll<Result<Option<Message>, Error>>,
) -> Poll<Option<Result<Message, Error>>> {
    if incoming.has_ended {
        return Poll::Ready(None);
    }
    poll(incoming, cx).map(|message| {
        incoming.has_ended = !matches!(message, Ok(Some(_)));
        message.transpose()
    })
}

/// As the stream of a whole [`WebSocket`].
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Reader<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

/// Messages, as [`feed`](WebSocket::feed) takes them. A message is queued whole, of any length. `close` closes with 1000, and
/// throws away what still comes; who wants to receive it takes the two halves of [`WebSocket::split`].
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.attend(Half::Writer, cx, |incoming, io, cx| io.poll_ready(Some(incoming), cx))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let Inner { io, tasks, .. } = &mut *self.inner;
        queue(io, &message.into_message())?;
        if let Some(tasks) = tasks {
            tasks.rouse(Half::Reader); // which writes while it waits
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.attend(Half::Writer, cx, |incoming, io, cx| io.poll_flush(Some(incoming), cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.send_close(CloseCode::NORMAL, "");
        self.attend(Half::Writer, cx, |incoming, io, cx| poll_close(incoming, Side::Own(io), cx))
    }
}

/// As the sink of a whole [`WebSocket`].
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Writer<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Writer::poll_ready(&mut self, cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.queue(&message.into_message())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Writer::poll_flush(&mut self, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.send_close(CloseCode::NORMAL, "");
        Writer::poll_close(&mut self, cx)
    }
}
