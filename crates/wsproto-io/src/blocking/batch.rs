//! Events without a copy.

use wsproto::{Data, Event, RemoteProtocolError};

use super::io::Io;
use super::stream::Stream;
use crate::error::Error;
use crate::incoming::Events;
use crate::message::IntoMessage;

/// The events of one read from the transport ([`WebSocket::read`](super::WebSocket::read)).
///
/// They borrow the reading buffer, not the batch: you can send while you hold one. What you do not take stays for the
/// next batch.
#[derive(Debug)]
pub struct Batch<'b, S> {
    pub(super) events: Events<'b>,
    pub(super) io: &'b mut Io<S>,
    /// Whether a Pong was queued that is not written.
    pub(super) replied: bool,
}

impl<'b, S: Stream> Batch<'b, S> {
    /// The next event: a message or a piece of one, a Ping or a Close (both are answered already), or a Pong. `None` where
    /// it takes another read.
    ///
    /// # Errors
    ///
    /// The peer's, which was told so; or the transport's.
    // Not an iterator: an error ends the batch, and `send` needs the batch between two calls.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Event<'b>>, Error> {
        match self.events.next() {
            Ok(Some((event, reply))) => {
                match (&event, reply) {
                    // A Pong leaves before the application begins to work on the message behind the Ping.
                    (Event::Message(_), _) if self.replied => {
                        self.replied = false;
                        self.io.write_in_turn()?;
                    }
                    (_, Some(reply)) => {
                        self.replied = true;
                        self.io.outgoing.reply(reply);
                        if matches!(event, Event::Close(_)) {
                            self.io.finish();
                        }
                    }
                    _ => {}
                }
                Ok(Some(event))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Tells the peer what it did, and ends the connection.
    fn fail(&mut self, error: RemoteProtocolError) -> Error {
        if let Some(reply) = error.response() {
            self.io.outgoing.reply(reply);
        }
        self.io.fail();
        error.into()
    }

    /// The next whole message: borrowed where it came in one piece, else joined. `None` where it takes another read, which
    /// may be in the middle of a message.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn message(&mut self) -> Result<Option<Data<'b>>, Error> {
        while let Some(event) = self.next()? {
            if let Event::Message(piece) = event {
                match self.events.join(piece) {
                    Ok(Some(data)) => return Ok(Some(data)),
                    Ok(None) => {}
                    Err(error) => return Err(self.fail(error)),
                }
            }
        }
        Ok(None)
    }

    /// As [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        self.check_open()?;
        self.replied = false;
        self.io.send(&message.into_message())
    }

    /// As [`WebSocket::feed`](super::WebSocket::feed).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn feed<'m>(&mut self, message: impl IntoMessage<'m>) -> Result<(), Error> {
        self.check_open()?;
        self.io.feed(&message.into_message()).map(|_| ())
    }

    fn check_open(&self) -> Result<(), Error> {
        self.events.closed().map_or(Ok(()), |closed| Err(Error::Closed(closed.clone())))
    }
}
