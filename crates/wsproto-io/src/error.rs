//! What can go wrong, and whose fault it was.

use std::error::Error as StdError;
use std::fmt;
use std::io;

#[cfg(feature = "tls")]
use tokio_rustls::rustls;
use wsproto::handshake::{Headers, InvalidHeader, InvalidUrl, LocalHandshakeError, RequestError, ResponseError};
use wsproto::{CloseFrame, LocalProtocolError, NoRandomness, RemoteProtocolError};

#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// What went wrong. Each variant says whose fault it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Yours: the protocol does not allow what was asked for. Nothing was sent.
    Local(LocalProtocolError),
    /// The peer's: it broke the protocol or a limit, and was told so in a Close frame; or the transport ended without
    /// one. The connection is over.
    Remote(RemoteProtocolError),
    /// The transport's. The connection is over.
    Io(io::Error),
    /// A time ran out.
    Timeout(Timeout),
    /// The connection has ended, and this is what is known of its end.
    Closed(Closed),
    /// Nobody's: another task asked for a Close (`Handle::close`), and behind that nothing can be sent. What the peer
    /// sends until its own Close can still be received.
    Closing,
    /// The client's: its request was refused, and answered so. (At a server.)
    Request(RequestError),
    /// Nobody's: the client wanted a page, and got an answer as HTTP. (At a server.)
    PlainRequest,
    /// Your server rejected the request with this status, as your decision or your policy said.
    Declined(u16),
    /// The server's: its response is not a valid answer. (At a client.)
    Response(ResponseError),
    /// The server rejected the request. (At a client.)
    Rejected(Box<Rejected>),
    /// Yours: the request or the answer cannot be written as you want it.
    Handshake(LocalHandshakeError),
    /// Yours: a `wss` URL where there is no TLS. The blocking driver has none; the tokio driver has it with the feature
    /// `tls`. Wrap the stream yourself, and give it to `connect_on` with a `ws` URL that names the port.
    TlsUnavailable,
    /// TLS failed; the error says whose fault it was.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// The server's: it does not agree on HTTP/2 (ALPN), or has no WebSockets over it (RFC 8441). (At a client that wants
    /// them.)
    #[cfg(any(feature = "h2", feature = "hyper"))]
    Http2Unsupported,
    /// Yours: this is nothing that a client can connect to.
    Target(InvalidTarget),
    /// The server's: it redirects the client to where it must not go.
    Redirect(RedirectError),
    /// The address of this host was not found: there is no such name, or the look-up itself failed.
    Resolve {
        /// The name.
        host: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The name has no address.
    NoAddress,
    /// The operating system gives no random bytes for keys and masks.
    NoRandomness,
    /// The application's: what a handler of `serve` failed with ([`Error::other`]).
    Other(Box<dyn StdError + Send + Sync>),
}

/// Why a client cannot connect to this, where the URL by itself is a URL ([`InvalidUrl`] says when it is not).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// The user information of the URL cannot be Basic authentication: it is not percent-encoded as RFC 3986 §3.2.1
    /// wants it, the user's name holds a colon, or it or the password a control character (RFC 7617 §2).
    UserInfo,
    /// The method of the request is not GET (RFC 6455 §4.1).
    Method,
    /// The HTTP version of the request is not 1.1.
    HttpVersion,
    /// The request has `Sec-WebSocket-Extensions`. They are chosen by `ConnectOptions::compression` and
    /// `ConnectOptions::extension`, because somebody must encode and decode, too.
    Extensions,
}

/// Why a server's redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectError {
    /// Its `Location` leads to no WebSocket: the URL that it gives has another scheme than `ws`, `wss`, `http` and
    /// `https`, has user information, or is malformed.
    Location(InvalidUrl),
    /// It leads from TLS to a server without.
    LeavesTls,
}

/// Which time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// No connection in time.
    Connect,
    /// The handshake as a whole did not end in time.
    Handshake,
    /// Nothing came in the time that one read may take. Nothing is lost: the next call goes on.
    Receive,
    /// The transport took nothing in the time that one write may take.
    Send {
        /// Whether the message is queued, whole, and goes out with what is written next. If not, it is yours: send it
        /// again later.
        queued: bool,
    },
    /// The transport took nothing in the time that one write may take, in the middle of a message of more than 64 KiB,
    /// which is not queued whole. The message cannot be finished, and the connection is over.
    Unfinished,
    /// The peer did not answer our Close in time. The connection is over.
    Close,
    /// The peer was silent, and answered our Ping with nothing, in time. The connection is over.
    Pong,
    /// The transport took nothing of what waits for the peer, in time: the peer does not read, or hardly. The connection is
    /// over.
    Stalled,
}

