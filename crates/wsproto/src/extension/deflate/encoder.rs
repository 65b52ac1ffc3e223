//! Messages as they leave (RFC 7692 §7.2.1).

use alloc::vec::Vec;

use zlib_rs::{DeflateError, DeflateFlush};

use super::TAIL;
use super::codec::{Compressor, Settings};
use super::history::History;
use super::pool::CodecPool;
use crate::close::CloseCode;
use crate::error::ExtensionError;
use crate::extension::{Encoder, End, FrameInfo};
use crate::frame::Rsv;

/// Compresses whole messages, fragment by fragment, in a codec that is borrowed for each of them.
pub(super) struct DeflateEncoder {
    pool: CodecPool,
    settings: Settings,
    threshold: usize,
    /// What the peer's window holds, where the next message may refer to it.
    history: Option<History>,
    /// Borrowed from the first byte of a message until its end.
    codec: Option<Compressor>,
    /// Whether the message in progress is compressed.
    compressing: bool,
    /// Whether all of the message so far was written out: its bits end with a byte and a block.
    flushed: bool,
}

impl DeflateEncoder {
    pub(super) fn new(pool: CodecPool, settings: Settings, takeover: bool, threshold: usize) -> Self {
        // At level 0 nothing refers to anything.
        let history = (takeover && settings.level > 0).then(|| History::new(settings.bits));
        Self { pool, settings, threshold, history, codec: None, compressing: false, flushed: true }
    }

    fn compress(&mut self, input: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) -> Result<(), DeflateError> {
        let codec = match &mut self.codec {
            Some(codec) => codec,
            free => {
                let mut codec = self.pool.compressor(self.settings);
                for piece in self.history.iter().flat_map(History::pieces).filter(|piece| !piece.is_empty()) {
                    codec.prime(piece)?;
                }
                free.insert(codec)
            }
        };
        write(codec, input, flush, out)?;
        if let Some(history) = &mut self.history {
            history.push(input);
        }
        Ok(())
    }

    fn give_back(&mut self) {
        if let Some(codec) = self.codec.take() {
            self.pool.give_compressor(codec);
        }
    }
}

impl Encoder for DeflateEncoder {
    fn start_frame(&mut self, frame: FrameInfo, len: usize, compress: bool) -> Option<Rsv> {
        if !frame.first {
            // "An endpoint MUST NOT set the "Per-Message Compressed" bit of [...] non-first fragments" (§6).
            return self.compressing.then_some(Rsv::NONE);
        }
        // What goes out as it is does not pass the codec, here and at the peer: the windows stay the same.
        self.compressing = compress && !(frame.last && len < self.threshold);
        self.flushed = true;
        self.compressing.then_some(Rsv::RSV1)
    }

    fn encode(&mut self, input: &[u8], end: End, out: &mut Vec<u8>) -> Result<(), ExtensionError> {
        let start = out.len();
        self.flushed &= input.is_empty();
        if !self.flushed {
            let flush = if end == End::No { DeflateFlush::NoFlush } else { DeflateFlush::SyncFlush };
            self.compress(input, flush, out).map_err(|_| FAILED)?;
        }
        if end == End::No {
            return Ok(());
        }
        if end == End::Message {
            if self.flushed {
                // Nothing since the last flush, which another one would not change. An empty block, without the
                // length that is removed, is 0x00 (§7.2.3.6).
                out.push(0);
            } else {
                // "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." (§7.2.1)
                let end = out.len().saturating_sub(TAIL.len());
                if out.get(end.max(start)..) != Some(&TAIL) {
                    return Err(FAILED);
                }
                out.truncate(end);
            }
            self.compressing = false;
            self.give_back();
        }
        self.flushed = true;
        Ok(())
    }
}

impl Drop for DeflateEncoder {
    fn drop(&mut self) {
        self.give_back();
    }
}

const FAILED: ExtensionError =
    ExtensionError { code: CloseCode::INTERNAL_ERROR, message: "the message could not be compressed" };

/// Longest step, in bytes, by which the output grows ahead of what is written into it.
const STEP: usize = 16 * 1024;

/// Space for the blocks' headers beside the data: more than a flush needs, so that few end at the end of a step.
const SLACK: usize = 64;

/// Feeds all of the input and appends all that comes of it.
fn write(codec: &mut Compressor, mut input: &[u8], flush: DeflateFlush, out: &mut Vec<u8>) -> Result<(), DeflateError> {
    loop {
        let start = out.len();
        let space = (input.len() / 2 + SLACK).min(STEP);
        out.resize(start + space, 0);
        let step = codec.compress(input, &mut out[start..], flush);
        out.truncate(start + step.produced);
        step.status?;
        input = input.get(step.consumed..).unwrap_or_default();
        // Space that was not filled up holds all that there was.
        if step.produced < space && input.is_empty() {
            return Ok(());
        }
        if step.produced == 0 && step.consumed == 0 {
            return Err(DeflateError::StreamError);
        }
    }
}
