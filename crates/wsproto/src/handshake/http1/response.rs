//! Reading the responses to a request from bytes.

use super::head::{self, FirstLine, HeadLimits, HeadScan};
use crate::handshake::client::{ClientHandshake, Outcome};
use crate::handshake::error::{HeadError, ResponseError};
use crate::handshake::response::ResponseHead;

/// Reads the response to one request from the caller's buffer, and skips the 1xx responses before it.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    handshake: ClientHandshake,
    limits: HeadLimits,
    scan: HeadScan,
    /// Where the response begins that is read now: the bytes of the 1xx responses before it.
    start: usize,
    informational: usize,
    /// Bytes looked at in those.
    visited: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Reading,
    Done,
    Failed(ResponseError),
}

impl ResponseReader {
    /// A reader of the response to this request.
    #[must_use]
    pub const fn new(handshake: ClientHandshake, limits: HeadLimits) -> Self {
        let scan = HeadScan::new(limits, FirstLine::Status);
        Self { handshake, limits, scan, start: 0, informational: 0, visited: 0, state: State::Reading }
    }

    /// The same from the start, with other limits.
    pub(crate) fn restart(&mut self, limits: HeadLimits) {
        *self = Self::new(self.handshake.clone(), limits);
    }

    /// Looks at what has arrived. `bytes` begins where the first response begins: at each call all that was there
    /// before, and what has come since. It is not changed, and borrowed for this call only.
    ///
    /// Back comes the outcome, and how many bytes it took, 1xx responses included: what `bytes` holds behind that is the
    /// start of the WebSocket, or of the body of a rejection. `None`: more bytes are needed (or the outcome was given
    /// before).
    ///
    /// # Errors
    ///
    /// When the server's response is not valid. The same error comes at each further call.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Outcome, usize)>, ResponseError> {
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

    /// How many bytes were looked at, each time that one was; for tests of linear time.
    #[doc(hidden)]
    #[must_use]
    pub const fn bytes_visited(&self) -> u64 {
        self.visited + self.scan.visited()
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Option<(Outcome, usize)>, ResponseError> {
        loop {
            let bytes = bytes.get(self.start..).unwrap_or_default();
            // Whoever speaks first, such as a server of mail, waits for an answer: the end of a head never comes.
            // (An empty line is an error of HTTP.)
            let begins = bytes.iter().zip(b"HTTP/").all(|(byte, expected)| byte == expected);
            if !begins && !matches!(bytes.first(), Some(b'\r' | b'\n')) {
                return Err(ResponseError::NotHttp);
            }
            let Some(length) = self.scan.receive(bytes)? else { return Ok(None) };
            let response = parse(&self.scan, &bytes[..length])?;
            self.start += length;
            // "A client MUST be able to parse one or more 1xx responses received prior to a final response" (RFC 9110
            // §15.2). A 101 is final: what follows it is no HTTP.
            if response.status() == 101 || response.status() >= 200 {
                return Ok(Some((self.handshake.response(response)?, self.start)));
            }
            self.informational += 1;
            if self.informational > self.limits.informational {
                return Err(ResponseError::TooManyInformational);
            }
            self.visited += self.scan.visited();
            let limits = HeadLimits { size: self.limits.size.saturating_sub(self.start), ..self.limits };
            self.scan = HeadScan::new(limits, FirstLine::Status);
        }
    }
}

/// A complete head of a response.
fn parse(scan: &HeadScan, head: &[u8]) -> Result<ResponseHead, ResponseError> {
    let mut slots = head::slots(scan);
    let mut response = httparse::Response::new(&mut slots);
    match response.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::Version) => return Err(ResponseError::HttpVersion),
        _ => return Err(HeadError::Syntax.into()),
    }
    let status = response.code.unwrap_or_default();
    // A rejection may come from an old server or proxy; an upgrade was introduced with HTTP/1.1.
    if response.version != Some(1) && status < 200 {
        return Err(ResponseError::HttpVersion);
    }
    let headers = head::collect(response.headers)?;
    ResponseHead::new(status, headers).map_err(|_| HeadError::Syntax.into())
}
