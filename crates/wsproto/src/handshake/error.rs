//! Whose fault it was: [`RequestError`] is the client's, [`ResponseError`] the server's, [`LocalHandshakeError`]
//! yours. The first carries the HTTP status of its answer.

use core::error::Error;
use core::fmt;

/// The client's request cannot become a WebSocket: it is malformed, or asks for something else.
///
/// [`response`](Self::response) is the ready answer. After it the connection closes, and nothing more of it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The head of the request breaks HTTP/1.1's syntax, or a limit. Status 400 or 431.
    Head(HeadError),
    /// Not HTTP/1.1. Status 505. ("An HTTP/1.1 or higher GET request", RFC 6455 §4.2.1. We refuse HTTP/1.2 too, on
    /// purpose: RFC 9110 §2.5 would read it as 1.1, but nobody sends it honestly.)
    HttpVersion,
    /// Over HTTP/1.1, a method other than GET (RFC 6455 §4.2.1). Status 405.
    Method,
    /// The request target is neither a path nor an `http` or `https` URL (RFC 6455 §4.2.1, RFC 9112 §3.2), or over
    /// HTTP/2 and 3 `:scheme` or `:path` is missing or wrong (RFC 8441 §4). Status 400.
    Target,
    /// Not exactly one valid `Host` (RFC 9112 §3.2); over HTTP/2 and 3 no valid `:authority`, or a `Host` that
    /// differs from it (RFC 9113 §8.3.1). Status 400.
    Host,
    /// The request has, or may have, a body: `Transfer-Encoding`, or a `Content-Length` other than a single 0. What
    /// follows the head would be read in two ways. Status 400.
    Body,
    /// A valid request that does not ask for a WebSocket: a plain GET. A server may answer it as HTTP. Status 426.
    NotWebSocket,
    /// `Connection` does not list `upgrade` (RFC 6455 §4.2.1); over HTTP/2 and 3, a header that belongs to a connection
    /// of HTTP/1.1 (RFC 9113 §8.2.2). Status 400.
    Connection,
    /// Not exactly one `Sec-WebSocket-Version` (RFC 6455 §4.2.1). Status 400.
    VersionCount,
    /// A `Sec-WebSocket-Version` other than 13 (RFC 6455 §4.4). Status 426, with the version that is spoken here.
    Version,
    /// Not exactly one `Sec-WebSocket-Key`, or one that is not the base64 of 16 bytes (RFC 6455 §4.2.1). Status 400.
    Key,
    /// `Sec-WebSocket-Protocol` is not a list of different tokens (RFC 6455 §4.1), or has more than 64. Status 400.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` is malformed ("MUST immediately _Fail the WebSocket Connection_", RFC 6455 §9.1), or
    /// one extension has more than 64 parameters. Status 400.
    Extensions,
    /// More than one `Origin`, or one with characters that no origin has (RFC 6454 §7.1). Status 400.
    Origin,
    /// Over HTTP/2 and 3, a CONNECT for another `:protocol`, or for a plain tunnel (RFC 8441 §4). Status 501.
    ConnectProtocol,
    /// The transport ended before the request was complete, or before it was answered. Status 400; but nobody is there
    /// to read an answer.
    UnexpectedEof,
}

impl RequestError {
    /// The status of the answer: 400, 405, 426, 431, 501 or 505.
    ///
    /// Over HTTP/2 and 3 the answer says 400 instead of 426, which needs the header `Upgrade` that they do not have.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::TooLarge | HeadError::TooManyHeaders) => 431,
            Self::HttpVersion => 505,
            Self::Method => 405,
            Self::NotWebSocket | Self::Version => 426,
            Self::ConnectProtocol => 501,
            _ => 400,
        }
    }

    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Head(error) => error.rule(),
            Self::HttpVersion => "the HTTP version is not 1.1",
            Self::Method => "the method is not GET",
            Self::Target => "the request target is not valid",
            Self::Host => "there is not exactly one valid Host",
            Self::Body => "a request for a WebSocket must not have a body",
            Self::NotWebSocket => "this is not a request for a WebSocket, and nothing else is served here",
            Self::Connection => "the Connection header is missing or must not be there",
            Self::VersionCount => "there is not exactly one Sec-WebSocket-Version",
            Self::Version => "the only version spoken here is 13",
            Self::Key => "there is not exactly one valid Sec-WebSocket-Key",
            Self::Subprotocols => "Sec-WebSocket-Protocol is malformed",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
            Self::Origin => "the Origin is malformed",
            Self::ConnectProtocol => "the :protocol is not websocket",
            Self::UnexpectedEof => "the transport ended too early",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client's request was refused with {}: {}", self.status(), self.rule())
    }
}

impl Error for RequestError {}

impl From<HeadError> for RequestError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

