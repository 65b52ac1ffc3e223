//! The answer to a request: accepted, or rejected.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use super::error::LocalHandshakeError;
use super::headers::Headers;
use crate::extension::{Extension, Extensions};

/// The head of a response, of any HTTP version: the status, 100 to 999, and the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    status: u16,
    headers: Headers,
}

impl ResponseHead {
    /// The head that an HTTP library received.
    ///
    /// # Errors
    ///
    /// When the status is not a number of three digits (RFC 9110 §15).
    pub fn new(status: u16, headers: Headers) -> Result<Self, LocalHandshakeError> {
        match status {
            100..=999 => Ok(Self { status, headers }),
            _ => Err(LocalHandshakeError::Status(status)),
        }
    }

    pub(super) const fn valid(status: u16, headers: Headers) -> Self {
        Self { status, headers }
    }

    /// The status, 100 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// What a server accepts a request with.
#[derive(Clone, Default)]
pub struct AcceptConnection<'a> {
    /// One of the subprotocols that the client offered, or none.
    pub subprotocol: Option<&'a str>,
    /// The extensions that this server has, each with its policy; what the client offered is judged by them.
    pub extensions: &'a [&'a dyn Extension],
    /// Further headers of the response, such as `Set-Cookie`.
    pub headers: Headers,
}

impl fmt::Debug for AcceptConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptConnection")
            .field("subprotocol", &self.subprotocol)
            .field(
                "extensions",
                &self.extensions.iter().map(|extension| extension.name()).collect::<alloc::vec::Vec<_>>(),
            )
            .field("headers", &self.headers)
            .finish()
    }
}

/// A handshake that succeeded, at either end.
#[derive(Debug)]
pub struct Accepted {
    /// The response: to be sent by a server, as it was received by a client.
    pub response: ResponseHead,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// The extensions that were agreed on: what a connection is made from.
    pub extensions: Extensions,
}

/// What a server rejects a request with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectConnection {
    /// The status, 200 to 599; over HTTP/2 and 3, where a 2xx would accept, 300 to 599.
    pub status: u16,
    /// The headers of the response, such as `Content-Type`.
    pub headers: Headers,
    /// The length of the body in bytes, where it is known. Where it is not (`None`), the body ends with the connection
    /// over HTTP/1.1, and with the stream over HTTP/2 and 3.
    pub content_length: Option<u64>,
}

impl RejectConnection {
    /// A rejection with this status, without headers and without a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), content_length: Some(0) }
    }
}

/// A piece of the body of a rejection, as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectData<'b> {
    /// The bytes; may be empty.
    pub data: Cow<'b, [u8]>,
    /// Whether this ends the body.
    pub body_finished: bool,
}
