//! The sliding window (RFC 1951 §2) in plain text: what later data may refer back to.

use alloc::collections::VecDeque;
use core::mem;

/// The last bytes of one direction, at most one window of them. It has no memory until there are some.
#[derive(Default)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    window: usize,
}

impl History {
    /// An empty history for a window of `2^bits` bytes.
    pub(super) const fn new(bits: u8) -> Self {
        Self { bytes: VecDeque::new(), window: 1 << bits }
    }

    /// Appends what was said, and forgets what no longer fits.
    pub(super) fn push(&mut self, said: &[u8]) {
        let said = &said[said.len().saturating_sub(self.window)..];
        let excess = (self.bytes.len() + said.len()).saturating_sub(self.window);
        self.bytes.drain(..excess);
        let needed = self.bytes.len() + said.len();
        if needed > self.bytes.capacity() {
            // Doubled, so that a thousand short messages are not a thousand copies, but never above the window.
            let capacity = needed.max(2 * self.bytes.capacity()).min(self.window);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(said);
    }

    /// The bytes in their order, in the two pieces that they lie in. Either may be empty.
    pub(super) fn pieces(&self) -> [&[u8]; 2] {
        let (older, newer) = self.bytes.as_slices();
        [older, newer]
    }

    /// Forgets the bytes, and gives the memory away or takes it: what the two held is exchanged.
    pub(super) fn exchange_memory(&mut self, memory: &mut VecDeque<u8>) {
        self.bytes.clear();
        mem::swap(&mut self.bytes, memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_holds_the_last_window_and_no_more_memory() {
        for bits in 8..=15 {
            for step in [1, 7, 255, 256, 257, 5000, 40_000] {
                let mut history = History::new(bits);
                assert_eq!(history.bytes.capacity(), 0);
                let all: Vec<u8> = (0..80_000u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
                let mut said = 0;
                for piece in all.chunks(step) {
                    history.push(piece);
                    said += piece.len();
                    if step > 200 || said % 997 == 0 {
                        assert_eq!(history.pieces().concat(), all[said.saturating_sub(1 << bits)..said]);
                    }
                    assert!(history.bytes.capacity() <= 1 << bits);
                }
            }
        }
    }
}
