//! The client's side of the handshake, on header lists: for HTTP/1.1, HTTP/2 and HTTP/3 (RFC 6455 §4.1, RFC 8441 §5).

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::authority::Authority;
use super::error::{InvalidUrl, LocalHandshakeError, ResponseError};
use super::extensions::{finalize, write_offers};
use super::headers::{Headers, is_reserved, is_token};
use super::key::Key;
use super::request::{HttpVersion, RequestHead, all_differ, is_origin, is_path};
use super::response::{Accepted, ResponseHead};
use crate::extension::Extension;

/// What a client asks for; [`ClientHandshake::new`] checks it.
#[derive(Clone)]
pub struct ClientRequest {
    /// Whether the server is reached over TLS (`wss`). Default: no.
    pub secure: bool,
    /// The server, as `host` or `host:port`; the port is left out where it is the default of 80, or 443 over TLS.
    pub authority: String,
    /// Path and query. Begins with `/`.
    pub path: String,
    /// The origin that the client acts for, where it is a browser or acts like one (RFC 6455 §4.1).
    pub origin: Option<String>,
    /// The subprotocols to offer, in order of preference, each once (RFC 6455 §1.9). Default: none.
    pub subprotocols: Vec<String>,
    /// The extensions to offer, in order of preference (RFC 6455 §9.1). Default: none.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// Further headers, such as `Cookie` or `Authorization`. Default: none.
    pub headers: Headers,
}

impl ClientRequest {
    /// A request for this path (with its query) of this server.
    pub fn new(authority: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            secure: false,
            authority: authority.into(),
            path: path.into(),
            origin: None,
            subprotocols: Vec::new(),
            extensions: Vec::new(),
            headers: Headers::new(),
        }
    }

    /// A request for a URL: `ws://host[:port][/path][?query]`, or `wss` for TLS (RFC 6455 §3).
    ///
    /// # Errors
    ///
    /// When it is not such a URL, by the caller's fault; also with user information or a fragment ("MUST NOT be used").
    pub fn from_url(url: &str) -> Result<Self, LocalHandshakeError> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
        let secure = scheme.eq_ignore_ascii_case("wss");
        if !(secure || scheme.eq_ignore_ascii_case("ws")) {
            return Err(InvalidUrl::Scheme.into());
        }
        let (text, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if text.contains('@') {
            return Err(InvalidUrl::UserInfo.into());
        }
        let authority = Authority::parse(text).ok_or(InvalidUrl::Authority)?;
        if path.contains('#') {
            return Err(InvalidUrl::Fragment.into());
        }
        // ""/" if the path component is empty" (RFC 6455 §3).
        let path = if path.starts_with('/') { path.to_owned() } else { alloc::format!("/{path}") };
        if !is_path(&path) {
            return Err(InvalidUrl::Path.into());
        }
        let default = default_port(secure);
        let authority = match authority.port {
            Some(port) if port != default => alloc::format!("{}:{port}", authority.host),
            _ => authority.host.to_owned(),
        };
        Ok(Self { secure, ..Self::new(authority, path) })
    }

    /// The host to connect to: a name, an IPv4 address, or an IPv6 address without its brackets. `None` where the
    /// authority is not valid.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let host = Authority::parse(&self.authority)?.host;
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }

    /// The port to connect to: that of the authority, or 80, or 443 over TLS. `None` where the authority is not valid.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        Some(Authority::parse(&self.authority)?.port.unwrap_or_else(|| default_port(self.secure)))
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extensions: Vec<_> = self.extensions.iter().map(|extension| extension.name()).collect();
        f.debug_struct("ClientRequest")
            .field("secure", &self.secure)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .field("origin", &self.origin)
            .field("subprotocols", &self.subprotocols)
            .field("extensions", &extensions)
            .field("headers", &self.headers)
            .finish()
    }
}

/// A request that waits for the server's response (RFC 6455 §4.1). The client sends no frame before
/// [`response`](Self::response) has accepted.
#[derive(Clone)]
pub struct ClientHandshake {
    version: HttpVersion,
    secure: bool,
    authority: String,
    path: String,
    headers: Headers,
    key: Option<Key>,
    subprotocols: Vec<String>,
    extensions: Vec<Arc<dyn Extension>>,
}

