//! The bytes that are sent.

use serde::Deserialize;
use wsproto_io::Message;

/// The kind of a message.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    /// As `cases.json` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// Pseudo-random data of exactly `size` bytes: text with characters of 1 to 4 bytes, or blocks that come twice.
#[must_use]
pub fn payload(kind: Kind, size: usize, seed: u64) -> Message {
    let mut bytes = noise(size, seed);
    match kind {
        Kind::Text => {
            let letters: String = bytes.iter().map(|byte| char::from(b'a' + byte % 8)).collect();
            Message::Text(letters.replace("fghf", "😀").replace("cde", "€").replace("ab", "é"))
        }
        Kind::Binary => {
            for block in bytes.chunks_mut(1000) {
                let (first, second) = block.split_at_mut(block.len().min(500));
                second.copy_from_slice(&first[..second.len()]);
            }
            Message::Binary(bytes)
        }
    }
}

/// Pseudo-random bytes (xorshift).
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ size as u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[2]
    };
    (0..size).map(|_| byte()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_depends_on_its_seed() {
        for kind in [Kind::Text, Kind::Binary] {
            for size in [0, 1, 125, 126, 501, 65_535, 65_536] {
                let message = payload(kind, size, 1);
                assert_eq!(message.as_bytes().len(), size);
                assert_eq!(message.as_text().is_some(), kind.name() == "text");
                assert!(size < 2 || message != payload(kind, size, 2));
            }
        }
        let text = payload(Kind::Text, 65_536, 1);
        for length in 1..=4 {
            assert!(text.as_text().is_some_and(|text| text.chars().any(|c| c.len_utf8() == length)));
        }
    }
}
