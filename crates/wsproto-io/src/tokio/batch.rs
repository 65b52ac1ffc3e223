//! Events without a copy.

use tokio::io::{AsyncRead, AsyncWrite};
use wsproto::{Data, Event};

use super::sending::Sending;
use super::side::Side;
use crate::error::Error;
use crate::incoming::Events;
use crate::message::IntoMessage;

/// The events of one read from the transport ([`WebSocket::read`](super::WebSocket::read)): an iterator of
/// [`Event`]s. Each is a message or a piece of one, a Ping or a Close (both are answered already), or a Pong.
///
/// They borrow the reading buffer, not the batch: you can send while you hold one. What you do not take stays for the
/// next batch. An error of the peer's ends the batch; the next `read` tells of it, when the peer has been told.
#[derive(Debug)]
pub struct Batch<'b, S> {
    events: Events<'b>,
    side: Side<'b, S>,
    /// Whether a Pong was queued that is not written.
    replied: bool,
}

impl<'b, S: AsyncRead + AsyncWrite + Unpin> Batch<'b, S> {
    pub(super) const fn new(events: Events<'b>, side: Side<'b, S>) -> Self {
        Self { events, side, replied: false }
    }

    /// The next whole message: borrowed where it came in one piece, else joined. `None` where it takes another read, which
    /// may be in the middle of a message.
    pub fn message(&mut self) -> Option<Data<'b>> {
        while let Some(event) = self.next() {
            if let Event::Message(piece) = event {
                match self.events.join(piece) {
                    Ok(Some(data)) => return Some(data),
                    Ok(None) => {}
                    Err(error) => {
                        self.side.with(|io, _| io.refuse(error));
                        return None;
                    }
                }
            }
        }
        None
    }

    /// As [`WebSocket::send`](super::WebSocket::send). While it waits nothing is read: the batch has the buffer.
    ///
    /// # Errors
    ///
    /// As there; but after a Close that another task asked for, [`Closing`](Error::Closing): the batch cannot read until the end.
    /// [`WebSocket::close`](super::WebSocket::close) does.
    pub async fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side.reborrow(), None, message.into_message()).send().await
    }

    /// As [`WebSocket::feed`](super::WebSocket::feed). While it waits nothing is read: the batch has the buffer.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side.reborrow(), None, message.into_message()).feed().await
    }

    /// As [`WebSocket::send_uncompressed`](super::WebSocket::send_uncompressed). While it waits nothing is read.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side.reborrow(), None, message.into_message()).uncompressed().send().await
    }

    /// As [`WebSocket::feed_uncompressed`](super::WebSocket::feed_uncompressed). While it waits nothing is read.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn feed_uncompressed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        Sending::new(self.side.reborrow(), None, message.into_message()).uncompressed().feed().await
    }
}

impl<'b, S: AsyncRead + AsyncWrite + Unpin> Iterator for Batch<'b, S> {
    type Item = Event<'b>;

    #[inline]
    fn next(&mut self) -> Option<Event<'b>> {
        match self.events.next() {
            Ok(Some((Event::Message(piece), _))) => {
                if piece.message_finished || self.replied {
                    let replied = std::mem::take(&mut self.replied);
                    self.side.with(|io, cx| {
                        if piece.message_finished && !io.discards {
                            io.handle.message_received();
                        }
                        if replied {
                            io.hurry(cx);
                        }
                    });
                }
                Some(Event::Message(piece))
            }
            Ok(Some((event, reply))) => {
                self.replied |= reply.is_some();
                self.side.with(|io, _| io.heard(&event, reply));
                Some(event)
            }
            Ok(None) => None,
            Err(error) => {
                self.side.with(|io, _| io.refuse(error));
                None
            }
        }
    }
}
