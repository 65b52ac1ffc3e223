//! `Stream` and `Sink`, for those who have code that works on them.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::CloseCode;

use super::receiving::{poll_close, poll_message};
use super::sending::queue;
use super::side::Side;
use super::split::{Reader, Writer};
use super::websocket::WebSocket;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::message::{IntoMessage as _, Message};

/// The messages, as [`recv`](WebSocket::recv) gives them. The stream ends after the closing handshake, or after one error.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (incoming, io) = self.parts();
        poll_item(incoming, cx, |incoming, cx| poll_message(incoming, Side::Own(io), cx))
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

/// Messages, as [`feed`](WebSocket::feed) takes them; `close` closes with 1000. A message is queued whole, of any length.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (incoming, io) = self.parts();
        io.poll_ready(Some(incoming), cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        queue(self.parts().1, &message.into_message())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (incoming, io) = self.parts();
        io.poll_flush(Some(incoming), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.send_close(CloseCode::NORMAL, "");
        let (incoming, io) = self.parts();
        poll_close(incoming, Side::Own(io), cx)
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