/// The head of an HTTP/1.1 message breaks the syntax, or a limit of
/// [`HeadLimits`](super::http1::HeadLimits).
///
/// The verdict depends on the bytes alone, not on how they were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than the limit.
    TooLarge,
    /// More header lines than the limit.
    TooManyHeaders,
    /// An empty line, or a part of one, before the first line. (RFC 9112 §2.2 lets a server skip it; we do not,
    /// because nothing comes before the request on a fresh connection.)
    EmptyLine,
    /// A line feed without a carriage return before it: a lenient reading that others do not share.
    BareLineFeed,
    /// A carriage return without a line feed behind it (RFC 9112 §2.2).
    BareCarriageReturn,
    /// NUL or another control character, or a byte that is not ASCII in the request line.
    Character,
    /// A header line that begins with white space, as folded lines do: "A server that receives an obs-fold [...] MUST
    /// either reject the message [...]" (RFC 9112 §5.2).
    Folded,
    /// The first line, or the name of a header, is not what RFC 9112 §3, §4 and §5 say; also white space before a colon
    /// ("A server MUST reject [...]", §5.1).
    Syntax,
}

impl HeadError {
    const fn rule(self) -> &'static str {
        match self {
            Self::TooLarge => "the head is too large",
            Self::TooManyHeaders => "there are too many headers",
            Self::EmptyLine => "there is an empty line before the first line",
            Self::BareLineFeed => "a line ends with LF alone",
            Self::BareCarriageReturn => "a CR is not followed by LF",
            Self::Character => "a character is not allowed",
            Self::Folded => "a header line begins with white space",
            Self::Syntax => "a line of the head is malformed",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl Error for HeadError {}

/// The server's response is not the answer to our request. The client fails the connection: it sends no frame and
/// closes the transport (RFC 6455 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// It does not begin as HTTP does (`HTTP/`): something else listens there, such as TLS.
    NotHttp,
    /// The head breaks HTTP/1.1's syntax, or a limit.
    Head(HeadError),
    /// Neither HTTP/1.1 nor, for a rejection, HTTP/1.0.
    HttpVersion,
    /// More responses with a status of 1xx before the final one than
    /// [`HeadLimits::informational`](super::http1::HeadLimits::informational).
    TooManyInformational,
    /// A status that is no answer here: 1xx, or over HTTP/2 and 3 a 101.
    Status(u16),
    /// `Upgrade` is not `websocket` (RFC 6455 §4.1).
    Upgrade,
    /// `Connection` does not list `upgrade` (RFC 6455 §4.1).
    Connection,
    /// A 101 with `Content-Length` or `Transfer-Encoding` (RFC 9110 §8.6, RFC 9112 §6.1): the bytes that follow would
    /// be read in two ways.
    Body,
    /// Not exactly one `Sec-WebSocket-Accept`, or not the one that proves that our key was read (RFC 6455 §4.1).
    Accept,
    /// A subprotocol that was not offered, or more than one (RFC 6455 §4.1, §11.3.4).
    Subprotocol,
    /// The extensions do not follow from what was offered (RFC 6455 §4.1, §9.1).
    Extensions(NegotiationError),
    /// The `Content-Length` of a rejection is not a number, or there are two that differ (RFC 9112 §6.3).
    ContentLength,
    /// The body of a rejection is not in chunks as RFC 9112 §7.1 wants them.
    Chunk,
    /// The transport ended inside of the head, or of a body whose length was announced.
    UnexpectedEof,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self {
            Self::Head(error) => error.rule(),
            Self::NotHttp => "it is not HTTP (a server that speaks TLS is reached by a wss:// URL)",
            Self::HttpVersion => "the HTTP version is not 1.1",
            Self::TooManyInformational => "there are too many 1xx responses",
            Self::Status(status) => return write!(f, "the server's response is not valid: unexpected status {status}"),
            Self::Upgrade => "the Upgrade header is not `websocket`",
            Self::Connection => "the Connection header does not list `upgrade`",
            Self::Body => "a 101 must have neither Content-Length nor Transfer-Encoding",
            Self::Accept => "Sec-WebSocket-Accept does not belong to our key",
            Self::Subprotocol => "the subprotocol was not offered",
            Self::Extensions(error) => return write!(f, "the server's response is not valid: {error}"),
            Self::ContentLength => "Content-Length is not a number",
            Self::Chunk => "the chunked body is malformed",
            Self::UnexpectedEof => "the transport ended too early",
        };
        write!(f, "the server's response is not valid: {rule}")
    }
}

impl Error for ResponseError {}

impl From<HeadError> for ResponseError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<NegotiationError> for ResponseError {
    fn from(error: NegotiationError) -> Self {
        Self::Extensions(error)
    }
}

/// The server answered with extensions that do not follow from the client's offers (RFC 6455 §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The header is malformed, or one extension has more than 64 parameters.
    Malformed,
    /// An extension that was not offered.
    NotOffered,
    /// The same extension twice.
    Repeated,
    /// Parameters that do not follow from the offer, by the extension's own judgement.
    Parameters,
    /// Two extensions that claim the same reserved bit.
    RsvConflict,
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "Sec-WebSocket-Extensions is malformed",
            Self::NotOffered => "an extension was not offered",
            Self::Repeated => "an extension is listed twice",
            Self::Parameters => "the parameters of an extension do not follow from the offer",
            Self::RsvConflict => "two extensions claim the same reserved bit",
        })
    }
}

