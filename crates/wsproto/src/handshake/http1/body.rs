//! Reading the body of a rejection (RFC 9112 §6, §7.1).

use alloc::borrow::Cow;

use crate::handshake::error::ResponseError;
use crate::handshake::headers::trim;
use crate::handshake::response::{RejectData, ResponseHead};

/// Reads the body that follows the head of a rejection over HTTP/1.1, up to a limit: it ends as `Content-Length`, the
/// chunks or the end of the transport say, or at the limit.
///
/// Keeps none of the body: the pieces are borrowed from the caller's input.
#[derive(Clone, Debug)]
pub struct RejectionBody {
    state: State,
    /// Bytes that may still be given.
    room: u64,
    truncated: bool,
    /// Bytes of chunk lines and trailers so far.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes follow.
    Length(u64),
    /// All bytes until the transport ends.
    UntilEof,
    Chunked(Chunk),
    Finished,
    Failed(ResponseError),
}

/// Where the reader is in a chunked body: `chunk-size [ chunk-ext ] CRLF chunk-data CRLF`, at last a chunk of size 0 and
/// the trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLineEnding { size: u64 },
    Data(u64),
    DataEnding,
    DataEnded,
    TrailerStart,
    Trailer,
    TrailerEnding,
    BodyEnding,
}

impl RejectionBody {
    /// Longest body that is read by default, in bytes: 64 KiB.
    pub const DEFAULT_LIMIT: u64 = 64 * 1024;

    /// A reader of the body behind this head. At most `limit` bytes of it are given; the rest is not read.
    ///
    /// # Errors
    ///
    /// When `Content-Length` is not a number, by the server's fault.
    pub fn new(head: &ResponseHead, limit: u64) -> Result<Self, ResponseError> {
        let headers = head.headers();
        let state = if matches!(head.status(), 100..=199 | 204 | 304) {
            State::Finished
        } else if headers.contains("Transfer-Encoding") {
            // It overrides Content-Length. Where chunked is not the only coding, "the message body length is determined
            // by reading the connection until it is closed" (RFC 9112 §6.3), or is in a coding that we did not ask for.
            match headers.single("Transfer-Encoding") {
                Ok(Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => State::Chunked(Chunk::START),
                _ => State::UntilEof,
            }
        } else {
            let mut length = None;
            for element in headers.values("Content-Length").flat_map(|value| value.split(|&byte| byte == b',')) {
                let element = parse_length(trim(element)).ok_or(ResponseError::ContentLength)?;
                // The same number twice is one number (RFC 9112 §6.3).
                if *length.get_or_insert(element) != element {
                    return Err(ResponseError::ContentLength);
                }
            }
            length.map_or(State::UntilEof, State::Length)
        };
        let state = if state == State::Length(0) { State::Finished } else { state };
        Ok(Self { state, room: limit, truncated: false, overhead: 0 })
    }

    /// Takes the next bytes of the transport. Back comes how many of them are done with, and the next piece of the body,
    /// borrowed from them. Call it until the piece says that the body is finished, or all bytes are done with.
    ///
    /// # Errors
    ///
    /// When the chunks are malformed, by the server's fault. The same error comes at each further call.
    pub fn receive<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, RejectData<'b>), ResponseError> {
        let mut at = 0;
        let data: &[u8] = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.state {
                State::Finished => break &[],
                State::Failed(error) => return Err(error),
                State::Length(0) => self.state = State::Finished,
                State::Chunked(Chunk::Data(0)) => self.state = State::Chunked(Chunk::DataEnding),
                _ if rest.is_empty() => break &[],
                State::Length(left) => break self.take(rest, left, State::Length),
                State::Chunked(Chunk::Data(left)) => {
                    break self.take(rest, left, |left| State::Chunked(Chunk::Data(left)));
                }
                State::UntilEof => break self.take(rest, u64::MAX, |_| State::UntilEof),
                State::Chunked(chunk) => {
                    at += 1;
                    self.state = match self.step(chunk, rest[0]) {
                        Ok(state) => state,
                        Err(error) => State::Failed(error),
                    };
                }
            }
        };
        // The last byte ends a body of known length, not the call after it.
        if self.state == State::Length(0) {
            self.state = State::Finished;
        }
        let finished = self.is_finished();
        Ok((at + data.len(), RejectData { data: Cow::Borrowed(data), body_finished: finished }))
    }

    /// Takes the end of the transport.
    ///
    /// # Errors
    ///
    /// When more of the body was announced, by the server's fault.
    pub fn receive_eof(&mut self) -> Result<(), ResponseError> {
        match self.state {
            State::Finished => Ok(()),
            State::Failed(error) => Err(error),
            State::UntilEof => {
                self.state = State::Finished;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) => {
                self.state = State::Failed(ResponseError::UnexpectedEof);
                Err(ResponseError::UnexpectedEof)
            }
        }
    }

    /// Whether nothing more comes: the body has ended, or the limit is reached.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// Whether the body was longer than the limit, and its rest was not read.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The next bytes of the body: at most `left`, and at most what the limit leaves. One byte more ends the reading.
    fn take<'b>(&mut self, rest: &'b [u8], left: u64, next: impl FnOnce(u64) -> State) -> &'b [u8] {
        let most = usize::try_from(left.min(self.room)).unwrap_or(usize::MAX);
        let data = &rest[..rest.len().min(most)];
        let taken = data.len() as u64;
        self.room -= taken;
        self.state = next(left - taken);
        if data.len() < rest.len() && self.room == 0 && left > taken {
            self.truncated = true;
            self.state = State::Finished;
        }
        data
    }

    fn step(&mut self, chunk: Chunk, byte: u8) -> Result<State, ResponseError> {
        /// Most bytes of chunk lines and trailers, for a body within the limit.
        const MAX_OVERHEAD: usize = 64 * 1024;
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD {
            return Err(ResponseError::Chunk);
        }
        Ok(State::Chunked(match (chunk, byte) {
            (Chunk::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Chunk::Size { size: size << 4 | digit, digits: digits + 1 }
            }
            (Chunk::Size { size, digits: 1.. }, b'\r') => Chunk::SizeLineEnding { size },
            (Chunk::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Chunk::Extension { size },
            (Chunk::Extension { size }, b'\r') => Chunk::SizeLineEnding { size },
            (Chunk::Extension { .. }, byte) if byte != b'\n' => chunk,
            (Chunk::SizeLineEnding { size: 0 }, b'\n') => Chunk::TrailerStart,
            (Chunk::SizeLineEnding { size }, b'\n') => Chunk::Data(size),
            (Chunk::DataEnding, b'\r') => Chunk::DataEnded,
            (Chunk::DataEnded, b'\n') => Chunk::START,
            (Chunk::TrailerStart, b'\r') => Chunk::BodyEnding,
            (Chunk::Trailer, b'\r') => Chunk::TrailerEnding,
            (Chunk::TrailerStart | Chunk::Trailer, byte) if byte != b'\n' => Chunk::Trailer,
            (Chunk::TrailerEnding, b'\n') => Chunk::TrailerStart,
            (Chunk::BodyEnding, b'\n') => return Ok(State::Finished),
            _ => return Err(ResponseError::Chunk),
        }))
    }
}

