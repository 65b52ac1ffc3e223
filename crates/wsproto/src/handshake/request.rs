//! The request for a WebSocket: as a header list comes in, and as a valid request.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use super::authority::Authority;
use super::error::RequestError;
use super::headers::{ExtensionList, Headers, MAX_LIST, TokenList};
use super::key::Key;
use crate::extension::Params;

/// The version of HTTP that carries the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0, or older: has no WebSocket.
    Http10,
    /// HTTP/1.1: a GET with `Upgrade` (RFC 6455 §4).
    Http11,
    /// HTTP/2: an extended CONNECT (RFC 8441).
    Http2,
    /// HTTP/3: an extended CONNECT (RFC 9220).
    Http3,
}

impl HttpVersion {
    pub(super) const fn is_http1(self) -> bool {
        matches!(self, Self::Http10 | Self::Http11)
    }
}

/// The head of a request, of any HTTP version, as an HTTP library gives it or takes it.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    /// The version of HTTP.
    pub version: HttpVersion,
    /// The method; in HTTP/2 and 3 `:method`.
    pub method: &'a str,
    /// `:scheme`; in HTTP/1.1 the scheme of a request target in absolute form.
    pub scheme: Option<&'a str>,
    /// `:authority`; in HTTP/1.1 the authority of a request target in absolute form, which replaces `Host`
    /// (RFC 9112 §3.2.2).
    pub authority: Option<&'a str>,
    /// `:path`: path and query; in HTTP/1.1 the request target, without scheme and authority.
    pub path: &'a str,
    /// `:protocol` (RFC 8441 §4). HTTP/1.1 has none; it is not looked at there.
    pub protocol: Option<&'a str>,
    /// The headers, without the pseudo-headers of HTTP/2 and 3.
    pub headers: Headers,
}

/// A valid request for a WebSocket. It owns what it holds, so the answer may come later, from elsewhere.
#[derive(Clone, Debug)]
pub struct Request {
    version: HttpVersion,
    scheme: Option<String>,
    authority: String,
    path: String,
    headers: Headers,
}

impl Request {
    /// Checks everything that RFC 6455 §4.2.1 and RFC 8441 §4 want of a request. The key is that of HTTP/1.1. The headers
    /// of a request that was refused come back.
    pub(super) fn parse(head: RequestHead<'_>) -> Result<(Self, Option<Key>), (RequestError, Headers)> {
        let checked = match head.version {
            HttpVersion::Http10 => Err(RequestError::HttpVersion),
            HttpVersion::Http11 => parse_http1(&head).map(|(authority, key)| (authority.to_owned(), Some(key))),
            HttpVersion::Http2 | HttpVersion::Http3 => {
                parse_extended_connect(&head).map(|authority| (authority.to_owned(), None))
            }
        };
        match checked.and_then(|checked| parse_sec_websocket(&head.headers).map(|()| checked)) {
            Err(error) => Err((error, head.headers)),
            Ok((authority, key)) => {
                let RequestHead { version, scheme, path, headers, .. } = head;
                let (scheme, path) = (scheme.map(String::from), path.to_owned());
                Ok((Self { version, scheme, authority, path, headers }, key))
            }
        }
    }

    /// The version of HTTP.
    #[must_use]
    pub const fn version(&self) -> HttpVersion {
        self.version
    }

    /// `http` or `https`, where the request says so: HTTP/2, HTTP/3, and a target in absolute form.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// What the client takes this server for, as `host` or `host:port`: `Host`, `:authority`, or the authority of a
    /// target in absolute form. It is valid, but it is what the client says.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path, without the query: begins with `/`, in visible ASCII, not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path)
    }

    /// The query, without its `?`, not decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path.split_once('?').map(|(_, query)| query)
    }

    /// Path and query as they were sent: the request target of HTTP/1.1, the `:path` of HTTP/2 and 3.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.path
    }

    /// All headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// `Origin`: where the script comes from that a browser acts for (RFC 6455 §10.2). Visible ASCII and spaces.
    ///
    /// Others than browsers send none, or what they like. See [`OriginPolicy`](super::OriginPolicy).
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.headers.text("Origin")
    }

    /// The subprotocols that the client offers, "ordered by preference" (RFC 6455 §4.1), each once.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        texts(&self.headers, "Sec-WebSocket-Protocol").flat_map(TokenList::new).flatten()
    }

    /// The extensions that the client offers, in order of preference (RFC 6455 §9.1); one may come several times, with
    /// other parameters. They are parsed anew each time.
    pub fn extensions(&self) -> impl Iterator<Item = Params> {
        self.extension_values().flat_map(ExtensionList::new).flatten()
    }

    /// The values of `Sec-WebSocket-Extensions`.
    pub(super) fn extension_values(&self) -> impl Iterator<Item = &str> {
        texts(&self.headers, "Sec-WebSocket-Extensions")
    }
}

/// The values of a header as text. (Those of the handshake's own headers were checked: they are tokens.)
fn texts<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.values(name).map(|value| core::str::from_utf8(value).unwrap_or_default())
}

