//! `--show-frames`: a transport that shows the frames that pass through it.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wsproto_io::wsproto::frame::{FrameHeader, MAX_HEADER, Mask, Opcode, Rsv};

use crate::connect::screen::Screen;

/// A transport whose frames can be seen.
pub(crate) struct Tapped<S> {
    stream: S,
    taps: Option<Taps>,
}

struct Taps {
    screen: Screen,
    received: Tap,
    sent: Tap,
}

impl<S> Tapped<S> {
    /// Shows the frames on this screen, if there is one; those behind the heads of a handshake by HTTP/1.1.
    pub(crate) fn with_heads(stream: S, screen: Option<Screen>) -> Self {
        Self::new(stream, screen, Phase::Head)
    }

    /// The same on a stream of HTTP/2, which has no heads.
    pub(crate) fn without_heads(stream: S, screen: Option<Screen>) -> Self {
        Self::new(stream, screen, Phase::Header)
    }

    fn new(stream: S, screen: Option<Screen>, phase: Phase) -> Self {
        let taps = |screen| Taps { screen, received: Tap::new('<', phase.clone()), sent: Tap::new('>', phase) };
        Self { stream, taps: screen.map(taps) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, taps } = self.get_mut();
        let before = space.filled().len();
        let read = Pin::new(stream).poll_read(cx, space);
        if let (Some(Taps { screen, received, .. }), Poll::Ready(Ok(()))) = (taps, &read) {
            received.show(&space.filled()[before..], screen);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, taps } = self.get_mut();
        let Some(Taps { screen, sent, .. }) = taps else { return Pin::new(stream).poll_write(cx, bytes) };
        // Shown before it is written: else the answer could be shown before it.
        let already = sent.ahead;
        sent.show(bytes.get(already..).unwrap_or_default(), screen);
        let written = Pin::new(stream).poll_write(cx, bytes);
        let taken = if let Poll::Ready(Ok(n)) = written { n } else { 0 };
        sent.ahead = already.max(bytes.len()) - taken;
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// One direction: first the heads of HTTP/1.1, then frames.
#[derive(Debug)]
struct Tap {
    /// `<` for what is received, `>` for what is sent.
    arrow: char,
    phase: Phase,
    /// How many of the next bytes were shown before.
    ahead: usize,
    /// A head, or the header of a frame, as far as it came.
    begun: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Phase {
    Head,
    Header,
    Payload {
        header: FrameHeader,
        left: u64,
        first: Vec<u8>,
    },
    /// No frames: the response is none, or a frame is malformed.
    Off,
}

/// How much of a payload is shown, in bytes.
const SHOWN: usize = 16;

impl Tap {
    const fn new(arrow: char, phase: Phase) -> Self {
        Self { arrow, phase, ahead: 0, begun: Vec::new() }
    }

    /// Shows the frames that are complete with these bytes.
    fn show(&mut self, bytes: &[u8], screen: &Screen) {
        let mut text = String::new();
        self.pass(bytes, &mut text);
        if !text.is_empty() {
            screen.note(&text);
        }
    }

    /// Writes the frames whose header and first bytes are complete now.
    fn pass(&mut self, mut bytes: &[u8], text: &mut String) {
        while !bytes.is_empty() {
            match &mut self.phase {
                Phase::Off => return,
                Phase::Head => {
                    self.begun.push(bytes[0]);
                    bytes = &bytes[1..];
                    if self.begun.ends_with(b"\r\n\r\n") {
                        self.phase = after_head(&self.begun);
                        self.begun.clear();
                    }
                }
                Phase::Header => {
                    let before = self.begun.len();
                    let more = bytes.len().min(MAX_HEADER - before);
                    self.begun.extend_from_slice(&bytes[..more]);
                    match FrameHeader::decode(&self.begun) {
                        Ok(None) => bytes = &bytes[more..],
                        Ok(Some((header, len))) => {
                            bytes = &bytes[len - before..];
                            self.begun.clear();
                            let payload = Phase::Payload { header, left: header.len, first: Vec::new() };
                            self.phase = payload;
                            self.end_payload(text);
                        }
                        Err(error) => {
                            let _ = writeln!(text, "{} {error}", self.arrow);
                            self.phase = Phase::Off;
                        }
                    }
                }
                Phase::Payload { left, first, .. } => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    first.extend_from_slice(&bytes[..n.min(SHOWN - first.len())]);
                    *left -= n as u64;
                    bytes = &bytes[n..];
                    self.end_payload(text);
                }
            }
        }
    }

    /// Shows the frame whose payload is at its end.
    fn end_payload(&mut self, text: &mut String) {
        if let Phase::Payload { header, left: 0, first } = &mut self.phase {
            if let Some(key) = header.mask {
                Mask::new(key).apply(first);
            }
            let _ = writeln!(text, "{} {}", self.arrow, describe(header, first));
            self.phase = Phase::Header;
        }
    }
}

/// Frames follow a request, and a response with status 101; another response follows other 1xx.
fn after_head(head: &[u8]) -> Phase {
    match head.strip_prefix(b"HTTP/1.1 ") {
        None => Phase::Header,
        Some([b'1', b'0', b'1', ..]) => Phase::Header,
        Some([b'1', ..]) => Phase::Head,
        Some(_) => Phase::Off,
    }
}

/// A frame on one line: opcode, FIN, RSV, mask, length, and the first bytes, unmasked.
fn describe(header: &FrameHeader, first: &[u8]) -> String {
    let opcode = match header.opcode {
        Opcode::Continuation => "continuation",
        Opcode::Text => "text",
        Opcode::Binary => "binary",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
    };
    let bit = |rsv| u8::from(header.rsv.intersects(rsv));
    let mut line = format!(
        "{opcode} fin={} rsv={}{}{} mask=",
        u8::from(header.fin),
        bit(Rsv::RSV1),
        bit(Rsv::RSV2),
        bit(Rsv::RSV3)
    );
    match header.mask {
        Some(mask) => mask.iter().for_each(|byte| {
            let _ = write!(line, "{byte:02x}");
        }),
        None => line.push('-'),
    }
    let _ = write!(line, " len={}", header.len);
    for byte in first {
        let _ = write!(line, " {byte:02x}");
    }
    if header.len > first.len() as u64 {
        line.push_str(" …");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: &[u8] = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 x\r\nA: b\r\n\r\n\x81\x02Hi\x89\0\x82\x7e\0\x80";

    #[test]
    fn frames_are_shown_however_the_bytes_are_cut() {
        let mut bytes = IN.to_vec();
        bytes.extend_from_slice(&[7; 128]);
        bytes.extend_from_slice(b"\xc8\x80\x01\x02\x03\x04");
        let expected = "< text fin=1 rsv=000 mask=- len=2 48 69\n\
                        < ping fin=1 rsv=000 mask=- len=0\n\
                        < binary fin=1 rsv=000 mask=- len=128 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 …\n\
                        < close fin=1 rsv=100 mask=01020304 len=0\n";
        for size in [1, 2, 3, 7, 1000] {
            let (mut tap, mut text) = (Tap::new('<', Phase::Head), String::new());
            bytes.chunks(size).for_each(|piece| tap.pass(piece, &mut text));
            assert_eq!(text, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_sent_is_shown_unmasked() {
        let (mut tap, mut text) = (Tap::new('>', Phase::Head), String::new());
        tap.pass(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x81\x81\x01\0\0\0\x40\x83\0", &mut text);
        assert_eq!(
            text,
            "> text fin=1 rsv=000 mask=01000000 len=1 41\n> the peer broke the protocol: reserved opcode (0x3)\n"
        );
    }

    #[test]
    fn a_rejection_holds_no_frames() {
        let (mut tap, mut text) = (Tap::new('<', Phase::Head), String::new());
        tap.pass(b"HTTP/1.1 403 Forbidden\r\n\r\n\x81\x01A", &mut text);
        assert_eq!(text, "");
    }
}