impl Chunk {
    const START: Self = Self::Size { size: 0, digits: 0 };
}

/// `Content-Length = 1*DIGIT` (RFC 9110 §8.6).
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = core::str::from_utf8(value).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::Headers;
    use alloc::string::String;
    use alloc::vec::Vec;

    type Outcome = (Vec<u8>, bool, bool, Result<(), ResponseError>);

    /// All pieces joined, whether the body finished before the end of the transport, whether it was truncated, the end.
    fn read(reader: &RejectionBody, pieces: &[&[u8]]) -> Outcome {
        let (mut reader, mut body) = (reader.clone(), Vec::new());
        let mut input = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            while !reader.is_finished() && !input.is_empty() {
                match reader.receive(&input) {
                    Ok((consumed, data)) => {
                        body.extend_from_slice(&data.data);
                        assert_eq!(data.body_finished, reader.is_finished());
                        input.drain(..consumed);
                    }
                    Err(error) => {
                        assert_eq!(reader.receive(b"x"), Err(error));
                        return (body, false, reader.is_truncated(), Err(error));
                    }
                }
            }
        }
        let finished = reader.is_finished();
        let end = reader.receive_eof();
        (body, finished, reader.is_truncated(), end)
    }

    fn body(status: u16, headers: &[(&str, &str)], limit: u64, bytes: &[u8]) -> Outcome {
        let head = ResponseHead::new(status, Headers::from_fields(headers.iter().copied()).unwrap()).unwrap();
        let reader = RejectionBody::new(&head, limit).unwrap();
        let whole = read(&reader, &[bytes]);
        for cut in 0..=bytes.len() {
            assert_eq!(read(&reader, &[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        let by_byte: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(read(&reader, &by_byte), whole);
        whole
    }

    fn ok(text: &str, finished: bool) -> Outcome {
        (text.into(), finished, false, Ok(()))
    }

    #[test]
    fn the_length_is_followed() {
        assert_eq!(body(403, &[("Content-Length", "5")], 10, b"hello"), ok("hello", true));
        assert_eq!(body(403, &[("Content-Length", "5")], 10, b"hello more"), ok("hello", true));
        assert_eq!(body(403, &[("Content-Length", "5, 5"), ("content-length", "5")], 5, b"hello"), ok("hello", true));
        assert_eq!(body(403, &[("Content-Length", "0")], 10, b""), ok("", true));
        let short = body(403, &[("Content-Length", "6")], 10, b"hello");
        assert_eq!(short, (b"hello".to_vec(), false, false, Err(ResponseError::UnexpectedEof)));
    }

    #[test]
    fn without_a_length_the_transport_ends_the_body() {
        assert_eq!(body(500, &[], 10, b"hello"), ok("hello", false));
        assert_eq!(body(500, &[], 10, b""), ok("", false));
        assert_eq!(body(500, &[("Transfer-Encoding", "gzip, chunked")], 10, b"hello"), ok("hello", false));
    }

    #[test]
    fn some_responses_have_no_body() {
        for status in [204, 304] {
            assert_eq!(body(status, &[("Content-Length", "5")], 10, b"hello"), ok("", true));
        }
    }

    #[test]
    fn chunks_are_joined() {
        let headers = [("Transfer-Encoding", "Chunked"), ("Content-Length", "3")];
        for bytes in [
            &b"5\r\nhello\r\n0\r\n\r\n"[..],
            b"2;a=\"b\"\r\nhe\r\n003 ;x\r\nllo\r\n0\r\nTrailer: x\r\nb:\r\n\r\nHTTP/1.1",
            b"000000000000005\r\nhello\r\n00\r\n\r\n",
        ] {
            assert_eq!(body(400, &headers, 5, bytes), ok("hello", true), "{}", bytes.escape_ascii());
        }
        for bytes in [
            &b"\r\n"[..],
            b"5\nhello",
            b"x\r\n",
            b";\r\n",
            b"5\r\nhellox",
            b"5\r\nhello\n",
            b"5\r\nhello\r\r",
            b"5\rh",
            b"00000000000000005\r\n",
            b"5;\n",
            b"0\r\n\n",
            b"0\r\na\n",
            b"0\r\n\r\r",
            b"0\r\na\rb",
            b"-5\r\n",
            b"0x5\r\n",
        ] {
            let (_, finished, _, end) = body(400, &headers, 10, bytes);
            assert_eq!((finished, end), (false, Err(ResponseError::Chunk)), "{}", bytes.escape_ascii());
        }
        assert_eq!(body(400, &headers, 10, b"5\r\nhel").3, Err(ResponseError::UnexpectedEof));
        // No endless extension or trailer.
        let endless = [&b"1;"[..], &b"x".repeat(70_000)].concat();
        let head = ResponseHead::new(400, Headers::from_fields(headers).unwrap()).unwrap();
        assert_eq!(RejectionBody::new(&head, 10).unwrap().receive(&endless), Err(ResponseError::Chunk));
    }

    #[test]
    fn the_limit_is_exact() {
        let chunked = ("Transfer-Encoding", "chunked");
        for (headers, bytes) in [
            (&[("Content-Length", "5")][..], &b"hello"[..]),
            (&[], b"hello"),
            (&[chunked], b"4\r\nhell\r\n1\r\no\r\n0\r\n\r\n"),
        ] {
            assert!(!body(403, headers, 5, bytes).2);
            let (read, _, truncated, end) = body(403, headers, 4, bytes);
            assert_eq!((read.as_slice(), truncated, end), (&b"hell"[..], true, Ok(())));
        }
    }

    #[test]
    fn a_length_is_a_number() {
        for values in [&["5", "6"][..], &["5, 6"], &["+5"], &["-1"], &["5x"], &[""], &["18446744073709551616"], &["5,"]]
        {
            let fields: Vec<(&str, String)> = values.iter().map(|&value| ("Content-Length", value.into())).collect();
            let head = ResponseHead::new(403, Headers::from_fields(fields).unwrap()).unwrap();
            assert_eq!(RejectionBody::new(&head, 1).err(), Some(ResponseError::ContentLength), "{values:?}");
        }
    }
}
