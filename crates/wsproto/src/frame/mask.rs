//! Masking (RFC 6455 §5.3).

use alloc::boxed::Box;

/// Where a client's masking keys come from.
///
/// "[...] the masking key MUST be derived from a strong source of entropy, and the masking key for a given frame MUST
/// NOT make it simple for a server/proxy to predict the masking key for a subsequent frame" (RFC 6455 §5.3): a
/// cryptographically secure source, such as `OsRandom` (feature `getrandom`). There is no default.
pub trait MaskSource: Send {
    /// The key of the next frame.
    fn mask(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskSource for F {
    fn mask(&mut self) -> [u8; 4] {
        self()
    }
}

impl MaskSource for Box<dyn MaskSource> {
    fn mask(&mut self) -> [u8; 4] {
        (**self).mask()
    }
}

/// A masking key and the place it has reached in a payload. Masking and unmasking are the same operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The key, turned so that its lowest byte is for the next byte of the payload.
    key: u32,
}

/// Bytes masked at a time: the compiler makes one to four vector instructions of it, on any target.
const BLOCK: usize = 32;

impl Mask {
    /// A key at the start of a payload.
    #[must_use]
    pub const fn new(key: [u8; 4]) -> Self {
        Self { key: u32::from_le_bytes(key) }
    }

    /// Masks or unmasks the next bytes of the payload, in place.
    pub fn apply(&mut self, payload: &mut [u8]) {
        let key = u64::from(self.key) << 32 | u64::from(self.key);
        let mut blocks = payload.chunks_exact_mut(BLOCK);
        for block in &mut blocks {
            mask_words(block, key);
        }
        let mut words = blocks.into_remainder().chunks_exact_mut(8);
        for word in &mut words {
            mask_words(word, key);
        }
        for (byte, key) in words.into_remainder().iter_mut().zip(key.to_le_bytes()) {
            *byte ^= key;
        }
        self.skip(payload.len());
    }

    /// Passes over `len` bytes of the payload.
    pub(crate) fn skip(&mut self, len: usize) {
        const BITS: [u32; 4] = [0, 8, 16, 24];
        self.key = self.key.rotate_right(BITS[len % 4]);
    }
}

#[inline]
fn mask_words(words: &mut [u8], key: u64) {
    for word in words.chunks_exact_mut(8) {
        if let Ok(word) = <&mut [u8; 8]>::try_from(word) {
            *word = (u64::from_le_bytes(*word) ^ key).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// RFC 6455 §5.3, word by word: "j = i MOD 4".
    fn naive(key: [u8; 4], payload: &mut [u8]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn any_length_in_any_two_pieces_masks_as_the_naive_loop() {
        let key = [0x12, 0x34, 0x56, 0x78];
        for len in 0..200_u8 {
            let plain: Vec<u8> = (0..len).map(|i| i.wrapping_mul(7)).collect();
            let mut expected = plain.clone();
            naive(key, &mut expected);
            for cut in 0..=plain.len() {
                let mut masked = plain.clone();
                let mut mask = Mask::new(key);
                mask.apply(&mut masked[..cut]);
                mask.apply(&mut masked[cut..]);
                assert_eq!(masked, expected, "{len} bytes cut at {cut}");
            }
        }
    }
}
