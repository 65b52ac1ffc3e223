//! The server's side of the handshake, on header lists: for HTTP/1.1, HTTP/2 and HTTP/3 (RFC 6455 §4.2, RFC 8441 §5).

use alloc::string::String;

use super::error::{LocalHandshakeError, RequestError};
use super::extensions::{self, write_answer};
use super::headers::{Headers, is_reserved};
use super::key::Key;
use super::request::{Request, RequestHead};
use super::response::{AcceptConnection, Accepted, RejectConnection, ResponseHead};

/// A valid request that waits for its answer (RFC 6455 §4.2.2).
///
/// It owns what it holds: the answer may come later, from another task. Each answer is a function of the request and
/// the arguments; to send only one of them is up to the caller.
#[derive(Clone, Debug)]
pub struct ServerHandshake {
    request: Request,
    key: Option<Key>,
}

impl ServerHandshake {
    /// Takes the head of a request, as an HTTP library gives it. What comes back is a valid request.
    ///
    /// # Errors
    ///
    /// When the client's request is not a valid one for a WebSocket; the error has the answer.
    pub fn new(head: RequestHead<'_>) -> Result<Self, RequestError> {
        Self::parse(head).map_err(|(error, _)| error)
    }

    /// As [`new`](Self::new), with the headers of a request that was refused.
    pub(super) fn parse(head: RequestHead<'_>) -> Result<Self, (RequestError, Headers)> {
        let (request, key) = Request::parse(head)?;
        Ok(Self { request, key })
    }