impl ClientHandshake {
    /// A handshake over HTTP/1.1. `nonce` is 16 bytes that "MUST be selected randomly for each connection" (§4.1): proof
    /// that the server answers this request, not a secret.
    ///
    /// # Errors
    ///
    /// When the request cannot be written, by the caller's fault.
    pub fn new(request: ClientRequest, nonce: [u8; 16]) -> Result<Self, LocalHandshakeError> {
        Self::with_version(request, HttpVersion::Http11, Some(Key::new(nonce)))
    }

    /// A handshake over one stream of HTTP/2 (RFC 8441): no nonce, no key.
    ///
    /// The client "MUST NOT" send it before the server's `SETTINGS_ENABLE_CONNECT_PROTOCOL` has arrived with the value 1
    /// (RFC 8441 §3).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn http2(request: ClientRequest) -> Result<Self, LocalHandshakeError> {
        Self::with_version(request, HttpVersion::Http2, None)
    }

    /// A handshake over one stream of HTTP/3 (RFC 9220), as over HTTP/2.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn http3(request: ClientRequest) -> Result<Self, LocalHandshakeError> {
        Self::with_version(request, HttpVersion::Http3, None)
    }

    fn with_version(
        request: ClientRequest,
        version: HttpVersion,
        key: Option<Key>,
    ) -> Result<Self, LocalHandshakeError> {
        let ClientRequest { secure, authority, path, origin, subprotocols, extensions, headers: extra } = request;
        if Authority::parse(&authority).is_none() {
            return Err(LocalHandshakeError::Authority);
        }
        if !is_path(&path) {
            return Err(LocalHandshakeError::Path);
        }
        if !subprotocols.iter().all(|subprotocol| is_token(subprotocol))
            || !all_differ(subprotocols.iter().map(String::as_str).collect())
        {
            return Err(LocalHandshakeError::Subprotocol);
        }
        // The origin has its own field.
        if extra.iter().any(|(name, _)| is_reserved(name) || name.eq_ignore_ascii_case("Origin")) {
            return Err(LocalHandshakeError::ReservedHeader);
        }
        let mut offers = Vec::new();
        for extension in &extensions {
            for offer in extension.offers() {
                // An offer under another name could never be finalized.
                if offer.name() != extension.name() {
                    return Err(LocalHandshakeError::Extension);
                }
                offers.push(offer);
            }
        }
        let offers = write_offers(&offers).ok_or(LocalHandshakeError::Extension)?;

        let mut headers = Headers::new();
        if let Some(key) = &key {
            headers.push_valid("Host", &authority);
            headers.push_valid("Upgrade", "websocket");
            headers.push_valid("Connection", "Upgrade");
            headers.push_valid("Sec-WebSocket-Key", key.as_bytes());
        }
        headers.push_valid("Sec-WebSocket-Version", "13");
        if let Some(origin) = &origin {
            if !is_origin(origin.as_bytes()) {
                return Err(LocalHandshakeError::Origin);
            }
            headers.push("Origin", origin).map_err(|_| LocalHandshakeError::Origin)?;
        }
        if !subprotocols.is_empty() {
            headers.push_valid("Sec-WebSocket-Protocol", subprotocols.join(", "));
        }
        if !offers.is_empty() {
            headers.push_valid("Sec-WebSocket-Extensions", offers);
        }
        headers.append(&extra);
        if key.is_none() {
            headers.lowercase_names();
        }
        Ok(Self { version, secure, authority, path, headers, key, subprotocols, extensions })
    }

    /// The request to send: GET over HTTP/1.1, the extended CONNECT over HTTP/2 and 3.
    #[must_use]
    pub fn request(&self) -> RequestHead<'_> {
        let headers = self.headers.clone();
        let (version, path) = (self.version, self.path.as_str());
        if version.is_http1() {
            return RequestHead {
                version,
                method: "GET",
                scheme: None,
                authority: None,
                path,
                protocol: None,
                headers,
            };
        }
        RequestHead {
            version,
            method: "CONNECT",
            scheme: Some(if self.secure { "https" } else { "http" }),
            authority: Some(&self.authority),
            path,
            protocol: Some("websocket"),
            headers,
        }
    }

    /// Takes the final response. (1xx responses before it are to be skipped; a 101 is final.)
    ///
    /// # Errors
    ///
    /// When the response is not the answer to this request, by the server's fault. The client closes the transport.
    pub fn response(&self, response: ResponseHead) -> Result<Outcome, ResponseError> {
        match (&self.key, response.status()) {
            (Some(key), 101) => check_upgrade(response.headers(), key)?,
            // "[...] a 2xx (Successful) status code indicates that the tunnel is established" (RFC 9113 §8.5).
            // Content-Length and Transfer-Encoding there: "A client MUST ignore" them (RFC 9110 §9.3.6).
            (None, 200..=299) => {}
            (_, status @ 100..=199) => return Err(ResponseError::Status(status)),
            _ => return Ok(Outcome::Rejected(response)),
        }
        let headers = response.headers();
        // The header "MUST NOT appear more than once in an HTTP response" (§11.3.4); a subprotocol that "was not present
        // in the client's handshake" fails the connection (§4.1).
        let subprotocol = match headers.single("Sec-WebSocket-Protocol").map_err(|_| ResponseError::Subprotocol)? {
            None => None,
            Some(value) => {
                let offered = self.subprotocols.iter().find(|offered| offered.as_bytes() == value);
                Some(offered.ok_or(ResponseError::Subprotocol)?.clone())
            }
        };
        let offered: Vec<&dyn Extension> = self.extensions.iter().map(|extension| &**extension).collect();
        // What is not UTF-8 is no list: the replacement makes it malformed.
        let values = headers.values("Sec-WebSocket-Extensions");
        let values = values.map(|value| core::str::from_utf8(value).unwrap_or("\u{fffd}"));
        let (agreed, extensions) = finalize(values, &offered)?;
        Ok(Outcome::Accepted(Accepted { response, subprotocol, agreed, extensions }))
    }

    pub(super) const fn version(&self) -> HttpVersion {
        self.version
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn headers(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("version", &self.version)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What the server said.
#[derive(Debug)]
pub enum Outcome {
    /// The WebSocket is open.
    Accepted(Accepted),
    /// The server rejected the request. Over HTTP/1.1 its body follows
    /// ([`RejectionBody`](super::http1::RejectionBody)).
    Rejected(ResponseHead),
}

/// What a 101 must have (RFC 6455 §4.1).
fn check_upgrade(headers: &Headers, key: &Key) -> Result<(), ResponseError> {
    // A 101 has no body: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx"
    // (RFC 9110 §8.6), nor Transfer-Encoding (RFC 9112 §6.1).
    if headers.contains("Content-Length") || headers.contains("Transfer-Encoding") {
        return Err(ResponseError::Body);
    }
    // "[...] or the |Upgrade| header field contains a value that is not an ASCII case-insensitive match for the value
    // 'websocket', the client MUST _Fail the WebSocket Connection_": the value, not an element of it.
    match headers.single("Upgrade") {
        Ok(Some(value)) if value.eq_ignore_ascii_case(b"websocket") => {}
        _ => return Err(ResponseError::Upgrade),
    }
    if !headers.lists_token("Connection", "upgrade") {
        return Err(ResponseError::Connection);
    }
    match headers.single("Sec-WebSocket-Accept") {
        Ok(Some(value)) if value == key.accept() => Ok(()),
        _ => Err(ResponseError::Accept),
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        for (url, secure, authority, path, host, port) in [
            ("ws://example.com", false, "example.com", "/", "example.com", 80),
            ("WSS://example.com", true, "example.com", "/", "example.com", 443),
            ("ws://example.com:80/a/b?c=d%20e", false, "example.com", "/a/b?c=d%20e", "example.com", 80),
            ("wss://example.com:80?q", true, "example.com:80", "/?q", "example.com", 80),
            ("wss://[::1]:443/", true, "[::1]", "/", "::1", 443),
            ("ws://127.0.0.1:9001/x//", false, "127.0.0.1:9001", "/x//", "127.0.0.1", 9001),
        ] {
            let request = ClientRequest::from_url(url).unwrap();
            assert_eq!((request.secure, request.authority.as_str(), request.path.as_str()), (secure, authority, path));
            assert_eq!((request.host(), request.port()), (Some(host), Some(port)), "{url}");
        }
        for (url, rule) in [
            ("", InvalidUrl::Scheme),
            ("example.com", InvalidUrl::Scheme),
            ("http://a", InvalidUrl::Scheme),
            ("ws:/a", InvalidUrl::Scheme),
            ("://a", InvalidUrl::Scheme),
            ("wsss://a", InvalidUrl::Scheme),
            ("ws://", InvalidUrl::Authority),
            ("ws:///", InvalidUrl::Authority),
            ("ws://a:x/", InvalidUrl::Authority),
            ("ws://a b/", InvalidUrl::Authority),
            ("ws://é/", InvalidUrl::Authority),
            ("ws://u@a/", InvalidUrl::UserInfo),
            ("ws://u:p@a/", InvalidUrl::UserInfo),
            ("ws://a/#f", InvalidUrl::Fragment),
            ("ws://a#f", InvalidUrl::Fragment),
            ("ws://a/b c", InvalidUrl::Path),
            ("ws://a/é", InvalidUrl::Path),
        ] {
            assert_eq!(ClientRequest::from_url(url).err(), Some(LocalHandshakeError::Url(rule)), "{url}");
        }
        assert_eq!(ClientRequest::new("a b", "/").host(), None);
        assert_eq!(ClientRequest::new("a b", "/").port(), None);
    }

    #[test]
    fn a_request_says_what_was_asked_for_once() {
        let request = ClientRequest {
            origin: Some("https://example.com".to_owned()),
            subprotocols: alloc::vec!["chat".to_owned(), "super".to_owned()],
            headers: Headers::from_fields([("Cookie", "a=b")]).unwrap(),
            ..ClientRequest::new("example.com:81", "/")
        };
        let handshake = ClientHandshake::new(request.clone(), *b"the sample nonce").unwrap();
        let head = handshake.request();
        let fields: Vec<(&str, &[u8])> = head.headers.iter().collect();
        let expected: [(&str, &[u8]); 8] = [
            ("Host", b"example.com:81"),
            ("Upgrade", b"websocket"),
            ("Connection", b"Upgrade"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", b"13"),
            ("Origin", b"https://example.com"),
            ("Sec-WebSocket-Protocol", b"chat, super"),
            ("Cookie", b"a=b"),
        ];
        assert_eq!(fields, expected);
        let http3 = ClientHandshake::http3(request.clone()).unwrap();
        assert_eq!((http3.request().version, http3.request().scheme), (HttpVersion::Http3, Some("http")));

        let subprotocols = alloc::vec!["chat".to_owned(), "chat".to_owned()];
        let twice = ClientRequest { subprotocols, ..request.clone() };
        assert_eq!(ClientHandshake::new(twice, [0; 16]).err(), Some(LocalHandshakeError::Subprotocol));
        let headers = Headers::from_fields([("origin", "null")]).unwrap();
        let twice = ClientRequest { headers, ..request };
        assert_eq!(ClientHandshake::new(twice, [0; 16]).err(), Some(LocalHandshakeError::ReservedHeader));
    }

    #[test]
    fn other_statuses_reject() {
        let handshake = ClientHandshake::new(ClientRequest::new("example.com", "/"), [0; 16]).unwrap();
        for status in [200, 204, 301, 401, 403, 426, 500, 599, 999] {
            let response = ResponseHead::new(status, Headers::new()).unwrap();
            assert!(matches!(handshake.response(response.clone()), Ok(Outcome::Rejected(head)) if head == response));
        }
        for status in [100, 102, 199] {
            let response = ResponseHead::new(status, Headers::new()).unwrap();
            assert_eq!(handshake.response(response).err(), Some(ResponseError::Status(status)));
        }
        for status in [0, 99, 1000] {
            assert_eq!(ResponseHead::new(status, Headers::new()), Err(LocalHandshakeError::Status(status)));
        }
    }
}
