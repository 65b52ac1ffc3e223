//! Messages as they come in (RFC 7692 §7.2.2).

use zlib_rs::{InflateError, Status};

use super::TAIL;
use super::codec::Decompressor;
use super::history::History;
use super::pool::CodecPool;
use crate::close::CloseCode;
use crate::error::ExtensionError;
use crate::extension::{Decoder, End, FrameInfo, Progress};
use crate::frame::Rsv;

/// Decompresses messages in bounded steps, in a codec that is borrowed for each of them.
pub(super) struct DeflateDecoder {
    pool: CodecPool,
    /// Whether messages may refer to those before (§7.1.1).
    takeover: bool,
    /// What the message may refer to. Without takeover it is empty, and without memory, between messages.
    history: History,
    /// Borrowed from the first byte of a message until its end.
    codec: Option<Decompressor>,
    /// Whether the message in progress is compressed.
    compressed: bool,
    /// Where its data stands.
    stream: Stream,
    /// An error whose turn comes after the bytes that were decoded before it.
    failed: Option<ExtensionError>,
}

/// Where the compressed data stands.
struct Stream {
    /// Whether nothing was read since the message began, or since a block with BFINAL ended.
    fresh: bool,
    /// The last four bytes that were read.
    last: u32,
    /// How many bytes were read, of all messages.
    read: u64,
    /// How many frames they had.
    frames: u64,
    /// How many blocks with BFINAL have ended in them.
    ends: u64,
}

impl DeflateDecoder {
    pub(super) const fn new(pool: CodecPool, bits: u8, takeover: bool) -> Self {
        Self {
            pool,
            takeover,
            history: History::new(bits),
            codec: None,
            compressed: false,
            stream: Stream::new(),
            failed: None,
        }
    }

    /// Decodes until the output is full, which gives true, or the input and the codec are dry.
    fn decompress(&mut self, input: &[u8], output: &mut [u8], progress: &mut Progress) -> Result<bool, ExtensionError> {
        if input.is_empty() && self.codec.is_none() {
            return Ok(false);
        }
        let codec = match &mut self.codec {
            Some(codec) => codec,
            free => free.insert(borrow(&self.pool, &mut self.history, self.takeover)?),
        };
        loop {
            let (input, output) = (&input[progress.consumed..], &mut output[progress.produced..]);
            if output.is_empty() {
                return Ok(true);
            }
            let step = codec.decompress(input, output);
            progress.consumed += step.consumed;
            progress.produced += step.produced;
            self.history.push(&output[..step.produced]);
            self.stream.read(&input[..step.consumed]);
            match step.status.map_err(broken)? {
                // A block with BFINAL ends nothing but itself (§7.2.3.4): more may follow, in the same window.
                Status::StreamEnd => {
                    self.stream.end()?;
                    codec.reset();
                    prime(codec, &self.history)?;
                    if step.consumed == input.len() {
                        return Ok(false);
                    }
                }
                // Space that was not filled up holds all that there was.
                _ if step.produced < output.len() && step.consumed == input.len() => return Ok(false),
                _ if step.produced == 0 && step.consumed == 0 => return Err(BROKEN),
                _ => {}
            }
        }
    }

    /// "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message" (§7.2.2), and see
    /// whether that ends a block.
    ///
    /// The RFC wants these octets to be the length of an empty block that the payload has begun. We also take
    /// what is whole without them, because nothing of it is missing: no data, a block with BFINAL, and a flush from
    /// which they were not removed.
    fn finish(&mut self) -> Result<(), ExtensionError> {
        let codec = match &mut self.codec {
            Some(codec) if !self.stream.fresh => codec,
            _ => return Ok(()),
        };
        // Whatever is written here was cut short: each symbol is decoded as soon as its last bit is read.
        let nowhere = &mut [0];
        if self.stream.last != u32::from_be_bytes(TAIL) {
            let step = codec.decompress(&TAIL, nowhere);
            let all = step.produced == 0 && step.consumed == TAIL.len();
            match step.status {
                Ok(Status::StreamEnd) if all => return Ok(()),
                Ok(Status::Ok) if all => {}
                _ => return Err(CUT_SHORT),
            }
        }
        // Only where one block ended and none has begun does another whole one follow.
        let step = codec.decompress(&LAST_EMPTY_BLOCK, nowhere);
        let ended = matches!(step.status, Ok(Status::StreamEnd));
        if ended && step.produced == 0 && step.consumed == LAST_EMPTY_BLOCK.len() { Ok(()) } else { Err(CUT_SHORT) }
    }

