//! The ready answers to requests that are refused.

use super::error::RequestError;
use super::headers::Headers;
use super::request::HttpVersion;
use super::response::ResponseHead;

/// The answer to a request that was refused ([`RequestError::response`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// Status and headers, `Content-Length` included.
    pub head: ResponseHead,
    /// The body: a short text.
    pub body: &'static str,
}

impl RequestError {
    /// The complete answer: a head, and a short text as its body.
    #[must_use]
    pub fn response(self, version: HttpVersion) -> ErrorResponse {
        let mut headers = Headers::new();
        let mut status = self.status();
        if version.is_http1() {
            // "A server that sends a 426 MUST send an Upgrade header field" (RFC 9110 §15.5.22).
            let upgrade = status == 426;
            headers.push_valid("Connection", if upgrade { "Upgrade, close" } else { "close" });
            if upgrade {
                headers.push_valid("Upgrade", "websocket");
            }
        } else if status == 426 {
            status = 400;
        }
        if self.status() == 426 {
            // "[...] and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of
            // understanding" (RFC 6455 §4.2.2).
            headers.push_valid("Sec-WebSocket-Version", "13");
        }
        if status == 405 {
            // "The origin server MUST generate an Allow header field in a 405 response" (RFC 9110 §15.5.6).
            headers.push_valid("Allow", "GET");
        }
        let body = self.rule();
        headers.push_valid("Content-Type", "text/plain; charset=utf-8");
        headers.push_valid("Content-Length", alloc::format!("{}", body.len()));
        if !version.is_http1() {
            headers.lowercase_names();
        }
        ErrorResponse { head: ResponseHead::valid(status, headers), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::HeadError;
    use alloc::string::ToString as _;

    #[test]
    fn each_error_has_its_answer() {
        for (error, status, upgrade, allow) in [
            (RequestError::Head(HeadError::Syntax), 400, false, None),
            (RequestError::Head(HeadError::TooLarge), 431, false, None),
            (RequestError::Head(HeadError::TooManyHeaders), 431, false, None),
            (RequestError::HttpVersion, 505, false, None),
            (RequestError::Method, 405, false, Some("GET")),
            (RequestError::NotWebSocket, 426, true, None),
            (RequestError::Version, 426, true, None),
            (RequestError::Key, 400, false, None),
            (RequestError::ConnectProtocol, 501, false, None),
        ] {
            assert_eq!(error.status(), status);
            let ErrorResponse { head, body } = error.response(HttpVersion::Http11);
            let text = |name| head.headers().text(name);
            assert_eq!(head.status(), status);
            assert_eq!(text("Connection"), Some(if upgrade { "Upgrade, close" } else { "close" }));
            assert_eq!(text("Upgrade"), upgrade.then_some("websocket"));
            assert_eq!(text("Sec-WebSocket-Version"), upgrade.then_some("13"));
            assert_eq!(text("Allow"), allow);
            assert_eq!(text("Content-Length"), Some(body.len().to_string().as_str()));
            assert!(error.to_string().starts_with("the client's request was refused"));

            // Over HTTP/2 nothing of HTTP/1.1's connection, names in lower case, and no 426.
            let head = error.response(HttpVersion::Http2).head;
            assert_eq!(head.status(), if status == 426 { 400 } else { status });
            assert!(!head.headers().contains("connection") && !head.headers().contains("upgrade"));
            assert!(head.headers().iter().all(|(name, _)| name == name.to_ascii_lowercase()));
        }
    }
}
