//! Bytes that arrived in pieces and wait to be read.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// From this many bytes on a piece is kept as it came. A smaller one keeps much more memory than it has bytes, so it is
/// copied behind the one before it.
const LARGE: usize = 4096;

/// Bytes in the order in which they came. Of `n` bytes at most `n / LARGE * 2 + 2` places are in use, however small the
/// pieces were.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: VecDeque<Bytes>,
    /// Small pieces, behind all others.
    tail: BytesMut,
}

impl Chunks {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        // The first is read soon, mostly, and then nothing is copied here.
        if piece.len() >= LARGE || self.is_empty() {
            self.seal();
            self.chunks.push_back(piece);
        } else {
            self.tail.extend_from_slice(&piece);
        }
    }

    /// Reads into this space: how many bytes there are in it now.
    pub(super) fn read(&mut self, space: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < space.len() {
            if self.chunks.is_empty() {
                self.seal();
            }
            let Some(first) = self.chunks.front_mut() else { break };
            let n = first.len().min(space.len() - filled);
            first.copy_to_slice(&mut space[filled..filled + n]);
            filled += n;
            if first.is_empty() {
                self.chunks.pop_front();
            }
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new(); // who waits holds nothing
        }
        filled
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_come_out_as_they_went_in() {
        for (piece, space) in [(1, 1000), (1, 1), (100, 64 * 1024), (4096, 5000), (5000, 4096), (10_000, 3)] {
            let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
            let mut chunks = Chunks::default();
            bytes.chunks(piece).for_each(|piece| chunks.push(Bytes::copy_from_slice(piece)));
            let (mut read, mut buffer) = (Vec::new(), vec![0; space]);
            while !chunks.is_empty() {
                let n = chunks.read(&mut buffer);
                assert!(n > 0);
                read.extend_from_slice(&buffer[..n]);
            }
            assert_eq!(chunks.read(&mut buffer), 0);
            assert!(read == bytes);
        }
    }

    #[test]
    fn p07_many_small_pieces_take_few_places() {
        let mut chunks = Chunks::default();
        for n in 0..10_000 {
            let large = vec![7; if n % 2000 == 1999 { LARGE } else { 1 }];
            chunks.push(Bytes::from(large));
            chunks.push(Bytes::new());
        }
        assert!(chunks.chunks.len() <= 12, "{} places", chunks.chunks.len());
    }
}
