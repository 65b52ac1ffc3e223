//! The answer to a request: accepted, or rejected.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::LocalHandshakeError;
use super::headers::Headers;
use super::origin::OriginPolicy;
use crate::extension::{Extension, Extensions, Params};

/// The head of a response, of any HTTP version: the status, 100 to 999, and the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the answer is to be sent"]
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
#[derive(Clone)]
pub struct AcceptConnection<'a> {
    /// Which origins are let in; the request of another one is not accepted, but to be rejected with 403. Default: pages
    /// of the same host, and all that is no page and sends no `Origin`.
    pub origins: &'a OriginPolicy,
    /// One of the subprotocols that the client offered, or none.
    pub subprotocol: Option<&'a str>,
    /// The extensions that this server has, each with its policy; what the client offered is judged by them.
    pub extensions: &'a [&'a dyn Extension],
    /// Further headers of the response, such as `Set-Cookie`.
    pub headers: Headers,
}

impl Default for AcceptConnection<'_> {
    fn default() -> Self {
        Self { origins: &OriginPolicy::SameHost, subprotocol: None, extensions: &[], headers: Headers::new() }
    }
}

impl fmt::Debug for AcceptConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptConnection")
            .field("origins", &self.origins)
            .field("subprotocol", &self.subprotocol)
            .field("extensions", &self.extensions.iter().map(|extension| extension.name()).collect::<Vec<_>>())
            .field("headers", &self.headers)
            .finish()
    }
}

/// A handshake that succeeded, at either end.
#[derive(Debug)]
#[must_use = "the answer is to be sent"]
pub struct Accepted {
    /// The response: to be sent by a server, as it was received by a client.
    pub response: ResponseHead,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// What the extensions are called that were agreed on, and with which parameters: the server's answer, in its order.
    pub agreed: Vec<Params>,
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
    /// over HTTP/1.1, and with the stream over HTTP/2 and 3. (204, 205 and 304 have no body, whatever this says.)
    pub content_length: Option<u64>,
}

impl RejectConnection {
    /// A rejection with this status, without headers and without a body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), content_length: Some(0) }
    }

    /// Whether the status allows no body (RFC 9110 §6.4.1, §15.3.6).
    pub(super) const fn is_bodiless(&self) -> bool {
        matches!(self.status, 204 | 205 | 304)
    }

    /// How many bytes follow the head; `None` where that is not known.
    pub(crate) const fn body_length(&self) -> Option<u64> {
        if self.is_bodiless() { Some(0) } else { self.content_length }
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
