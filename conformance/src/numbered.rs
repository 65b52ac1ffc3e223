//! Messages that are numbered and hashed: what arrives shows whether something was lost, doubled, reordered or changed.
//!
//! A message begins with a line of text: the stream it belongs to, its number there, and the hash of what follows. Stream
//! and number alone decide what follows, so that the receiver needs nothing from the sender.

use std::fmt;
use std::hash::Hasher;

use wsproto_io::Message;

/// A sequence of numbers that looks random, the same for the same seed (xorshift64*). Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Neighbouring seeds begin far from each other, and none is 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where that is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        // The upper bits are the better ones.
        if end == 0 { 0 } else { (self.roll() >> 16) % end }
    }
}

/// FNV-1a, 64 bits, of 8 bytes at a time: fast, and enough to see an accident.
#[derive(Clone, Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        let mut add = |word: u64| self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            add(u64::from_le_bytes(std::array::from_fn(|i| word[i])));
        }
        words.remainder().iter().for_each(|byte| add(u64::from(*byte)));
        add(bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a body consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Bytes that do not compress.
    Bytes,
    /// Text of one to four bytes for each character, which compresses a little.
    Text,
    /// Text that compresses to about a half: hexadecimal digits.
    Hexadecimal,
}

/// Characters of one, two, three and four bytes; 64 of them.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,!äöüßé€→😀";

/// The message of this stream and number, with a body of so many bytes, or a few less.
#[must_use]
pub fn message(stream: u64, number: u64, body: Body, len: usize) -> Message {
    let mut dice = Dice::new(stream << 32 ^ number);
    match body {
        Body::Bytes => {
            let mut bytes = Vec::with_capacity(len + 8);
            while bytes.len() < len {
                bytes.extend_from_slice(&dice.roll().to_le_bytes());
            }
            bytes.truncate(len);
            let mut whole = head(stream, number, &bytes).into_bytes();
            whole.append(&mut bytes);
            Message::Binary(whole)
        }
        Body::Text | Body::Hexadecimal => {
            let letters = if body == Body::Text { LETTERS } else { "0123456789abcdef" };
            let letters: Vec<char> = letters.chars().collect();
            let mut text = String::with_capacity(len);
            'full: loop {
                for byte in dice.roll().to_le_bytes() {
                    let letter = letters[usize::from(byte) % letters.len()];
                    if text.len() + letter.len_utf8() > len {
                        break 'full;
                    }
                    text.push(letter);
                }
            }
            Message::Text(head(stream, number, text.as_bytes()) + &text)
        }
    }
}

fn head(stream: u64, number: u64, body: &[u8]) -> String {
    let mut hash = Hash::default();
    hash.write(body);
    format!("{stream} {number} {:016x}\n", hash.finish())
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It belongs to another stream.
    Stream(u64),
    /// It is one that came before.
    Doubled(u64),
    /// It is one that is to come later: those between are lost, or late.
    Lost(u64),
    /// Its first line cannot be read.
    Head,
    /// What follows is not what the first line says.
    Changed,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "it is of another stream, {stream}"),
            Self::Doubled(number) => write!(f, "it is number {number}, which came before"),
            Self::Lost(number) => write!(f, "it is number {number}: those before it are lost, or late"),
            Self::Head => f.write_str("its first line cannot be read"),
            Self::Changed => f.write_str("its content is not what was hashed"),
        }
    }
}

/// Judges a message that is to be this one of this stream.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check(message: &[u8], stream: u64, number: u64) -> Result<(), Wrong> {
    let end = message.iter().take(80).position(|byte| *byte == b'\n').ok_or(Wrong::Head)?;
    let (line, body) = (&message[..end], &message[end + 1..]);
    let mut fields = std::str::from_utf8(line).map_err(|_| Wrong::Head)?.split(' ');
    let mut field = || fields.next().ok_or(Wrong::Head);
    let parse = |text: &str| text.parse::<u64>().map_err(|_| Wrong::Head);
    let (found_stream, found, hash) = (parse(field()?)?, parse(field()?)?, field()?);
    let mut actual = Hash::default();
    actual.write(body);
    if u64::from_str_radix(hash, 16) != Ok(actual.finish()) {
        return Err(Wrong::Changed);
    }
    match found {
        _ if found_stream != stream => Err(Wrong::Stream(found_stream)),
        _ if found < number => Err(Wrong::Doubled(found)),
        _ if found > number => Err(Wrong::Lost(found)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_seen() {
        for body in [Body::Bytes, Body::Text, Body::Hexadecimal] {
            for len in [0, 1, 7, 8, 1000, 70_000] {
                let good = message(7, 30, body, len);
                assert_eq!(good, message(7, 30, body, len));
                let bytes = good.as_bytes();
                assert!((bytes.len() - "7 30 0123456789abcdef\n".len()).abs_diff(len) < 4);
                assert_eq!(check(bytes, 7, 30), Ok(()));
                assert_eq!(check(bytes, 8, 30), Err(Wrong::Stream(7)));
                assert_eq!(check(bytes, 7, 31), Err(Wrong::Doubled(30)));
                assert_eq!(check(bytes, 7, 29), Err(Wrong::Lost(30)));
                assert_eq!(check(&bytes[..10], 7, 30), Err(Wrong::Head));
                for place in (22..bytes.len()).step_by(997) {
                    let mut changed = bytes.to_vec();
                    changed[place] ^= 1;
                    assert_eq!(check(&changed, 7, 30), Err(Wrong::Changed));
                }
                assert_eq!(check(&[bytes, b"x"].concat(), 7, 30), Err(Wrong::Changed));
            }
        }
    }

    #[test]
    fn letters_are_as_many_as_six_bits_choose() {
        assert_eq!(LETTERS.chars().count(), 64);
    }
}