    /// What the client asks for.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What the client asked for, for those who keep it.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.request
    }

    /// Accepts: makes the response, status 101 over HTTP/1.1 and 200 over HTTP/2 and 3, and the extensions that a
    /// connection is made from. The response ends the handshake; frames may follow it at once.
    ///
    /// # Errors
    ///
    /// When the request's origin is not let in (reject it with 403 then), or the caller wants a subprotocol that was not
    /// offered, or adds a header that belongs to the handshake.
    pub fn accept(&self, accept: &AcceptConnection<'_>) -> Result<Accepted, LocalHandshakeError> {
        if !accept.origins.allows(&self.request) {
            return Err(LocalHandshakeError::OriginNotAllowed);
        }
        if accept.headers.iter().any(|(name, _)| is_reserved(name)) {
            return Err(LocalHandshakeError::ReservedHeader);
        }
        if let Some(subprotocol) = accept.subprotocol {
            if !self.request.subprotocols().any(|offered| offered == subprotocol) {
                return Err(LocalHandshakeError::SubprotocolNotOffered);
            }
        }
        let mut headers = Headers::new();
        if let Some(key) = &self.key {
            headers.push_valid("Upgrade", "websocket");
            headers.push_valid("Connection", "Upgrade");
            headers.push_valid("Sec-WebSocket-Accept", key.accept());
        }
        if let Some(subprotocol) = accept.subprotocol {
            headers.push_valid("Sec-WebSocket-Protocol", subprotocol);
        }
        let (agreed, extensions) = extensions::accept(self.request.extension_values(), accept.extensions);
        if let Some(answer) = write_answer(&agreed) {
            headers.push_valid("Sec-WebSocket-Extensions", answer);
        }
        headers.append(&accept.headers);
        let status = if self.is_http1() { 101 } else { 200 };
        Ok(Accepted {
            response: self.response(status, headers),
            subprotocol: accept.subprotocol.map(String::from),
            agreed,
            extensions,
        })
    }

    /// Rejects: makes the head of the response. The body follows it as it is; its end is announced by `content_length`,
    /// or it is the end of the connection (HTTP/1.1, which is always closed after a rejection) or stream.
    ///
    /// What the client sent behind its request is not to be parsed any more.
    ///
    /// # Errors
    ///
    /// When the status is no rejection, has no body but one is announced, or the caller adds a header that belongs to
    /// the handshake.
    pub fn reject(&self, reject: &RejectConnection) -> Result<ResponseHead, LocalHandshakeError> {
        let status = reject.status;
        // "Any 2xx (Successful) response [to CONNECT] indicates that the sender [...] will switch to tunnel mode"
        // (RFC 9110 §9.3.6).
        let lowest = if self.is_http1() { 200 } else { 300 };
        if !(lowest..=599).contains(&status) {
            return Err(LocalHandshakeError::Status(status));
        }
        if reject.headers.iter().any(|(name, _)| is_reserved(name)) {
            return Err(LocalHandshakeError::ReservedHeader);
        }
        if reject.is_bodiless() && reject.content_length.is_some_and(|length| length > 0) {
            return Err(LocalHandshakeError::BodyNotAllowed);
        }
        let mut headers = Headers::new();
        if self.is_http1() && status == 426 {
            // "A server that sends a 426 MUST send an Upgrade header field" (RFC 9110 §15.5.22).
            headers.push_valid("Connection", "Upgrade, close");
            headers.push_valid("Upgrade", "websocket");
        } else if self.is_http1() {
            headers.push_valid("Connection", "close");
        }
        headers.append(&reject.headers);
        // The end of a 205 must be seen, too: its length is 0 (RFC 9110 §15.3.6).
        let content_length = if status == 205 { Some(0) } else { reject.content_length };
        match content_length {
            // "A server MUST NOT send a Content-Length header field in any response with a status code of [...] 204"
            // (RFC 9110 §8.6); nor has a 304 a length of its own.
            Some(length) if !matches!(status, 204 | 304) => {
                headers.push_valid("Content-Length", alloc::format!("{length}"));
            }
            _ => {}
        }
        Ok(self.response(status, headers))
    }

    const fn is_http1(&self) -> bool {
        self.request.version().is_http1()
    }

    fn response(&self, status: u16, mut headers: Headers) -> ResponseHead {
        if !self.is_http1() {
            headers.lowercase_names();
        }
        ResponseHead::valid(status, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::HttpVersion;

    fn handshake(version: HttpVersion) -> ServerHandshake {
        let fields = [
            ("Host", "example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let http1 = version == HttpVersion::Http11;
        let headers = Headers::from_fields(fields.into_iter().skip(if http1 { 0 } else { 4 })).unwrap();
        let (method, scheme) = if http1 { ("GET", None) } else { ("CONNECT", Some("https")) };
        let authority = scheme.map(|_| "example.com");
        let protocol = scheme.map(|_| "websocket");
        ServerHandshake::new(RequestHead { version, method, scheme, authority, path: "/", protocol, headers }).unwrap()
    }

    #[test]
    fn the_answer_may_come_from_elsewhere() {
        fn owned<T: Send + 'static>(_: &T) {}
        owned(&handshake(HttpVersion::Http11));
    }

    #[test]
    fn accepting_over_http1() {
        let headers = Headers::from_fields([("Set-Cookie", "a=b")]).unwrap();
        let accept = AcceptConnection { headers, ..Default::default() };
        let accepted = handshake(HttpVersion::Http11).accept(&accept).unwrap();
        let fields: alloc::vec::Vec<_> = accepted.response.headers().iter().collect();
        let expected: [(&str, &[u8]); 4] = [
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("Set-Cookie", b"a=b"),
        ];
        assert_eq!((accepted.response.status(), fields.as_slice()), (101, &expected[..]));
        assert_eq!(accepted.subprotocol, None);
    }

    #[test]
    fn rejecting() {
        for (version, status, content_length, fields) in [
            (HttpVersion::Http11, 403, Some(0), &[("Connection", "close"), ("Content-Length", "0")][..]),
            (HttpVersion::Http11, 200, Some(5), &[("Connection", "close"), ("Content-Length", "5")]),
            (HttpVersion::Http11, 599, None, &[("Connection", "close")]),
            (HttpVersion::Http11, 204, Some(0), &[("Connection", "close")]),
            (HttpVersion::Http11, 205, Some(0), &[("Connection", "close"), ("Content-Length", "0")]),
            (HttpVersion::Http11, 205, None, &[("Connection", "close"), ("Content-Length", "0")]),
            (HttpVersion::Http11, 204, None, &[("Connection", "close")]),
            (HttpVersion::Http11, 304, None, &[("Connection", "close")]),
            (HttpVersion::Http11, 426, None, &[("Connection", "Upgrade, close"), ("Upgrade", "websocket")]),
            (HttpVersion::Http2, 403, Some(5), &[("content-length", "5")]),
            (HttpVersion::Http3, 302, None, &[]),
        ] {
            let reject = RejectConnection { content_length, ..RejectConnection::new(status) };
            let response = handshake(version).reject(&reject).unwrap();
            assert_eq!(
                response,
                ResponseHead::new(status, Headers::from_fields(fields.iter().copied()).unwrap()).unwrap()
            );
        }
        for status in [204, 205, 304] {
            let reject = RejectConnection { content_length: Some(1), ..RejectConnection::new(status) };
            assert_eq!(handshake(HttpVersion::Http11).reject(&reject), Err(LocalHandshakeError::BodyNotAllowed));
        }
        for status in [0, 99, 100, 101, 103, 199, 600, 65535] {
            let result = handshake(HttpVersion::Http11).reject(&RejectConnection::new(status));
            assert_eq!(result, Err(LocalHandshakeError::Status(status)));
        }
    }
}
