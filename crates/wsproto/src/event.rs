//! What is said: messages and control frames, as they are received and as they are sent.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::close::CloseFrame;
use crate::reply::Reply;

/// What the peer said, one at a time, as [`Connection::receive`](crate::Connection::receive) gives it.
///
/// `'b` is the life of the caller's input buffer: payloads are borrowed from there (unmasked in place), never
/// from the connection. They are owned only where the bytes are nowhere in the input: what an extension
/// decoded, and what the input cut in two. At most 64 bytes; match it by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A message, or a piece of one.
    Message(Message<'b>),
    /// A Ping. [`response`](Self::response) is the Pong that it asks for.
    Ping(Ping<'b>),
    /// A Pong: the answer to a Ping, or unsolicited (RFC 6455 §5.5.3).
    Pong(Pong<'b>),
    /// A Close: nothing follows it. [`response`](Self::response) is the Close that it asks for.
    Close(CloseFrame<'b>),
}

impl Event<'_> {
    /// What the protocol wants sent back: a Pong for a Ping, a Close for a Close (RFC 6455 §5.5), else nothing.
    ///
    /// The answer to a Close echoes its code and reason. Pay it with
    /// [`Connection::reply`](crate::Connection::reply), which knows when it is too late.
    #[must_use]
    pub fn response(&self) -> Option<Reply> {
        match self {
            Self::Message(_) | Self::Pong(_) => None,
            Self::Ping(ping) => Some(Reply::pong(&ping.payload)),
            Self::Close(frame) => Some(Reply::close(frame)),
        }
    }
}

/// A message, or a piece of one: whole messages come in one piece where the input holds them whole and no
/// extension encoded them (RFC 6455 §5.4, §5.6).
///
/// Pieces end where a frame ends or where the input ends, never inside a character. To have whole
/// messages, feed an [`Assembler`](crate::Assembler).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// The bytes of this piece; may be empty.
    pub data: Data<'b>,
    /// Whether this piece ends a frame. Ignored when sending: each piece becomes one frame.
    pub frame_finished: bool,
    /// Whether this piece ends the message.
    pub message_finished: bool,
}

impl<'b> Message<'b> {
    /// A whole text message.
    pub fn text(text: impl Into<Cow<'b, str>>) -> Self {
        Self::whole(Data::Text(text.into()))
    }

    /// A whole binary message.
    pub fn binary(bytes: impl Into<Cow<'b, [u8]>>) -> Self {
        Self::whole(Data::Binary(bytes.into()))
    }

    const fn whole(data: Data<'b>) -> Self {
        Self { data, frame_finished: true, message_finished: true }
    }

    /// The same data as a fragment that is not the last: more of the message follows (RFC 6455 §5.4).
    #[must_use]
    pub fn unfinished(self) -> Self {
        Self { message_finished: false, ..self }
    }
}

/// The data of a message, by kind (RFC 6455 §5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'b> {
    /// Valid UTF-8.
    Text(Cow<'b, str>),
    /// Any bytes.
    Binary(Cow<'b, [u8]>),
}

impl Data<'_> {
    /// The bytes, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Which of the two kinds this is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }
}

/// The two kinds of messages (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A Ping frame (RFC 6455 §5.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping<'b> {
    /// At most 125 bytes.
    pub payload: Cow<'b, [u8]>,
}

impl<'b> Ping<'b> {
    /// A Ping with this payload. More than 125 bytes are refused when it is sent.
    pub fn new(payload: impl Into<Cow<'b, [u8]>>) -> Self {
        Self { payload: payload.into() }
    }
}

/// A Pong frame (RFC 6455 §5.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong<'b> {
    /// At most 125 bytes.
    pub payload: Cow<'b, [u8]>,
}

impl<'b> Pong<'b> {
    /// An unsolicited Pong with this payload. More than 125 bytes are refused when it is sent.
    ///
    /// The Pong to a Ping is [`Event::response`].
    pub fn new(payload: impl Into<Cow<'b, [u8]>>) -> Self {
        Self { payload: payload.into() }
    }
}

/// What can be sent: a [`Message`], a [`Ping`], a [`Pong`], a [`CloseFrame`], or a reference to one.
pub trait Outgoing: sealed::Sealed {
    /// The frame that this becomes.
    #[doc(hidden)]
    fn frame(&self) -> OutgoingFrame<'_>;
}

/// A frame to be sent, not yet encoded.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum OutgoingFrame<'a> {
    /// A data frame.
    Data { kind: MessageKind, payload: &'a [u8], message_finished: bool },
    /// A Ping.
    Ping(&'a [u8]),
    /// A Pong.
    Pong(&'a [u8]),
    /// A Close.
    Close(&'a CloseFrame<'a>),
}

impl Outgoing for Message<'_> {
    fn frame(&self) -> OutgoingFrame<'_> {
        OutgoingFrame::Data {
            kind: self.data.kind(),
            payload: self.data.as_bytes(),
            message_finished: self.message_finished,
        }
    }
}

impl Outgoing for Ping<'_> {
    fn frame(&self) -> OutgoingFrame<'_> {
        OutgoingFrame::Ping(&self.payload)
    }
}

impl Outgoing for Pong<'_> {
    fn frame(&self) -> OutgoingFrame<'_> {
        OutgoingFrame::Pong(&self.payload)
    }
}

impl Outgoing for CloseFrame<'_> {
    fn frame(&self) -> OutgoingFrame<'_> {
        OutgoingFrame::Close(self)
    }
}

impl<T: Outgoing> Outgoing for &T {
    fn frame(&self) -> OutgoingFrame<'_> {
        T::frame(self)
    }
}

mod sealed {
    /// Only the core knows what can stand in a frame.
    pub trait Sealed {}
    impl Sealed for super::Message<'_> {}
    impl Sealed for super::Ping<'_> {}
    impl Sealed for super::Pong<'_> {}
    impl Sealed for super::CloseFrame<'_> {}
    impl<T: Sealed> Sealed for &T {}
}

impl<'b> From<&'b str> for Data<'b> {
    fn from(text: &'b str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Data<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'b> From<&'b [u8]> for Data<'b> {
    fn from(bytes: &'b [u8]) -> Self {
        Self::Binary(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Data<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(Cow::Owned(bytes))
    }
}