/// How a connection ended, as other APIs tell it.
///
/// Displayed, it is one line that is safe to log: what does something to a terminal is escaped in the reason
/// ([`Error::printable`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Closed {
    /// The peer's close code; 1005 where its Close had none, 1006 where there was no Close (RFC 6455 §7.1.5). Where the
    /// peer broke the protocol: the code that it was told.
    pub code: u16,
    /// The peer's reason, at most 123 bytes; may be empty.
    pub reason: String,
}

impl Closed {
    pub(crate) fn received(frame: &CloseFrame<'_>) -> Self {
        Self { code: frame.code().map_or(1005, u16::from), reason: frame.reason().to_owned() }
    }

    pub(crate) fn failed(error: RemoteProtocolError) -> Self {
        Self { code: error.close_code().map_or(1006, u16::from), reason: String::new() }
    }

    pub(crate) const fn abnormal() -> Self {
        Self { code: 1006, reason: String::new() }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            1005 => f.write_str("closed by the peer without a code (1005)")?,
            1006 => f.write_str("ended without a closing handshake (1006)")?,
            code => write!(f, "closed with code {code}")?,
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", Error::printable(&self.reason)) }
    }
}

struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| acts(*character)) {
            write!(f, "{}{}", &rest[..at], character.escape_default())?;
            rest = &rest[at + character.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Whether a character does something other than to be shown.
fn acts(character: char) -> bool {
    let separates_lines = matches!(character, '\u{2028}' | '\u{2029}');
    let turns =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    separates_lines || turns || character.is_control()
}

/// A server's answer other than a WebSocket.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The status, such as 403.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, or its first 64 KiB.
    pub body: Vec<u8>,
    /// Whether there is more of the body than this: it was longer, or ended early, or was malformed.
    pub truncated: bool,
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .field("truncated", &self.truncated)
            .finish()
    }
}

impl Error {
    /// The close code that tells how the connection ended, where the error is such an end: the peer's, or 1006 where
    /// there was none, or the one that the peer was told; 1015 where TLS failed (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::Remote(error) => Some(Closed::failed(*error).code),
            Self::Io(_) => Some(1006),
            #[cfg(feature = "tls")]
            Self::Tls(error) if error.ends_connection() => Some(1015),
            Self::Closed(closed) => Some(closed.code),
            _ => None,
        }
    }

    /// Foreign text, such as a close reason or the body of a rejection, as one line that is safe to log and to print:
    /// control characters, ends of lines, and characters that turn the direction of text (Unicode's bidirectional
    /// controls) are escaped as in Rust's strings. A backslash stays as it is.
    ///
    /// ```
    /// assert_eq!(wsproto_io::Error::printable("a\nb\u{1b}[31m é").to_string(), r"a\nb\u{1b}[31m é");
    /// ```
    #[must_use]
    pub fn printable(text: &str) -> impl fmt::Display + '_ {
        Printable(text)
    }

    /// An error of the application's own, for a handler of `serve` that fails with it:
    /// `load(key).await.map_err(Error::other)?`.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    pub(crate) const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => error.fmt(f),
            Self::Remote(RemoteProtocolError::UnexpectedEof) => {
                f.write_str("the connection ended without a closing handshake (1006)")
            }
            Self::Remote(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the transport failed: {error}"),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Closed(closed) => write!(f, "the connection was {closed}"),
            Self::Closing => f.write_str("nothing can be sent any more: another task closes the connection"),
            Self::Request(error) => error.fmt(f),
            Self::PlainRequest => f.write_str("the client asked for a page, not for a WebSocket"),
            Self::Declined(status) => write!(f, "the request was rejected here with status {status}"),
            Self::Response(error) => error.fmt(f),
            Self::Rejected(rejected) => write!(f, "the server rejected the request with status {}", rejected.status),
            Self::Handshake(error) => error.fmt(f),
            Self::TlsUnavailable => f.write_str(
                "there is no TLS for this wss:// URL: the tokio driver has it, with the feature `tls`; or wrap the stream \
                 yourself, and give it to `connect_on` with a ws:// URL that names the port",
            ),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
            #[cfg(any(feature = "h2", feature = "hyper"))]
            Self::Http2Unsupported => f.write_str("the server has no WebSockets over HTTP/2 (RFC 8441)"),
            Self::Target(error) => error.fmt(f),
            Self::Redirect(error) => error.fmt(f),
            Self::Resolve { host, error } => {
                write!(f, "cannot find the address of {}: {error}", Self::printable(host))
            }
            Self::NoAddress => f.write_str("the name has no address"),
            Self::NoRandomness => NoRandomness.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io(error) | Self::Resolve { error, .. } => Some(error),
            // What it displays is what this displays: the next in the chain is its source.
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.source(),
            Self::Other(error) => error.source(),
            _ => None,
        }
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserInfo => {
                "the user name and the password of the URL are not valid: what is not a letter or a digit is \
                 percent-encoded; a user name has no colon, and neither has control characters"
            }
            Self::Method => "the method of a request for a WebSocket is GET",
            Self::HttpVersion => "the HTTP version of the request is not 1.1",
            Self::Extensions => {
                "extensions are not chosen by Sec-WebSocket-Extensions, but by `ConnectOptions::compression`"
            }
        })
    }
}