/// What HTTP/1.1 alone has: method, target, `Host`, framing, `Upgrade`, `Connection` and the key.
fn parse_http1<'a>(head: &'a RequestHead<'_>) -> Result<(&'a str, Key), RequestError> {
    let headers = &head.headers;
    // "The method of the request MUST be GET" (RFC 6455 §4.1).
    if head.method != "GET" {
        return Err(RequestError::Method);
    }
    if head.scheme.is_some_and(|scheme| !is_http_scheme(scheme)) || !is_path(head.path) {
        return Err(RequestError::Target);
    }
    // "A server MUST respond with a 400 status code to any HTTP/1.1 request message that lacks a Host header field and
    // to any [...] that contains more than one Host header field line" (RFC 9112 §3.2); also where the target's
    // authority replaces it.
    let host = headers.single("Host").ok().flatten().and_then(valid_authority).ok_or(RequestError::Host)?;
    let authority = match head.authority {
        Some(authority) => valid_authority(authority.as_bytes()).ok_or(RequestError::Host)?,
        None => host,
    };
    if headers.contains("Transfer-Encoding") {
        return Err(RequestError::Body);
    }
    if !matches!(headers.single("Content-Length"), Ok(None | Some(b"0"))) {
        return Err(RequestError::Body);
    }
    if !headers.lists_token("Upgrade", "websocket") {
        return Err(RequestError::NotWebSocket);
    }
    if !headers.lists_token("Connection", "upgrade") {
        return Err(RequestError::Connection);
    }
    parse_version(headers)?;
    let key = headers.single("Sec-WebSocket-Key").ok().flatten().and_then(Key::parse).ok_or(RequestError::Key)?;
    Ok((authority, key))
}

/// "The :method is CONNECT", with `:protocol`, and "on requests that contain the :protocol pseudo-header field, the
/// :scheme and :path pseudo-header fields of the target URI MUST also be included" (RFC 8441 §4).
fn parse_extended_connect<'a>(head: &'a RequestHead<'_>) -> Result<&'a str, RequestError> {
    if head.method != "CONNECT" {
        return Err(RequestError::NotWebSocket);
    }
    if head.protocol != Some("websocket") {
        return Err(RequestError::ConnectProtocol);
    }
    if !head.scheme.is_some_and(is_http_scheme) || !is_path(head.path) {
        return Err(RequestError::Target);
    }
    let authority = head.authority.map(str::as_bytes).and_then(valid_authority).ok_or(RequestError::Host)?;
    if head.headers.values("Host").any(|host| !host.eq_ignore_ascii_case(authority.as_bytes())) {
        return Err(RequestError::Host);
    }
    // "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields" (RFC 9113 §8.2.2).
    for name in ["Connection", "Upgrade", "Keep-Alive", "Proxy-Connection"] {
        if head.headers.contains(name) {
            return Err(RequestError::Connection);
        }
    }
    // The stream's DATA is the WebSocket: no length can be right.
    if head.headers.contains("Content-Length") || head.headers.contains("Transfer-Encoding") {
        return Err(RequestError::Body);
    }
    parse_version(&head.headers)?;
    Ok(authority)
}

/// "A |Sec-WebSocket-Version| header field, with a value of 13" (RFC 6455 §4.2.1).
fn parse_version(headers: &Headers) -> Result<(), RequestError> {
    match headers.single("Sec-WebSocket-Version") {
        Ok(Some(b"13")) => Ok(()),
        Ok(Some(_)) => Err(RequestError::Version),
        _ => Err(RequestError::VersionCount),
    }
}

/// What all versions have: subprotocols, extensions and the origin.
fn parse_sec_websocket(headers: &Headers) -> Result<(), RequestError> {
    let mut subprotocols = Vec::new();
    for value in headers.values("Sec-WebSocket-Protocol") {
        let value = core::str::from_utf8(value).map_err(|_| RequestError::Subprotocols)?;
        for subprotocol in TokenList::new(value) {
            subprotocols.push(subprotocol.map_err(|_| RequestError::Subprotocols)?);
            if subprotocols.len() > MAX_LIST {
                return Err(RequestError::Subprotocols);
            }
        }
    }
    // The elements "MUST all be unique strings", and `1#token` has one at least (§4.1, §4.3).
    if subprotocols.is_empty() && headers.contains("Sec-WebSocket-Protocol") || !all_differ(subprotocols) {
        return Err(RequestError::Subprotocols);
    }
    let mut extensions = 0;
    for value in headers.values("Sec-WebSocket-Extensions") {
        let value = core::str::from_utf8(value).map_err(|_| RequestError::Extensions)?;
        for extension in ExtensionList::new(value) {
            extension.map_err(|_| RequestError::Extensions)?;
            extensions += 1;
        }
    }
    if extensions == 0 && headers.contains("Sec-WebSocket-Extensions") {
        return Err(RequestError::Extensions);
    }
    match headers.single("Origin") {
        Ok(Some(origin)) if !is_origin(origin) => Err(RequestError::Origin),
        Ok(_) => Ok(()),
        Err(_) => Err(RequestError::Origin),
    }
}

/// The characters that an `Origin` may hold (RFC 6454 §7.1): visible ASCII, and spaces between several.
pub(super) fn is_origin(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether no text occurs twice.
pub(super) fn all_differ(mut texts: Vec<&str>) -> bool {
    texts.sort_unstable();
    texts.windows(2).all(|pair| pair[0] != pair[1])
}

fn valid_authority(value: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(value).ok()?;
    Authority::parse(text).map(|_| text)
}

fn is_http_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Path and query: begins with `/`, in visible ASCII. "Fragment identifiers are meaningless in the context of WebSocket
/// URIs and MUST NOT be used" (RFC 6455 §3).
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#')
}