impl Error for NegotiationError {}

/// The caller asked for something that cannot stand in a handshake. Nothing was written, nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalHandshakeError {
    /// A header's name or value cannot be written.
    Header(InvalidHeader),
    /// An extra header that belongs to the handshake or to the connection: `Sec-WebSocket-*`, `Connection`, `Upgrade`,
    /// `Host`, `Content-Length`, `Transfer-Encoding` and their like; for a client `Origin`, which has its own field.
    ReservedHeader,
    /// Not the URL of a WebSocket (RFC 6455 §3).
    Url(InvalidUrl),
    /// Not a host, or a host and a port.
    Authority,
    /// Not a path that begins with `/`, in visible ASCII and without a fragment.
    Path,
    /// An origin with characters other than visible ASCII (RFC 6454 §7.1).
    Origin,
    /// A subprotocol that is not a token, or is offered twice (RFC 6455 §4.1).
    Subprotocol,
    /// The server wants to answer with a subprotocol that the client did not offer (RFC 6455 §4.2.2).
    SubprotocolNotOffered,
    /// An extension's name or parameter is not a token.
    Extension,
    /// The policy of the server does not let the request's origin in
    /// ([`AcceptConnection::origins`](super::AcceptConnection::origins)). Reject it with 403.
    OriginNotAllowed,
    /// A rejection with a status below 200 or above 599, or over HTTP/2 and 3 with a 2xx, which would accept.
    Status(u16),
    /// A body where the status allows none: 204, 205 and 304 (RFC 9110 §6.4.1, §15.3.6).
    BodyNotAllowed,
    /// An HTTP/2 or HTTP/3 request cannot be written as HTTP/1.1.
    NotHttp1,
    /// An answer to a request that is not there, or was answered before; a body without a rejection.
    OutOfOrder,
    /// The body of a rejection is longer or shorter than was announced.
    BodyLength,
}

impl fmt::Display for LocalHandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header(error) => return error.fmt(f),
            Self::ReservedHeader => "this header is written by the handshake itself",
            Self::Url(error) => return error.fmt(f),
            Self::Authority => "this is not a host, or a host and a port",
            Self::Path => "a path begins with `/` and holds visible ASCII characters without `#`",
            Self::Origin => "an origin holds visible ASCII characters",
            Self::Subprotocol => "a subprotocol must be a token, and offered once",
            Self::SubprotocolNotOffered => "the client did not offer this subprotocol",
            Self::OriginNotAllowed => {
                "this origin is not let in: reject with 403, or say `OriginPolicy::Any` to accept pages of all origins"
            }
            Self::Extension => "the name and the parameters of an extension must be tokens",
            Self::Status(status) => return write!(f, "a handshake cannot be rejected with status {status}"),
            Self::BodyNotAllowed => "a response with this status has no body",
            Self::NotHttp1 => "this request is not for HTTP/1.1",
            Self::OutOfOrder => "there is no request that waits for this",
            Self::BodyLength => "the body's length is not the one that was announced",
        })
    }
}

impl Error for LocalHandshakeError {}

impl From<InvalidHeader> for LocalHandshakeError {
    fn from(error: InvalidHeader) -> Self {
        Self::Header(error)
    }
}

impl From<InvalidUrl> for LocalHandshakeError {
    fn from(error: InvalidUrl) -> Self {
        Self::Url(error)
    }
}

/// Why this is not the URL of a WebSocket: `ws://host[:port][/path][?query]`, or `wss` (RFC 6455 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// Another scheme than `ws` and `wss`, or none.
    Scheme,
    /// User information before the host.
    UserInfo,
    /// Not a host, or a host and a port.
    Authority,
    /// A fragment: they "MUST NOT be used" (RFC 6455 §3).
    Fragment,
    /// In path or query, a character other than visible ASCII.
    Path,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL of a WebSocket begins with ws:// or wss://",
            Self::UserInfo => "the URL must not hold user information",
            Self::Authority => "the URL has no valid host, or no valid port",
            Self::Fragment => "the URL of a WebSocket has no fragment: a `#` is written %23",
            Self::Path => "the path and the query of a URL hold visible ASCII characters: others are percent-encoded",
        })
    }
}

impl Error for InvalidUrl {}

/// A header field that cannot be written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidHeader {
    /// The name is not a token (RFC 9110 §5.1).
    Name,
    /// The value holds CR, LF, NUL or another control, or begins or ends with white space (RFC 9110 §5.5).
    Value,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a header's name must be a token",
            Self::Value => "a header's value must hold no control characters, and no white space at its ends",
        })
    }
}

impl Error for InvalidHeader {}

/// A comma-separated list that is not what its header wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedList;