impl StdError for InvalidTarget {}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(InvalidUrl::Scheme) => {
                f.write_str("the server redirects to a URL that is neither ws, wss, http nor https")
            }
            Self::Location(error) => write!(f, "the server redirects to a URL that is not valid: {error}"),
            Self::LeavesTls => f.write_str("the server redirects from TLS to a server without"),
        }
    }
}

impl StdError for RedirectError {}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection in time",
            Self::Handshake => "the handshake took too long",
            Self::Receive => "nothing was received in time",
            Self::Send { queued: true } => "the peer did not take the message in time; it is queued",
            Self::Send { queued: false } => "the peer did not take earlier messages in time; this one was not queued",
            Self::Unfinished => "the peer stopped taking a long message in the middle; the connection is over",
            Self::Close => "the peer did not answer the Close in time",
            Self::Pong => "the peer was silent, and did not answer a Ping in time",
            Self::Stalled => "the peer did not read what waits for it, in time",
        })
    }
}

impl From<LocalProtocolError> for Error {
    fn from(error: LocalProtocolError) -> Self {
        Self::Local(error)
    }
}

impl From<RemoteProtocolError> for Error {
    fn from(error: RemoteProtocolError) -> Self {
        Self::Remote(error)
    }
}

impl From<io::Error> for Error {
    /// The transport's, or TLS's inside it: a certificate that the peer does not trust may be told by the first read.
    fn from(error: io::Error) -> Self {
        #[cfg(feature = "tls")]
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(error.clone().into());
        }
        Self::Io(error)
    }
}

#[cfg(feature = "tls")]
impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        Self::Response(error)
    }
}

impl From<LocalHandshakeError> for Error {
    fn from(error: LocalHandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<InvalidUrl> for Error {
    fn from(error: InvalidUrl) -> Self {
        Self::Handshake(error.into())
    }
}

impl From<InvalidTarget> for Error {
    fn from(error: InvalidTarget) -> Self {
        Self::Target(error)
    }
}

impl From<RedirectError> for Error {
    fn from(error: RedirectError) -> Self {
        Self::Redirect(error)
    }
}

impl From<InvalidHeader> for Error {
    fn from(error: InvalidHeader) -> Self {
        Self::Handshake(error.into())
    }
}

impl From<NoRandomness> for Error {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_application_is_shown_as_it_is() {
        let error = Error::other(io::Error::other("the database is away"));
        assert_eq!((error.to_string().as_str(), error.close_code()), ("the database is away", None));
    }

    #[test]
    fn t13_a_reason_does_nothing_to_a_log() {
        let reason =
            "bye \u{1b}[2J\r\n127.0.0.1: forged\u{7f}\u{9b}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028} é \\ 😀".to_owned();
        let closed = Closed { code: 4000, reason };
        let line = "closed with code 4000: bye \\u{1b}[2J\\r\\n127.0.0.1: forged\\u{7f}\\u{9b}\\u{202e}\\u{2066}\\u{200f}\\u{61c}\\u{2028} é \\ 😀";
        assert_eq!(closed.to_string(), line);
        assert_eq!(Error::Closed(closed).to_string(), format!("the connection was {line}"));
    }
}
