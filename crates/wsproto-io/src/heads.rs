//! Heads of requests and responses, between the crate `http` and the core.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version, header};
use wsproto::handshake::http1::PlainRequest;
use wsproto::handshake::{Headers, HttpVersion, InvalidHeader, LocalHandshakeError, RequestHead, ResponseHead};

use crate::error::Error;

/// The head of a request that an HTTP library has read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) version: Version,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// `:protocol`, for which each library has a type of its own.
    pub(crate) protocol: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub(crate) fn new<B>(request: &'a Request<B>, protocol: Option<&'a str>) -> Self {
        let (version, method, uri) = (request.version(), request.method(), request.uri());
        Self { version, method, uri, headers: request.headers(), protocol }
    }

    pub(crate) fn version(&self) -> HttpVersion {
        match self.version {
            Version::HTTP_11 => HttpVersion::Http11,
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_3 => HttpVersion::Http3,
            _ => HttpVersion::Http10,
        }
    }

    /// As the core has it.
    pub(crate) fn as_request(&self) -> Result<RequestHead<'a>, InvalidHeader> {
        Ok(RequestHead {
            version: self.version(),
            method: self.method.as_str(),
            scheme: self.uri.scheme_str(),
            authority: self.uri.authority().map(http::uri::Authority::as_str),
            path: self.uri.path_and_query().map_or("", PathAndQuery::as_str),
            protocol: self.protocol,
            headers: headers(self.headers)?,
        })
    }

    /// As one for a page, where it is a GET.
    pub(crate) fn plain(&self) -> Option<PlainRequest> {
        if self.method != Method::GET {
            return None;
        }
        let mut headers = headers(self.headers).ok()?;
        if let Some(authority) = self.uri.authority() {
            // It "MUST NOT" differ from `Host` (RFC 9113 §8.3.1), which stands for it here.
            headers =
                Headers::from_fields(headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host"))).ok()?;
            headers.push("host", authority.as_str()).ok()?;
        }
        PlainRequest::new(self.uri.path_and_query()?.as_str(), headers)
    }
}

/// A client's request for a WebSocket, without its `:protocol`.
///
/// The crate `http` has fewer characters for a path than RFC 6455 lets a client write: those of RFC 3986, and some more.
pub(crate) fn request(head: &RequestHead<'_>) -> Result<Request<()>, Error> {
    let path = PathAndQuery::try_from(head.path).map_err(|_| LocalHandshakeError::Path)?;
    build(head, path).map_err(Error::other)
}

fn build(head: &RequestHead<'_>, path: PathAndQuery) -> Result<Request<()>, http::Error> {
    let mut uri = Uri::builder().path_and_query(path);
    if let (Some(scheme), Some(authority)) = (head.scheme, head.authority) {
        uri = uri.scheme(scheme).authority(authority);
    }
    let version = if head.version == HttpVersion::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    let mut request = Request::builder().method(head.method).version(version).uri(uri.build()?);
    for (name, value) in head.headers.iter() {
        request = request.header(name, value);
    }
    request.body(())
}

/// A server's response.
pub(crate) fn response<B>(head: &ResponseHead, version: Version, body: B) -> Result<Response<B>, http::Error> {
    let mut response = Response::builder().status(head.status()).version(version);
    for (name, value) in head.headers().iter() {
        response = response.header(name, value);
    }
    response.body(body)
}

/// Headers as the core has them. "If there are multiple Cookie header fields after decompression, these MUST be
/// concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20" (RFC 9113 §8.2.3).
pub(crate) fn headers(map: &HeaderMap) -> Result<Headers, InvalidHeader> {
    let mut headers = Headers::new();
    let cookies: Vec<&[u8]> = map.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes).collect();
    if !cookies.is_empty() {
        headers.push("cookie", cookies.join(&b"; "[..]))?;
    }
    for (name, value) in map.iter().filter(|(name, _)| *name != header::COOKIE) {
        headers.push(name.as_str(), value.as_bytes())?;
    }
    Ok(headers)
}
