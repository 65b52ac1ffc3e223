//! Reading a request from bytes.

use alloc::borrow::Cow;
use alloc::string::String;

use super::head::{self, FirstLine, HeadLimits, HeadScan};
use crate::handshake::error::{HeadError, RequestError};
use crate::handshake::headers::Headers;
use crate::handshake::request::{HttpVersion, RequestHead, is_path};
use crate::handshake::server::ServerHandshake;

/// Reads the head of one request from the caller's buffer.
#[derive(Clone, Debug)]
pub struct RequestReader {
    scan: HeadScan,
    state: State,
    plain: Option<PlainRequest>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Reading,
    Done,
    Failed(RequestError),
}

impl RequestReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub const fn new(limits: HeadLimits) -> Self {
        Self { scan: HeadScan::new(limits, FirstLine::Request), state: State::Reading, plain: None }
    }

    /// Looks at what has arrived. `bytes` begins where the head begins: at each call all that was there before, and what
    /// has come since. It is not changed, and borrowed for this call only.
    ///
    /// Back comes the request and the length of its head, in bytes: what `bytes` holds behind that is the start of the
    /// WebSocket, to be given to the connection once the request is accepted, and to nobody if it is rejected. `None`:
    /// more bytes are needed (or the request was given before).
    ///
    /// # Errors
    ///
    /// When the client's request is refused; the error has the answer. The same error comes at each further call.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(ServerHandshake, usize)>, RequestError> {
        match self.state {
            State::Reading => {}
            State::Done => return Ok(None),
            State::Failed(error) => return Err(error),
        }
        let read = self.read(bytes);
        match &read {
            Ok(None) => {}
            Ok(Some(_)) => self.state = State::Done,
            Err(error) => self.state = State::Failed(*error),
        }
        read
    }

    /// The request that does not ask for a WebSocket, after [`RequestError::NotWebSocket`]: for a server that answers it
    /// as HTTP, and closes.
    #[must_use]
    pub const fn plain_request(&self) -> Option<&PlainRequest> {
        self.plain.as_ref()
    }

    pub(crate) const fn take_plain_request(&mut self) -> Option<PlainRequest> {
        self.plain.take()
    }

    /// How many bytes were looked at, each time that one was; for tests of linear time.
    #[doc(hidden)]
    #[must_use]
    pub const fn bytes_visited(&self) -> u64 {
        self.scan.visited()
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Option<(ServerHandshake, usize)>, RequestError> {
        let Some(length) = self.scan.receive(bytes)? else { return Ok(None) };
        let mut slots = head::slots(&self.scan);
        let mut parsed = httparse::Request::new(&mut slots);
        let (method, target, headers) = parse(&mut parsed, &bytes[..length])?;
        let (scheme, authority, path) = split_target(target);
        let version = HttpVersion::Http11;
        let head = RequestHead { version, method, scheme, authority, path: &path, protocol: None, headers };
        match ServerHandshake::parse(head) {
            Ok(handshake) => Ok(Some((handshake, length))),
            Err((error, headers)) => {
                if error == RequestError::NotWebSocket {
                    self.plain = Some(PlainRequest { path: path.into_owned(), headers });
                }
                Err(error)
            }
        }
    }
}

/// A valid GET that does not ask for a WebSocket.
#[derive(Clone, Debug)]
pub struct PlainRequest {
    path: String,
    headers: Headers,
}

impl PlainRequest {
    /// One that came otherwise, by another version of HTTP. `None` where this is no path: path and query, beginning with
    /// `/`, in visible ASCII.
    #[must_use]
    pub fn new(path: &str, headers: Headers) -> Option<Self> {
        is_path(path).then(|| Self { path: path.into(), headers })
    }

    /// The path, without the query: begins with `/`, in visible ASCII, not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path)
    }

    /// Path and query as they were sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.path
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }
}

/// Method, target and headers of a complete head of HTTP/1.1.
fn parse<'b>(
    request: &mut httparse::Request<'_, 'b>,
    head: &'b [u8],
) -> Result<(&'b str, &'b str, Headers), RequestError> {
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::Version) if names_other_version(head) => return Err(RequestError::HttpVersion),
        _ => return Err(HeadError::Syntax.into()),
    }
    match (request.method, request.path, request.version) {
        (Some(method), Some(target), Some(1)) => Ok((method, target, head::collect(request.headers)?)),
        _ => Err(RequestError::HttpVersion),
    }
}

/// Whether the first line ends with a version of HTTP, and it is not 1.1: "HTTP-version = HTTP-name "/" DIGIT "." DIGIT"
/// (RFC 9112 §2.3).
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) && version != b"HTTP/1.1"
}

/// Scheme and authority of a target in absolute form: "a server MUST accept the absolute-form in requests" (RFC 9112
/// §3.2.2). All other targets are left as they are.
fn split_target(target: &str) -> (Option<&str>, Option<&str>, Cow<'_, str>) {
    match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            // "If the target URI's path component is empty, the client MUST send "/" as the path" (RFC 9112 §3.2.1).
            let path = if path.starts_with('/') { path.into() } else { alloc::format!("/{path}").into() };
            (Some(scheme), Some(authority), path)
        }
        _ => (None, None, target.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_get_can_be_answered_as_http() {
        let mut reader = RequestReader::new(HeadLimits::default());
        let bytes = b"GET /index.html?a HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n";
        assert!(reader.receive(&bytes[..20]).is_ok_and(|found| found.is_none()));
        assert!(reader.plain_request().is_none());
        assert_eq!(reader.receive(bytes).unwrap_err(), RequestError::NotWebSocket);
        let plain = reader.plain_request().unwrap();
        assert_eq!((plain.path(), plain.target()), ("/index.html", "/index.html?a"));
        assert_eq!(plain.headers().text("host"), Some("example.com"));
        assert_eq!(reader.receive(bytes).unwrap_err(), RequestError::NotWebSocket);
        // What is broken as HTTP is no plain request either.
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
        {
            let mut reader = RequestReader::new(HeadLimits::default());
            assert!(reader.receive(bytes).is_err_and(|error| error != RequestError::NotWebSocket));
            assert!(reader.plain_request().is_none());
        }
    }

    #[test]
    fn a_request_is_given_once() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: \
            dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nmore";
        let mut reader = RequestReader::new(HeadLimits::default());
        let (handshake, length) = reader.receive(bytes).unwrap().unwrap();
        assert_eq!((handshake.request().path(), &bytes[length..]), ("/", &b"more"[..]));
        assert!(reader.receive(bytes).unwrap().is_none());
    }

    #[test]
    fn targets_come_apart() {
        for (target, scheme, authority, path) in [
            ("/a?b", None, None, "/a?b"),
            ("/a://b", None, None, "/a://b"),
            ("*", None, None, "*"),
            ("http://a", Some("http"), Some("a"), "/"),
            ("http://a/", Some("http"), Some("a"), "/"),
            ("https://a:1?b/c", Some("https"), Some("a:1"), "/?b/c"),
            ("x://", Some("x"), Some(""), "/"),
        ] {
            assert_eq!(split_target(target), (scheme, authority, Cow::Borrowed(path)), "{target}");
        }
    }
}
