//! Both directions of a WebSocket, and the closing handshake (RFC 6455 §7).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::{LocalProtocolError, RemoteProtocolError};
use crate::event::{Event, Outgoing};
use crate::extension::Extensions;
use crate::frame::{MaskSource, Role};
use crate::input::Input;
use crate::limits::Limits;
use crate::receiver::Receiver;
use crate::reply::Reply;
use crate::sender::Sender;

/// A WebSocket connection after its handshake (RFC 6455 §5 to §7), whoever made the handshake.
///
/// It does no I/O and owns no buffers: bytes from the peer are read from the caller's buffer and borrowed from
/// there, bytes to the peer are appended to the caller's buffer. At most 512 bytes without extensions.
///
/// It is its two halves, which may part: [`split`](Self::split).
#[derive(Debug)]
pub struct Connection {
    /// From the peer to us.
    pub receiver: Receiver,
    /// From us to the peer.
    pub sender: Sender,
}

impl Connection {
    /// The server's end, with the extensions that the handshake agreed on.
    #[must_use]
    pub fn server(extensions: Extensions, limits: Limits) -> Self {
        Self::new(Role::Server, None, extensions, limits)
    }

    /// The client's end, with the extensions that the handshake agreed on, and the source of the masks for what
    /// it sends.
    pub fn client(extensions: Extensions, limits: Limits, masks: impl MaskSource + 'static) -> Self {
        Self::new(Role::Client, Some(Box::new(masks)), extensions, limits)
    }

    fn new(role: Role, masks: Option<Box<dyn MaskSource>>, extensions: Extensions, limits: Limits) -> Self {
        let (decoders, encoders) = extensions.into_stacks();
        Self { receiver: Receiver::new(role, decoders, limits), sender: Sender::new(masks, encoders) }
    }

    /// The next event from the input, or `None` where it takes more bytes from the transport.
    ///
    /// One input can give several events, also when it is already empty (an extension may have decoded more
    /// than fits in one): call until `None`. Payloads are borrowed from the input's buffer, where they were unmasked
    /// in place. After a Close, what follows is discarded.
    ///
    /// # Errors
    ///
    /// The peer's. The connection has failed (RFC 6455 §7.1.7): send
    /// [`error.response()`](RemoteProtocolError::response), then close the transport. Each further call gives the
    /// same error.
    pub fn receive<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Event<'b>>, RemoteProtocolError> {
        self.receiver.receive(input)
    }

    /// Notes that the transport has ended: no byte will follow.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](RemoteProtocolError::UnexpectedEof) where no Close came before, or the error that the
    /// connection failed with.
    pub fn receive_eof(&mut self) -> Result<(), RemoteProtocolError> {
        self.receiver.receive_eof()
    }

    /// Appends the frame that says this to `out`: a [`Message`](crate::Message) or a fragment of one, a
    /// [`Ping`](crate::Ping), a [`Pong`](crate::Pong) or a [`CloseFrame`](crate::CloseFrame); by value or by
    /// reference.
    ///
    /// # Errors
    ///
    /// Yours: nothing was appended, nothing changed. Only [`Extension`](LocalProtocolError::Extension) ends the
    /// connection.
    #[inline]
    pub fn send(&mut self, event: impl Outgoing, out: &mut Vec<u8>) -> Result<(), LocalProtocolError> {
        self.sender.send(event, out)
    }

    /// Appends a reply, from [`Event::response`] or [`RemoteProtocolError::response`], to `out`. Does nothing after
    /// our own Close, where it is no longer owed.
    pub fn reply(&mut self, reply: Reply, out: &mut Vec<u8>) {
        self.sender.reply(reply, out);
    }

    /// How far the closing handshake is.
    #[must_use]
    pub const fn state(&self) -> State {
        State::of(&self.receiver, &self.sender)
    }

    /// What the transport is to do, once what was appended to `out` has been written.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        if self.sender.error().is_some() {
            return Transport::Close;
        }
        match (self.state(), self.receiver.error(), self.receiver.role()) {
            // "[...] and when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server"
            // (§7.1.1).
            (State::Closed, None, Role::Client) => Transport::AwaitEnd,
            // "When a server is instructed to _Close the WebSocket Connection_ it SHOULD initiate a TCP Close
            // immediately" (§7.1.1). An end that failed the connection need not wait, whichever it is (§7.1.7).
            (State::Closed, ..) | (_, Some(RemoteProtocolError::UnexpectedEof), _) => Transport::Close,
            _ => Transport::KeepOpen,
        }
    }

    /// The two halves, for two tasks or threads. They need no lock: what one owes the other is a [`Reply`].
    #[must_use]
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }
}

/// How far the closing handshake is (RFC 6455 §7.1).
///
/// A pure function of the two halves, and the same for both roles. Each half makes one step and cannot go back:
///
/// | | we sent no Close | we sent a Close, or our encoder failed |
/// |---|---|---|
/// | the peer sent no Close | `Open` | `LocalClosing` |
/// | the peer sent a Close, or the connection failed | `RemoteClosing` | `Closed` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// The peer sent a Close, or broke the protocol: our Close is owed, and until it is sent we may still send.
    RemoteClosing,
    /// We sent a Close (or cannot send any more): the peer may still send, until its Close.
    LocalClosing,
    /// Both directions are at their end.
    Closed,
}

impl State {
    /// The state of a connection with these halves.
    #[must_use]
    pub const fn of(receiver: &Receiver, sender: &Sender) -> Self {
        match (receiver.is_closed(), sender.is_closed()) {
            (false, false) => Self::Open,
            (true, false) => Self::RemoteClosing,
            (false, true) => Self::LocalClosing,
            (true, true) => Self::Closed,
        }
    }
}

/// What the transport under a connection is to do (RFC 6455 §7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Go on.
    KeepOpen,
    /// Wait a while for the peer to end it (a client, after a closing handshake), then close it.
    AwaitEnd,
    /// Close it: end the sending direction first, so that what was written arrives.
    Close,
}
