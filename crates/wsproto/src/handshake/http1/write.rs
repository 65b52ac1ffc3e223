//! Writing heads as bytes (RFC 9112 §3, §4).

use alloc::vec::Vec;

use crate::handshake::client::ClientHandshake;
use crate::handshake::error::{LocalHandshakeError, RequestError};
use crate::handshake::headers::Headers;
use crate::handshake::request::HttpVersion;
use crate::handshake::response::ResponseHead;

/// Appends the request to the caller's buffer.
///
/// # Errors
///
/// When the handshake is not one for HTTP/1.1, by the caller's fault; nothing was written.
pub fn write_request(handshake: &ClientHandshake, out: &mut Vec<u8>) -> Result<(), LocalHandshakeError> {
    if handshake.version() != HttpVersion::Http11 {
        return Err(LocalHandshakeError::NotHttp1);
    }
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(handshake.path().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_headers(handshake.headers(), out);
    Ok(())
}

/// Appends the head of the response to the caller's buffer. The reason phrase is the registered one, or empty: nobody
/// reads it ("A client SHOULD ignore the reason-phrase content", RFC 9112 §4).
pub fn write_response(response: &ResponseHead, out: &mut Vec<u8>) {
    let status = response.status();
    out.extend_from_slice(alloc::format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
    write_headers(response.headers(), out);
}

/// Appends the complete answer to a request that was refused. After it the connection closes.
pub fn write_error(error: RequestError, out: &mut Vec<u8>) {
    let response = error.response(HttpVersion::Http11);
    write_response(&response.head, out);
    out.extend_from_slice(response.body.as_bytes());
}

fn write_headers(headers: &Headers, out: &mut Vec<u8>) {
    for (name, value) in headers.iter() {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The reason phrases of the statuses that handshakes end with (RFC 9110 §15).
const fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::ClientRequest;

    #[test]
    fn heads_are_appended() {
        let mut out = b"before ".to_vec();
        let handshake =
            ClientHandshake::new(ClientRequest::new("example.com", "/chat?a"), *b"the sample nonce").unwrap();
        write_request(&handshake, &mut out).unwrap();
        let expected = "before GET /chat?a HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        assert_eq!(out, expected.as_bytes());

        let handshake = ClientHandshake::http2(ClientRequest::new("example.com", "/")).unwrap();
        assert_eq!(write_request(&handshake, &mut out), Err(LocalHandshakeError::NotHttp1));
        assert_eq!(out, expected.as_bytes());

        let mut out = Vec::new();
        let headers = Headers::from_fields([("A", &b"\xff"[..]), ("B", b"")]).unwrap();
        write_response(&ResponseHead::new(599, headers).unwrap(), &mut out);
        assert_eq!(out, b"HTTP/1.1 599 \r\nA: \xff\r\nB: \r\n\r\n");
    }

    #[test]
    fn an_error_is_answered_completely() {
        let mut out = Vec::new();
        write_error(RequestError::NotWebSocket, &mut out);
        let text = core::str::from_utf8(&out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n")
        );
        assert!(head.ends_with(&alloc::format!("Content-Length: {}", body.len())));
    }
}
