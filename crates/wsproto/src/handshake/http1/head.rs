//! Finding the end of a head: an incremental scan, strict about lines (RFC 9112 §2, §5).

use alloc::vec;

use crate::handshake::error::HeadError;
use crate::handshake::headers::{Headers, trim};

/// What the head of a message may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, the empty line at the end included; for a client the 1xx responses before the final one, too. Default
    /// 16 KiB. A request over the limit is refused with 431 as soon as one byte too many is there.
    pub size: usize,
    /// Header lines; for a client in each response. Default 64. A request over the limit is refused with 431.
    pub headers: usize,
    /// 1xx responses (100, 103, …) that a client skips before the final one; one more fails the handshake. Default 8.
    pub informational: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { size: 16 * 1024, headers: 64, informational: 8 }
    }
}

/// Whether a first line is a client's or a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    /// Visible ASCII and spaces: method, target, version.
    Request,
    /// Like the value of a header: the reason phrase may hold `obs-text`.
    Status,
}

/// The scan over one head. Looks at each byte once.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadScan {
    limits: HeadLimits,
    first_line: FirstLine,
    state: State,
    /// How many bytes were looked at.
    offset: usize,
    /// How many header lines have begun.
    headers: usize,
    /// How many bytes were looked at, counted one by one: what the tests of linear time measure.
    visited: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the first byte.
    Start,
    InFirstLine,
    /// Behind a CR that ends a line.
    LineEnding,
    /// At the first byte of a header line, or of the empty line.
    LineStart,
    InHeader,
    /// Behind the CR of the empty line.
    HeadEnding,
}

impl HeadScan {
    pub(super) const fn new(limits: HeadLimits, first_line: FirstLine) -> Self {
        Self { limits, first_line, state: State::Start, offset: 0, headers: 0, visited: 0 }
    }

    /// The length of the head, once `bytes` (from the start of the head) hold all of it.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(&byte) = bytes.get(self.offset) {
            if self.offset == self.limits.size {
                return Err(HeadError::TooLarge);
            }
            self.visited += 1;
            self.offset += 1;
            if (self.state, byte) == (State::HeadEnding, b'\n') {
                return Ok(Some(self.offset));
            }
            self.state = self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<State, HeadError> {
        use State::{HeadEnding, InFirstLine, InHeader, LineEnding, LineStart, Start};
        Ok(match (self.state, byte) {
            (LineEnding, b'\n') => LineStart,
            (LineEnding | HeadEnding, _) => return Err(HeadError::BareCarriageReturn),
            (Start, b'\r' | b'\n') => return Err(HeadError::EmptyLine),
            (LineStart, b'\r') => HeadEnding,
            (_, b'\r') => LineEnding,
            (_, b'\n') => return Err(HeadError::BareLineFeed),
            (Start | InFirstLine, _) => {
                let allowed = match self.first_line {
                    FirstLine::Request => matches!(byte, b' '..=b'~'),
                    FirstLine::Status => is_text(byte),
                };
                if !allowed {
                    return Err(HeadError::Character);
                }
                InFirstLine
            }
            (LineStart, b' ' | b'\t') => return Err(HeadError::Folded),
            (LineStart, _) if self.headers == self.limits.headers => return Err(HeadError::TooManyHeaders),
            (LineStart | InHeader, _) => {
                if !is_text(byte) {
                    return Err(HeadError::Character);
                }
                self.headers += usize::from(self.state == LineStart);
                InHeader
            }
        })
    }

    /// How many header lines the head has.
    pub(super) const fn headers(&self) -> usize {
        self.headers
    }

    pub(super) const fn visited(&self) -> u64 {
        self.visited
    }
}

/// HTAB, SP, VCHAR and `obs-text`: what a value may hold (RFC 9110 §5.5).
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Room for as many headers as the scan has counted, for httparse.
pub(super) fn slots<'b>(scan: &HeadScan) -> alloc::vec::Vec<httparse::Header<'b>> {
    vec![httparse::EMPTY_HEADER; scan.headers()]
}

/// The headers that httparse has found.
pub(super) fn collect(headers: &[httparse::Header<'_>]) -> Result<Headers, HeadError> {
    Headers::from_fields(headers.iter().map(|header| (header.name, trim(header.value)))).map_err(|_| HeadError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8], first_line: FirstLine) -> Result<Option<usize>, HeadError> {
        let limits = HeadLimits { size: 40, headers: 2, informational: 0 };
        let whole = HeadScan::new(limits, first_line).receive(bytes);
        let mut by_byte = HeadScan::new(limits, first_line);
        let step = (1..=bytes.len()).map(|end| by_byte.receive(&bytes[..end])).find(|step| *step != Ok(None));
        assert_eq!(step.unwrap_or(Ok(None)), whole, "{}", bytes.escape_ascii());
        whole
    }

    #[test]
    fn the_head_ends_with_the_empty_line() {
        for (bytes, end) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Some(18)),
            (b"GET / HTTP/1.1\r\na: b\r\n\r\nmore\n", Some(24)),
            (b"GET / HTTP/1.1\r\na: b\r\nc: d\r\n\r\n", Some(30)),
            (b"GET / HTTP/1.1\r\na: b\r\n\r", None),
            (b"GET / HTTP/1.1\r\na: \x80\t\xff", None),
            (b"", None),
        ] {
            assert_eq!(scan(bytes, FirstLine::Request), Ok(end), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        use HeadError::*;
        for (bytes, error) in [
            (&b"\r"[..], EmptyLine),
            (b"\n", EmptyLine),
            (b"GET\n", BareLineFeed),
            (b"GET / HTTP/1.1\r\n\n", BareLineFeed),
            (b"GET / HTTP/1.1\r\na\n", BareLineFeed),
            (b"GET\rX", BareCarriageReturn),
            (b"GET\r\r", BareCarriageReturn),
            (b"GET / HTTP/1.1\r\na\rb", BareCarriageReturn),
            (b"GET / HTTP/1.1\r\n\rx", BareCarriageReturn),
            (b"GET /\0", Character),
            (b"\x16\x03\x01", Character),
            (b"GET /\xc3", Character),
            (b"GET\t/", Character),
            (b"GET / HTTP/1.1\r\na: \x7f", Character),
            (b"GET / HTTP/1.1\r\na: b\r\n c", Folded),
            (b"GET / HTTP/1.1\r\n\tc", Folded),
            (b"GET / HTTP/1.1\r\na:\r\nb:\r\nc", TooManyHeaders),
            (b"GET /0123456789012345678901234567890123456", TooLarge),
        ] {
            assert_eq!(scan(bytes, FirstLine::Request), Err(error), "{}", bytes.escape_ascii());
        }
        assert_eq!(scan(b"HTTP/1.1 200 \xc3\xa9\t\r\n", FirstLine::Status), Ok(None));
        assert_eq!(scan(b"HTTP/1.1 200 \0", FirstLine::Status), Err(Character));
    }

    #[test]
    fn the_limit_is_exact() {
        let head = b"GET /01234567890123456789 HTTP/1.1\r\n\r\nx";
        let size = head.len() - 1;
        for (limit, expected) in [(size, Ok(Some(size))), (size - 1, Err(HeadError::TooLarge))] {
            let limits = HeadLimits { size: limit, headers: 0, informational: 0 };
            assert_eq!(HeadScan::new(limits, FirstLine::Request).receive(head), expected);
            assert_eq!(HeadScan::new(limits, FirstLine::Request).receive(&head[..size - 1]), Ok(None));
        }
    }
}
