//! Whole messages that own their data, and what can be sent.

use std::borrow::Cow;

use wsproto::{Data, MessageKind};

/// A whole message that was received (RFC 6455 §5.6), with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text: valid UTF-8.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// The bytes, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text; `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
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

impl From<Data<'_>> for Message {
    fn from(data: Data<'_>) -> Self {
        match data {
            Data::Text(text) => Self::Text(text.into_owned()),
            Data::Binary(bytes) => Self::Binary(bytes.into_owned()),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// What can be sent: text, bytes, a [`Message`], [`Data`], or a piece of a message ([`wsproto::Message`]), by value or by
/// reference. Nothing is copied before it is encoded.
pub trait IntoMessage<'a> {
    /// The message, or the piece of one.
    fn into_message(self) -> wsproto::Message<'a>;
}

impl<'a> IntoMessage<'a> for &'a str {
    fn into_message(self) -> wsproto::Message<'a> {
        wsproto::Message::text(self)
    }
}

impl IntoMessage<'static> for String {
    fn into_message(self) -> wsproto::Message<'static> {
        wsproto::Message::text(self)
    }
}

impl<'a> IntoMessage<'a> for &'a String {
    fn into_message(self) -> wsproto::Message<'a> {
        wsproto::Message::text(self.as_str())
    }
}

impl<'a> IntoMessage<'a> for &'a [u8] {
    fn into_message(self) -> wsproto::Message<'a> {
        wsproto::Message::binary(self)
    }
}

impl<'a, const N: usize> IntoMessage<'a> for &'a [u8; N] {
    fn into_message(self) -> wsproto::Message<'a> {
        wsproto::Message::binary(self.as_slice())
    }
}

impl IntoMessage<'static> for Vec<u8> {
    fn into_message(self) -> wsproto::Message<'static> {
        wsproto::Message::binary(self)
    }
}

impl<'a> IntoMessage<'a> for &'a Vec<u8> {
    fn into_message(self) -> wsproto::Message<'a> {
        wsproto::Message::binary(self.as_slice())
    }
}

impl IntoMessage<'static> for Message {
    fn into_message(self) -> wsproto::Message<'static> {
        match self {
            Self::Text(text) => text.into_message(),
            Self::Binary(bytes) => bytes.into_message(),
        }
    }
}

impl<'a> IntoMessage<'a> for &'a Message {
    fn into_message(self) -> wsproto::Message<'a> {
        match self {
            Message::Text(text) => text.into_message(),
            Message::Binary(bytes) => bytes.into_message(),
        }
    }
}

impl<'a> IntoMessage<'a> for Data<'a> {
    fn into_message(self) -> wsproto::Message<'a> {
        match self {
            Self::Text(text) => wsproto::Message::text(text),
            Self::Binary(bytes) => wsproto::Message::binary(bytes),
        }
    }
}

impl<'a> IntoMessage<'a> for &'a Data<'_> {
    fn into_message(self) -> wsproto::Message<'a> {
        borrow(self).into_message()
    }
}

impl<'a> IntoMessage<'a> for wsproto::Message<'a> {
    fn into_message(self) -> Self {
        self
    }
}

impl<'a> IntoMessage<'a> for &'a wsproto::Message<'_> {
    fn into_message(self) -> wsproto::Message<'a> {
        let wsproto::Message { data, frame_finished, message_finished } = self;
        wsproto::Message { data: borrow(data), frame_finished: *frame_finished, message_finished: *message_finished }
    }
}

fn borrow<'a>(data: &'a Data<'_>) -> Data<'a> {
    match data {
        Data::Text(text) => Data::Text(Cow::Borrowed(text)),
        Data::Binary(bytes) => Data::Binary(Cow::Borrowed(bytes)),
    }
}
