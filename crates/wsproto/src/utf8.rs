//! UTF-8 that arrives in pieces (RFC 6455 §8.1, RFC 3629).

use alloc::string::String;

use crate::inline::Inline;

/// The longest valid text at the start of `bytes`: all of it, or up to where it is invalid.
pub(crate) fn validate(bytes: &[u8]) -> Result<&str, &str> {
    // Below this many bytes the standard library is as fast, and does not need a second look for the position.
    const WIDE: usize = 128;
    if bytes.len() >= WIDE {
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return Ok(text);
        }
    }
    core::str::from_utf8(bytes).map_err(|error| core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default())
}

/// Cuts off the character at the end that is not finished, 0 to 3 bytes, where more bytes could finish it.
pub(crate) fn split_unfinished(bytes: &[u8]) -> (&[u8], &[u8]) {
    if bytes.last().is_none_or(u8::is_ascii) {
        return (bytes, &[]);
    }
    let lead = (1..=bytes.len().min(3)).find(|&back| bytes[bytes.len() - back] >= 0xC0).unwrap_or(0);
    let (head, tail) = bytes.split_at(bytes.len() - lead);
    if is_unfinished(tail) { (head, tail) } else { (bytes, &[]) }
}

/// Whether these bytes are the start of a character, and not all of it.
fn is_unfinished(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

/// The start of a character that the input cut in two, at most three bytes.
#[derive(Clone, Copy)]
pub(crate) struct Unfinished(Inline<4>);

/// What became of an unfinished character.
pub(crate) enum Next {
    Unfinished,
    Finished(String),
    Invalid,
}

impl Unfinished {
    pub(crate) const fn none() -> Self {
        Self(Inline::new())
    }

    /// What [`split_unfinished`] cut off.
    pub(crate) fn new(tail: &[u8]) -> Self {
        let mut bytes = Inline::new();
        bytes.extend(tail);
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Adds the next byte, and judges it at once: a peer must not be waited for that is wrong already.
    pub(crate) fn push(&mut self, byte: u8) -> Next {
        self.0.extend(&[byte]);
        match core::str::from_utf8(self.as_bytes()) {
            Ok(character) => {
                let character = character.into();
                self.0.clear();
                Next::Finished(character)
            }
            Err(error) if error.error_len().is_none() => Next::Unfinished,
            Err(_) => Next::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// As the receiver uses it, one byte or one piece at a time: the text before the first error, and whether
    /// there is one.
    fn in_pieces(pieces: &[&[u8]]) -> (String, bool) {
        let mut text = String::new();
        let mut unfinished = Unfinished::none();
        for &piece in pieces {
            let mut piece = piece;
            while let (false, [byte, rest @ ..]) = (unfinished.is_empty(), piece) {
                piece = rest;
                match unfinished.push(*byte) {
                    Next::Unfinished => {}
                    Next::Finished(character) => text += &character,
                    Next::Invalid => return (text, false),
                }
            }
            if !piece.is_empty() {
                let (head, tail) = split_unfinished(piece);
                match validate(head) {
                    Ok(valid) => text += valid,
                    Err(valid) => return (text + valid, false),
                }
                unfinished = Unfinished::new(tail);
            }
        }
        let valid = unfinished.is_empty();
        (text, valid)
    }

    fn of_std(bytes: &[u8]) -> (String, bool) {
        match core::str::from_utf8(bytes) {
            Ok(text) => (text.into(), true),
            Err(error) => (core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap().into(), false),
        }
    }

    #[test]
    fn f13_all_sequences_of_up_to_three_bytes_are_judged_as_std_does() {
        let check = |bytes: &[u8]| {
            let expected = of_std(bytes);
            assert_eq!(in_pieces(&[bytes]), expected, "{bytes:x?} whole");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(in_pieces(&single), expected, "{bytes:x?} byte by byte");
        };
        for a in 0..=255 {
            check(&[a]);
            for b in 0..=255 {
                check(&[a, b]);
                if a >= 0x80 {
                    for c in 0..=255 {
                        check(&[a, b, c]);
                    }
                } else {
                    // An ASCII byte in front changes nothing: the rest is a sequence of two.
                    check(&[a, b, 0x80]);
                }
            }
        }
    }

    #[test]
    fn f13_four_bytes_are_judged_at_their_second() {
        for lead in 0xF0..=0xFF {
            for second in 0..=255 {
                for rest in [[0x80, 0x80], [0xBF, 0xBF], [0x7F, 0x80], [0x80, 0xC0]] {
                    let bytes = [lead, second, rest[0], rest[1]];
                    assert_eq!(in_pieces(&[&bytes]), of_std(&bytes), "{bytes:x?}");
                    for cut in 1..4 {
                        assert_eq!(in_pieces(&[&bytes[..cut], &bytes[cut..]]), of_std(&bytes), "{bytes:x?} at {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_wide_path_says_what_the_narrow_one_says() {
        let long = "aé€😀".repeat(40);
        for cut in 0..long.len() {
            assert_eq!(in_pieces(&[&long.as_bytes()[..cut]]), of_std(&long.as_bytes()[..cut]), "cut at {cut}");
            let mut broken = long.clone().into_bytes();
            broken[cut] = 0xFF;
            assert_eq!(in_pieces(&[&broken]), of_std(&broken), "broken at {cut}");
        }
    }
}
