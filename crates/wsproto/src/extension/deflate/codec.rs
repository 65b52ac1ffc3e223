//! The library's two state machines for raw DEFLATE data (RFC 1951), with what they did in a step as a value.

use alloc::collections::VecDeque;

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

/// What one call did. Bytes may have moved before it failed.
pub(super) struct Step<E> {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    pub(super) status: Result<Status, E>,
}

/// A decoder. Its window is always the largest: what the peer promised to keep to is smaller.
pub(super) struct Decompressor {
    inflate: Inflate,
    /// Memory for the history of a connection that has none of its own.
    pub(super) memory: VecDeque<u8>,
}

impl Decompressor {
    pub(super) fn new() -> Self {
        Self { inflate: Inflate::new(false, 15), memory: VecDeque::new() }
    }

    /// Forgets all input and output. (The window stays the largest: that is what a reset makes of it.)
    pub(super) fn reset(&mut self) {
        self.inflate.reset(false);
    }

    /// Appends to the window what was said before.
    pub(super) fn prime(&mut self, said: &[u8]) -> Result<(), InflateError> {
        self.inflate.set_dictionary(said).map(drop)
    }

    pub(super) fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Step<InflateError> {
        let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, output, InflateFlush::NoFlush);
        Step {
            consumed: difference(total_in, self.inflate.total_in()),
            produced: difference(total_out, self.inflate.total_out()),
            status,
        }
    }
}

/// What an encoder is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// 0 to 9.
    pub(super) level: u8,
    /// 1 to 9.
    pub(super) mem_level: u8,
    /// Of the window, 8 to 15.
    pub(super) bits: u8,
}

/// An encoder.
pub(super) struct Compressor {
    deflate: Deflate,
    settings: Settings,
}

impl Compressor {
    pub(super) fn new(settings: Settings) -> Self {
        // The library has no raw window of 8 bits. One of 9 does: the longest distance that it uses is
        // 512 - 262 = 250 bytes, which lies in a window of 256.
        let bits = settings.bits.max(9);
        let config = DeflateConfig {
            level: settings.level.into(),
            mem_level: settings.mem_level.into(),
            window_bits: -i32::from(bits),
            ..DeflateConfig::default()
        };
        Self { deflate: Deflate::new_with_config(config), settings }
    }

    pub(super) const fn settings(&self) -> Settings {
        self.settings
    }

    /// Forgets all input and output.
    pub(super) fn reset(&mut self) {
        self.deflate.reset();
    }

    /// Appends to the window what was said before.
    pub(super) fn prime(&mut self, said: &[u8]) -> Result<(), DeflateError> {
        self.deflate.set_dictionary(said).map(drop)
    }

    pub(super) fn compress(&mut self, input: &[u8], output: &mut [u8], flush: DeflateFlush) -> Step<DeflateError> {
        let (total_in, total_out) = (self.deflate.total_in(), self.deflate.total_out());
        let status = self.deflate.compress(input, output, flush);
        Step {
            consumed: difference(total_in, self.deflate.total_in()),
            produced: difference(total_out, self.deflate.total_out()),
            status,
        }
    }
}

/// What one call moved lies in memory, so it fits.
fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after.wrapping_sub(before)).unwrap_or(usize::MAX)
}
