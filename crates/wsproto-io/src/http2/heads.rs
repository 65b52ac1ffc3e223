//! Heads of requests and responses, between the crate `http` and the core.

use h2::ext::Protocol;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, header};
use wsproto::handshake::{Headers, HttpVersion, InvalidHeader, LocalHandshakeError, RequestHead, ResponseHead};

use crate::error::Error;

/// A request as the core has it.
pub(super) fn request_head<B>(request: &Request<B>) -> Result<RequestHead<'_>, InvalidHeader> {
    let uri = request.uri();
    Ok(RequestHead {
        version: HttpVersion::Http2,
        method: request.method().as_str(),
        scheme: uri.scheme_str(),
        authority: uri.authority().map(http::uri::Authority::as_str),
        path: uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
        protocol: request.extensions().get::<Protocol>().map(Protocol::as_str),
        headers: headers(request.headers())?,
    })
}

/// A client's request for a WebSocket, as `h2` sends it.
///
/// The crate `http` has fewer characters for a path than RFC 6455 lets a client write: those of RFC 3986, and some more.
pub(super) fn connect(head: &RequestHead<'_>) -> Result<Request<()>, Error> {
    let path = PathAndQuery::try_from(head.path).map_err(|_| LocalHandshakeError::Path)?;
    finish(head, path).map_err(Error::other)
}

fn finish(head: &RequestHead<'_>, path: PathAndQuery) -> Result<Request<()>, http::Error> {
    let uri = Uri::builder()
        .scheme(head.scheme.unwrap_or_default())
        .authority(head.authority.unwrap_or_default())
        .path_and_query(path)
        .build()?;
    let mut request = Request::builder().method(Method::CONNECT).version(http::Version::HTTP_2).uri(uri);
    for (name, value) in head.headers.iter() {
        request = request.header(name, value);
    }
    if let Some(protocol) = head.protocol {
        request = request.extension(Protocol::from(protocol));
    }
    request.body(())
}

/// A response as `h2` sends it.
pub(super) fn response(head: &ResponseHead) -> Result<Response<()>, http::Error> {
    let mut response = Response::builder().status(head.status()).version(http::Version::HTTP_2);
    for (name, value) in head.headers().iter() {
        response = response.header(name, value);
    }
    response.body(())
}

/// Headers as the core has them. "If there are multiple Cookie header fields after decompression, these MUST be
/// concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20" (RFC 9113 §8.2.3).
pub(super) fn headers(map: &HeaderMap) -> Result<Headers, InvalidHeader> {
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