    fn give_back(&mut self) {
        if let Some(mut codec) = self.codec.take() {
            if !self.takeover {
                self.history.exchange_memory(&mut codec.memory);
            }
            self.pool.give_decompressor(codec);
        }
    }
}

impl Decoder for DeflateDecoder {
    fn start_frame(&mut self, frame: FrameInfo, rsv: Rsv) -> Result<bool, ExtensionError> {
        let marked = rsv.contains(Rsv::RSV1);
        if frame.first {
            self.compressed = marked;
            self.stream.begin_message();
        } else if marked {
            // "An endpoint MUST NOT set the "Per-Message Compressed" bit of [...] non-first fragments" (§6).
            return Err(MARKED_CONTINUATION);
        }
        self.stream.frames += u64::from(self.compressed);
        Ok(self.compressed)
    }

    fn decode(&mut self, input: &[u8], end: End, output: &mut [u8]) -> Result<Progress, ExtensionError> {
        let mut progress = Progress { consumed: 0, produced: 0, more: true };
        let result = match self.failed {
            Some(error) => Err(error),
            None => match self.decompress(input, output, &mut progress) {
                Ok(false) if end == End::Message => self.finish().map(|()| false),
                result => result,
            },
        };
        match result {
            Ok(more) => {
                progress.more = more;
                if !more && end == End::Message {
                    self.give_back();
                }
                Ok(progress)
            }
            Err(error) => {
                self.failed = Some(error);
                self.give_back();
                if progress.produced > 0 { Ok(progress) } else { Err(error) }
            }
        }
    }
}

impl Drop for DeflateDecoder {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Stream {
    /// An end costs a reset and a copy of the history: as much as reading some hundred bytes. A peer that ends
    /// blocks to no purpose is refused: on a connection these many may end for nothing,
    const FREE_ENDS: u64 = 32;
    /// and then one for each frame (a sender without another way to flush needs them, §7.2.3.4) and for so many
    /// bytes.
    const BYTES_FOR_AN_END: u64 = 64;

    const fn new() -> Self {
        Self { fresh: true, last: u32::MAX, read: 0, frames: 0, ends: 0 }
    }

    const fn begin_message(&mut self) {
        self.fresh = true;
        self.last = u32::MAX;
    }

    fn read(&mut self, bytes: &[u8]) {
        self.fresh &= bytes.is_empty();
        self.read += bytes.len() as u64;
        self.last = bytes[bytes.len().saturating_sub(4)..].iter().fold(self.last, |last, b| last << 8 | u32::from(*b));
    }

    fn end(&mut self) -> Result<(), ExtensionError> {
        self.fresh = true;
        self.ends += 1;
        let allowed = Self::FREE_ENDS + self.frames + self.read / Self::BYTES_FOR_AN_END;
        if self.ends > allowed { Err(TOO_MANY_ENDS) } else { Ok(()) }
    }
}

fn borrow(pool: &CodecPool, history: &mut History, takeover: bool) -> Result<Decompressor, ExtensionError> {
    let mut codec = pool.decompressor();
    if takeover {
        prime(&mut codec, history)?;
    } else {
        history.exchange_memory(&mut codec.memory);
    }
    Ok(codec)
}

fn prime(codec: &mut Decompressor, history: &History) -> Result<(), ExtensionError> {
    for piece in history.pieces() {
        if !piece.is_empty() {
            codec.prime(piece).map_err(broken)?;
        }
    }
    Ok(())
}

/// An empty block with BFINAL.
const LAST_EMPTY_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

const MARKED_CONTINUATION: ExtensionError =
    ExtensionError { code: CloseCode::PROTOCOL_ERROR, message: "RSV1 on a continuation frame" };
const BROKEN: ExtensionError = ExtensionError { code: CloseCode::INVALID_PAYLOAD, message: "broken compressed data" };
const CUT_SHORT: ExtensionError =
    ExtensionError { code: CloseCode::INVALID_PAYLOAD, message: "compressed data ends inside a block" };
const TOO_MANY_ENDS: ExtensionError =
    ExtensionError { code: CloseCode::POLICY_VIOLATION, message: "too many final blocks in compressed messages" };
const NO_MEMORY: ExtensionError =
    ExtensionError { code: CloseCode::INTERNAL_ERROR, message: "no memory to decompress with" };

const fn broken(error: InflateError) -> ExtensionError {
    match error {
        InflateError::MemError => NO_MEMORY,
        _ => BROKEN,
    }
}
