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
        let bits = settings.bits.max(LEAST_BITS);
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

    /// Makes of it what a new one is, whatever it was used for, or gives it up: what it says next tells nothing of
    /// what it was told before.
    ///
    /// The library's reset is not enough. It leaves the text in the window, and a position near the end of what came
    /// since is hashed with the bytes behind it, which are of the past: whether such a position is found later shows
    /// in the length of what is written. (It also leaves a block of level 1 open.) So the window is overwritten
    /// with the zeros of a new one.
    pub(super) fn cleaned(mut self) -> Option<Self> {
        if self.settings.level > LAST_WITHOUT_CHAIN_SEARCH {
            return None;
        }
        self.deflate.reset();
        self.deflate.set_level(FASTEST.into()).ok()?;
        // The memory is two windows long. After a reset input fills it from its beginning, and nothing that was
        // written moves before it is full.
        let mut left = 2 << self.settings.bits.max(LEAST_BITS);
        while left > 0 {
            let zeros = &[0; 4096][..left.min(4096)];
            left -= zeros.len();
            let flush = if left == 0 { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
            let mut out = [0; 512];
            let step = self.compress(zeros, &mut out, flush);
            if step.status != Ok(Status::Ok) || step.consumed < zeros.len() || step.produced == out.len() {
                return None;
            }
        }
        self.deflate.reset();
        self.deflate.set_level(self.settings.level.into()).ok()?;
        Some(self)
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

/// The library has no raw window of 8 bits. One of 9 does: the longest distance that it uses is 512 - 262 = 250
/// bytes, which lies in a window of 256.
const LEAST_BITS: u8 = 9;

/// The level that goes through zeros with the least work.
const FASTEST: u8 = 1;

/// Above this level the library also follows the chains of positions inside a match, whether or not they were hashed
/// since the reset. Nothing but new memory clears the entries of those that were not, and we do not rely on there
/// being none.
const LAST_WITHOUT_CHAIN_SEARCH: u8 = 8;

/// What one call moved lies in memory, so it fits.
fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after.wrapping_sub(before)).unwrap_or(usize::MAX)
}
